#define _GNU_SOURCE
#include "connections.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "clock.h"
#include "figures.h"
#include "options.h"
#include "sockets.h"

#define READ_BYTES (256 * 1024) /* stays in the cache till it is looked at */
#define MOST_READS 4            /* of one connection, before others get their turn */

static struct {
    int epoll, timer;
    uint64_t now_ns;
    bool is_stopped, stops_when_open;
    unsigned opening; /* connections that are not open yet, and have begun */
    unsigned unopened; /* and with them those that wait */
    struct connection *first_waiting, *last_waiting;
    void (*call)(void);
    const char *path;
    uint64_t paths;
    char buffer[READ_BYTES];
} loop;

/* ------------------------------------------------------------------------- opening */

void loop_prepare(const char *path, uint64_t paths)
{
    raise_descriptor_limit();
    loop.path = path;
    loop.paths = paths;
    loop.epoll = epoll_create1(EPOLL_CLOEXEC);
    loop.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &loop};
    if (loop.epoll < 0 || loop.timer < 0 ||
        epoll_ctl(loop.epoll, EPOLL_CTL_ADD, loop.timer, &event) < 0)
        die("cannot make an epoll and a timer");
}

struct connection *connections_new(uint64_t count, uint16_t port, const struct handler *handler)
{
    struct connection *connections = calloc(count, sizeof *connections);
    if (!connections)
        die("no memory for the connections");
    for (uint64_t i = 0; i < count; i++) {
        connections[i].handler = handler;
        connections[i].port = port;
        connections[i].number = i;
        connections[i].fd = -1;
    }
    return connections;
}

void connection_open(struct connection *connection)
{
    if (connection->state != CLOSED)
        return;
    connection->state = WAITING;
    connection->next = NULL;
    loop.unopened++;
    if (loop.first_waiting)
        loop.last_waiting->next = connection;
    else
        loop.first_waiting = connection;
    loop.last_waiting = connection;
}

static void watch(struct connection *connection, int operation, uint32_t interest)
{
    struct epoll_event event = {.events = interest, .data.ptr = connection};
    if (epoll_ctl(loop.epoll, operation, connection->fd, &event) < 0)
        die("cannot watch a connection");
}

static void connect_now(struct connection *connection)
{
    connection->state = CONNECTING;
    connection->is_opening = true;
    loop.opening++;
    connection->fd = connect_to_loopback(connection->port);
    if (connection->fd < 0)
        connection_fail(connection, "cannot connect: %s", strerror(errno));
    else
        watch(connection, EPOLL_CTL_ADD, EPOLLOUT);
}

/* Not more than are waiting now: those that fail may be opened again, and would never end it. */
static void open_waiting(void)
{
    const struct connection *last = loop.last_waiting;
    while (loop.first_waiting && loop.opening < MOST_OPENING) {
        struct connection *connection = loop.first_waiting;
        loop.first_waiting = connection->next;
        connect_now(connection);
        if (connection == last)
            return;
    }
}

/* It is open, or never will be. */
static void settle(struct connection *connection)
{
    if (!connection->is_opening)
        return;
    connection->is_opening = false;
    loop.opening--;
    if (!--loop.unopened && loop.stops_when_open)
        loop_stop();
}

uint64_t connections_count_open(const struct connection *connections, uint64_t count)
{
    uint64_t open = 0;
    for (uint64_t i = 0; i < count; i++)
        open += connections[i].state == OPEN;
    return open;
}

uint64_t connections_open(struct connection *connections, uint64_t count, double patience)
{
    for (uint64_t i = 0; i < count; i++)
        connection_open(&connections[i]);
    loop.stops_when_open = true;
    loop_run_seconds(patience);
    loop.stops_when_open = false;
    for (uint64_t i = 0; i < count; i++)
        if (connections[i].is_opening || connections[i].state == WAITING)
            connection_fail(&connections[i], "not open within %g s", patience);
    uint64_t open = connections_count_open(connections, count);
    if (!open)
        end_without_figures("no connection was opened");
    return open;
}

