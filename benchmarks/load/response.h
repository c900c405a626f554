/* A response of HTTP/1.1 or 1.0, read as it comes: chunked, by Content-Length, or to the close.
 * It knows bytes and no socket, and keeps nothing of the body. */
#ifndef LOAD_RESPONSE_H
#define LOAD_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is behind that in a line of a head is not looked at. */
#define RESPONSE_LINE_BYTES 128

enum response_state {
    STATUS_LINE,
    HEADER_LINE,
    LENGTH_BODY,
    CHUNK_SIZE_LINE,
    CHUNK_BODY,
    CHUNK_END_LINE,
    TRAILER_LINE,
    BODY_TO_CLOSE,
    ENDED,
    BROKEN,
};

struct response {
    enum response_state state;
    int status;
    bool is_chunked, has_length, keeps_alive;
    uint64_t left;        /* of the body, or of its chunk */
    uint32_t line_bytes;  /* since the begin or the last of the body; they are bounded */
    uint32_t line_length; /* of the line that has begun, and was not read whole */
    char line[RESPONSE_LINE_BYTES];
};

enum response_part {
    PART_NONE,  /* all was taken: more bytes are needed */
    PART_HEAD,  /* `status` and `keeps_alive` are known */
    PART_BODY,  /* `piece` is the next of the body */
    PART_END,   /* the response is complete; `at` is where what follows it begins */
    PART_BROKEN /* this is no such response */
};

struct piece {
    const char *bytes;
    size_t length;
};

/* Expect a new response. */
void response_begin(struct response *response);

/* Take the next part from `*at`, and move it on; to be called until it says PART_NONE. */
enum response_part response_next(struct response *response, const char **at, const char *end,
                                 struct piece *piece);

/* Whether the response is complete when the connection ends here. */
bool response_ends_at_close(const struct response *response);

#endif
