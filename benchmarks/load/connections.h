/* The client's connections and the loop that serves them: who opens, asks and reads, and what of it
 * each mode is told. All is one thread's, and there is one loop. */
#ifndef LOAD_CONNECTIONS_H
#define LOAD_CONNECTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "marks.h"
#include "response.h"

/* Connections that are being opened at once: more would overflow a server's queue of them, and a
 * connection that was not let in is tried by the kernel a whole second later. */
#define MOST_OPENING 64

struct connection;

/* What a mode does with its connections. NULL: nothing. All but `opened` come while bytes are read:
 * the connection may be asked or closed in them, and opened again with connection_open. */
struct handler {
    void (*opened)(struct connection *connection);
    void (*answered)(struct connection *connection); /* the head is there, and its status good */
    void (*ended)(struct connection *connection);    /* the response; maybe the connection too */
    void (*failed)(struct connection *connection);   /* closed, and the error is counted */
    void (*writable)(struct connection *connection);
    struct marks marks;
    bool opens_till_answered; /* counts among those being opened till there is a head */
    bool is_pipelined;        /* responses may follow each other unasked */
};

enum connection_state { CLOSED, WAITING, CONNECTING, OPEN };

struct connection {
    const struct handler *handler;
    uint16_t port;
    uint64_t number; /* which of its kind it is, from 0 */
    int fd;
    enum connection_state state;
    bool is_opening, is_asking;
    struct connection *next; /* among those that wait to be opened */
    struct response response;
    struct scan scan;
    uint64_t asked_ns;
    uint64_t bytes; /* received in all */
    /* The handler's; all but the last are 0 when a request is written. */
    uint64_t marks, first_ns, last_ns, added_ns;
    bool is_warm;
};

/* Before all else: where GETs go. Of `paths` other than 0, the first `{}` of the path is which of a
 * connection's kind it is, modulo `paths`. */
void loop_prepare(const char *path, uint64_t paths);

/* Connections of one kind. */
struct connection *connections_new(uint64_t count, uint16_t port, const struct handler *handler);

/* Connect as soon as it has its turn; nothing where it is open or waits already. */
void connection_open(struct connection *connection);

/* Open all of them, run till each is open or has failed, and return how many are open. Those that
 * are not after `patience` seconds have failed; where none is, the program ends. */
uint64_t connections_open(struct connection *connections, uint64_t count, double patience);
uint64_t connections_count_open(const struct connection *connections, uint64_t count);

/* Not an error, and nobody is told. */
void connection_close(struct connection *connection);

/* Close it, count the error, and tell the handler. */
__attribute__((format(printf, 2, 3))) void connection_fail(struct connection *connection,
                                                           const char *format, ...);

/* Send a GET and look for the marks of `wanted` in the response; the loop's path where there is
 * none. */
void connection_ask(struct connection *connection, const char *path, unsigned wanted);

/* Expect a response to what the handler writes itself. */
void connection_expect(struct connection *connection);

/* Tell `writable` when there is room, or no longer. */
void connection_want_room(struct connection *connection, bool wants_room);

/* Run till loop_stop, till there are too many errors, or till the time. */
void loop_run(uint64_t until_ns);
void loop_run_seconds(double seconds);
void loop_stop(void);

/* When the bytes that are being looked at were received. */
uint64_t loop_now_ns(void);

/* Call once at that time, or soon after it; the last that was set counts. */
void loop_call_at(uint64_t at_ns, void (*call)(void));

#endif
