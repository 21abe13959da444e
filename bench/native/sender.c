/*
 * The control: the least that a program can do to pass what one connection brings on to all others.
 * It reads lines from a feed, makes each a WebSocket frame or an event once, and sends it to every
 * client with one send() for each, or joins as many as it is told of those that came at once.
 *
 *   sender feed=PORT protocol=ws|sse [joined=1]
 */
#define _GNU_SOURCE
#include "fail.h"
#include "option.h"
#include "tcp.h"
#include "websocket.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define MAX_CLIENTS 20000
#define BUFFER_BYTES (1 << 20)

static bool is_ws;
/* Lines that are sent at once at most. */
static int joined;
static int clients[MAX_CLIENTS], client_count;

static void send_all(const uint8_t *bytes, size_t length)
{
    for (int i = 0; i < client_count; i++)
        /* Blocks when a client is slow, as this knows no queue; and one that is gone is gone. */
        if (send(clients[i], bytes, length, MSG_NOSIGNAL) < 0) clients[i--] = clients[--client_count];
}

/* Writes a line as clients read it. Returns its length. */
static size_t frame(uint8_t *at, const char *line, size_t length)
{
    if (is_ws) {
        size_t head = ws_head(at, WS_TEXT, length);
        memcpy(at + head, line, length);
        return head + length;
    }
    /* One event in one chunk of the response. */
    size_t head = (size_t)sprintf((char *)at, "%zx\r\ndata: ", length + 8);
    memcpy(at + head, line, length);
    memcpy(at + head + length, "\n\n\r\n", 4);
    return head + length + 4;
}

static void read_feed(int feed)
{
    static char text[BUFFER_BYTES];
    static uint8_t out[2 * BUFFER_BYTES];
    static size_t have;
    size_t due = 0;
    int lines = 0;
    ssize_t got = recv(feed, text + have, sizeof text - have, 0);
    if (got <= 0) exit(0);
    have += (size_t)got;
    char *line = text, *end;
    while ((end = memchr(line, '\n', have - (size_t)(line - text)))) {
        due += frame(out + due, line, (size_t)(end - line));
        line = end + 1;
        if (++lines % joined) continue;
        send_all(out, due);
        due = 0;
    }
    if (due > 0) send_all(out, due);
    have -= (size_t)(line - text);
    memmove(text, line, have);
}

/* Answers a request, which comes in one piece on the loopback interface. */
static void answer(int client)
{
    char request[4096], accept[29], response[256];
    ssize_t got = recv(client, request, sizeof request - 1, 0);
    if (got <= 0) {
        for (int i = 0; i < client_count; i++)
            if (clients[i] == client) clients[i--] = clients[--client_count];
        close(client);
        return;
    }
    request[got] = 0;
    const char *key = strcasestr(request, "sec-websocket-key: ");
    if (strncmp(request, "GET ", 4) || client_count == MAX_CLIENTS) return; /* a client's own frame */
    if (is_ws && key) {
        ws_accept(key + 19, 24, accept);
        sprintf(response,
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Accept: %s\r\n\r\n",
                accept);
    } else {
        strcpy(response, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                         "Transfer-Encoding: chunked\r\n\r\n");
    }
    if (send(client, response, strlen(response), MSG_NOSIGNAL) > 0) clients[client_count++] = client;
}

int main(int argc, char **argv)
{
    is_ws = !strcmp(option(argc, argv, "protocol", "ws"), "ws");
    joined = (int)option_number(argc, argv, "joined", 1);
    int feed = tcp_connect((int)option_number(argc, argv, "feed", 0)), port;
    int listener = tcp_listen(&port), epoll = must(epoll_create1(0), "epoll_create1");
    for (int i = 0, fds[] = {feed, listener}; i < 2; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fds[i]};
        must(epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event), "epoll_ctl");
    }
    printf("sender listening on 127.0.0.1:%d\n", port);
    fflush(stdout);
    for (;;) {
        struct epoll_event events[256];
        int count = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == feed) {
                read_feed(feed);
            } else if (fd != listener) {
                answer(fd);
            } else {
                struct epoll_event event = {.events = EPOLLIN, .data.fd = accept(listener, NULL, NULL)};
                if (event.data.fd < 0) continue;
                tcp_no_delay(event.data.fd);
                must(epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event), "epoll_ctl");
            }
        }
    }
}
