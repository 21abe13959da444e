#define _GNU_SOURCE
#include "publication.h"

#include "mark.h"
#include "websocket.h"

#include <stdio.h>
#include <string.h>

#define JSON                                                                                      \
    "{\"matchId\":10000,\"marketId\":\"1x2\",\"name\":\"Result\",\"suspended\":false,"   \
    "\"selections\":[{\"id\":\"home\",\"price\":2.15},{\"id\":\"draw\",\"price\":3.45},"            \
    "{\"id\":\"away\",\"price\":3.05}],\"mark\":\"" MARK_BLANK "\"}"

_Static_assert(sizeof JSON - 1 == 200, "a publication has 200 bytes");

/* Finds what changes. */
static struct publication finish(struct buffer bytes, int is_binary)
{
    static const uint8_t binary_topic[] = {0xcd, FIRST_TOPIC >> 8, FIRST_TOPIC & 0xff};
    struct publication made = {.bytes = bytes, .is_binary = is_binary};
    uint8_t *mark = memmem(bytes.bytes, bytes.length, MARK_BLANK, MARK_LENGTH);
    uint8_t *topic = is_binary ? memmem(bytes.bytes, bytes.length, binary_topic, 3)
                               : memmem(bytes.bytes, bytes.length, "10000", 5);
    made.mark = (size_t)(mark - bytes.bytes);
    made.topic = (size_t)(topic - bytes.bytes);
    return made;
}

static struct publication framed(int opcode, const struct buffer *message, int is_binary)
{
    struct buffer bytes = {0};
    uint8_t head[WS_HEAD_MAX];
    buffer_append(&bytes, head, ws_head(head, opcode, message->length));
    buffer_append(&bytes, message->bytes, message->length);
    return finish(bytes, is_binary);
}

struct publication publication_line(void)
{
    struct buffer bytes = {0};
    buffer_text(&bytes, JSON "\n");
    return finish(bytes, 0);
}

struct publication publication_json(void)
{
    struct buffer message = {0};
    buffer_text(&message, "{\"type\":1,\"target\":\"OddsChanged\",\"arguments\":[" JSON "]}\x1e");
    return framed(WS_TEXT, &message, 0);
}

static void pack_text(struct buffer *to, const char *text)
{
    size_t length = strlen(text);
    uint8_t head[] = {(uint8_t)(0xa0 | length)}; /* fixstr: none here has 32 bytes or more */
    buffer_append(to, head, 1);
    buffer_append(to, text, length);
}

static void pack_selection(struct buffer *to, const char *id, double price)
{
    uint64_t bits;
    memcpy(&bits, &price, sizeof bits);
    uint8_t number[9] = {0xcb};
    for (int i = 0; i < 8; i++) number[1 + i] = (uint8_t)(bits >> (56 - 8 * i));
    buffer_append(to, "\x82", 1);
    pack_text(to, "Id");
    pack_text(to, id);
    pack_text(to, "Price");
    buffer_append(to, number, sizeof number);
}

struct publication publication_messagepack(void)
{
    struct buffer body = {0};
    buffer_append(&body, "\x96\x01\x80\xc0", 4); /* [1, {}, nil, */
    pack_text(&body, "OddsChanged");
    buffer_append(&body, "\x91\x86", 2); /* [{ */
    pack_text(&body, "MatchId");
    uint8_t topic[] = {0xcd, FIRST_TOPIC >> 8, FIRST_TOPIC & 0xff};
    buffer_append(&body, topic, 3);
    pack_text(&body, "MarketId");
    pack_text(&body, "1x2");
    pack_text(&body, "Name");
    pack_text(&body, "Result");
    pack_text(&body, "Suspended");
    buffer_append(&body, "\xc2", 1);
    pack_text(&body, "Selections");
    buffer_append(&body, "\x93", 1);
    pack_selection(&body, "home", 2.15);
    pack_selection(&body, "draw", 3.45);
    pack_selection(&body, "away", 3.05);
    pack_text(&body, "Mark");
    pack_text(&body, MARK_BLANK);
    buffer_append(&body, "\x90", 1); /* }], []] */

    struct buffer message = {0};
    uint8_t length[] = {(uint8_t)(body.length | 0x80), (uint8_t)(body.length >> 7)}; /* 7 bits each, low first */
    buffer_append(&message, length, 2);
    buffer_append(&message, body.bytes, body.length);
    buffer_free(&body);
    return framed(WS_BINARY, &message, 1);
}

struct publication publication_post(const char *path)
{
    struct buffer bytes = {0};
    char head[256];
    snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200\r\n\r\n", path);
    buffer_text(&bytes, head);
    buffer_text(&bytes, JSON);
    return finish(bytes, 0);
}

struct publication publication_item(const char *channel)
{
    struct buffer item = {0}, bytes = {0};
    buffer_text(&item, "J{\"channel\":\"");
    buffer_text(&item, channel);
    buffer_text(&item, "\",\"formats\":{\"http-stream\":{\"content\":\"data: ");
    for (const char *at = JSON; *at; at++) {
        if (*at == '"') buffer_text(&item, "\\");
        buffer_append(&item, at, 1);
    }
    buffer_text(&item, "\\n\\n\"}}}");
    uint8_t head[9] = {2}; /* a long message: its length has 8 bytes */
    for (int i = 0; i < 8; i++) head[1 + i] = (uint8_t)(item.length >> (56 - 8 * i));
    buffer_append(&bytes, head, sizeof head);
    buffer_append(&bytes, item.bytes, item.length);
    buffer_free(&item);
    return finish(bytes, 0);
}

void publication_append(const struct publication *what, struct buffer *to, int topic, uint32_t count, uint64_t ns)
{
    uint8_t *at = buffer_reserve(to, what->bytes.length);
    buffer_append(to, what->bytes.bytes, what->bytes.length);
    mark_print((char *)at + what->mark, count, ns);
    int number = FIRST_TOPIC + topic;
    if (what->is_binary) {
        at[what->topic + 1] = (uint8_t)(number >> 8);
        at[what->topic + 2] = (uint8_t)number;
        return;
    }
    for (int i = 4; i >= 0; i--, number /= 10) at[what->topic + (size_t)i] = (uint8_t)('0' + number % 10);
}
