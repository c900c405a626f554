#include "lines.h"

#include <string.h>

#define PUT(at, text) (memcpy(at, text, sizeof(text) - 1), (at) + sizeof(text) - 1)

static const char two_digits[] = "00010203040506070809101112131415161718192021222324"
                                 "25262728293031323334353637383940414243444546474849"
                                 "50515253545556575859606162636465666768697071727374"
                                 "75767778798081828384858687888990919293949596979899";

char *write_decimal(char *at, uint64_t value)
{
    char digits[20];
    char *first = digits + sizeof digits;
    while (value >= 100) {
        first -= 2;
        memcpy(first, two_digits + 2 * (value % 100), 2);
        value /= 100;
    }
    if (value >= 10) {
        first -= 2;
        memcpy(first, two_digits + 2 * value, 2);
    } else {
        *--first = (char)('0' + value);
    }
    size_t length = (size_t)(digits + sizeof digits - first);
    memcpy(at, first, length);
    return at + length;
}

char *write_line(char *at, uint64_t n, uint64_t t_ns)
{
    at = PUT(at, "{\"n\":");
    at = write_decimal(at, n);
    at = PUT(at, ",\"t\":");
    at = write_decimal(at, t_ns);
    return PUT(at, ",\"text\":\"" ANSWER_TEXT "\"}\n");
}

char *write_event(char *at, uint64_t n, uint64_t t_ns)
{
    at = PUT(at, "id: ");
    at = write_decimal(at, n);
    at = PUT(at, "\nevent: chunk\ndata: ");
    at = write_line(at, n, t_ns);
    return PUT(at, "\n");
}
