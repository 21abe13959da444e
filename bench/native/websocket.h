/* As much of RFC 6455 as loopback peers need: the handshake, frame heads, masking. */
#ifndef WEBSOCKET_H
#define WEBSOCKET_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

#define WS_HEAD_MAX 14

/* The key of every client here, from section 1.3. A real one draws it at random. */
#define WS_KEY "dGhlIHNhbXBsZSBub25jZQ=="

/* Section 1.3: base64 of the SHA-1 of a key and a fixed text. `accept` takes 29 bytes. */
void ws_accept(const char *key, size_t length, char *accept);

/* Writes the head of a final frame without a mask. Returns its length. */
static inline size_t ws_head(uint8_t *at, int opcode, size_t length)
{
    at[0] = (uint8_t)(0x80 | opcode);
    if (length < 126) {
        at[1] = (uint8_t)length;
        return 2;
    }
    if (length < 65536) {
        at[1] = 126;
        at[2] = (uint8_t)(length >> 8);
        at[3] = (uint8_t)length;
        return 4;
    }
    at[1] = 127;
    for (int i = 0; i < 8; i++) at[2 + i] = (uint8_t)(length >> (56 - 8 * i));
    return 10;
}

/* Writes a client's frame. The mask is zero, which changes nothing. Returns its length. */
static inline size_t ws_client_frame(uint8_t *at, int opcode, const void *data, size_t length)
{
    size_t head = ws_head(at, opcode, length);
    at[1] |= 0x80;
    memset(at + head, 0, 4);
    memcpy(at + head + 4, data, length);
    return head + 4 + length;
}

/* The head of one frame, as far as it is there. */
struct ws_frame {
    uint8_t head[WS_HEAD_MAX];
    uint8_t have;
};

/* How many bytes the head has, as far as can be told from those that are there. */
static inline uint8_t ws_head_length(const struct ws_frame *frame)
{
    if (frame->have < 2) return 2;
    uint8_t size = frame->head[1] & 0x7f, mask = frame->head[1] & 0x80 ? 4 : 0;
    return (uint8_t)(2 + (size == 126 ? 2 : size == 127 ? 8 : 0) + mask);
}

/* Length of the payload; the head must be whole. */
static inline uint64_t ws_payload_length(const struct ws_frame *frame)
{
    uint8_t size = frame->head[1] & 0x7f;
    if (size < 126) return size;
    uint64_t length = 0;
    for (int i = 0; i < (size == 126 ? 2 : 8); i++) length = length << 8 | frame->head[2 + i];
    return length;
}

#endif
