/* What a client prints: JSON lines, the first when its window is about to begin, the last with its
 * figures. */
#ifndef LOAD_FIGURES_H
#define LOAD_FIGURES_H

#include <stdbool.h>
#include <stdint.h>

/* Errors after which there is nothing to be measured any more, and a client ends. */
#define MOST_ERRORS 10000

/* Durations in ns, as counts of classes, each of which is at most 0.2 % wide. */
#define CLASS_BITS 10
#define CLASSES ((64 - CLASS_BITS + 2) << (CLASS_BITS - 1))

struct durations {
    uint64_t count, max_ns;
    uint64_t classes[CLASSES];
};

void durations_add(struct durations *durations, uint64_t ns);

/* Count an error; the first three that differ are kept for the end. */
__attribute__((format(printf, 1, 2))) void add_error(const char *format, ...);
uint64_t error_count(void);

/* Print the sentence and the first error on stderr, and exit with status 1. */
_Noreturn void end_without_figures(const char *what);

/* Print that all is ready, with the figure where it has a name, and wait for a line on stdin, or
 * for its end; then the window begins. */
void window_begin(const char *name, uint64_t count);
uint64_t window_begun_ns(void);

/* The window is over: what follows is not measured. */
void window_end(void);
double window_seconds(void);

/* The last line, figure by figure; a NAN and the durations of nothing are null. */
void figures_begin(void);
void figure_count(const char *name, uint64_t count);
void figure_number(const char *name, double number);
void figure_ms(const char *name, const struct durations *durations);
void figures_end(void);

#endif
