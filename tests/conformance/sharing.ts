import { expect } from "vitest";
import { eventually } from "../support/eventually.ts";
import { ask } from "../support/http.ts";
import { readMetric, readSeries } from "../support/metrics.ts";
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
    for (const transport of ["sse", "websocket", "signalr-websocket"]) {
      await shown(relay.url, "keryx_clients", { transport }, 5);
    }
    const topics = await readSeries(relay.url, "keryx_topics");
    const shared = topics.filter(({ labels }) => labels.hub === "/hubs/fragile");
    expect(Math.max(...shared.map(({ value }) => value))).toBe(1); // of each isolate that has it

    // While one is left, or the topic lingers, the origin hears nothing.
    for (const client of [...streams, ...sockets]) client.close();
    await Promise.all(hubs.map(({ client }) => client.stop()));
    const late = await openWs(`${relay.url}/ws`);
    await late.subscribe("fragile/1");
    await shown(relay.url, "keryx_clients", { transport: "sse" }, 0);
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

  test("is joined by one of a client's own when it asks for what is its own", async ({
    relay,
    fragile,
  }) => {
    const { origin } = fragile;
    const connection = await connectHub(`${relay.url}/hubs/fragile`);
    await connection.invoke("JoinMatch", 6);
    expect(await origin.stats()).toMatchObject({ connections: 1 });
    const bet = { matchId: 6, marketId: "1x2", selectionId: "home", price: 1, stake: 1 };
    const receipt = await connection.invoke("PlaceBet", bet);
    expect(receipt).toMatchObject({ accepted: false, price: expect.any(Number) });
    expect(await origin.stats()).toMatchObject({ connections: 2, joins: { 6: 1 } });
    await shown(relay.url, "keryx_private_connections", {}, 1);
    await connection.stop();
    await eventually(origin.stats, ({ connections }) => connections === 1);
  });
}

/** Waits until a metric is this much: the relay notices only in a while who has gone. */
async function shown(
  url: string,
  name: string,
  labels: Readonly<Record<string, string>>,
  count: number,
): Promise<void> {
  await eventually(
    () => readMetric(url, name, labels),
    (value) => value === count,
  );
}
