import { HubConnectionState } from "@microsoft/signalr";
import { expect, onTestFinished } from "vitest";
import { demoConfig } from "../../app/demo/config.ts";
import { eventually } from "../support/eventually.ts";
import { ask } from "../support/http.ts";
import type { StartOrigin } from "../support/origins.ts";
import type { Runtime } from "../support/runtimes.ts";
import { connectHub, pushesOf, refusalOf } from "../support/signalr-client.ts";
import { startRelay } from "../support/spawned-relay.ts";
import { openSse } from "../support/sse-client.ts";
import { openWs } from "../support/ws-client.ts";
import { brief, sequences } from "./reading.ts";
import type { StagedTest } from "./stage.ts";

/** The origin's trouble is not the clients' trouble: PROTOCOL.md, section 2. */
export function outage(test: StagedTest): void {
  test("leaves its clients connected, told, and live again by itself", async ({
    relay,
    fragile,
  }) => {
    const url = `${relay.url}/sse?topic=fragile/3`;
    const stream = await openSse(`${url}&topic=fragile/4`);
    await stream.opening(2);
    const socket = await openWs(`${relay.url}/ws`);
    await socket.subscribe("fragile/3");
    const hub = await connectHub(`${relay.url}/hubs/fragile`, { reconnect: true });
    const odds = pushesOf(hub, "OddsChanged");
    let reconnects = 0;
    hub.onreconnecting(() => reconnects++);
    await hub.invoke("JoinMatch", 3);
    await fragile.origin.publish(3, 2);
    await Promise.all([stream.events.take(2), socket.messages.take(2), odds.take(2)]);
    const before = stream.lastId();
    expect((await ask(relay.url, "/readyz")).json()).toMatchObject({ status: "ready" });

    await fragile.origin.program.kill();

    const stale = (await stream.events.take(2)).map(brief);
    for (const topic of ["fragile/3", "fragile/4"]) {
      expect(stale).toContainEqual(["keryx.stale", { topic, lastMessageAt: expect.any(Number) }]);
    }
    expect(await socket.messages.next()).toEqual({
      type: "stale",
      topic: "fragile/3",
      lastMessageAt: expect.any(Number),
    });
    const unready = await eventually(
      () => ask(relay.url, "/readyz"),
      ({ status }) => status === 503,
    );
    expect(unready.json()).toMatchObject({
      hubs: { "/hubs/fragile": "away", "/hubs/live": "connected" },
    });
    // Who comes now gets what is known, and is told that it may be old.
    const newcomer = await openWs(`${relay.url}/ws`);
    const opening = await newcomer.subscribe("fragile/3");
    expect(opening.at(0)).toMatchObject({ type: "reset", snapshot: { matchId: 3 } });
    expect(opening.at(-1)).toMatchObject({ type: "subscribed", state: "stale" });
    const returning = await openSse(url, { lastEventId: before });
    expect(brief((await returning.opening())[0])).toMatchObject([
      "keryx.subscribed",
      { topic: "fragile/3", recovered: true, state: "stale" },
    ]);
    expect((await ask(relay.url, "/topics/fragile/3")).json()).toMatchObject({ state: "stale" });
    // Of a topic that nobody watched before, nothing is known.
    const unknown = await ask(relay.url, "/topics/fragile/5");
    expect([unknown.status, unknown.json()]).toMatchObject([
      503,
      { error: { code: "unavailable" } },
    ]);
    expect(await refusalOf(hub.invoke("GetMatch", 5))).toContain("'GetMatch'");

    fragile.origin = await fragile.origin.restart();

    const back = (await stream.events.take(4)).map(brief);
    for (const topic of ["fragile/3", "fragile/4"]) {
      const own = back.filter((event) => JSON.stringify(event).includes(`"topic":"${topic}"`));
      expect(own).toMatchObject([
        ["keryx.reset", { topic, reason: "break", snapshot: { matchId: Number(topic.at(-1)) } }],
        ["keryx.live", { topic }],
      ]);
    }
    for (const client of [socket, newcomer]) {
      expect(await client.messages.take(2)).toMatchObject([
        { type: "reset", topic: "fragile/3", reason: "break", snapshot: { matchId: 3 } },
        { type: "live", topic: "fragile/3", position: expect.stringContaining(":") },
      ]);
    }
    await returning.events.take(2);
    expect(await fragile.origin.stats()).toMatchObject({
      connections: 1,
      connectionsTotal: 1,
      joins: { 3: 1, 4: 1 },
    });
    expect((await ask(relay.url, "/readyz")).status).toBe(200);

    const { first } = await fragile.origin.publish(3, 1);
    for (const client of [stream, returning]) {
      expect(sequences([await client.events.next()])).toEqual([first]);
    }
    for (const client of [socket, newcomer]) {
      expect(sequences([await client.messages.next()])).toEqual([first]);
    }
    expect(await odds.next()).toMatchObject([{ sequence: first }]);
    expect([hub.state, reconnects]).toEqual([HubConnectionState.Connected, 0]);

    // What was before the break cannot be made up for, and who asks for it is told; what is after, can.
    const late = await openSse(url, { lastEventId: before });
    expect(brief((await late.opening())[0])).toMatchObject([
      "keryx.reset",
      { topic: "fragile/3", reason: "break" },
    ]);
    const recovered = await openSse(url, { lastEventId: late.lastId() });
    expect((await recovered.opening()).map(brief)).toMatchObject([
      ["keryx.subscribed", { recovered: true }],
    ]);
  });

  test("is no reason to turn away those whom it had accepted", async ({ runtime, startOrigin }) => {
    const { url, position } = await abandoned(runtime, startOrigin);
    expect((await ask(url, "/topics/match/1")).json()).toMatchObject({ state: "stale" });
    // An EventSource that is refused once never tries again.
    const stream = await openSse(`${url}/sse?topic=match/1`, { lastEventId: position });
    expect((await stream.opening()).map(brief)).toMatchObject([
      ["keryx.subscribed", { recovered: true, state: "stale" }],
    ]);
    const hub = await connectHub(`${url}/hubs/live`);
    expect(hub.state).toBe(HubConnectionState.Connected);
  });

  test("leaves others waiting, and tells them so", async ({ runtime, startOrigin }) => {
    const { url } = await abandoned(runtime, startOrigin);
    for (const path of ["/sse?topic=match/1", "/topics/match/1"]) {
      const reply = await ask(url, path, { headers: { authorization: "Bearer unheard-of" } });
      expect(reply.status).toBe(503);
      expect(Number(reply.headers["retry-after"])).toBeGreaterThan(0);
      expect(reply.json()).toEqual({
        error: expect.objectContaining({ code: "unavailable", message: expect.any(String) }),
      });
    }
  });
}

/** A relay whose origin has gone for longer than its word on a credential holds. */
async function abandoned(
  runtime: Runtime,
  startOrigin: StartOrigin,
): Promise<{ readonly url: string; readonly position: string }> {
  const origin = await startOrigin();
  const { hubs } = demoConfig(origin.hub);
  const impatient = Object.entries(hubs).map(([path, hub]) => [path, { ...hub, accessTtlMs: 1 }]);
  const { url, program } = await startRelay(runtime, { hubs: Object.fromEntries(impatient) });
  onTestFinished(() => void program.kill());
  const client = await openSse(`${url}/sse?topic=match/1`);
  await client.opening();
  await origin.program.kill();
  await client.events.next();
  return { url, position: client.lastId() };
}
