/* A connection of the upstream, and what its two parts know of each other: upstream.c has the
 * sockets and the loop, upstream_answers.c what is said. */
#ifndef LOAD_UPSTREAM_H
#define LOAD_UPSTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "timers.h"

#define IN_BYTES 4096 /* a request's head must fit */
#define GATE_BYTES 64

enum state { IDLE, DELAYED, GATED, STREAMING };

struct stream {
    uint64_t lines, written, rate, begun_ns;
    bool is_sse, is_batched;
    char gate[GATE_BYTES];
};

struct connection {
    struct timer timer; /* first, so that a timer's address is its connection's */
    int fd;             /* -1 once it is closed */
    enum state state;
    uint32_t interest;
    bool is_last_answer;
    uint64_t delay_ms;
    struct stream stream;
    struct connection *next, *previous; /* among the gated, or among the closed */
    size_t in_used, out_begin, out_end, out_size;
    char *out;
    char in[IN_BYTES + 1];
};

/* ------------------------------------------------------------------------- upstream.c */

/* Go on with the connection then. */
void call_at(struct connection *connection, uint64_t due_ns);

void close_connection(struct connection *connection);

/* ------------------------------------------------------------------------- upstream_answers.c */

/* Make room for what is written for a connection that has begun. */
void prepare_answers(struct connection *connection);

/* The time it asked to be called at has come. */
void delay_is_over(struct connection *connection);

/* Write the next part of what the connection is at, all before being sent; false where there is
 * none for now, or where the connection is closed. */
bool write_more(struct connection *connection);

/* It is closed, and waits for no gate. */
void leave_gate(struct connection *connection);

#endif
