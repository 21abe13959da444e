/*
 * The publication of every measurement: OddsChanged of the demo's contract, 200 bytes of JSON, with
 * a mark (mark.h) in it. Each way to hand it over is made once, as bytes in which only the mark and
 * the topic change.
 */
#ifndef PUBLICATION_H
#define PUBLICATION_H

#include "buffer.h"

#include <stdint.h>

/* Topics are match/10000 and on: five digits in JSON, two bytes in MessagePack. */
#define FIRST_TOPIC 10000
#define MAX_TOPICS 20000

struct publication {
    struct buffer bytes;
    size_t mark, topic;
    int is_binary;
};

/* `line`: the JSON and a line feed. */
struct publication publication_line(void);
/* `json`, `messagepack`: a WebSocket frame with an invocation of that hub protocol. */
struct publication publication_json(void);
struct publication publication_messagepack(void);
/* `post`: an HTTP request whose body is the JSON. */
struct publication publication_post(const char *path);
/* `item`: a ZeroMQ message by which Pushpin publishes an event of an event stream. */
struct publication publication_item(const char *channel);

/* Writes one publication at the end of `to`. */
void publication_append(const struct publication *what, struct buffer *to, int topic, uint32_t count, uint64_t ns);

#endif
