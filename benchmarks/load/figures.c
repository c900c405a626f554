#include "figures.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"

#define KEPT_ERRORS 3

static struct {
    uint64_t count;
    char kept[KEPT_ERRORS][160];
} errors;

static struct {
    uint64_t begun_ns, begun_cpu_ns, ns, cpu_ns;
} window;

/* ------------------------------------------------------------------------- durations */

/* A number below 2^CLASS_BITS has a class of its own; a greater one is told by its highest bits. */
static unsigned class_of(uint64_t ns)
{
    if (ns >> CLASS_BITS == 0)
        return (unsigned)ns;
    unsigned shift = 63 - (unsigned)__builtin_clzll(ns) - (CLASS_BITS - 1);
    return (shift << (CLASS_BITS - 1)) + (unsigned)(ns >> shift);
}

static double middle_of(unsigned class)
{
    if (class >> CLASS_BITS == 0)
        return class;
    unsigned shift = (class >> (CLASS_BITS - 1)) - 1;
    uint64_t high = class - (shift << (CLASS_BITS - 1));
    return ((double)high + 0.5) * (double)(1ull << shift);
}

void durations_add(struct durations *durations, uint64_t ns)
{
    durations->count++;
    durations->classes[class_of(ns)]++;
    if (ns > durations->max_ns)
        durations->max_ns = ns;
}

/* The smallest duration that `share` of them do not exceed. */
static double quantile(const struct durations *durations, double share)
{
    double wanted = share * (double)durations->count;
    uint64_t seen = 0;
    unsigned class = 0;
    while (class < CLASSES - 1 && (double)(seen += durations->classes[class]) < wanted)
        class++;
    double middle = middle_of(class), max = (double)durations->max_ns;
    return middle < max ? middle : max;
}

/* ------------------------------------------------------------------------- errors */

void add_error(const char *format, ...)
{
    char message[sizeof errors.kept[0]];
    va_list values;
    va_start(values, format);
    vsnprintf(message, sizeof message, format, values);
    va_end(values);
    errors.count++;
    for (int i = 0; i < KEPT_ERRORS; i++) {
        if (!*errors.kept[i])
            strcpy(errors.kept[i], message);
        if (!strcmp(errors.kept[i], message))
            return;
    }
}

uint64_t error_count(void)
{
    return errors.count;
}

void end_without_figures(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, errors.kept[0]);
    exit(1);
}

/* ------------------------------------------------------------------------- the window */

static void wait_for_line(void)
{
    char byte;
    while (read(STDIN_FILENO, &byte, 1) == 1 && byte != '\n')
        ;
}

void window_begin(const char *name, uint64_t count)
{
    printf("{\"phase\":\"ready\"");
    if (name)
        figure_count(name, count);
    puts("}");
    fflush(stdout);
    wait_for_line();
    window.begun_cpu_ns = cpu_ns();
    window.begun_ns = now_ns();
}

uint64_t window_begun_ns(void)
{
    return window.begun_ns;
}

void window_end(void)
{
    window.ns = now_ns() - window.begun_ns;
    window.cpu_ns = cpu_ns() - window.begun_cpu_ns;
}

double window_seconds(void)
{
    return (double)window.ns / NS_PER_SECOND;
}

/* ------------------------------------------------------------------------- the last line */

void figures_begin(void)
{
    printf("{\"phase\":\"end\"");
}

void figure_count(const char *name, uint64_t count)
{
    printf(",\"%s\":%" PRIu64, name, count);
}

void figure_number(const char *name, double number)
{
    if (isfinite(number))
        printf(",\"%s\":%.6f", name, number);
    else
        printf(",\"%s\":null", name);
}

static double ms(double ns)
{
    return ns / NS_PER_MS;
}

void figure_ms(const char *name, const struct durations *durations)
{
    if (durations->count)
        printf(",\"%s\":{\"p50\":%.4f,\"p99\":%.4f,\"max\":%.4f}", name,
               ms(quantile(durations, 0.5)), ms(quantile(durations, 0.99)),
               ms((double)durations->max_ns));
    else
        printf(",\"%s\":null", name);
}

/* The messages quote what servers sent, and need not be text. */
static void print_string(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        putchar(*text < ' ' || *text > '~' ? '?' : *text);
    }
    putchar('"');
}

void figures_end(void)
{
    figure_number("seconds", window_seconds());
    figure_number("client_cpu", window.ns ? (double)window.cpu_ns / (double)window.ns : NAN);
    figure_count("errors", errors.count);
    if (errors.count) {
        printf(",\"messages\":[");
        for (int i = 0; i < KEPT_ERRORS && *errors.kept[i]; i++) {
            if (i)
                putchar(',');
            print_string(errors.kept[i]);
        }
        putchar(']');
    }
    puts("}");
    fflush(stdout);
}
