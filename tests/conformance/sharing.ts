import { expect } from "vitest";
import { eventually } from "../support/eventually.ts";
import { ask } from "../support/http.ts";
import { connectHub, pushesOf } from "../support/signalr-client.ts";
import { openSse } from "../support/sse-client.ts";
import { openWs } from "../support/ws-client.ts";
import { run, sequences } from "./reading.ts";
import { LINGER_MS, type StagedTest } from "./stage.ts";

/** However many watch, the origin sees one connection and one join, while anybody watches. */
export function sharing(test: StagedTest): void {
  const five = { length: 5 };

  test("serves clients of every kind, and all of them hear the same", async ({
    relay,
    fragile,
  }) => {
    const { origin } = fragile;
    const before = await origin.stats();
    const streams = await Promise.all(
      Array.from(five, async () => {
        const client = await openSse(`${relay.url}/sse?topic=fragile/1`);
        await client.opening();
        return client;
      }),
    );
    const sockets = await Promise.all(
      Array.from(five, async () => {
        const client = await openWs(`${relay.url}/ws`);
        await client.subscribe("fragile/1");
        return client;
      }),
    );
    const hubs = await Promise.all(
      Array.from(five, async () => {
        const client = await connectHub(`${relay.url}/hubs/fragile`);
        const odds = pushesOf(client, "OddsChanged");
        await client.invoke("JoinMatch", 1);
        return { client, odds };
      }),
    );
    expect((await ask(relay.url, "/topics/fragile/1")).status).toBe(200);

    const published = await origin.publish(1, 20);
    const all = run(published);
    for (const { events } of streams) expect(sequences(await events.take(20))).toEqual(all);
    for (const { messages } of sockets) expect(sequences(await messages.take(20))).toEqual(all);
    for (const { odds } of hubs) {
      expect(await odds.take(20)).toMatchObject(all.map((sequence) => [{ sequence }]));
    }

    const joinsTotal = before.joinsTotal + 1;
    const one = { connections: 1, connectionsTotal: 1, joins: { 1: 1 }, joinsTotal };
    expect(await origin.stats()).toMatchObject(one);
    const metrics = (await ask(relay.url, "/metrics")).text;
    expect(metrics).toMatch(/^keryx_clients\{transport="sse"\} 5$/m);
    expect(metrics).toMatch(/^keryx_clients\{transport="websocket"\} 5$/m);
    expect(metrics).toMatch(/^keryx_clients\{transport="signalr-websocket"\} 5$/m);
    expect(metrics).toMatch(/^keryx_topics\{hub="\/hubs\/fragile"\} 1$/m);

    // While one is left, or the topic lingers, the origin hears nothing.
    for (const client of [...streams, ...sockets]) client.close();
    await Promise.all(hubs.map(({ client }) => client.stop()));
    const late = await openWs(`${relay.url}/ws`);
    await late.subscribe("fragile/1");
    await eventually(
      () => ask(relay.url, "/metrics"),
      ({ text }) => /^keryx_clients\{transport="sse"\} 0$/m.test(text),
    );
    const { leavesTotal } = before;
    expect(await origin.stats()).toMatchObject({ ...one, leavesTotal });
    const since = Date.now();
    late.close();
    await eventually(origin.stats, (stats) => stats.leavesTotal === leavesTotal + 1);
    expect(Date.now() - since).toBeGreaterThan(LINGER_MS - 50);

    const again = await openWs(`${relay.url}/ws`);
    await again.subscribe("fragile/1");
    expect(await origin.stats()).toMatchObject({ connections: 1, joins: { 1: 2 } });
  });

  test("joins once when many come at the same moment", async ({ relay, fragile }) => {
    const hub = `${relay.url}/hubs/fragile`;
    await Promise.all([
      ...Array.from(five, async () => (await connectHub(hub)).invoke("JoinMatch", 2)),
      ...Array.from(five, async () => (await openWs(`${relay.url}/ws`)).subscribe("fragile/2")),
      ...Array.from(five, async () =>
        (await openSse(`${relay.url}/sse?topic=fragile/2`)).opening(),
      ),
    ]);
    expect(await fragile.origin.stats()).toMatchObject({ connections: 1, joins: { 2: 1 } });
  });
}
