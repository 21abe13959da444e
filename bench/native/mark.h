/*
 * The mark in every publication: "@", 8 hex digits, "-", 16 hex digits. The first number counts
 * the publications of a topic from 1, the second is when it was handed over, in ns. It is ASCII that
 * no encoding here changes, so a receiver finds it in JSON, MessagePack and event streams alike, and
 * of a fixed width, so a sender writes it into a frame that is already there.
 */
#ifndef MARK_H
#define MARK_H

#include <stdint.h>
#include <string.h>

#define MARK_LENGTH 26
#define MARK_BLANK "@00000000-0000000000000000"

static inline void mark_hex(char *at, int digits, uint64_t value)
{
    for (int i = digits - 1; i >= 0; i--, value >>= 4) at[i] = "0123456789abcdef"[value & 15];
}

static inline void mark_print(char *at, uint32_t count, uint64_t ns)
{
    at[0] = '@';
    mark_hex(at + 1, 8, count);
    at[9] = '-';
    mark_hex(at + 10, 16, ns);
}

/* A scan over a stream of bytes that may be cut anywhere. All zero at the beginning. */
struct mark_scan {
    uint8_t matched;
    uint32_t count;
    uint64_t ns;
};

static inline int mark_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') return byte - '0';
    if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
    return -1;
}

/*
 * Scans up to the end of the next mark. Returns where it ends, with `count` and `ns` read, or NULL
 * when there is no other whole mark.
 */
static inline const uint8_t *mark_next(struct mark_scan *scan, const uint8_t *at, const uint8_t *end)
{
    while (at < end) {
        if (scan->matched == 0) {
            at = memchr(at, '@', (size_t)(end - at));
            if (!at) return NULL;
            at++;
            scan->matched = 1;
            scan->count = 0;
            scan->ns = 0;
            continue;
        }
        int digit = mark_digit(*at);
        if (scan->matched == 9 ? *at != '-' : digit < 0) {
            scan->matched = 0; /* and this byte is looked at again: it may be the "@" */
            continue;
        }
        if (scan->matched < 9) scan->count = scan->count << 4 | (uint32_t)digit;
        else if (scan->matched > 9) scan->ns = scan->ns << 4 | (uint64_t)digit;
        at++;
        if (++scan->matched == MARK_LENGTH) {
            scan->matched = 0;
            return at;
        }
    }
    return NULL;
}

#endif
