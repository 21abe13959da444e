import { describe, expect, test } from "vitest";
import { createApp } from "../../app/app.ts";
import { createMetrics } from "../../app/metrics.ts";
import type { Gateway } from "../../lib/downstream/gateway.ts";
import { createSessions, type Session } from "../../lib/downstream/sessions.ts";
import type { Upgrade } from "../../lib/socket.ts";
import { createSetting } from "../support/context.ts";

const TOPIC = "bell";

/** A relay's app, and what it answers without a socket. */
function setUp({ connectsPerSecond = 0, maxConnections = 10_000 } = {}) {
  const setting = createSetting({ [TOPIC]: { events: { Bell: TOPIC } } });
  const { clock } = setting;
  const random = () => 0.5;
  const sessions = createSessions({ maxConnections, connectsPerSecond, clock, random });
  const context = { ...setting.context, sessions };
  const answered: Gateway = {
    negotiate: async () => new Response("negotiated"),
    handle: async () => new Response("handled"),
  };
  const app = createApp({
    context,
    metrics: createMetrics(context),
    gateways: new Map([["/hub", answered]]),
    admissions: new Map(),
    origins: [],
    page: undefined,
  });
  const upgrade: Upgrade = () => new Response("upgraded");
  return {
    ...setting,
    sessions,
    fill(count: number) {
      for (let i = 0; i < count; i++) {
        const session: Session = { transport: "sse", drain: () => sessions.remove(session) };
        sessions.add(session);
      }
    },
    async get(path: string, headers: Record<string, string> = {}, method = "GET") {
      const env = { upgrade: headers.upgrade ? upgrade : undefined };
      return app.request(`http://relay.test${path}`, { method, headers }, env);
    },
  };
}

const EVENTS = { accept: "text/event-stream" };
const SOCKET = { upgrade: "websocket" };

/** Everything that makes a connection. */
const CONNECTS: [path: string, headers: Record<string, string>, method: string][] = [
  [`/sse?topic=${TOPIC}`, {}, "GET"],
  ["/ws", SOCKET, "GET"],
  ["/hub/negotiate?negotiateVersion=1", {}, "POST"],
  ["/hub", SOCKET, "GET"],
];

describe("while the relay drains", () => {
  test.each([...CONNECTS, [`/topics/${TOPIC}`, {}, "GET"]] as const)(
    "%s is refused, and told when all will have gone",
    async (path, headers, method) => {
      const relay = setUp();
      relay.fill(2_000);
      void relay.sessions.drain(3_200);
      relay.clock.advance(1_000);
      const reply = await relay.get(path, headers, method);
      expect(reply.status).toBe(503);
      expect(reply.headers.get("retry-after")).toBe("3");
      expect(await reply.json()).toEqual({
        error: { code: "overloaded", message: "This relay is going away" },
      });
      expect(relay.stats.refusals).toBe(1);
    },
  );

  test("it is not ready from the first moment, and alive to the end", async () => {
    const relay = setUp();
    relay.fill(10);
    expect((await relay.get("/readyz")).status).toBe(200);
    void relay.sessions.drain(4_000);
    expect((await relay.get("/readyz")).status).toBe(503);
    relay.clock.advance(10_000);
    expect((await relay.get("/readyz")).status).toBe(503);
    expect((await relay.get("/healthz")).status).toBe(200);
  });

  test("what belongs to a SignalR connection that is there is served", async () => {
    const relay = setUp();
    void relay.sessions.drain(4_000);
    for (const method of ["GET", "POST", "DELETE"]) {
      expect(await (await relay.get("/hub?id=token", {}, method)).text()).toBe("handled");
    }
  });
});

describe("an EventSource gives up for good on any status but 200, so", () => {
  test.each([
    ["", 'event: keryx.drain\nretry: 3000\ndata: {"retryMs":3000}\n\n'],
    ["&envelope=true", 'retry: 3000\ndata: {"type":"drain","retryMs":3000}\n\n'],
  ])("it is told to come back when the relay drains (%s)", async (query, text) => {
    const relay = setUp();
    relay.fill(2_000);
    void relay.sessions.drain(3_200);
    relay.clock.advance(1_000);
    const headers = { accept: "Text/Event-Stream, */*", origin: "http://relay.test" };
    const reply = await relay.get(`/sse?topic=${TOPIC}${query}`, headers);
    expect(reply.status).toBe(200);
    expect(reply.headers.get("content-type")).toBe("text/event-stream");
    expect(reply.headers.get("cache-control")).toContain("no-store");
    expect(reply.headers.get("access-control-allow-origin")).toBe("http://relay.test");
    expect(await reply.text()).toBe(text);
    expect(relay.stats.refusals).toBe(1);
  });

  test("it is told to come back when there is no room, and when too many came", async () => {
    const drain = 'event: keryx.drain\nretry: 3000\ndata: {"retryMs":3000}\n\n';
    const full = setUp({ maxConnections: 1 });
    full.fill(1);
    expect(await (await full.get(`/sse?topic=${TOPIC}`, EVENTS)).text()).toBe(drain);
    const busy = setUp({ connectsPerSecond: 1 });
    busy.sessions.admit();
    expect(await (await busy.get(`/sse?topic=${TOPIC}`, EVENTS)).text()).toBe(drain);
  });

  test("what will be refused again is refused with its status", async () => {
    const relay = setUp();
    for (const [query, status] of [
      ["", 400],
      ["?topic=nothing", 404],
    ] as const) {
      const reply = await relay.get(`/sse${query}`, EVENTS);
      expect(reply.status).toBe(status);
      expect(await reply.json()).toMatchObject({ error: { code: expect.any(String) } });
    }
    expect(relay.stats.refusals).toBe(2);
  });
});

describe("when too many connect within a second", () => {
  test.each(CONNECTS)("%s is refused, with a time to come back", async (path, headers, method) => {
    const relay = setUp({ connectsPerSecond: 3 });
    for (let i = 0; i < 3; i++) relay.sessions.admit();
    const reply = await relay.get(path, headers, method);
    expect(reply.status).toBe(503);
    expect(reply.headers.get("retry-after")).toBe("3");
    expect(await reply.json()).toEqual({
      error: { code: "overloaded", message: expect.stringContaining("Too many") },
    });
    relay.clock.advance(1_000);
    expect((await relay.get(path, headers, method)).status).toBe(200);
  });

  test("who has a connection is not concerned, nor who reads a state", async () => {
    const relay = setUp({ connectsPerSecond: 1 });
    relay.sessions.admit();
    expect((await relay.get("/hub?id=token")).status).toBe(200);
    expect((await relay.get("/hub?id=token", {}, "POST")).status).toBe(200);
    expect((await relay.get("/readyz")).status).toBe(200);
    const state = relay.get(`/topics/${TOPIC}`);
    await relay.settle();
    relay.source.accept(TOPIC);
    expect((await state).status).toBe(200);
  });

  test("they are counted by what stood in their way", async () => {
    const relay = setUp({ connectsPerSecond: 1 });
    for (let i = 0; i < 3; i++) await relay.get("/hub/negotiate", {}, "POST");
    void relay.sessions.drain(0);
    await relay.get(`/sse?topic=${TOPIC}`, EVENTS);
    const metrics = await (await relay.get("/metrics")).text();
    expect(metrics.match(/^keryx_turned_away_total.*$/gm)).toEqual([
      'keryx_turned_away_total{reason="draining"} 1',
      'keryx_turned_away_total{reason="full"} 0',
      'keryx_turned_away_total{reason="rate"} 2',
    ]);
  });
});
