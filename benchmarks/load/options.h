/* What a client is told on its command line. */
#ifndef LOAD_OPTIONS_H
#define LOAD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define PATH_MAX_BYTES 1024

enum mode { FANOUT, FLAT, BROADCAST, IDLE_STREAMS, CHURN };

struct options {
    enum mode mode;
    uint64_t port, connections;
    double seconds;  /* the window is over then at the latest */
    double patience; /* seconds that may pass before it begins */
    const char *path, *mark;
    uint64_t markers, requests, events; /* 0 where there is no such option */
    uint64_t paths; /* what `{}` of the path is counted up to, from 0, and again; 0: left as it is */
    const char *trigger, *publish;
    uint64_t trigger_port, publish_rate, publish_depth;
    bool has_no_head;
};

/* Read them, or print what is wrong and exit with status 2. */
struct options read_options(int argc, char **argv);

#endif
