/* The lines that the upstream streams, and that the client publishes where it is the source. */
#ifndef LOAD_LINES_H
#define LOAD_LINES_H

#include <stdint.h>

/* 142 bytes, so that a line of a long stream has about 180. */
#define ANSWER_TEXT                                                                               \
    "The answer of one upstream, as long as such answers often are: a name, a price, a city and " \
    "a temperature of 21.5 degrees, and some words more."

/* No line and no event is longer, whatever its numbers. */
#define LINE_MAX_BYTES 256
#define EVENT_MAX_BYTES 320

/* Write `value` in decimal at `at`; return the end. */
char *write_decimal(char *at, uint64_t value);

/* Write `{"n":N,"t":T,"text":"..."}` and a line feed at `at`; return the end. */
char *write_line(char *at, uint64_t n, uint64_t t_ns);

/* Write the same line as an event of an SSE stream, the blank line included; return the end. */
char *write_event(char *at, uint64_t n, uint64_t t_ns);

#endif
