#define _GNU_SOURCE
#include "marks.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct mark mark_of(const char *text, bool has_number)
{
    return (struct mark){.text = text, .length = strlen(text), .has_number = has_number};
}

void scan_begin(struct scan *scan, unsigned wanted)
{
    scan->wanted = wanted;
    scan->kept_length = 0;
}

static bool is_wanted(const struct scan *scan, unsigned which)
{
    return scan->wanted >> which & 1;
}

/* The first of the wanted marks that is whole; NULL where there is none. */
static const char *find(const struct scan *scan, const struct marks *marks, const char *at,
                        const char *end, unsigned *which)
{
    const char *first = NULL;
    for (unsigned i = 0; i < marks->count; i++) {
        if (!is_wanted(scan, i))
            continue;
        const struct mark *mark = &marks->marks[i];
        const char *found = memmem(at, (size_t)(end - at), mark->text, mark->length);
        if (found && (!first || found < first)) {
            first = found;
            *which = i;
        }
    }
    return first;
}

static double number_in(const char *at, size_t length)
{
    char text[SCAN_NUMBER_BYTES + 1], *end;
    uint64_t whole = 0;
    size_t digits = 0;
    for (; digits < length && at[digits] >= '0' && at[digits] <= '9'; digits++)
        whole = 10 * whole + (uint64_t)(at[digits] - '0');
    if (digits && digits == length && digits < 19)
        return (double)whole; /* most are such, and this is faster */
    memcpy(text, at, length);
    text[length] = '\0';
    double number = strtod(text, &end);
    return length && !*end ? number : NAN;
}

/* Read the number at `at`, and return its end; NULL where it may go on behind `end`. */
static const char *read_number(const char *at, const char *end, double *number)
{
    const char *most = at + SCAN_BLANKS;
    while (at < end && at < most && *at == ' ')
        at++;
    const char *begin = at;
    while (at < end && at - begin < SCAN_NUMBER_BYTES &&
           ((*at >= '0' && *at <= '9') || (*at && strchr("+-.eE", *at))))
        at++;
    if (at == end && at - begin < SCAN_NUMBER_BYTES)
        return NULL;
    *number = number_in(begin, (size_t)(at - begin));
    return at;
}

/* From where on the last bytes, none of them within a mark, might be the begin of one. */
static size_t undecided(const struct scan *scan, const struct marks *marks, const char *bytes,
                        size_t from, size_t length)
{
    size_t first = length;
    for (unsigned i = 0; i < marks->count; i++) {
        const struct mark *mark = &marks->marks[i];
        if (!is_wanted(scan, i))
            continue;
        size_t at = length - from < mark->length ? from : length - mark->length + 1;
        while (at < first && memcmp(bytes + at, mark->text, length - at))
            at++;
        first = at < first ? at : first;
    }
    return first;
}

/* Report the marks, and return how many bytes are done with: the rest needs what follows. */
static size_t search(struct scan *scan, const struct marks *marks, void *who, const char *bytes,
                     size_t length)
{
    const char *at = bytes, *end = bytes + length, *found;
    unsigned which = 0;
    while (scan->wanted && (found = find(scan, marks, at, end, &which))) {
        double number = NAN;
        const struct mark *mark = &marks->marks[which];
        const char *behind = found + mark->length;
        if (mark->has_number && !(behind = read_number(behind, end, &number)))
            return (size_t)(found - bytes);
        at = behind;
        marks->marked(who, which, number);
    }
    return undecided(scan, marks, bytes, (size_t)(at - bytes), length);
}

/* Search what was kept and the first of the piece; return how much of the piece is done with. */
static size_t search_border(struct scan *scan, const struct marks *marks, void *who,
                            const char *bytes, size_t length)
{
    size_t taken = length < SCAN_KEPT_BYTES ? length : SCAN_KEPT_BYTES;
    size_t before = scan->kept_length, joint = before + taken;
    memcpy(scan->kept + before, bytes, taken);
    size_t done = search(scan, marks, who, scan->kept, joint);
    if (done >= before) {
        scan->kept_length = 0;
        return done - before;
    }
    /* The piece was too short to decide: no mark and its number have as many bytes as are taken. */
    memmove(scan->kept, scan->kept + done, joint - done);
    scan->kept_length = (unsigned)(joint - done);
    return length;
}

void scan_piece(struct scan *scan, const struct marks *marks, void *who, const char *bytes,
                size_t length)
{
    size_t done = 0;
    if (scan->wanted && scan->kept_length)
        done = search_border(scan, marks, who, bytes, length);
    if (!scan->wanted || done == length)
        return;
    done += search(scan, marks, who, bytes + done, length - done);
    if (!scan->wanted)
        return;
    memcpy(scan->kept, bytes + done, length - done);
    scan->kept_length = (unsigned)(length - done);
}
