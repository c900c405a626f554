/* Marks in a stream of bytes that comes in pieces: each is found once, wherever the pieces are cut,
 * and with it, where that is asked for, the number behind it. */
#ifndef LOAD_MARKS_H
#define LOAD_MARKS_H

#include <stdbool.h>
#include <stddef.h>

#define MARK_MAX_BYTES 64
#define MOST_MARKS 4

struct mark {
    const char *text;
    size_t length;
    bool has_number; /* of JSON, after blanks or none; what follows it shows that it has ended */
};

/* Called for each mark: which of them it is, and its number, or NAN where there is none. It may
 * change what is looked for from here on. */
typedef void marked(void *who, unsigned which, double number);

struct marks {
    struct mark marks[MOST_MARKS];
    unsigned count;
    marked *marked;
};

/* What was read last may be the begin of a mark with its number, and no more is kept of it. */
#define SCAN_BLANKS 8
#define SCAN_NUMBER_BYTES 40
#define SCAN_KEPT_BYTES (MARK_MAX_BYTES + SCAN_BLANKS + SCAN_NUMBER_BYTES)

struct scan {
    unsigned wanted; /* a bit for each mark that is looked for; 0: the rest does not matter */
    unsigned kept_length;
    char kept[2 * SCAN_KEPT_BYTES]; /* and as much of the next piece */
};

struct mark mark_of(const char *text, bool has_number);

/* Look for the marks of `wanted` in what is to come. */
void scan_begin(struct scan *scan, unsigned wanted);

void scan_piece(struct scan *scan, const struct marks *marks, void *who, const char *bytes,
                size_t length);

#endif
