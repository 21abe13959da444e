/*
 * The clients: thousands of connections in one thread, which count what they are sent. It is meant
 * to be idle most of the time; its own CPU time is in every answer.
 *
 *   load protocol=ws|sse|json|messagepack port=PORT path=PATH
 *        [subscribe=TEXT] [resume=TEXT] [ready=TEXT] [position=TEXT]      client.h, struct target
 *        [inflight=256]                                                   clients that are opening at one time
 *
 * Commands:
 *
 *   connect count=N [topics=1] [first=0]
 *       N more clients, one after another on so many topics, of which nothing has been published yet.
 *       Answered when all are live, or have failed, or after 60 s:
 *       {"live":L,"failed":F,"ms":M,"failure":"…"}; with what failed first, or ""
 *   begin
 *       Forgets what was counted. Answered with {}.
 *   await count=C [first=0] [topics=20000] [timeout=1000]
 *       Waits until each client of these topics has had mark C. Answered with
 *       {"behind":B,"ms":M}: how many have not, and how long it took.
 *   end
 *       What was counted since `begin`. Latencies are in µs, from the mark's time to the read:
 *       {"live","deliveries","bytes","reads","frames","lost","repeated","closed","p50","p99","p999","max",
 *        "cpuMs","ms"}
 *   storm count=N
 *       Cuts the last N clients, all at once, and has them come back with their position, four times as
 *       many at one time. Answered as `connect` is.
 */
#define _GNU_SOURCE
#include "client.h"
#include "clock.h"
#include "command.h"
#include "fail.h"
#include "option.h"
#include "publication.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#define MAX_CLIENTS 19900
#define CONNECT_NS (60 * NS_PER_S)
#define PING_NS (15 * NS_PER_S)
/* Clients of one address; there are some 28,000 ports for each. */
#define CLIENTS_PER_ADDRESS 8192

static struct client clients[MAX_CLIENTS];
static int client_count, epoll, inflight;

/* What has been commanded and is not answered yet: one thing at a time. */
static struct {
    enum { NOTHING, CONNECT, AWAIT } what;
    uint64_t begin_ns, end_ns;
    /* CONNECT: clients from `next` to before `end` have still to begin. */
    int next, end, at_once;
    /* AWAIT */
    uint32_t count;
    int first, topics;
} pending;

static uint64_t begin_ns, begin_cpu_ns;

static double since_ms(uint64_t ns) { return (double)(now_ns() - ns) / NS_PER_MS; }

static void say(void)
{
    putchar('\n');
    fflush(stdout);
}

/* --- connect, storm --- */

static void begin_connecting(int from, int to, int at_once)
{
    uint64_t now = now_ns();
    pending.what = CONNECT;
    pending.begin_ns = now;
    pending.end_ns = now + CONNECT_NS;
    pending.next = from;
    pending.end = to;
    pending.at_once = at_once;
    failed = 0;
    failure[0] = 0;
}

static void go_on_connecting(void)
{
    bool is_late = now_ns() > pending.end_ns;
    for (; pending.next < pending.end && opening < pending.at_once && !is_late; pending.next++) {
        uint32_t source = INADDR_LOOPBACK + 1 + (uint32_t)(pending.next / CLIENTS_PER_ADDRESS);
        client_open(&clients[pending.next], epoll, source);
    }
    if (opening > 0 && !is_late) return;
    pending.what = NOTHING;
    printf("{\"live\":%d,\"failed\":%d,\"ms\":%.3f,\"failure\":\"%s\"}", live, failed, since_ms(pending.begin_ns), failure);
    say();
}

static void connect_more(int argc, char **argv)
{
    int count = (int)option_number(argc, argv, "count", 1), topics = (int)option_number(argc, argv, "topics", 1);
    int first = (int)option_number(argc, argv, "first", 0), from = client_count;
    for (int i = 0; i < count && client_count < MAX_CLIENTS; i++, client_count++)
        clients[client_count] = (struct client){.topic = first + i % topics};
    begin_connecting(from, client_count, inflight);
}

static void storm(int argc, char **argv)
{
    int count = (int)option_number(argc, argv, "count", client_count);
    int from = count < client_count ? client_count - count : 0;
    for (int i = from; i < client_count; i++) {
        client_cut(&clients[i]);
        clients[i].has_returned = true;
    }
    begin_connecting(from, client_count, 4 * inflight);
}

/* --- begin, await, end --- */

static void begin(void)
{
    tally = (struct tally){0};
    begin_ns = now_ns();
    begin_cpu_ns = cpu_ns();
    printf("{}");
    say();
}

