/* Connections that ask anew as soon as they were answered; an answer is a number of events. */
#include <math.h>

#include "clock.h"
#include "connections.h"
#include "figures.h"
#include "modes.h"

/* The marker, and within the first one's event, which ends with a blank line, when its data was
 * written: the number's seconds are those of our own clock. */
enum { MARKER, MONOTONIC, BLANK_LINE, BLANK_CRLF_LINE };
#define ONLY_MARKER (1u << MARKER)
#define FIRST_EVENT (1u << MARKER | 1u << MONOTONIC | 1u << BLANK_LINE | 1u << BLANK_CRLF_LINE)

static struct {
    const struct options *options;
    bool is_measured; /* the warm-up is over */
    uint64_t warm, asked, finished, failed;
    struct durations first, last, added;
} run;

static void ask(struct connection *connection)
{
    if (run.is_measured) {
        if (run.options->requests && run.asked == run.options->requests)
            return;
        run.asked++;
    }
    connection_ask(connection, NULL, ONLY_MARKER);
}

static void ask_when_open(struct connection *connection)
{
    if (connection->state != OPEN)
        connection_open(connection);
    else
        ask(connection);
}

static void opened(struct connection *connection)
{
    if (run.is_measured || !connection->is_warm)
        ask(connection);
}

static void read_monotonic(struct connection *connection, double seconds)
{
    double now = (double)loop_now_ns() / NS_PER_SECOND;
    if (isnan(seconds) || seconds > now)
        add_error("\"monotonic\" is no time of the past");
    else
        connection->added_ns = (uint64_t)((now - seconds) * NS_PER_SECOND);
}

static void marked_fanout(void *who, unsigned which, double number)
{
    struct connection *connection = who;
    if (which != MARKER) {
        if (which == MONOTONIC)
            read_monotonic(connection, number);
        connection->scan.wanted = ONLY_MARKER;
        return;
    }
    connection->last_ns = loop_now_ns();
    connection->scan.wanted = connection->marks ? ONLY_MARKER : FIRST_EVENT;
    if (!connection->marks++)
        connection->first_ns = connection->last_ns;
}

static void add_figures(const struct connection *connection)
{
    run.finished++;
    durations_add(&run.first, connection->first_ns - connection->asked_ns);
    durations_add(&run.last, connection->last_ns - connection->asked_ns);
    if (connection->added_ns)
        durations_add(&run.added, connection->added_ns);
}

static void now_warm(struct connection *connection)
{
    connection->is_warm = true;
    if (++run.warm == run.options->connections)
        loop_stop();
}

/* The connection is done with a request of the window, however that went. */
static void go_on(struct connection *connection)
{
    if (run.options->requests && run.finished + run.failed == run.options->requests)
        loop_stop();
    else
        ask_when_open(connection);
}

static void ended(struct connection *connection)
{
    if (connection->marks != run.options->markers) {
        add_error("a response with %lu markers instead of %lu", (unsigned long)connection->marks,
                  (unsigned long)run.options->markers);
        run.failed++;
    } else if (run.is_measured) {
        add_figures(connection);
    }
    if (run.is_measured) {
        go_on(connection);
        return;
    }
    now_warm(connection);
    if (connection->state != OPEN)
        connection_open(connection);
}

static void failed(struct connection *connection)
{
    if (!run.is_measured && connection->is_warm)
        return; /* it is opened again when the window begins */
    run.failed++;
    if (run.is_measured)
        go_on(connection);
    else
        now_warm(connection);
}

static void warm_up(struct connection *connections, const struct options *options)
{
    for (uint64_t i = 0; i < options->connections; i++)
        connection_open(&connections[i]);
    loop_run_seconds(options->patience);
    for (uint64_t i = 0; i < options->connections; i++)
        if (!connections[i].is_warm)
            connection_fail(&connections[i], "no answer within %g s", options->patience);
    if (run.failed >= options->connections)
        end_without_figures("no request of the warm-up was answered");
    run.failed = 0;
}

void fanout(const struct options *options)
{
    static struct handler handler = {.opened = opened, .ended = ended, .failed = failed};
    handler.marks = (struct marks){
        .count = 4,
        .marked = marked_fanout,
        .marks = {mark_of(options->mark, false), mark_of("\"monotonic\":", true),
                  mark_of("\n\n", false), mark_of("\r\n\r\n", false)},
    };
    run.options = options;
    struct connection *connections =
        connections_new(options->connections, (uint16_t)options->port, &handler);
    warm_up(connections, options);
    window_begin(NULL, 0);
    run.is_measured = true;
    for (uint64_t i = 0; i < options->connections; i++)
        ask_when_open(&connections[i]);
    loop_run_seconds(options->seconds);
    window_end();
    figures_begin();
    figure_count("requests", run.finished);
    figure_number("rate", (double)run.finished / window_seconds());
    figure_ms("first_ms", &run.first);
    figure_ms("last_ms", &run.last);
    figure_ms("added_ms", &run.added);
    figures_end();
}
