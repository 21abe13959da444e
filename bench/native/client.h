/*
 * One client: opens a connection in its protocol, and from then on reads marks (mark.h) out of what
 * it is sent. It never waits and never sends, but for what its protocol demands.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include "buffer.h"
#include "histogram.h"
#include "mark.h"
#include "websocket.h"

#include <stdbool.h>
#include <stdint.h>

/* JSON and MESSAGEPACK are SignalR over WebSocket: negotiate, upgrade, handshake, join. */
enum protocol { WS, SSE, JSON, MESSAGEPACK };

/* In this order; what a protocol does not need it skips. */
enum stage { CLOSED, CONNECTING, NEGOTIATING, REQUESTING, HANDSHAKING, JOINING, LIVE };

/* What all clients of a program share. */
struct target {
    enum protocol protocol;
    int port;
    /* Of the request. Here and below "{topic}" stands for a topic's number, "{since}" for a position. */
    const char *path;
    /* WS only: sent once the socket is open; NULL: nothing is. */
    const char *subscribe;
    /* What a client that lost its connection uses instead of the one above, or of the path. */
    const char *resume;
    /* What the server says once a client is subscribed; NULL: it is, with the response's head. */
    const char *ready;
    /* What stands before a position in what the server sends, up to a quote or line feed; NULL: no positions. */
    const char *position;
};

#define POSITION_BYTES 64

struct client {
    int fd;
    enum stage stage;
    int topic;
    /* Count in the last mark. */
    uint32_t last;
    /* It was cut, and has come back: what it is sent anew is old, and no latency. */
    bool has_returned;
    bool is_chunked;
    struct mark_scan scan;
    /* Bytes of the current frame or chunk that are still to come, and the head before it. */
    uint64_t left;
    struct ws_frame frame;
    bool in_chunk_head;
    /* How much has been seen of the text that is waited for, and of what stands before a position. */
    uint8_t ready_matched, position_matched;
    uint8_t position_length;
    char *position;
    /* A response's head, while it comes. */
    struct buffer head;
};

/* What has been seen since the last `begin`. */
struct tally {
    uint64_t deliveries, bytes, reads, frames, lost, repeated, closed;
    struct histogram latency;
};

extern struct target target;
extern struct tally tally;
/* Clients on their way to be live, those that are, and those that failed on the way; what failed first. */
extern int opening, live, failed;
extern char failure[256];

/* Begins to connect. `source` is the client's own address, so that ports do not run out. */
void client_open(struct client *client, int epoll, uint32_t source);
/* The connection can be written to, or read from. */
void client_ready(struct client *client, int epoll, uint32_t events);
/* Cuts the connection, without a goodbye. */
void client_cut(struct client *client);
/* What a SignalR client sends every 15 s. */
void client_ping(struct client *client);

#endif
