/* The same events to many streams: how many came, and how late. */
#include <math.h>

#include "clock.h"
#include "connections.h"
#include "figures.h"
#include "modes.h"
#include "publisher.h"

/* How long streams that send no head before the first event are given to be registered. */
#define SECONDS_WITHOUT_HEAD 2.0

static struct {
    const struct options *options;
    uint64_t streams; /* that were open at the begin of the window, and have events to come */
    uint64_t deliveries, last_ns;
    struct connection *trigger;
    struct durations latency;
} run;

static void ask(struct connection *connection)
{
    connection_ask(connection, NULL, 1);
}

static void stream_done(void)
{
    if (run.streams && !--run.streams)
        loop_stop();
}

static void marked_broadcast(void *who, unsigned which, double t_ns)
{
    (void)which;
    struct connection *connection = who;
    uint64_t now = loop_now_ns();
    if (isnan(t_ns) || t_ns > (double)now) {
        add_error("an event of which \"t\" is no time of the past");
        return;
    }
    if (++connection->marks > run.options->events) {
        add_error("a stream with more than %lu events", (unsigned long)run.options->events);
        return;
    }
    run.deliveries++;
    run.last_ns = now;
    durations_add(&run.latency, now - (uint64_t)t_ns);
    if (connection->marks == run.options->events)
        stream_done();
}

static void stream_lost(struct connection *connection)
{
    if (connection->marks < run.options->events)
        stream_done();
}

static void ended(struct connection *connection)
{
    if (connection->marks < run.options->events)
        add_error("a stream that ended after %lu of %lu events", (unsigned long)connection->marks,
                  (unsigned long)run.options->events);
    stream_lost(connection);
}

/* ------------------------------------------------------------------------- the trigger */

static void ask_trigger(struct connection *connection)
{
    connection_ask(connection, run.options->trigger, 0);
}

static void trigger_failed(struct connection *connection)
{
    (void)connection;
    loop_stop();
}

static void pull_trigger(void)
{
    static const struct handler handler = {.opened = ask_trigger, .failed = trigger_failed};
    run.trigger = connections_new(1, (uint16_t)run.options->trigger_port, &handler);
    connection_open(run.trigger);
}

static uint64_t triggered_ns(void)
{
    return run.trigger ? run.trigger->asked_ns : publishing_begun_ns();
}

/* ------------------------------------------------------------------------- the whole */

static void print_figures(void)
{
    double expected = (double)run.options->connections * (double)run.options->events;
    double seconds = ((double)run.last_ns - (double)triggered_ns()) / NS_PER_SECOND;
    figures_begin();
    figure_count("deliveries", run.deliveries);
    figure_number("rate", run.deliveries ? (double)run.deliveries / seconds : NAN);
    figure_number("delivered", (double)run.deliveries / expected);
    figure_ms("latency_ms", &run.latency);
    figures_end();
}

void broadcast(const struct options *options)
{
    static struct handler handler = {.opened = ask, .ended = ended, .failed = stream_lost};
    handler.opens_till_answered = !options->has_no_head;
    handler.marks = (struct marks){
        .count = 1, .marked = marked_broadcast, .marks = {mark_of(options->mark, true)}};
    run.options = options;
    struct connection *connections =
        connections_new(options->connections, (uint16_t)options->port, &handler);
    connections_open(connections, options->connections, options->patience);
    if (options->has_no_head)
        loop_run_seconds(SECONDS_WITHOUT_HEAD);
    uint64_t open = connections_count_open(connections, options->connections);
    window_begin("open", open);
    run.streams = open;
    if (options->publish)
        publish(options);
    else
        pull_trigger();
    loop_run_seconds(options->seconds);
    window_end();
    print_figures();
}