/* ------------------------------------------------------------------------- closing */

/* It no longer waits for its turn. */
static void leave_waiting(struct connection *connection)
{
    struct connection **place = &loop.first_waiting, *before = NULL;
    for (; *place != connection; place = &before->next)
        before = *place;
    *place = connection->next;
    if (loop.last_waiting == connection)
        loop.last_waiting = before;
    loop.unopened--;
}

void connection_close(struct connection *connection)
{
    settle(connection);
    if (connection->state == WAITING)
        leave_waiting(connection);
    if (connection->fd >= 0)
        close(connection->fd);
    connection->fd = -1;
    connection->state = CLOSED;
    connection->is_asking = false;
    connection->scan.wanted = 0;
}

void connection_fail(struct connection *connection, const char *format, ...)
{
    char message[128];
    va_list values;
    va_start(values, format);
    vsnprintf(message, sizeof message, format, values);
    va_end(values);
    add_error("%s", message);
    connection_close(connection);
    if (connection->handler->failed)
        connection->handler->failed(connection);
}

/* ------------------------------------------------------------------------- asking */

void connection_expect(struct connection *connection)
{
    response_begin(&connection->response);
    connection->is_asking = true;
}

/* The loop's path, for this connection; in `buffer` where it is not that of all. */
static const char *path_of(const struct connection *connection, char *buffer, size_t size)
{
    const char *place = loop.paths ? strstr(loop.path, "{}") : NULL;
    if (!place)
        return loop.path;
    snprintf(buffer, size, "%.*s%" PRIu64 "%s", (int)(place - loop.path), loop.path,
             connection->number % loop.paths, place + 2);
    return buffer;
}

void connection_ask(struct connection *connection, const char *path, unsigned wanted)
{
    char own[PATH_MAX_BYTES + 24], request[PATH_MAX_BYTES + 152];
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nAccept: text/event-stream\r\n\r\n",
                          path ? path : path_of(connection, own, sizeof own), connection->port);
    connection_expect(connection);
    scan_begin(&connection->scan, wanted);
    connection->marks = connection->first_ns = connection->last_ns = connection->added_ns = 0;
    connection->asked_ns = now_ns();
    ssize_t sent = send(connection->fd, request, (size_t)length, MSG_NOSIGNAL);
    if (sent != length)
        connection_fail(connection, "cannot send a request: %s",
                        sent < 0 ? strerror(errno) : "it was sent in part");
}

void connection_want_room(struct connection *connection, bool wants_room)
{
    watch(connection, EPOLL_CTL_MOD, EPOLLIN | (wants_room ? EPOLLOUT : 0));
}

/* ------------------------------------------------------------------------- reading */

static void end_response(struct connection *connection, bool has_more)
{
    const struct handler *handler = connection->handler;
    if (has_more && !handler->is_pipelined) {
        connection_fail(connection, "bytes behind the end of a response");
        return;
    }
    connection->is_asking = false;
    if (!connection->response.keeps_alive)
        connection_close(connection);
    else if (handler->is_pipelined)
        connection_expect(connection);
    if (handler->ended)
        handler->ended(connection);
}

static void take_head(struct connection *connection)
{
    int status = connection->response.status;
    if (status < 200 || status > 299) {
        connection_fail(connection, "status %d", status);
        return;
    }
    if (connection->handler->opens_till_answered)
        settle(connection);
    if (connection->handler->answered)
        connection->handler->answered(connection);
}

/* Read what was received; the connection may be closed by what it says. */
static void take(struct connection *connection, const char *at, const char *end)
{
    struct piece piece;
    if (!connection->is_asking) {
        connection_fail(connection, "bytes that nobody asked for");
        return;
    }
    while (connection->state == OPEN) {
        switch (response_next(&connection->response, &at, end, &piece)) {
        case PART_NONE:
            return;
        case PART_HEAD:
            take_head(connection);
            break;
        case PART_BODY:
            scan_piece(&connection->scan, &connection->handler->marks, connection, piece.bytes,
                       piece.length);
            break;
        case PART_END:
            end_response(connection, at < end);
            if (!connection->handler->is_pipelined)
                return;
            break;
        case PART_BROKEN:
            connection_fail(connection, "not a response of HTTP/1.1");
        }
    }
}

