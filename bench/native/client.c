#define _GNU_SOURCE
#include "client.h"

#include "clock.h"
#include "publication.h"
#include "tcp.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#define RECORD_END "\x1e"
#define MAX_HEAD 8192

struct target target;
struct tally tally;
int opening, live, failed;
char failure[256];

static bool is_signalr(void) { return target.protocol == JSON || target.protocol == MESSAGEPACK; }

static void close_client(struct client *client)
{
    if (client->stage == CLOSED) return;
    if (client->stage == LIVE) live--;
    else opening--;
    /* A reset instead of a farewell: no port waits for stragglers afterwards. */
    setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
    close(client->fd);
    buffer_free(&client->head);
    client->stage = CLOSED;
}

/* The connection ended by itself. */
static void fail_client(struct client *client, const char *why)
{
    if (client->stage == LIVE) tally.closed++;
    else failed++;
    if (!failure[0]) {
        snprintf(failure, sizeof failure, "stage %d: %s", client->stage, why);
        /* It becomes a string of JSON. */
        for (char *at = failure; *at; at++)
            if (*at == '"' || *at == '\\' || iscntrl((unsigned char)*at)) *at = ' ';
    }
    close_client(client);
}

void client_cut(struct client *client) { close_client(client); }

static void transmit(struct client *client, const void *bytes, size_t length)
{
    /* So little, and so seldom, that it goes out at once. */
    if (send(client->fd, bytes, length, MSG_NOSIGNAL) != (ssize_t)length) fail_client(client, "cannot send");
}

/* Writes a template with this client's topic and position. */
static void expand(const struct client *client, const char *template, char *to, size_t size)
{
    static const char topic[] = "{topic}", since[] = "{since}";
    size_t at = 0;
    while (*template && at + POSITION_BYTES < size) {
        if (!strncmp(template, topic, sizeof topic - 1)) {
            at += (size_t)snprintf(to + at, size - at, "%d", FIRST_TOPIC + client->topic);
            template += sizeof topic - 1;
        } else if (!strncmp(template, since, sizeof since - 1)) {
            at += (size_t)snprintf(to + at, size - at, "%s", client->position ? client->position : "");
            template += sizeof since - 1;
        } else {
            to[at++] = *template++;
        }
    }
    to[at] = 0;
}

static void send_frame(struct client *client, int opcode, const void *bytes, size_t length)
{
    uint8_t frame[1200];
    transmit(client, frame, ws_client_frame(frame, opcode, bytes, length));
}

/* --- opening --- */

static void request(struct client *client, const char *token)
{
    char path[512], text[1024];
    bool is_resumed = client->has_returned && target.resume && target.protocol == SSE;
    expand(client, is_resumed ? target.resume : target.path, path, sizeof path);
    static const char upgrade[] = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: " WS_KEY "\r\n";
    int length = snprintf(text, sizeof text, "GET %s%s%s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", path,
                          token ? "?id=" : "", token ? token : "",
                          target.protocol == SSE ? "Accept: text/event-stream\r\n" : upgrade);
    client->stage = REQUESTING;
    transmit(client, text, (size_t)length);
}

static void negotiate(struct client *client)
{
    char text[512];
    int length = snprintf(text, sizeof text,
                          "POST %s/negotiate?negotiateVersion=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
                          target.path);
    client->stage = NEGOTIATING;
    transmit(client, text, (size_t)length);
}

static void handshake(struct client *client)
{
    static const char json[] = "{\"protocol\":\"json\",\"version\":1}" RECORD_END,
                      messagepack[] = "{\"protocol\":\"messagepack\",\"version\":1}" RECORD_END;
    client->stage = HANDSHAKING;
    if (target.protocol == JSON) send_frame(client, WS_TEXT, json, sizeof json - 1);
    else send_frame(client, WS_TEXT, messagepack, sizeof messagepack - 1);
}

/* Calls JoinMatch with the id "ready", which the completion will repeat. */
static void join(struct client *client)
{
    client->stage = JOINING;
    int topic = FIRST_TOPIC + client->topic;
    if (target.protocol == JSON) {
        char text[128];
        int length = snprintf(text, sizeof text,
                              "{\"type\":1,\"invocationId\":\"ready\",\"target\":\"JoinMatch\",\"arguments\":[%d]}" RECORD_END,
                              topic);
        return send_frame(client, WS_TEXT, text, (size_t)length);
    }
    uint8_t message[] = "\x18\x96\x01\x80\xa5ready\xa9JoinMatch\x91\xcd..\x90";
    message[22] = (uint8_t)(topic >> 8);
    message[23] = (uint8_t)topic;
    send_frame(client, WS_BINARY, message, sizeof message - 1);
}

