/*
 * Where publications come from, at an exact rate: so many ticks a second, each of so many
 * publications that leave in one write.
 *
 *   feed mode=line               listens; who connects is sent a line of JSON per publication
 *   feed mode=signalr            listens; a SignalR hub, JSON and MessagePack, that accepts every call
 *   feed mode=nchan target=PORT path=PATH      POSTs each publication there
 *   feed mode=pushpin [target=PORT]            listens as a backend of Pushpin, and pushes each publication
 *                                              there over ZeroMQ
 *
 * Commands:
 *
 *   run ticks=N rate=R per=P [topics=1] [first=0]
 *       N ticks, R a second, of P publications; publication by publication to the next of so many
 *       topics. Answered when all has been written: {"count":C,"ms":M,"late":L}. C is the count in
 *       the last mark of the first topic, L how many ticks began after the next one was due.
 */
#define _GNU_SOURCE
#include "buffer.h"
#include "clock.h"
#include "command.h"
#include "fail.h"
#include "option.h"
#include "publication.h"
#include "tcp.h"
#include "websocket.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define MAX_PEERS 512
/* What may wait for one peer. What is beyond is not sent, and the marks' counts will tell. */
#define MAX_QUEUE (64u << 20)
#define PING_NS (10 * NS_PER_S)

enum mode { LINE, SIGNALR, NCHAN, PUSHPIN };

/* REQUEST: a client that has not asked for anything yet. HANDSHAKE, OPEN: a hub's connection. */
enum stage { REQUEST, HANDSHAKE, OPEN };

struct peer {
    int fd; /* 0: this place is free */
    enum stage stage;
    bool is_binary;
    struct buffer in, out;
};

struct run {
    uint64_t left, ticks, per, period_ns, next_ns, begin_ns, late;
    int topics, first;
    uint64_t turn;
};

static enum mode mode;
static struct peer peers[MAX_PEERS];
static struct run run;
static uint32_t counts[MAX_TOPICS];
/* What peers are sent in each mode, but for those that speak MessagePack. */
static struct publication publications[4], messagepack;
static int epoll, timer;

static void watch(int fd, uint32_t events, void *data, int operation)
{
    struct epoll_event event = {.events = events, .data.ptr = data};
    must(epoll_ctl(epoll, operation, fd, &event), "epoll_ctl");
}

static void drop(struct peer *peer)
{
    close(peer->fd);
    buffer_free(&peer->in);
    buffer_free(&peer->out);
    *peer = (struct peer){0};
}

static void flush(struct peer *peer)
{
    while (peer->out.length > 0) {
        ssize_t sent = send(peer->fd, peer->out.bytes, peer->out.length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            if (errno != EAGAIN) return drop(peer);
            watch(peer->fd, EPOLLIN | EPOLLOUT, peer, EPOLL_CTL_MOD);
            return;
        }
        buffer_drop(&peer->out, (size_t)sent);
    }
    watch(peer->fd, EPOLLIN, peer, EPOLL_CTL_MOD);
}

/* Returns NULL when there is no place for another. */
static struct peer *add_peer(int fd, enum stage stage)
{
    if (fd < 0) return NULL;
    tcp_no_delay(fd);
    for (int i = 0; i < MAX_PEERS; i++) {
        if (peers[i].fd) continue;
        peers[i] = (struct peer){.fd = fd, .stage = stage};
        watch(fd, EPOLLIN, &peers[i], EPOLL_CTL_ADD);
        return &peers[i];
    }
    close(fd);
    return NULL;
}

/* --- ticks --- */

static void append(struct peer *peer, const struct publication *what, uint64_t ns)
{
    /* Every peer gets the same publications, so each goes through the topics from the same turn. */
    for (uint64_t i = 0; i < run.per; i++) {
        int topic = run.first + (int)((run.turn + i) % (uint64_t)run.topics);
        uint32_t count = counts[topic] + (uint32_t)(i / (uint64_t)run.topics) + 1;
        publication_append(what, &peer->out, topic, count, ns);
    }
}

