/* Streams that stay: as fast as they come, or merely open. */
#include <math.h>

#include "clock.h"
#include "connections.h"
#include "figures.h"
#include "modes.h"

/* ------------------------------------------------------------------------- flat */

static struct {
    const struct options *options;
    uint64_t events, first_ns, last_ns, unfinished, finished, complete;
    struct durations first;
} flow;

static void marked_flat(void *who, unsigned which, double number)
{
    (void)which, (void)number;
    struct connection *connection = who;
    flow.events++;
    flow.last_ns = loop_now_ns();
    if (!flow.first_ns)
        flow.first_ns = flow.last_ns;
    if (!connection->marks++)
        durations_add(&flow.first, flow.last_ns - connection->asked_ns);
}

static void flat_is_over(struct connection *connection)
{
    (void)connection;
    if (!--flow.unfinished)
        loop_stop();
}

static void flat_ended(struct connection *connection)
{
    flow.finished++;
    if (connection->marks == flow.options->events)
        flow.complete++;
    else
        add_error("a response with %lu events instead of %lu", (unsigned long)connection->marks,
                  (unsigned long)flow.options->events);
    flat_is_over(connection);
}

static void flat_failed(struct connection *connection)
{
    if (flow.unfinished) /* else it is being opened */
        flat_is_over(connection);
}

static void ask_all(struct connection *connections, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        if (connections[i].state == OPEN)
            connection_ask(&connections[i], NULL, 1);
}

void flat(const struct options *options)
{
    static struct handler handler = {.ended = flat_ended, .failed = flat_failed};
    handler.marks = (struct marks){
        .count = 1, .marked = marked_flat, .marks = {mark_of(options->mark, false)}};
    flow.options = options;
    struct connection *connections =
        connections_new(options->connections, (uint16_t)options->port, &handler);
    uint64_t open = connections_open(connections, options->connections, options->patience);
    window_begin("open", open);
    flow.unfinished = open;
    ask_all(connections, options->connections);
    if (flow.unfinished)
        loop_run_seconds(options->seconds);
    window_end();
    figures_begin();
    figure_count("events", flow.events);
    double seconds = (double)(flow.last_ns - flow.first_ns) / NS_PER_SECOND;
    figure_number("rate", seconds > 0 ? (double)flow.events / seconds : NAN);
    figure_count("finished", flow.finished);
    figure_count("complete", flow.complete);
    figure_ms("first_ms", &flow.first);
    figures_end();
}

/* ------------------------------------------------------------------------- idle */

static uint64_t idle_dropped;

static void ask_unmarked(struct connection *connection)
{
    connection_ask(connection, NULL, 0);
}

static void dropped(struct connection *connection)
{
    connection_close(connection);
    idle_dropped++;
}

static uint64_t bytes_of(const struct connection *connections, uint64_t count)
{
    uint64_t bytes = 0;
    for (uint64_t i = 0; i < count; i++)
        bytes += connections[i].bytes;
    return bytes;
}

void idle(const struct options *options)
{
    static const struct handler handler = {
        .opened = ask_unmarked, .ended = dropped, .failed = dropped, .opens_till_answered = true};
    struct connection *connections =
        connections_new(options->connections, (uint16_t)options->port, &handler);
    uint64_t open = connections_open(connections, options->connections, options->patience);
    uint64_t bytes = bytes_of(connections, options->connections);
    idle_dropped = 0; /* those that were never open are errors */
    window_begin("open", open);
    loop_run_seconds(options->seconds);
    window_end();
    figures_begin();
    figure_count("open", open - idle_dropped);
    figure_count("dropped", idle_dropped);
    figure_count("bytes", bytes_of(connections, options->connections) - bytes);
    figures_end();
}
