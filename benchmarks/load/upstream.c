/* The upstream of the benchmarks: answers that come late, and streams of lines, from one thread.
 *
 *   GET /ready                                     200
 *   GET /delay/MS                                  a JSON object after MS milliseconds
 *   GET /ndjson?lines=N[&rate=R][&gate=NAME]       N lines, chunked
 *   GET /sse?lines=N[&batch=0|1][&rate=R][&gate=NAME]   the same lines as events
 *   GET /open/NAME                                 "opened K": K streams waited, and go on
 *
 * Without a rate a stream goes as fast as its reader takes it, in writes of up to 64 KiB, or with
 * batch=0 in one send() for each event; "t" of a line is then when it was written. With a rate each
 * line is sent by itself, and "t" is when it was due, the first at once. A gate holds those streams
 * that wait when it is opened; who comes later waits for the next opening. Those of a rate that go
 * on together do not speak at once: their first lines are spread over the time between two.
 *
 * It prints its port, and ends when stdin does. A client that shuts down its side has left.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "clock.h"
#include "sockets.h"
#include "timers.h"
#include "upstream.h"

#define MOST_WRITES 64   /* of one connection, before others get their turn */
#define MOST_TIMERS 1024 /* called before others get their turn */

static struct {
    int epoll, listener, timer;
    bool is_accepting;
    uint64_t armed_ns; /* when the timer is to go off; 0 where it is not to */
    struct timers timers;
    struct connection *closed;
} server;

/* ------------------------------------------------------------------------- connections */

static void watch_listener(void)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &server.listener};
    if (!server.is_accepting && epoll_ctl(server.epoll, EPOLL_CTL_ADD, server.listener, &event) < 0)
        die("cannot watch the listener");
    server.is_accepting = true;
}

/* Its memory is kept till all that epoll has reported is done: some of it may name this one. */
void close_connection(struct connection *connection)
{
    if (connection->fd < 0)
        return;
    timers_unset(&server.timers, &connection->timer);
    leave_gate(connection);
    close(connection->fd);
    connection->fd = -1;
    connection->next = server.closed;
    server.closed = connection;
    watch_listener(); /* a descriptor is free again */
}

void call_at(struct connection *connection, uint64_t due_ns)
{
    timers_set(&server.timers, &connection->timer, due_ns);
}

static void free_closed(void)
{
    while (server.closed) {
        struct connection *connection = server.closed;
        server.closed = connection->next;
        free(connection->out);
        free(connection);
    }
}

static void set_interest(struct connection *connection, uint32_t interest)
{
    interest |= EPOLLRDHUP;
    if (connection->in_used < IN_BYTES)
        interest |= EPOLLIN;
    if (connection->fd < 0 || interest == connection->interest)
        return;
    struct epoll_event event = {.events = interest, .data.ptr = connection};
    if (epoll_ctl(server.epoll, EPOLL_CTL_MOD, connection->fd, &event) < 0)
        die("cannot watch a connection");
    connection->interest = interest;
}