static void tick(void)
{
    uint64_t ns = now_ns();
    for (struct peer *peer = peers; peer < peers + MAX_PEERS; peer++) {
        if (peer->stage != OPEN || !peer->fd || peer->out.length > MAX_QUEUE) continue;
        append(peer, mode == SIGNALR && peer->is_binary ? &messagepack : &publications[mode], ns);
        flush(peer);
    }
    for (uint64_t i = 0; i < run.per; i++) counts[run.first + (int)(run.turn++ % (uint64_t)run.topics)]++;
}

static void set_timer(uint64_t at_ns)
{
    struct itimerspec at = {.it_value = {(time_t)(at_ns / NS_PER_S), (long)(at_ns % NS_PER_S)}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
}

static void finish_run(void)
{
    for (int i = 0; i < MAX_PEERS; i++)
        if (peers[i].out.length > 0) return;
    printf("{\"count\":%u,\"ms\":%.3f,\"late\":%lu}\n", counts[run.first],
           (double)(now_ns() - run.begin_ns) / 1e6, (unsigned long)run.late);
    fflush(stdout);
    run.ticks = 0;
}

static void run_due(void)
{
    while (run.left > 0 && run.next_ns <= now_ns()) {
        if (now_ns() >= run.next_ns + run.period_ns) run.late++;
        tick();
        run.left--;
        run.next_ns += run.period_ns;
    }
    if (run.left > 0) set_timer(run.next_ns);
}

static void command(int argc, char **argv)
{
    if (strcmp(argv[0], "run")) return;
    uint64_t now = now_ns(), ticks = (uint64_t)option_number(argc, argv, "ticks", 1);
    run = (struct run){
        .left = ticks,
        .ticks = ticks,
        .per = (uint64_t)option_number(argc, argv, "per", 1),
        .period_ns = (uint64_t)(1e9 / option_number(argc, argv, "rate", 1)),
        .next_ns = now,
        .begin_ns = now,
        .topics = (int)option_number(argc, argv, "topics", 1),
        .first = (int)option_number(argc, argv, "first", 0),
    };
    if (run.topics < 1 || run.first < 0 || run.first + run.topics > MAX_TOPICS) run.topics = 1, run.first = 0;
    set_timer(now);
}

/* --- the hub --- */

static void reply(struct peer *peer, const char *head, const char *body)
{
    char response[1024];
    snprintf(response, sizeof response, "HTTP/1.1 200 OK\r\n%s\r\nContent-Length: %zu\r\n\r\n%s", head, strlen(body), body);
    buffer_text(&peer->out, response);
}

static void upgrade(struct peer *peer, const char *key)
{
    char accept[29], response[256];
    ws_accept(key, 24, accept);
    snprintf(response, sizeof response,
             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Accept: %s\r\n\r\n",
             accept);
    buffer_text(&peer->out, response);
    peer->stage = HANDSHAKE;
}

/* One request whose head is whole; a body is not looked at. */
static void answer(struct peer *peer, const char *head)
{
    const char *key = strcasestr(head, "sec-websocket-key: ");
    if (mode == PUSHPIN) {
        /* Pushpin takes it from here: it holds the stream, and subscribes it to the channel. */
        reply(peer, "Content-Type: text/event-stream\r\nGrip-Hold: stream\r\nGrip-Channel: bench", ":\n\n");
    } else if (key) {
        upgrade(peer, key + strlen("sec-websocket-key: "));
    } else {
        reply(peer, "Content-Type: application/json",
              "{\"negotiateVersion\":1,\"connectionId\":\"feed\",\"connectionToken\":\"feed\",\"availableTransports\":"
              "[{\"transport\":\"WebSockets\",\"transferFormats\":[\"Text\",\"Binary\"]}]}");
    }
}

static void send_frame(struct peer *peer, int opcode, const void *bytes, size_t length)
{
    uint8_t head[WS_HEAD_MAX];
    buffer_append(&peer->out, head, ws_head(head, opcode, length));
    buffer_append(&peer->out, bytes, length);
}

/* Completes a call: {"type":1,"invocationId":"7",…}. */
static void answer_json(struct peer *peer, char *record)
{
    static const char name[] = "\"invocationId\":\"";
    char *id = strstr(record, name), completion[256];
    if (!id) return;
    id += strlen(name);
    int length = snprintf(completion, sizeof completion, "{\"type\":3,\"invocationId\":\"%.*s\",\"result\":null}\x1e",
                          (int)strcspn(id, "\""), id);
    send_frame(peer, WS_TEXT, completion, (size_t)length);
}

/* Completes a call: length, [1, {}, "7", …]. The relay sends no headers and short ids. */
static void answer_messagepack(struct peer *peer, const uint8_t *record, size_t length)
{
    uint8_t completion[64] = {0, 0x95, 3, 0x80};
    size_t at = 0;
    while (at < length && record[at] & 0x80) at++; /* the length, as a number of 7 bits a byte */
    const uint8_t *message = record + at + 1;
    if (at + 5 > length || message[1] != 1 || message[2] != 0x80 || (message[3] & 0xe0) != 0xa0) return;
    size_t id = 1 + (message[3] & 0x1fu);
    memcpy(completion + 4, message + 3, id);
    completion[4 + id] = 3; /* a result: nil */
    completion[5 + id] = 0xc0;
    completion[0] = (uint8_t)(5 + id);
    send_frame(peer, WS_BINARY, completion, 6 + id);
}

static void read_message(struct peer *peer, uint8_t *bytes, size_t length)
{
    if (peer->stage == HANDSHAKE) {
        peer->is_binary = memmem(bytes, length, "messagepack", 11) != NULL;
        peer->stage = OPEN;
        return send_frame(peer, peer->is_binary ? WS_BINARY : WS_TEXT, "{}\x1e", 3);
    }
    if (peer->is_binary) return answer_messagepack(peer, bytes, length);
    uint8_t *end;
    for (; (end = memchr(bytes, 0x1e, length)); length -= (size_t)(end + 1 - bytes), bytes = end + 1) {
        *end = 0;
        answer_json(peer, (char *)bytes);
    }
}

/* Takes one frame from what was read. Returns false when none is whole. */
static bool read_frame(struct peer *peer)
{
    struct ws_frame frame = {.have = (uint8_t)(peer->in.length < WS_HEAD_MAX ? peer->in.length : WS_HEAD_MAX)};
    if (frame.have < 2) return false;
    memcpy(frame.head, peer->in.bytes, frame.have);
    size_t head = ws_head_length(&frame);
    if (frame.have < head) return false;
    size_t length = ws_payload_length(&frame);
    if (peer->in.length < head + length) return false;
    uint8_t *payload = peer->in.bytes + head;
    for (size_t i = 0; i < length; i++) payload[i] ^= peer->in.bytes[head - 4 + i % 4];
    int opcode = frame.head[0] & 15;
    if (opcode == WS_PING) send_frame(peer, WS_PONG, payload, length);
    if (opcode == WS_TEXT || opcode == WS_BINARY) read_message(peer, payload, length);
    buffer_drop(&peer->in, head + length);
    return true;
}

static bool read_request(struct peer *peer)
{
    char *end = memmem(peer->in.bytes, peer->in.length, "\r\n\r\n", 4);
    if (!end) return false;
    *end = 0;
    answer(peer, (char *)peer->in.bytes);
    buffer_drop(&peer->in, (size_t)(end + 4 - (char *)peer->in.bytes));
    return true;
}

static void ping_all(void)
{
    for (struct peer *peer = peers; peer < peers + MAX_PEERS; peer++) {
        if (mode != SIGNALR || !peer->fd || peer->stage != OPEN) continue;
        if (peer->is_binary) send_frame(peer, WS_BINARY, "\x02\x91\x06", 3);
        else send_frame(peer, WS_TEXT, "{\"type\":6}\x1e", 11);
        flush(peer);
    }
}

/* --- the loop --- */

static void read_peer(struct peer *peer)
{
    ssize_t got = recv(peer->fd, buffer_reserve(&peer->in, 65536), 65536, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN)) return drop(peer);
    if (got < 0) return;
    peer->in.length += (size_t)got;
    if (mode == LINE || mode == NCHAN || (mode == PUSHPIN && peer->stage == OPEN)) {
        peer->in.length = 0; /* the target's answers */
        return;
    }
    while (peer->stage == REQUEST ? read_request(peer) : read_frame(peer)) continue;
    flush(peer);
}