static void go_live(struct client *client)
{
    client->stage = LIVE;
    opening--;
    live++;
    buffer_free(&client->head);
}

/* The response's head is whole: the connection is open. */
static void opened(struct client *client)
{
    if (is_signalr()) return handshake(client);
    if (target.protocol == WS && target.subscribe) {
        char text[512];
        expand(client, client->has_returned && target.resume ? target.resume : target.subscribe, text, sizeof text);
        send_frame(client, WS_TEXT, text, strlen(text));
        if (client->stage == CLOSED) return;
    }
    if (target.ready) client->stage = JOINING;
    else go_live(client);
}

/* --- reading --- */

/* Moves on in a text that is waited for, no beginning of which recurs within it. Returns true at its end. */
static bool match(const char *text, uint8_t *matched, uint8_t byte)
{
    if (byte != (uint8_t)text[*matched]) *matched = 0;
    if (byte == (uint8_t)text[*matched]) ++*matched;
    if (text[*matched]) return false;
    *matched = 0;
    return true;
}

/* Keeps the newest position. */
static void scan_positions(struct client *client, const uint8_t *at, const uint8_t *end)
{
    if (!client->position) client->position = calloc(1, POSITION_BYTES);
    uint8_t matched_all = (uint8_t)strlen(target.position);
    for (; at < end; at++) {
        if (client->position_matched < matched_all) {
            if (!match(target.position, &client->position_matched, *at)) continue;
            client->position_matched = matched_all;
            client->position_length = 0;
        } else if (*at == '"' || *at == '\n' || client->position_length == POSITION_BYTES - 1) {
            client->position_matched = 0;
        } else {
            client->position[client->position_length++] = (char)*at;
            client->position[client->position_length] = 0;
        }
    }
}

static void scan_opening(struct client *client, const uint8_t *at, const uint8_t *end)
{
    for (; at < end && client->stage == HANDSHAKING; at++)
        if (*at == RECORD_END[0]) join(client);
    for (; at < end && client->stage == JOINING; at++)
        if (match(target.ready, &client->ready_matched, *at)) go_live(client);
}

/* Takes what the server wrote, less the transport's framing. */
static void read_payload(struct client *client, const uint8_t *at, const uint8_t *end, uint64_t ns)
{
    bool was_live = client->stage == LIVE;
    if (!was_live) scan_opening(client, at, end);
    if (target.position) scan_positions(client, at, end);
    while ((at = mark_next(&client->scan, at, end))) {
        uint32_t count = client->scan.count;
        if (count <= client->last) {
            tally.repeated += was_live; /* a newcomer may be shown what was there before */
            continue;
        }
        tally.lost += count - client->last - 1;
        client->last = count;
        tally.deliveries++;
        if (!client->has_returned) histogram_add(&tally.latency, (ns - client->scan.ns) / 1000);
    }
}

/* Whether the frame that begins here is a control frame, which is answered as it has to be. */
static bool read_control(struct client *client)
{
    int opcode = client->frame.head[0] & 15;
    if (opcode == WS_PING) send_frame(client, WS_PONG, "", 0); /* none here pings with a payload */
    if (opcode == WS_CLOSE) fail_client(client, "closed by the server");
    return opcode >= WS_CLOSE;
}

static void read_frames(struct client *client, const uint8_t *at, const uint8_t *end, uint64_t ns)
{
    while (at < end && client->stage != CLOSED) {
        if (client->left > 0) {
            size_t here = (uint64_t)(end - at) < client->left ? (size_t)(end - at) : client->left;
            if ((client->frame.head[0] & 15) < WS_CLOSE) read_payload(client, at, at + here, ns);
            client->left -= here;
            at += here;
            continue;
        }
        if (client->frame.have >= ws_head_length(&client->frame)) client->frame.have = 0;
        client->frame.head[client->frame.have++] = *at++;
        if (client->frame.have < ws_head_length(&client->frame)) continue;
        client->left = ws_payload_length(&client->frame);
        tally.frames += !read_control(client);
    }
}

/* RFC 9112 section 7.1; here as "size CRLF data CRLF", and the line break after the data is skipped with it. */
static void read_chunks(struct client *client, const uint8_t *at, const uint8_t *end, uint64_t ns)
{
    while (at < end && client->stage != CLOSED) {
        if (!client->in_chunk_head && client->left > 0) {
            size_t here = (uint64_t)(end - at) < client->left ? (size_t)(end - at) : client->left;
            read_payload(client, at, at + here, ns);
            client->left -= here;
            at += here;
            continue;
        }
        client->in_chunk_head = true;
        uint8_t byte = *at++;
        if (isxdigit(byte)) {
            client->left = client->left << 4 | (uint64_t)(byte <= '9' ? byte - '0' : (byte | 32) - 'a' + 10);
        } else if (byte == '\n' && client->left > 0) {
            client->in_chunk_head = false;
            tally.frames++;
        }
    }
}