static void begin_waiting(int argc, char **argv)
{
    pending.what = AWAIT;
    pending.begin_ns = now_ns();
    pending.end_ns = pending.begin_ns + (uint64_t)option_number(argc, argv, "timeout", 1000) * NS_PER_MS;
    pending.count = (uint32_t)option_number(argc, argv, "count", 0);
    pending.first = (int)option_number(argc, argv, "first", 0);
    pending.topics = (int)option_number(argc, argv, "topics", MAX_TOPICS);
}

static void go_on_waiting(void)
{
    int behind = 0;
    for (int i = 0; i < client_count; i++) {
        int topic = clients[i].topic - pending.first;
        behind += topic >= 0 && topic < pending.topics && clients[i].last < pending.count;
    }
    if (behind > 0 && now_ns() < pending.end_ns) return;
    pending.what = NOTHING;
    printf("{\"behind\":%d,\"ms\":%.3f}", behind, since_ms(pending.begin_ns));
    say();
}

static void end(void)
{
    const struct histogram *latency = &tally.latency;
    printf("{\"live\":%d,\"deliveries\":%lu,\"bytes\":%lu,\"reads\":%lu,\"frames\":%lu,", live, tally.deliveries, tally.bytes,
           tally.reads, tally.frames);
    printf("\"lost\":%lu,\"repeated\":%lu,\"closed\":%lu,", tally.lost, tally.repeated, tally.closed);
    printf("\"p50\":%lu,\"p99\":%lu,\"p999\":%lu,\"max\":%lu,", histogram_quantile(latency, 0.5),
           histogram_quantile(latency, 0.99), histogram_quantile(latency, 0.999), histogram_quantile(latency, 1));
    printf("\"cpuMs\":%.3f,\"ms\":%.3f}", (double)(cpu_ns() - begin_cpu_ns) / NS_PER_MS, since_ms(begin_ns));
    say();
}

static void command(int argc, char **argv)
{
    if (!strcmp(argv[0], "connect")) connect_more(argc, argv);
    else if (!strcmp(argv[0], "storm")) storm(argc, argv);
    else if (!strcmp(argv[0], "begin")) begin();
    else if (!strcmp(argv[0], "await")) begin_waiting(argc, argv);
    else if (!strcmp(argv[0], "end")) end();
    else fprintf(stderr, "unknown command %s\n", argv[0]);
}

/* --- the loop --- */

/* Pings a few clients each time, so that all have pinged within PING_NS and never all at once. */
static void ping_some(void)
{
    static uint64_t last_ns;
    static int next;
    uint64_t now = now_ns();
    uint64_t due = (now - last_ns) * (uint64_t)client_count / PING_NS;
    if (last_ns == 0) due = 0;
    if (last_ns != 0 && due == 0) return;
    last_ns = now;
    for (uint64_t i = 0; i < due && i < (uint64_t)client_count; i++) client_ping(&clients[next++ % client_count]);
}

static enum protocol protocol_of(const char *name)
{
    static const char *const names[] = {"ws", "sse", "json", "messagepack"};
    for (int i = 0; i < 4; i++)
        if (!strcmp(name, names[i])) return (enum protocol)i;
    fprintf(stderr, "unknown protocol %s\n", name);
    exit(1);
}

int main(int argc, char **argv)
{
    static struct commands commands;
    target = (struct target){
        .protocol = protocol_of(option(argc, argv, "protocol", "ws")),
        .port = (int)option_number(argc, argv, "port", 0),
        .path = option(argc, argv, "path", "/"),
        .subscribe = option(argc, argv, "subscribe", NULL),
        .resume = option(argc, argv, "resume", NULL),
        .ready = option(argc, argv, "ready", NULL),
        .position = option(argc, argv, "position", NULL),
    };
    if (target.protocol == JSON || target.protocol == MESSAGEPACK) target.ready = "ready";
    inflight = (int)option_number(argc, argv, "inflight", 256);
    epoll = must(epoll_create1(0), "epoll_create1");
    struct epoll_event input = {.events = EPOLLIN, .data.ptr = &commands};
    must(epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &input), "epoll_ctl");
    for (;;) {
        static struct epoll_event events[1024];
        int count = epoll_wait(epoll, events, 1024, pending.what == NOTHING ? 100 : 5);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == &commands) command_read(&commands, command);
            else client_ready(events[i].data.ptr, epoll, events[i].events);
        }
        if (pending.what == CONNECT) go_on_connecting();
        else if (pending.what == AWAIT) go_on_waiting();
        if (client_count > 0) ping_some();
    }
}
