#include "timers.h"

#include <stdio.h>
#include <stdlib.h>

static void put(struct timers *timers, size_t place, struct timer *timer)
{
    timers->heap[place] = timer;
    timer->place = place;
}

static void rise(struct timers *timers, struct timer *timer)
{
    size_t place = timer->place;
    while (place > 1 && timers->heap[place / 2]->due_ns > timer->due_ns) {
        put(timers, place, timers->heap[place / 2]);
        place /= 2;
    }
    put(timers, place, timer);
}

static void sink(struct timers *timers, struct timer *timer)
{
    size_t place = timer->place;
    for (size_t child; (child = 2 * place) <= timers->count; place = child) {
        if (child < timers->count && timers->heap[child + 1]->due_ns < timers->heap[child]->due_ns)
            child++;
        if (timers->heap[child]->due_ns >= timer->due_ns)
            break;
        put(timers, place, timers->heap[child]);
    }
    put(timers, place, timer);
}

static void make_room(struct timers *timers)
{
    if (timers->count + 1 < timers->capacity)
        return;
    timers->capacity = timers->capacity ? 2 * timers->capacity : 64;
    timers->heap = realloc(timers->heap, timers->capacity * sizeof *timers->heap);
    if (!timers->heap) {
        fputs("no memory for timers\n", stderr);
        exit(1);
    }
}

void timers_set(struct timers *timers, struct timer *timer, uint64_t due_ns)
{
    timers_unset(timers, timer);
    make_room(timers);
    timer->due_ns = due_ns;
    put(timers, ++timers->count, timer);
    rise(timers, timer);
}

void timers_unset(struct timers *timers, struct timer *timer)
{
    if (!timer->place)
        return;
    struct timer *last = timers->heap[timers->count--];
    if (last != timer) {
        put(timers, timer->place, last);
        rise(timers, last);
        sink(timers, last);
    }
    timer->place = 0;
}

struct timer *timers_first(const struct timers *timers)
{
    return timers->count ? timers->heap[1] : NULL;
}
