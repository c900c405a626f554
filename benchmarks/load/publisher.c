#include "publisher.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "clock.h"
#include "connections.h"
#include "figures.h"
#include "lines.h"

#define OUT_BYTES 65536
#define REQUEST_BYTES (PATH_MAX_BYTES + 160 + LINE_MAX_BYTES)

static struct {
    const struct options *options;
    struct connection *connection;
    uint64_t written, answered, begun_ns;
    size_t begin, end; /* of what is in `out` and not sent */
    char out[OUT_BYTES];
} publisher;

uint64_t publishing_begun_ns(void)
{
    return publisher.begun_ns;
}

/* When the next event is due; without a rate that is now. */
static uint64_t due_ns(void)
{
    uint64_t rate = publisher.options->publish_rate, written = publisher.written;
    if (!rate)
        return now_ns();
    return publisher.begun_ns + written / rate * NS_PER_SECOND +
           written % rate * NS_PER_SECOND / rate;
}

static bool may_write(void)
{
    return publisher.written < publisher.options->events &&
           publisher.written - publisher.answered < publisher.options->publish_depth;
}

static void write_request(uint64_t t_ns)
{
    char line[LINE_MAX_BYTES];
    size_t length = (size_t)(write_line(line, ++publisher.written, t_ns) - line) - 1;
    char *at = publisher.out + publisher.end;
    at += snprintf(at, REQUEST_BYTES,
                   "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Type: application/json\r\n"
                   "Content-Length: %zu\r\n\r\n",
                   publisher.options->publish, publisher.connection->port, length);
    memcpy(at, line, length);
    publisher.end = (size_t)(at + length - publisher.out);
}

/* Send what was written; false where the rest must wait. */
static bool send_written(void)
{
    while (publisher.begin < publisher.end) {
        ssize_t sent = send(publisher.connection->fd, publisher.out + publisher.begin,
                            publisher.end - publisher.begin, MSG_NOSIGNAL);
        if (sent >= 0) {
            publisher.begin += (size_t)sent;
        } else if (errno == EAGAIN) {
            connection_want_room(publisher.connection, true);
            return false;
        } else if (errno != EINTR) {
            connection_fail(publisher.connection, "cannot publish: %s", strerror(errno));
            return false;
        }
    }
    publisher.begin = publisher.end = 0;
    return true;
}

static void publish_more(void)
{
    uint64_t due = 0;
    if (publisher.connection->state != OPEN || !send_written())
        return;
    while (may_write() && (due = due_ns()) <= now_ns()) {
        write_request(due);
        if (publisher.end + REQUEST_BYTES > OUT_BYTES && !send_written())
            return;
    }
    if (send_written() && may_write())
        loop_call_at(due, publish_more);
}

static void has_room(struct connection *connection)
{
    connection_want_room(connection, false);
    publish_more();
}

static void opened(struct connection *connection)
{
    connection_expect(connection);
    publisher.begun_ns = now_ns();
    publish_more();
}

/* Answers often come several at once: by halves, the next requests go together too. */
static void answered(struct connection *connection)
{
    publisher.answered++;
    uint64_t in_flight = publisher.written - publisher.answered;
    if (publisher.answered == publisher.options->events)
        connection_close(connection);
    else if (connection->state != OPEN)
        connection_fail(connection, "the server closed the publisher's connection");
    else if (in_flight <= publisher.options->publish_depth / 2)
        publish_more();
}

static void failed(struct connection *connection)
{
    (void)connection;
    loop_stop();
}

void publish(const struct options *options)
{
    static const struct handler handler = {.opened = opened,
                                           .ended = answered,
                                           .failed = failed,
                                           .writable = has_room,
                                           .is_pipelined = true};
    publisher.options = options;
    publisher.connection = connections_new(1, (uint16_t)options->port, &handler);
    connection_open(publisher.connection);
}