/* The server has closed, or there was an error that has a number. */
static void lose(struct connection *connection, int error)
{
    if (!connection->is_asking) {
        connection_close(connection); /* between two requests it may */
    } else if (!error && response_ends_at_close(&connection->response)) {
        connection_close(connection);
        if (connection->handler->ended)
            connection->handler->ended(connection);
    } else {
        connection_fail(connection, "closed before the end of a response%s%s", error ? ": " : "",
                        error ? strerror(error) : "");
    }
}

static void receive(struct connection *connection)
{
    for (int reads = 0; reads < MOST_READS && connection->state == OPEN; reads++) {
        ssize_t length = recv(connection->fd, loop.buffer, READ_BYTES, 0);
        if (length < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        loop.now_ns = now_ns();
        if (length <= 0) {
            lose(connection, length < 0 ? errno : 0);
            return;
        }
        connection->bytes += (uint64_t)length;
        take(connection, loop.buffer, loop.buffer + length);
        if (length < READ_BYTES)
            return;
    }
}

static void finish_connecting(struct connection *connection)
{
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error) {
        connection_fail(connection, "cannot connect: %s", strerror(error));
        return;
    }
    connection->state = OPEN;
    watch(connection, EPOLL_CTL_MOD, EPOLLIN);
    if (!connection->handler->opens_till_answered)
        settle(connection);
    if (connection->handler->opened)
        connection->handler->opened(connection);
}

/* ------------------------------------------------------------------------- the loop */

static void serve(struct connection *connection, uint32_t events)
{
    if (connection->state == CONNECTING) {
        finish_connecting(connection);
        return;
    }
    if (connection->state == OPEN && events & ~EPOLLOUT)
        receive(connection);
    if (connection->state == OPEN && events & EPOLLOUT && connection->handler->writable)
        connection->handler->writable(connection);
}

void loop_call_at(uint64_t at_ns, void (*call)(void))
{
    struct itimerspec when = {.it_value = {.tv_sec = (time_t)(at_ns / NS_PER_SECOND),
                                           .tv_nsec = (long)(at_ns % NS_PER_SECOND)}};
    loop.call = call;
    if (timerfd_settime(loop.timer, TFD_TIMER_ABSTIME, &when, NULL) < 0)
        die("cannot set the timer");
}

static void call_timer(void)
{
    uint64_t times;
    if (read(loop.timer, &times, sizeof times) > 0)
        loop.call();
}

void loop_run(uint64_t until_ns)
{
    struct epoll_event events[256];
    loop.is_stopped = false;
    while ((loop.now_ns = now_ns()) < until_ns) {
        open_waiting();
        if (loop.is_stopped || error_count() >= MOST_ERRORS)
            return;
        uint64_t ms = (until_ns - loop.now_ns + NS_PER_MS - 1) / NS_PER_MS;
        bool can_open = loop.first_waiting && loop.opening < MOST_OPENING;
        int count = epoll_wait(loop.epoll, events, sizeof events / sizeof *events,
                               can_open ? 0 : (int)(ms < 60000 ? ms : 60000));
        for (int i = 0; i < count && !loop.is_stopped; i++) {
            if (events[i].data.ptr == &loop)
                call_timer();
            else
                serve(events[i].data.ptr, events[i].events);
        }
    }
}

void loop_run_seconds(double seconds)
{
    loop_run(now_ns() + (uint64_t)(seconds * NS_PER_SECOND));
}

void loop_stop(void)
{
    loop.is_stopped = true;
}

uint64_t loop_now_ns(void)
{
    return loop.now_ns;
}
