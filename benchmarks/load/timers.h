/* Who is to be called when: a binary heap whose members know their place, so that any of them can
 * be taken out again. */
#ifndef LOAD_TIMERS_H
#define LOAD_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Stands inside what is to be called; all zero while it is not set. */
struct timer {
    uint64_t due_ns;
    size_t place; /* from 1; 0 while it is not set */
};

struct timers {
    struct timer **heap; /* from 1 on */
    size_t count, capacity;
};

void timers_set(struct timers *timers, struct timer *timer, uint64_t due_ns);
void timers_unset(struct timers *timers, struct timer *timer);

/* The one that is due first, which stays in; NULL where there is none. */
struct timer *timers_first(const struct timers *timers);

#endif
