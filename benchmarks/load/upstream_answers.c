/* What the upstream answers: one request of a connection after the other, a part at a time. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "lines.h"
#include "sockets.h"
#include "upstream.h"

#define ANSWER_BYTES 1024  /* what is written for a connection that streams nothing */
#define STREAM_BYTES 65536 /* one write of a stream */
#define CHUNK_HEAD_BYTES 6 /* "ffff\r\n" */
#define CHUNK_TAIL_BYTES 2 /* "\r\n" */
#define LAST_CHUNK "0\r\n\r\n"
#define MOST_DELAY_MS 600000
#define MOST_RATE 10000000

/* The ring of those that wait for a gate. */
static struct connection gates = {.next = &gates, .previous = &gates};

/* ------------------------------------------------------------------------- answers */

static void set_out_size(struct connection *connection, size_t size)
{
    if (connection->out_size == size)
        return;
    free(connection->out);
    connection->out = malloc(size);
    if (!connection->out)
        die("no memory for a connection");
    connection->out_size = size;
}

void prepare_answers(struct connection *connection)
{
    set_out_size(connection, ANSWER_BYTES);
}

static void write_answer(struct connection *connection, const char *status, const char *type,
                         const char *body)
{
    connection->out_end += (size_t)snprintf(
        connection->out + connection->out_end, connection->out_size - connection->out_end,
        "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s\r\n%s", status, type,
        strlen(body), connection->is_last_answer ? "Connection: close\r\n" : "", body);
}

static void refuse(struct connection *connection, const char *status)
{
    connection->is_last_answer = true; /* what follows might be the request's body */
    write_answer(connection, status, "text/plain", status);
}

static void write_delayed(struct connection *connection)
{
    char body[320];
    uint64_t now = now_ns();
    snprintf(body, sizeof body,
             "{\"delay_ms\":%" PRIu64 ",\"monotonic\":%" PRIu64 ".%09" PRIu64 ",\"text\":\"%s\"}",
             connection->delay_ms, (uint64_t)(now / NS_PER_SECOND),
             (uint64_t)(now % NS_PER_SECOND), ANSWER_TEXT);
    connection->state = IDLE;
    write_answer(connection, "200 OK", "application/json", body);
}

void delay_is_over(struct connection *connection)
{
    if (connection->state == DELAYED)
        write_delayed(connection);
}

/* ------------------------------------------------------------------------- gates */

void leave_gate(struct connection *connection)
{
    if (connection->state != GATED)
        return;
    connection->previous->next = connection->next;
    connection->next->previous = connection->previous;
}

static void wait_at_gate(struct connection *connection)
{
    connection->state = GATED;
    connection->next = &gates;
    connection->previous = gates.previous;
    connection->previous->next = gates.previous = connection;
}

static unsigned count_waiting(const char *name)
{
    unsigned count = 0;
    for (struct connection *waiting = gates.next; waiting != &gates; waiting = waiting->next)
        count += !strcmp(waiting->stream.gate, name);
    return count;
}

static void open_gate(struct connection *connection, const char *name)
{
    unsigned opened = 0, count = count_waiting(name);
    uint64_t now = now_ns();
    struct connection *waiting = gates.next, *next;
    for (; waiting != &gates; waiting = next) {
        next = waiting->next;
        if (strcmp(waiting->stream.gate, name) != 0)
            continue;
        leave_gate(waiting);
        waiting->state = STREAMING;
        waiting->stream.begun_ns = now;
        if (waiting->stream.rate) /* its share of the time between two of its lines */
            waiting->stream.begun_ns += opened * (NS_PER_SECOND / waiting->stream.rate) / count;
        call_at(waiting, waiting->stream.begun_ns);
        opened++;
    }
    char body[32];
    snprintf(body, sizeof body, "opened %u\n", opened);
    write_answer(connection, "200 OK", "text/plain", body);
}

/* ------------------------------------------------------------------------- streams */

static void begin_stream(struct connection *connection)
{
    struct stream *stream = &connection->stream;
    set_out_size(connection, STREAM_BYTES);
    connection->out_end = (size_t)snprintf(
        connection->out, connection->out_size,
        "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nCache-Control: no-cache\r\n"
        "Transfer-Encoding: chunked\r\n%s\r\n",
        stream->is_sse ? "text/event-stream" : "application/x-ndjson",
        connection->is_last_answer ? "Connection: close\r\n" : "");
    if (*stream->gate) {
        wait_at_gate(connection);
    } else {
        connection->state = STREAMING;
        stream->begun_ns = now_ns();
    }
}

/* When line `written + 1` is due. */
static uint64_t due_ns(const struct stream *stream)
{
    uint64_t seconds = stream->written / stream->rate, rest = stream->written % stream->rate;
    return stream->begun_ns + seconds * NS_PER_SECOND + rest * NS_PER_SECOND / stream->rate;
}

static char *write_next(struct stream *stream, char *at, uint64_t t_ns)
{
    uint64_t n = ++stream->written;
    return stream->is_sse ? write_event(at, n, t_ns) : write_line(at, n, t_ns);
}

