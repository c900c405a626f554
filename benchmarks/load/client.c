/* The client of the benchmarks: it calls a server on 127.0.0.1 and says how that answers.
 *
 *   client fanout      connections that ask anew when they were answered, events within answers
 *   client flat        one long answer for each connection, as fast as it comes
 *   client broadcast   the same events to all connections, and how late they are
 *   client idle        connections that stay open
 *   client churn       connections that leave when they have seen the first event
 *
 * It prints {"phase":"ready"} and waits for a line on stdin before its window begins, and
 * {"phase":"end"} with the figures when it is over. Nothing is tried again silently: what went
 * wrong is counted. The status is 0 where there are figures, 1 where nothing could be measured, and
 * 2 for wrong options.
 */
#include "connections.h"
#include "modes.h"
#include "options.h"

int main(int argc, char **argv)
{
    static void (*const modes[])(const struct options *) = {
        [FANOUT] = fanout,     [FLAT] = flat,   [BROADCAST] = broadcast,
        [IDLE_STREAMS] = idle, [CHURN] = churn,
    };
    struct options options = read_options(argc, argv);
    loop_prepare(options.path, options.paths);
    modes[options.mode](&options);
    return 0;
}
