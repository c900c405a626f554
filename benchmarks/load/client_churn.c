/* Viewers that leave as soon as they have seen the first event, and come again. */
#include "connections.h"
#include "figures.h"
#include "modes.h"

static struct {
    uint64_t visits;
    struct durations first;
} run;

static void opened(struct connection *connection)
{
    connection_ask(connection, NULL, 1);
}

static void come_again(struct connection *connection)
{
    connection_close(connection);
    connection_open(connection);
}

static void marked_churn(void *who, unsigned which, double number)
{
    (void)which, (void)number;
    struct connection *connection = who;
    run.visits++;
    durations_add(&run.first, loop_now_ns() - connection->asked_ns);
    come_again(connection);
}

static void ended(struct connection *connection)
{
    add_error("a response without the mark");
    come_again(connection);
}

void churn(const struct options *options)
{
    static struct handler handler = {.opened = opened, .ended = ended, .failed = connection_open};
    handler.marks = (struct marks){
        .count = 1, .marked = marked_churn, .marks = {mark_of(options->mark, false)}};
    struct connection *connections =
        connections_new(options->connections, (uint16_t)options->port, &handler);
    window_begin(NULL, 0);
    for (uint64_t i = 0; i < options->connections; i++)
        connection_open(&connections[i]);
    loop_run_seconds(options->seconds);
    window_end();
    figures_begin();
    figure_count("visits", run.visits);
    figure_number("rate", (double)run.visits / window_seconds());
    figure_ms("first_ms", &run.first);
    figures_end();
}
