/* What the client can do: each mode opens its connections, says that it is ready, measures, and
 * prints its figures. */
#ifndef LOAD_MODES_H
#define LOAD_MODES_H

#include "options.h"

void fanout(const struct options *options);
void flat(const struct options *options);
void broadcast(const struct options *options);
void idle(const struct options *options);
void churn(const struct options *options);

#endif
