#include "options.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "marks.h"

#define ALL (1 << FANOUT | 1 << FLAT | 1 << BROADCAST | 1 << IDLE_STREAMS | 1 << CHURN)
#define MARKED (1 << FANOUT | 1 << FLAT | 1 << BROADCAST | 1 << CHURN)
#define OF(field) offsetof(struct options, field)

static const char *const modes[] = {"fanout", "flat", "broadcast", "idle", "churn"};
#define MODES (sizeof modes / sizeof *modes)

static const char usage[] =
    "client fanout    ... --markers N [--mark TEXT] [--requests N]\n"
    "client flat      ... --events N [--mark TEXT]\n"
    "client broadcast ... --events N [--mark TEXT] [--no-head]\n"
    "                     (--trigger PATH [--trigger-port P] |\n"
    "                      --publish PATH [--publish-rate R] [--publish-depth D])\n"
    "client idle      ...\n"
    "client churn     ... [--mark TEXT]\n"
    "of each: --port P --path PATH [--paths N] --connections C --seconds S [--patience S]\n";

enum kind { NUMBER, SECONDS, PATH, MARK, FLAG };

static const struct rule {
    const char *name;
    enum kind kind;
    size_t field;
    unsigned modes, required;
    uint64_t least, most;
} rules[] = {
    {"--port", NUMBER, OF(port), ALL, ALL, 1, 65535},
    {"--path", PATH, OF(path), ALL, ALL, 0, 0},
    {"--connections", NUMBER, OF(connections), ALL, ALL, 1, 28000},
    {"--paths", NUMBER, OF(paths), ALL, 0, 1, 1000000},
    {"--seconds", SECONDS, OF(seconds), ALL, ALL, 0, 3600},
    {"--patience", SECONDS, OF(patience), ALL, 0, 0, 3600},
    {"--mark", MARK, OF(mark), MARKED, 0, 0, 0},
    {"--marker", MARK, OF(mark), 1 << FANOUT, 0, 0, 0},
    {"--markers", NUMBER, OF(markers), 1 << FANOUT, 1 << FANOUT, 1, UINT32_MAX},
    {"--requests", NUMBER, OF(requests), 1 << FANOUT, 0, 1, UINT32_MAX},
    {"--events", NUMBER, OF(events), 1 << FLAT | 1 << BROADCAST, 1 << FLAT | 1 << BROADCAST, 1,
     UINT32_MAX},
    {"--no-head", FLAG, OF(has_no_head), 1 << BROADCAST, 0, 0, 0},
    {"--trigger", PATH, OF(trigger), 1 << BROADCAST, 0, 0, 0},
    {"--trigger-port", NUMBER, OF(trigger_port), 1 << BROADCAST, 0, 1, 65535},
    {"--publish", PATH, OF(publish), 1 << BROADCAST, 0, 0, 0},
    {"--publish-rate", NUMBER, OF(publish_rate), 1 << BROADCAST, 0, 1, 10000000},
    {"--publish-depth", NUMBER, OF(publish_depth), 1 << BROADCAST, 0, 1, 10000},
};
#define RULES (sizeof rules / sizeof *rules)

__attribute__((format(printf, 1, 2))) static _Noreturn void refuse(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vfprintf(stderr, format, values);
    va_end(values);
    fprintf(stderr, "\n\n%s", usage);
    exit(2);
}

static uint64_t number_of(const struct rule *rule, const char *text)
{
    bool is_number = *text && strlen(text) < 18 && !text[strspn(text, "0123456789")];
    uint64_t number = is_number ? strtoull(text, NULL, 10) : 0;
    if (!is_number || number < rule->least || number > rule->most)
        refuse("%s takes a whole number from %" PRIu64 " to %" PRIu64, rule->name, rule->least,
               rule->most);
    return number;
}

static double seconds_of(const struct rule *rule, const char *text)
{
    char *end;
    double seconds = strtod(text, &end);
    if (end == text || *end || !(seconds > 0 && seconds <= (double)rule->most))
        refuse("%s takes seconds, more than 0 and at most %" PRIu64, rule->name, rule->most);
    return seconds;
}

static const char *path_of(const struct rule *rule, const char *text)
{
    if (*text != '/' || strpbrk(text, " \r\n") || strlen(text) > PATH_MAX_BYTES)
        refuse("%s takes a path that begins with a slash, of at most %d bytes", rule->name,
               PATH_MAX_BYTES);
    return text;
}

static const char *mark_text(const struct rule *rule, const char *text)
{
    if (!*text || strlen(text) > MARK_MAX_BYTES)
        refuse("%s takes a text of 1 to %d bytes", rule->name, MARK_MAX_BYTES);
    return text;
}

static void apply(struct options *options, const struct rule *rule, const char *value)
{
    void *field = (char *)options + rule->field;
    switch (rule->kind) {
    case NUMBER:
        *(uint64_t *)field = number_of(rule, value);
        break;
    case SECONDS:
        *(double *)field = seconds_of(rule, value);
        break;
    case PATH:
        *(const char **)field = path_of(rule, value);
        break;
    case MARK:
        *(const char **)field = mark_text(rule, value);
        break;
    case FLAG:
        *(bool *)field = true;
    }
}

static const struct rule *rule_of(enum mode mode, const char *name)
{
    for (const struct rule *rule = rules; rule < rules + RULES; rule++)
        if (!strcmp(rule->name, name) && rule->modes >> mode & 1)
            return rule;
    refuse("client %s has no option %s", modes[mode], name);
}

static enum mode mode_of(const char *name)
{
    for (size_t mode = 0; mode < MODES; mode++)
        if (name && !strcmp(modes[mode], name))
            return (enum mode)mode;
    refuse("%s is none of fanout, flat, broadcast, idle and churn", name ? name : "nothing");
}

static void check_required(enum mode mode, unsigned given)
{
    for (size_t i = 0; i < RULES; i++)
        if (rules[i].required >> mode & 1 && !(given >> i & 1))
            refuse("%s is missing", rules[i].name);
}

static void check_source(const struct options *options)
{
    if (options->mode == BROADCAST && !options->trigger == !options->publish)
        refuse("client broadcast takes either --trigger or --publish");
    if (options->trigger_port && !options->trigger)
        refuse("--trigger-port belongs to --trigger");
    if ((options->publish_rate || options->publish_depth) && !options->publish)
        refuse("--publish-rate and --publish-depth belong to --publish");
}

static void set_defaults(struct options *options)
{
    static const char *const marks[] = {"event: result", "\"t\":", "\"t\":", NULL, "data:"};
    if (!options->mark)
        options->mark = marks[options->mode];
    if (!options->trigger_port)
        options->trigger_port = options->port;
    if (!options->publish_depth)
        options->publish_depth = 64;
}

struct options read_options(int argc, char **argv)
{
    struct options options = {.mode = mode_of(argc > 1 ? argv[1] : NULL), .patience = 60};
    unsigned given = 0;
    for (int i = 2; i < argc; i++) {
        const struct rule *rule = rule_of(options.mode, argv[i]);
        if (rule->kind != FLAG && i + 1 == argc)
            refuse("%s takes a value", rule->name);
        apply(&options, rule, rule->kind == FLAG ? NULL : argv[++i]);
        given |= 1u << (rule - rules);
    }
    check_required(options.mode, given);
    check_source(&options);
    set_defaults(&options);
    return options;
}
