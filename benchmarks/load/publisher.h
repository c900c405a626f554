/* Publishes events by POST on one connection, where no upstream is the source of a broadcast. */
#ifndef LOAD_PUBLISHER_H
#define LOAD_PUBLISHER_H

#include "options.h"

/* Begin, as the options say; the loop is stopped where it fails. */
void publish(const struct options *options);

/* When the first event was written; 0 before that. */
uint64_t publishing_begun_ns(void);

#endif
