#include "response.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Of a head, of what stands between two chunks, or of the trailers. */
#define MOST_LINE_BYTES 65536

void response_begin(struct response *response)
{
    memset(response, 0, offsetof(struct response, line));
}

bool response_ends_at_close(const struct response *response)
{
    return response->state == BODY_TO_CLOSE;
}

/* Gather a line, which may have come in parts; false where its end is yet to come. It is cut off
 * where it is too long, and has neither CR nor LF. */
static bool take_line(struct response *response, const char **at, const char *end)
{
    const char *feed = memchr(*at, '\n', (size_t)(end - *at));
    size_t length = (size_t)((feed ? feed : end) - *at);
    size_t room = RESPONSE_LINE_BYTES - 1 - response->line_length;
    size_t kept = length < room ? length : room;
    memcpy(response->line + response->line_length, *at, kept);
    response->line_length += (uint32_t)kept;
    *at = feed ? feed + 1 : end;
    if (!feed)
        return false;
    if (response->line_length && response->line[response->line_length - 1] == '\r')
        response->line_length--;
    response->line[response->line_length] = '\0';
    response->line_length = 0;
    return true;
}

static enum response_part broken(struct response *response)
{
    response->state = BROKEN;
    return PART_BROKEN;
}

static enum response_part ended(struct response *response)
{
    response->state = ENDED;
    return PART_END;
}

static bool read_status(struct response *response)
{
    const char *line = response->line;
    if (strncmp(line, "HTTP/1.", 7) || (line[7] != '0' && line[7] != '1') || line[8] != ' ')
        return false;
    response->keeps_alive = line[7] == '1';
    response->status = atoi(line + 9);
    response->state = HEADER_LINE;
    return response->status >= 100 && response->status <= 599;
}

/* The value of the header, if the line is of that name. */
static const char *value_of(const char *line, const char *name)
{
    size_t length = strlen(name);
    if (strncasecmp(line, name, length) || line[length] != ':')
        return NULL;
    return line + length + 1 + strspn(line + length + 1, " \t");
}

static bool read_decimal(const char *text, uint64_t *number)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    *number = strtoull(text, &end, 10);
    return !end[strspn(end, " \t")];
}

static bool read_header(struct response *response)
{
    const char *value;
    if ((value = value_of(response->line, "content-length"))) {
        response->has_length = true;
        return read_decimal(value, &response->left);
    }
    if ((value = value_of(response->line, "transfer-encoding"))) {
        response->is_chunked = true;
        return !strncasecmp(value, "chunked", 7) && !value[7 + strspn(value + 7, " \t")];
    }
    if ((value = value_of(response->line, "connection"))) {
        if (!strncasecmp(value, "close", 5))
            response->keeps_alive = false;
        else if (!strncasecmp(value, "keep-alive", 10))
            response->keeps_alive = true;
    }
    return true;
}

static enum response_part end_head(struct response *response)
{
    if (response->status < 200) { /* an interim one, before that which was asked for */
        response_begin(response);
        return PART_NONE;
    }
    if (response->status == 204 || response->status == 304) {
        response->state = LENGTH_BODY;
        response->left = 0;
    } else if (response->is_chunked) {
        response->state = CHUNK_SIZE_LINE;
    } else if (response->has_length) {
        response->state = LENGTH_BODY;
    } else {
        response->state = BODY_TO_CLOSE;
        response->keeps_alive = false;
    }
    return PART_HEAD;
}

static bool read_chunk_size(struct response *response)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    size_t length = strspn(response->line, digits);
    const char *rest = response->line + length;
    if (!length || length > 15 || (*rest && *rest != ';' && *rest != ' '))
        return false;
    response->left = strtoull(response->line, NULL, 16);
    response->state = response->left ? CHUNK_BODY : TRAILER_LINE;
    return true;
}

/* Read the line that is now whole. */
static enum response_part read_line(struct response *response)
{
    bool is_empty = !*response->line, is_good = true;
    switch (response->state) {
    case STATUS_LINE:
        is_good = read_status(response);
        break;
    case HEADER_LINE:
        if (is_empty)
            return end_head(response);
        is_good = read_header(response);
        break;
    case CHUNK_SIZE_LINE:
        is_good = read_chunk_size(response);
        break;
    case CHUNK_END_LINE:
        response->state = CHUNK_SIZE_LINE;
        is_good = is_empty;
        break;
    default: /* TRAILER_LINE */
        if (is_empty)
            return ended(response);
    }
    return is_good ? PART_NONE : broken(response);
}

static enum response_part take_body(struct response *response, const char **at, const char *end,
                                    struct piece *piece)
{
    size_t length = (size_t)(end - *at);
    response->line_bytes = 0;
    if (response->state != BODY_TO_CLOSE) {
        if (length > response->left)
            length = (size_t)response->left;
        response->left -= length;
        if (!response->left && response->state == CHUNK_BODY)
            response->state = CHUNK_END_LINE;
    }
    *piece = (struct piece){*at, length};
    *at += length;
    return PART_BODY;
}

enum response_part response_next(struct response *response, const char **at, const char *end,
                                 struct piece *piece)
{
    for (;;) {
        if (response->state == LENGTH_BODY && !response->left)
            return ended(response);
        if (response->state == ENDED || response->state == BROKEN)
            return response->state == ENDED ? PART_NONE : PART_BROKEN;
        if (*at == end)
            return PART_NONE;
        if (response->state == LENGTH_BODY || response->state == CHUNK_BODY ||
            response->state == BODY_TO_CLOSE)
            return take_body(response, at, end, piece);
        const char *before = *at;
        bool is_whole = take_line(response, at, end);
        response->line_bytes += (uint32_t)(*at - before);
        if (response->line_bytes > MOST_LINE_BYTES)
            return broken(response);
        enum response_part part = is_whole ? read_line(response) : PART_NONE;
        if (part != PART_NONE)
            return part;
    }
}
