/* Bytes that grow: a queue to write from, or a place to gather what was read. All zero when empty. */
#ifndef BUFFER_H
#define BUFFER_H

#include "fail.h"

#include <stdint.h>
#include <string.h>

struct buffer {
    uint8_t *bytes;
    size_t length, capacity;
};

/* Makes room for so much more, and returns where it begins. */
static inline uint8_t *buffer_reserve(struct buffer *to, size_t length)
{
    if (to->length + length > to->capacity) {
        to->capacity = 2 * (to->length + length);
        to->bytes = realloc(to->bytes, to->capacity);
        if (!to->bytes) fail("realloc");
    }
    return to->bytes + to->length;
}

static inline void buffer_append(struct buffer *to, const void *bytes, size_t length)
{
    memcpy(buffer_reserve(to, length), bytes, length);
    to->length += length;
}

static inline void buffer_text(struct buffer *to, const char *text) { buffer_append(to, text, strlen(text)); }

/* Takes bytes away from the front. */
static inline void buffer_drop(struct buffer *from, size_t length)
{
    from->length -= length;
    memmove(from->bytes, from->bytes + length, from->length);
}

static inline void buffer_free(struct buffer *of)
{
    free(of->bytes);
    *of = (struct buffer){0};
}

#endif