/* One chunk of as many lines as have room; its length stands before it in four digits. */
static char *write_chunk(struct stream *stream, char *chunk)
{
    static const char digits[] = "0123456789abcdef";
    char *begin = chunk + CHUNK_HEAD_BYTES, *at = begin;
    const char *end = chunk + STREAM_BYTES - CHUNK_TAIL_BYTES - sizeof LAST_CHUNK;
    do {
        at = write_next(stream, at, stream->rate ? due_ns(stream) : now_ns());
    } while (stream->is_batched && stream->written < stream->lines && end - at >= EVENT_MAX_BYTES);
    size_t length = (size_t)(at - begin);
    for (int place = 0; place < 4; place++)
        chunk[place] = digits[length >> (12 - 4 * place) & 15];
    memcpy(chunk + 4, "\r\n", 2);
    memcpy(at, "\r\n", CHUNK_TAIL_BYTES);
    return at + CHUNK_TAIL_BYTES;
}

/* Write what is next of the stream; false where nothing is due, and the timer is set. */
static bool write_stream(struct connection *connection)
{
    struct stream *stream = &connection->stream;
    char *at = connection->out;
    if (stream->written < stream->lines) {
        if (stream->rate && due_ns(stream) > now_ns()) {
            call_at(connection, due_ns(stream));
            return false;
        }
        at = write_chunk(stream, at);
    }
    if (stream->written == stream->lines) {
        memcpy(at, LAST_CHUNK, strlen(LAST_CHUNK));
        at += strlen(LAST_CHUNK);
        connection->state = IDLE;
    }
    connection->out_end = (size_t)(at - connection->out);
    return true;
}

/* ------------------------------------------------------------------------- requests */

/* A whole number up to `most`, and nothing behind it. */
static bool read_number(const char *text, uint64_t most, uint64_t *number)
{
    if (!*text || strlen(text) > 18 || text[strspn(text, "0123456789")])
        return false;
    *number = strtoull(text, NULL, 10);
    return *number <= most;
}

static bool read_option(struct stream *stream, const char *name, const char *value)
{
    uint64_t is_batched;
    if (!strcmp(name, "lines"))
        return read_number(value, UINT64_MAX, &stream->lines);
    if (!strcmp(name, "rate"))
        return read_number(value, MOST_RATE, &stream->rate) && stream->rate;
    if (!strcmp(name, "batch") && stream->is_sse) {
        bool is_read = read_number(value, 1, &is_batched);
        stream->is_batched = is_read && is_batched;
        return is_read;
    }
    if (strcmp(name, "gate") || !*value || strlen(value) >= GATE_BYTES)
        return false;
    strcpy(stream->gate, value);
    return true;
}

/* False where an option is unknown or wrong, or where the number of lines is not said. */
static bool read_query(struct stream *stream, char *query)
{
    stream->lines = UINT64_MAX;
    for (char *rest = query, *option; (option = strsep(&rest, "&"));) {
        char *value = strchr(option, '=');
        if (!value)
            return false;
        *value++ = '\0';
        if (!read_option(stream, option, value))
            return false;
    }
    if (stream->rate)
        stream->is_batched = false;
    return stream->lines != UINT64_MAX;
}

static void answer_stream(struct connection *connection, bool is_sse, char *query)
{
    connection->stream = (struct stream){.is_sse = is_sse, .is_batched = true};
    if (query && read_query(&connection->stream, query))
        begin_stream(connection);
    else
        refuse(connection, "400 Bad Request");
}

static void answer_delay(struct connection *connection, const char *ms)
{
    if (!read_number(ms, MOST_DELAY_MS, &connection->delay_ms)) {
        refuse(connection, "400 Bad Request");
    } else if (connection->delay_ms) {
        connection->state = DELAYED;
        call_at(connection, now_ns() + connection->delay_ms * NS_PER_MS);
    } else {
        write_delayed(connection);
    }
}

static void answer(struct connection *connection, char *path)
{
    char *query = strchr(path, '?');
    if (query)
        *query++ = '\0';
    if (!strncmp(path, "/delay/", 7))
        answer_delay(connection, path + 7);
    else if (!strcmp(path, "/ndjson"))
        answer_stream(connection, false, query);
    else if (!strcmp(path, "/sse"))
        answer_stream(connection, true, query);
    else if (!strncmp(path, "/open/", 6))
        open_gate(connection, path + 6);
    else if (!strcmp(path, "/ready"))
        write_answer(connection, "200 OK", "text/plain", "ready\n");
    else
        refuse(connection, "404 Not Found");
}

static void read_head(struct connection *connection, char *head)
{
    char *version = strstr(head, " HTTP/1.1\r\n");
    connection->is_last_answer = strcasestr(head, "\r\nconnection: close") != NULL;
    if (!version) {
        refuse(connection, "505 HTTP Version Not Supported");
    } else if (strncmp(head, "GET /", 5)) {
        refuse(connection, "405 Method Not Allowed");
    } else {
        *version = '\0';
        answer(connection, head + 4);
    }
}

/* Answer the next request, if it is there whole. */
static bool take_request(struct connection *connection)
{
    connection->in[connection->in_used] = '\0';
    char *end = strstr(connection->in, "\r\n\r\n");
    if (!end) {
        if (connection->in_used == IN_BYTES)
            refuse(connection, "431 Request Header Fields Too Large");
        return connection->in_used == IN_BYTES;
    }
    prepare_answers(connection); /* nothing is left in the buffer: it was sent */
    end[2] = '\0';
    read_head(connection, connection->in);
    size_t taken = (size_t)(end + 4 - connection->in);
    connection->in_used -= taken;
    memmove(connection->in, connection->in + taken, connection->in_used);
    return true;
}

bool write_more(struct connection *connection)
{
    if (connection->state == STREAMING)
        return write_stream(connection);
    if (connection->state != IDLE)
        return false;
    if (connection->is_last_answer) {
        close_connection(connection);
        return false;
    }
    return take_request(connection);
}