static void add_connection(int fd)
{
    struct connection *connection = calloc(1, sizeof *connection);
    if (!connection)
        die("no memory for a connection");
    connection->fd = fd;
    connection->interest = EPOLLIN | EPOLLRDHUP;
    prepare_answers(connection);
    send_at_once(fd);
    struct epoll_event event = {.events = connection->interest, .data.ptr = connection};
    if (epoll_ctl(server.epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        die("cannot watch a connection");
}

static void accept_all(void)
{
    for (;;) {
        int fd = accept4(server.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            add_connection(fd);
        } else if (errno == EMFILE || errno == ENFILE) {
            /* Watched again when one closes; till then it would be reported without an end. */
            epoll_ctl(server.epoll, EPOLL_CTL_DEL, server.listener, NULL);
            server.is_accepting = false;
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

/* ------------------------------------------------------------------------- the loop */

/* Send what was written; false where that must wait, or where the connection is closed. */
static bool flush(struct connection *connection)
{
    while (connection->out_begin < connection->out_end) {
        ssize_t sent = send(connection->fd, connection->out + connection->out_begin,
                            connection->out_end - connection->out_begin, MSG_NOSIGNAL);
        if (sent >= 0) {
            connection->out_begin += (size_t)sent;
        } else if (errno == EAGAIN) {
            set_interest(connection, EPOLLOUT);
            return false;
        } else if (errno != EINTR) {
            close_connection(connection);
            return false;
        }
    }
    connection->out_begin = connection->out_end = 0;
    return true;
}

static void go_on(struct connection *connection)
{
    for (int writes = 0; writes < MOST_WRITES; writes++) {
        if (!flush(connection))
            return;
        if (!write_more(connection)) {
            set_interest(connection, 0);
            return;
        }
    }
    set_interest(connection, EPOLLOUT); /* it is writable, and so is reported again */
}

static void receive(struct connection *connection)
{
    ssize_t received = recv(connection->fd, connection->in + connection->in_used,
                            IN_BYTES - connection->in_used, 0);
    if (received > 0)
        connection->in_used += (size_t)received;
    else if (received == 0 || (errno != EAGAIN && errno != EINTR))
        close_connection(connection);
}

static void serve(struct connection *connection, uint32_t events)
{
    if (events & (EPOLLHUP | EPOLLRDHUP | EPOLLERR))
        close_connection(connection);
    else if (events & EPOLLIN)
        receive(connection);
    if (connection->fd >= 0)
        go_on(connection);
}

static void call_timers(void)
{
    uint64_t now = now_ns();
    for (int calls = 0; calls < MOST_TIMERS; calls++) {
        struct timer *timer = timers_first(&server.timers);
        if (!timer || timer->due_ns > now)
            return;
        timers_unset(&server.timers, timer);
        struct connection *connection = (struct connection *)timer;
        delay_is_over(connection);
        go_on(connection);
    }
}

static void arm_timer(void)
{
    struct timer *first = timers_first(&server.timers);
    uint64_t due = first ? first->due_ns : 0;
    if (due == server.armed_ns)
        return;
    struct itimerspec when = {.it_value = {.tv_sec = (time_t)(due / NS_PER_SECOND),
                                           .tv_nsec = (long)(due % NS_PER_SECOND)}};
    if (timerfd_settime(server.timer, TFD_TIMER_ABSTIME, &when, NULL) < 0)
        die("cannot set the timer");
    server.armed_ns = due;
}

static void timer_went_off(void)
{
    uint64_t times;
    if (read(server.timer, &times, sizeof times) > 0)
        server.armed_ns = 0;
}

static bool has_stdin_ended(void)
{
    char bytes[256];
    ssize_t length = read(STDIN_FILENO, bytes, sizeof bytes);
    return length == 0 || (length < 0 && errno != EINTR && errno != EAGAIN);
}

static void watch_for_good(int fd, void *known_as)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = known_as};
    if (epoll_ctl(server.epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        die(fd == STDIN_FILENO ? "stdin must be a pipe or a terminal" : "cannot watch the timer");
}

static void run(void)
{
    static int standard_input = STDIN_FILENO;
    struct epoll_event events[256];
    watch_for_good(STDIN_FILENO, &standard_input);
    watch_for_good(server.timer, &server.timer);
    watch_listener();
    for (;;) {
        arm_timer();
        int count = epoll_wait(server.epoll, events, sizeof events / sizeof *events, -1);
        for (int i = 0; i < count; i++) {
            void *who = events[i].data.ptr;
            if (who == &server.listener)
                accept_all();
            else if (who == &server.timer)
                timer_went_off();
            else if (who != &standard_input)
                serve(who, events[i].events);
            else if (has_stdin_ended())
                return;
        }
        call_timers();
        free_closed();
    }
}

int main(int argc, char **argv)
{
    uint16_t port;
    if (argc > 1) {
        fprintf(stderr, "%s takes no argument, and %s is one\n", argv[0], argv[1]);
        return 2;
    }
    raise_descriptor_limit();
    server.listener = listen_on_loopback(&port);
    server.epoll = epoll_create1(EPOLL_CLOEXEC);
    server.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (server.epoll < 0 || server.timer < 0)
        die("cannot make an epoll and a timer");
    printf("%u\n", port);
    fflush(stdout);
    run();
    return 0;
}