/* Opens a conversation in ZMTP 3.0, https://rfc.zeromq.org/spec/23/, as a socket of type PUSH. */
static void greet(struct peer *peer)
{
    static const char signature[64] = "\xff\0\0\0\0\0\0\0\0\x7f\x03\0NULL",
                      ready[] = "\x04\x1a\x05READY\x0bSocket-Type\0\0\0\x04PUSH";
    if (mode != PUSHPIN) return;
    buffer_append(&peer->out, signature, sizeof signature);
    buffer_append(&peer->out, ready, sizeof ready - 1);
    flush(peer);
}

static enum mode mode_of(const char *name)
{
    static const char *const names[] = {"line", "signalr", "nchan", "pushpin"};
    for (int i = 0; i < 4; i++)
        if (!strcmp(name, names[i])) return (enum mode)i;
    fprintf(stderr, "unknown mode %s\n", name);
    exit(1);
}

int main(int argc, char **argv)
{
    static struct commands commands;
    mode = mode_of(option(argc, argv, "mode", "line"));
    publications[LINE] = publication_line();
    publications[SIGNALR] = publication_json();
    publications[NCHAN] = publication_post(option(argc, argv, "path", "/"));
    publications[PUSHPIN] = publication_item("bench");
    messagepack = publication_messagepack();
    epoll = must(epoll_create1(0), "epoll_create1");
    timer = must(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), "timerfd_create");
    int port, listener = tcp_listen(&port), target = (int)option_number(argc, argv, "target", 0);
    /* What is no peer is known by its address. */
    watch(0, EPOLLIN, &commands, EPOLL_CTL_ADD);
    watch(timer, EPOLLIN, &timer, EPOLL_CTL_ADD);
    watch(listener, EPOLLIN, &listener, EPOLL_CTL_ADD);
    if (target) greet(add_peer(tcp_connect(target), OPEN));
    printf("feed listening on 127.0.0.1:%d\n", port);
    fflush(stdout);

    for (uint64_t ping_ns = now_ns() + PING_NS;;) {
        struct epoll_event events[64];
        int count = epoll_wait(epoll, events, 64, 1000);
        for (int i = 0; i < count; i++) {
            void *what = events[i].data.ptr;
            if (what == &commands) {
                command_read(&commands, command);
            } else if (what == &listener) {
                add_peer(accept(listener, NULL, NULL), mode == LINE ? OPEN : REQUEST);
            } else if (what == &timer) {
                uint64_t expirations;
                if (read(timer, &expirations, sizeof expirations) > 0) run_due();
            } else {
                struct peer *peer = what;
                if (events[i].events & EPOLLOUT) flush(peer);
                if (peer->fd && events[i].events & ~(uint32_t)EPOLLOUT) read_peer(peer);
            }
        }
        if (run.ticks > 0 && run.left == 0) finish_run();
        if (now_ns() < ping_ns) continue;
        ping_ns += PING_NS;
        ping_all();
    }
}