static void read_stream(struct client *client, const uint8_t *at, const uint8_t *end, uint64_t ns)
{
    if (target.protocol != SSE) read_frames(client, at, end, ns);
    else if (client->is_chunked) read_chunks(client, at, end, ns);
    else read_payload(client, at, end, ns);
}

/* The whole of a small response: its end is where its length or the last chunk says. */
static bool is_complete(const char *text, const char *body)
{
    const char *length = strcasestr(text, "content-length: ");
    if (length && length < body) return strlen(body) >= strtoul(length + 16, NULL, 10);
    return strstr(body, "0\r\n\r\n") != NULL;
}

static void read_negotiation(struct client *client, char *text, const char *body)
{
    static const char name[] = "\"connectionToken\":\"";
    if (!is_complete(text, body)) return;
    char *token = strstr(body, name);
    if (!token) return fail_client(client, text);
    token += sizeof name - 1;
    token[strcspn(token, "\"")] = 0;
    /* Copied, as the request goes out from a buffer of its own and the head is used again. */
    char copy[512];
    snprintf(copy, sizeof copy, "%s", token);
    client->head.length = 0;
    request(client, copy);
}

static void read_head(struct client *client, const uint8_t *bytes, size_t length, uint64_t ns)
{
    buffer_append(&client->head, bytes, length);
    *buffer_reserve(&client->head, 1) = 0;
    char *text = (char *)client->head.bytes, *body = strstr(text, "\r\n\r\n");
    if (!body) {
        if (client->head.length > MAX_HEAD) fail_client(client, "no end of the response's head");
        return;
    }
    body += 4;
    if (client->stage == NEGOTIATING) return read_negotiation(client, text, body);
    const char *status = target.protocol == SSE ? " 200" : " 101";
    if (strncmp(text + 8, status, 4)) return fail_client(client, text);
    const char *encoding = strcasestr(text, "transfer-encoding: chunked");
    client->is_chunked = encoding && encoding < body;
    /* The head is freed when the client goes live, so what follows it is read out of a copy. */
    size_t rest = client->head.length - (size_t)(body - text);
    uint8_t copy[MAX_HEAD];
    if (rest > sizeof copy) return fail_client(client, "too much behind the response's head");
    memcpy(copy, body, rest);
    opened(client);
    if (client->stage != CLOSED) read_stream(client, copy, copy + rest, ns);
}

void client_open(struct client *client, int epoll, uint32_t source)
{
    int topic = client->topic;
    uint32_t last = client->last;
    bool has_returned = client->has_returned;
    char *position = client->position;
    *client = (struct client){
        .fd = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), "socket"),
        .stage = CONNECTING,
        .topic = topic,
        .last = last,
        .has_returned = has_returned,
        .position = position,
    };
    opening++;
    tcp_no_delay(client->fd);
    struct sockaddr_in from = tcp_address(source, 0), to = tcp_address(INADDR_LOOPBACK, target.port);
    setsockopt(client->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int));
    must(bind(client->fd, (struct sockaddr *)&from, sizeof from), "bind");
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = client};
    must(epoll_ctl(epoll, EPOLL_CTL_ADD, client->fd, &event), "epoll_ctl");
    if (connect(client->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) fail_client(client, "cannot connect");
}

void client_ready(struct client *client, int epoll, uint32_t events)
{
    static uint8_t bytes[1 << 18];
    if (client->stage == CLOSED) return;
    if (client->stage == CONNECTING) {
        if (events & (EPOLLERR | EPOLLHUP)) return fail_client(client, "cannot connect");
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
        must(epoll_ctl(epoll, EPOLL_CTL_MOD, client->fd, &event), "epoll_ctl");
        if (is_signalr()) negotiate(client);
        else request(client, NULL);
        return;
    }
    ssize_t got = recv(client->fd, bytes, sizeof bytes, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) return fail_client(client, got < 0 ? "connection broke" : "connection ended");
    tally.bytes += (uint64_t)got;
    tally.reads++;
    uint64_t ns = now_ns();
    if (client->stage < HANDSHAKING) read_head(client, bytes, (size_t)got, ns);
    else read_stream(client, bytes, bytes + got, ns);
}

void client_ping(struct client *client)
{
    if (client->stage != LIVE) return;
    if (target.protocol == JSON) send_frame(client, WS_TEXT, "{\"type\":6}" RECORD_END, 11);
    if (target.protocol == MESSAGEPACK) send_frame(client, WS_BINARY, "\x02\x91\x06", 3);
}
