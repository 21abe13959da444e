import { EventSource } from "eventsource";
import { describe, expect, onTestFinished } from "vitest";
import { demoConfig } from "../../app/demo/config.ts";
import { eventually } from "../support/eventually.ts";
import { ask } from "../support/http.ts";
import { readMetric } from "../support/metrics.ts";
import type { Runtime } from "../support/runtimes.ts";
import { connectHub, openRawHub } from "../support/signalr-client.ts";
import { runProgram } from "../support/spawn.ts";
import { startRelay, startWith, withConfig } from "../support/spawned-relay.ts";
import { openSse } from "../support/sse-client.ts";
import { openWs } from "../support/ws-client.ts";
import { brief } from "./reading.ts";
import type { StagedTest } from "./stage.ts";

/** With one isolate, for limits that each of several has. */
function alone(runtime: Runtime): Runtime {
  return { ...runtime, env: {} };
}

/** What an operator sees. */
export function operation(test: StagedTest): void {
  test.for(["SIGTERM", "SIGINT"] as const)(
    "at %s everybody is sent away with a time to come back, and it ends well",
    async (signal, { runtime, origin }) => {
      const relay = await startRelay(runtime, demoConfig(origin.hub));
      onTestFinished(() => void relay.program.kill());
      const stream = await openSse(`${relay.url}/sse?topic=match/1`);
      const envelope = await openSse(`${relay.url}/sse?topic=announcements&envelope=true`);
      const socket = await openWs(`${relay.url}/ws`);
      const raw = await openRawHub(`${relay.url}/hubs/live`);
      raw.send({ protocol: "json", version: 1 });
      const hub = await connectHub(`${relay.url}/hubs/live`, { reconnect: true });
      const reconnecting = new Promise((resolve) => hub.onreconnecting(resolve));
      await Promise.all([
        stream.opening(),
        stream.retries.next(),
        envelope.events.until(({ data }) => JSON.parse(data).type === "subscribed"),
        socket.subscribe("match/1"),
        raw.records.next(),
      ]);

      const stopped = relay.program.stop(signal);

      const told = brief(await stream.events.next());
      expect(told).toEqual(["keryx.drain", { retryMs: expect.any(Number) }]);
      const retryMs = await stream.retries.next();
      expect(told).toEqual(["keryx.drain", { retryMs }]);
      expect(retryMs).toBeLessThanOrEqual(1_000);
      expect(JSON.parse((await envelope.events.next()).data)).toEqual({
        type: "drain",
        retryMs: expect.any(Number),
      });
      const drain = await socket.messages.next();
      expect(drain.type).toBe("drain");
      const reason = `reconnect in ${drain.retryMs} ms`;
      expect(await socket.closed).toEqual({ code: 1012, reason });
      expect(JSON.parse(await raw.records.next())).toEqual({ type: 7, allowReconnect: true });
      await Promise.all([stream.ended, envelope.ended, raw.closed, reconnecting]);
      await stopped;
      await expect(ask(relay.url, "/healthz")).rejects.toThrow("ECONNREFUSED");
    },
  );

  test("nobody is taken any more while it drains", async ({ runtime, origin }) => {
    const relay = await startRelay(runtime, demoConfig(origin.hub));
    onTestFinished(() => void relay.program.kill());
    const sockets = await Promise.all(Array.from({ length: 200 }, () => openWs(`${relay.url}/ws`)));
    const stopped = relay.program.stop();
    await Promise.race(sockets.map(({ closed }) => closed));
    const stream = "/sse?topic=match/1";
    // It listens for a while; after that the connection itself is refused.
    const [told, ...replies] = await Promise.all(
      [
        ask(relay.url, stream, { headers: { accept: "text/event-stream" } }),
        ask(relay.url, stream),
        ask(relay.url, "/hubs/live/negotiate", { method: "POST" }),
        ask(relay.url, "/topics/match/1"),
        ask(relay.url, "/readyz"),
      ].map((reply) => reply.catch(() => undefined)),
    );
    for (const reply of replies) expect(reply?.status ?? 503).toBe(503);
    for (const reply of replies.slice(0, 3)) {
      expect(Number(reply?.headers["retry-after"] ?? 1)).toBeGreaterThan(0);
    }
    if (told) {
      expect([told.status, told.headers["content-type"]]).toEqual([200, "text/event-stream"]);
      expect(told.text).toMatch(/^event: keryx\.drain\nretry: (\d+)\ndata: \{"retryMs":\1\}\n\n$/);
    }
    await stopped;
  });

  test("a second signal ends it at once", async ({ runtime, origin }) => {
    const relay = await startRelay(runtime, demoConfig(origin.hub));
    onTestFinished(() => void relay.program.kill());
    const socket = await openWs(`${relay.url}/ws`);
    // Two different ones, as of two equal ones that wait the system may keep one.
    for (const signal of ["SIGTERM", "SIGINT"]) process.kill(relay.program.pid, signal);
    expect(await relay.program.exited).toEqual({ code: 1, signal: null });
    await socket.closed;
  });

  test("an EventSource that finds no room comes back by itself", async ({ runtime, origin }) => {
    const config = demoConfig(origin.hub);
    const relay = await startRelay(alone(runtime), { ...config, limits: { connections: 1 } });
    onTestFinished(() => void relay.program.kill());
    const socket = await openWs(`${relay.url}/ws`);
    const source = new EventSource(`${relay.url}/sse?topic=match/1`);
    onTestFinished(() => source.close());
    const open = new Promise((resolve) => source.addEventListener("keryx.subscribed", resolve));
    const told = await new Promise<MessageEvent>((resolve) => {
      source.addEventListener("keryx.drain", resolve, { once: true });
    });
    const { retryMs } = JSON.parse(told.data);
    expect(retryMs).toBeGreaterThanOrEqual(1_000);
    expect(retryMs).toBeLessThanOrEqual(5_000);
    socket.close();
    await open;
    expect(await readMetric(relay.url, "keryx_turned_away_total")).toBeGreaterThan(0);
  });

  test("more than may connect within a second come later", async ({ runtime, origin }) => {
    const config = demoConfig(origin.hub);
    const relay = await startRelay(runtime, { ...config, limits: { connectsPerSecond: 1 } });
    onTestFinished(() => void relay.program.kill());
    const replies = await Promise.all(
      Array.from({ length: 20 }, () =>
        ask(relay.url, "/hubs/live/negotiate?negotiateVersion=1", { method: "POST" }),
      ),
    );
    const refused = replies.filter(({ status }) => status === 503);
    expect(refused.length).toBeGreaterThan(0);
    expect(replies.filter(({ status }) => status === 200).length).toBe(20 - refused.length);
    for (const reply of refused) {
      expect(reply.json()).toMatchObject({ error: { code: "overloaded" } });
      const seconds = Number(reply.headers["retry-after"]);
      expect([1, 2, 3, 4, 5]).toContain(seconds);
    }
    await eventually(
      () => openWs(`${relay.url}/ws`),
      () => true,
    );
  });

  test("a bound that is reached is told, with a time to come back", async ({ runtime, origin }) => {
    const config = demoConfig(origin.hub);
    const limits = { connections: 2, topics: 1 };
    const relay = await startRelay(alone(runtime), { ...config, limits });
    onTestFinished(() => void relay.program.kill());
    const socket = await openWs(`${relay.url}/ws`);
    await socket.subscribe("match/1");
    socket.send({ type: "subscribe", id: 1, topics: ["match/2"] });
    const refusal = { code: "overloaded", message: expect.any(String) };
    const topic = "match/2";
    expect(await socket.messages.next()).toEqual({ type: "error", ...refusal, id: 1, topic });
    const tooMany = await ask(relay.url, `/sse?topic=${topic}`);
    expect([tooMany.status, tooMany.json()]).toEqual([503, { error: { ...refusal, topic } }]);

    await openSse(`${relay.url}/sse?topic=match/1`);
    await expect(openWs(`${relay.url}/ws`)).rejects.toThrow("503");
    await expect(connectHub(`${relay.url}/hubs/live`)).rejects.toThrow("503");
    const full = await ask(relay.url, "/sse?topic=match/1");
    expect([full.status, full.json()]).toEqual([503, { error: refusal }]);
    expect(Number(full.headers["retry-after"])).toBeGreaterThan(0);
    socket.close();
    await eventually(
      () => ask(relay.url, "/topics/match/1"),
      ({ status }) => status === 200,
    );
    await relay.program.stop();
  });

  test("metrics count what it does", async ({ relay }) => {
    await ask(relay.url, "/sse");
    const { text, headers } = await ask(relay.url, "/metrics");
    expect(headers["content-type"]).toMatch(/^text\/plain/);
    const ofType = (type: string) =>
      [...text.matchAll(new RegExp(`^# TYPE (\\w+) ${type}$`, "gm"))].map(([, name]) => name);
    expect(ofType("counter")).toEqual(
      expect.arrayContaining([
        "keryx_publications_total",
        "keryx_deliveries_total",
        "keryx_sent_bytes_total",
        "keryx_received_bytes_total",
        "keryx_recoveries_total",
        "keryx_resets_total",
        "keryx_slow_disconnects_total",
        "keryx_refusals_total",
        "keryx_shared_calls_total",
        "keryx_upstream_connects_total",
        "keryx_upstream_joins_total",
        "keryx_upstream_leaves_total",
        "keryx_unmatched_pushes_total",
        "keryx_turned_away_total",
      ]),
    );
    expect(ofType("histogram")).toContain("keryx_edge_dwell_seconds");
    expect(ofType("gauge")).toEqual(
      expect.arrayContaining(["keryx_clients", "keryx_upstream_connections", "keryx_topics"]),
    );
    for (const name of ["keryx_upstream_connects_total", "keryx_refusals_total"]) {
      expect(await readMetric(relay.url, name)).toBeGreaterThan(0);
    }
  });

  test("it is alive, and shows nothing that nobody asked for", async ({ relay }) => {
    expect((await ask(relay.url, "/healthz")).json()).toEqual({ status: "ok" });
    expect((await ask(relay.url, "/")).status).toBe(404);
    expect((await ask(relay.url, "/app/page/main.ts")).status).toBe(404);
  });

  test("KERYX_ORIGIN alone is enough to be a relay", async ({ runtime, origin }) => {
    const relay = await startWith(runtime, { KERYX_ORIGIN: origin.hub });
    const hub = await connectHub(`${relay.url}/hubs/live`);
    await hub.stop();
    await relay.program.stop();
  });

  test("a configuration may be a program", async ({ runtime, origin }) => {
    const text = `const origin: string = "${origin.hub}";
      const topics = { bell: { events: { Bell: "bell" } } };
      export default { hubs: { "/hub": { origin, topics } } };`;
    await withConfig(
      text,
      async (KERYX_CONFIG) => {
        const relay = await startWith(runtime, { KERYX_CONFIG });
        const socket = await openWs(`${relay.url}/ws`);
        await socket.subscribe("bell");
        await relay.program.stop();
      },
      "keryx.config.ts",
    );
  });

  test("--dev needs nothing: it brings an origin and a page", async ({ runtime }) => {
    const relay = await startWith(runtime, { ORIGIN_SPEED: "600" }, "--dev");
    const page = await ask(relay.url, "/");
    expect(page.headers["content-type"]).toMatch(/^text\/html/);
    const script = await ask(relay.url, "/app/page/main.ts");
    expect([script.status, script.headers["content-type"]]).toEqual([
      200,
      expect.stringMatching(/^text\/javascript/),
    ]);
    expect((await ask(relay.url, "/package.json")).status).toBe(404);
    const stream = await openSse(`${relay.url}/sse?topic=ticker/football&topic=ticker/tennis`);
    await stream.opening(2);
    const line = brief(await stream.events.next());
    expect(line).toEqual(["Ticker", expect.objectContaining({ text: expect.any(String) })]);
    await relay.program.stop();
  });

  describe("a mistake in the configuration stops the start and is named", () => {
    const hub = { origin: "http://127.0.0.1:1/hub" };
    const withTopic = (topic: object) => ({
      hubs: { "/h": { ...hub, topics: { "a/{id}": topic } } },
    });
    const events = { E: "a/{0}" };
    const mistakes: [config: unknown, named: RegExp][] = [
      [{}, /hubs: /],
      [{ hubs: {}, ports: 1 }, /ports/],
      [{ hubs: {}, port: "web" }, /port: /],
      [{ hubs: {}, heartbeatMs: 50 }, /heartbeatMs: /],
      [{ hubs: {}, limits: { queueBytes: 1.5 } }, /limits\.queueBytes: /],
      [{ hubs: { "/h": { origin: "ftp://x" } } }, /hubs\.\/h\.origin: /],
      [{ hubs: { h: hub } }, /hubs\.h: /],
      [withTopic({ events, history: { size: -1 } }), /a\/\{id\}\.history\.size: /],
      [withTopic({}), /hubs\.\/h\.topics\.a\/\{id\}: .*events/],
      [
        withTopic({ join: { method: "J", args: ["{x}"] }, events }),
        /a\/\{id\}: .*parameter \\"x\\"/,
      ],
      [withTopic({ events: { E: "a/{id}" } }), /a\/\{id\}: .*must begin with an index/],
      [withTopic({ stream: { method: "S" }, events }), /a\/\{id\}: .*stream/],
    ];
    test.for(mistakes)("%j", async ([config, named], { runtime }) => {
      const { code, output } = await withConfig(JSON.stringify(config), (KERYX_CONFIG) =>
        runProgram(runtime.command(), { env: { KERYX_CONFIG } }),
      );
      expect({ code, output }).toEqual({ code: 1, output: expect.stringMatching(named) });
    });

    const environments: [env: Record<string, string>, named: RegExp][] = [
      [{}, /KERYX_CONFIG.*KERYX_ORIGIN/],
      [{ KERYX_ORIGIN: "nonsense" }, /KERYX_ORIGIN.*nonsense/],
      [{ KERYX_CONFIG: "no-such-file.json" }, /KERYX_CONFIG.*no-such-file\.json/],
      [{ KERYX_ORIGIN: hub.origin, PORT: "99999" }, /port: /],
      [{ KERYX_ORIGIN: hub.origin, PORT: "web" }, /port: /],
    ];
    test.for(environments)("%j", async ([env, named], { runtime }) => {
      const { code, output } = await runProgram(runtime.command(), { env });
      expect({ code, output }).toEqual({ code: 1, output: expect.stringMatching(named) });
    });

    test("a port that is taken", async ({ runtime, relay }) => {
      const env = { KERYX_ORIGIN: hub.origin, HOST: "127.0.0.1", PORT: new URL(relay.url).port };
      const { code, output } = await runProgram(runtime.command(), { env });
      expect({ code, output }).toEqual({
        code: 1,
        output: expect.stringContaining("cannot start"),
      });
    });
  });
}
