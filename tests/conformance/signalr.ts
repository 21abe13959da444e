import { HttpTransportType, HubConnectionState } from "@microsoft/signalr";
import { describe, expect } from "vitest";
import type { MatchState } from "../../app/demo/contract.ts";
import { eventually } from "../support/eventually.ts";
import { ask } from "../support/http.ts";
import { connectHub, openRawHub, pushesOf, refusalOf } from "../support/signalr-client.ts";
import { FLOOD_BYTES, flood, run, streamOf } from "./reading.ts";
import type { StagedTest } from "./stage.ts";

/** A stock client cannot tell the relay from the origin. */
export function signalr(test: StagedTest): void {
  const { WebSockets, ServerSentEvents, LongPolling } = HttpTransportType;
  test.for([
    { over: "WebSockets", transport: WebSockets },
    { over: "Server-Sent Events", transport: ServerSentEvents },
    { over: "long polling", transport: LongPolling },
  ])(
    "a client joins, hears, leaves, and hears no more, over $over",
    async ({ transport }, { relay, origin }) => {
      const connection = await connectHub(`${relay.url}/hubs/live`, { transport });
      const odds = pushesOf(connection, "OddsChanged");
      expect(await connection.invoke("JoinMatch", 12)).toBeNull();
      const published = await origin.publish(12, 50);
      const pushes = await odds.take(50);
      expect(pushes).toEqual(
        run(published).map((sequence) => [
          expect.objectContaining({ matchId: 12, marketId: "1x2", sequence }),
        ]),
      );
      await connection.invoke("JoinMatch", 13);
      expect(await connection.invoke("LeaveMatch", 12)).toBeNull();
      await origin.publish(12, 1);
      await origin.publish(13, 1);
      expect(await odds.next()).toEqual([expect.objectContaining({ matchId: 13 })]);
    },
  );

  test("joining twice is joining once", async ({ relay, origin }) => {
    const connection = await connectHub(`${relay.url}/hubs/live`);
    const odds = pushesOf(connection, "OddsChanged");
    await connection.invoke("JoinMatch", 14);
    await connection.invoke("JoinMatch", 14);
    const published = await origin.publish(14, 2);
    expect(await odds.take(2)).toMatchObject(run(published).map((sequence) => [{ sequence }]));
    await connection.invoke("LeaveMatch", 14);
    await connection.invoke("JoinMatch", 13);
    await origin.publish(14, 1);
    await origin.publish(13, 1);
    expect(await odds.next()).toMatchObject([{ matchId: 13 }]);
  });

  test("pushes arrive as the origin wrote them", async ({ relay, origin, puppet }) => {
    const direct = await openRawHub(origin.hub);
    const relayed = await openRawHub(`${relay.url}/hubs/live`);
    for (const client of [direct, relayed]) {
      client.send({ protocol: "json", version: 1 });
      expect(await client.records.next()).toBe("{}");
      client.send({ type: 1, invocationId: "j", target: "JoinMatch", arguments: [15] });
      expect(JSON.parse(await client.records.next())).toEqual({
        type: 3,
        invocationId: "j",
        result: null,
      });
    }
    await origin.publish(15, 1);
    expect(await relayed.records.next()).toBe(await direct.records.next());

    const reader = await openRawHub(`${relay.url}/hubs/puppet`);
    reader.send({ protocol: "json", version: 1 });
    reader.send({ type: 1, invocationId: "j", target: "JoinNote", arguments: ["raw"] });
    await reader.records.take(2);
    const args = '[{ "id":"raw","price":1.10,"big":12345678901234567890 }]';
    puppet.push("Note", args);
    expect(await reader.records.next()).toContain(args);
  });

  test("a call that waits for no answer gets none", async ({ relay, puppet }) => {
    const client = await openRawHub(`${relay.url}/hubs/puppet`);
    client.send({ protocol: "json", version: 1 });
    client.send(
      { type: 1, target: "JoinNote", arguments: ["quiet"] },
      { type: 1, target: "NoSuchMethod", arguments: [] },
      { type: 1, invocationId: "r", target: "Read", arguments: ["quiet"] },
    );
    expect(await client.records.next()).toBe("{}");
    expect(JSON.parse(await client.records.next())).toEqual({
      type: 3,
      invocationId: "r",
      result: { read: "quiet" },
    });
    puppet.push("Note", '[{"id":"quiet"}]');
    expect(JSON.parse(await client.records.next())).toMatchObject({ type: 1, target: "Note" });
  });

  test("a stream gives its items until it is cancelled", async ({ relay, puppet }) => {
    const connection = await connectHub(`${relay.url}/hubs/puppet`);
    const items: unknown[] = [];
    const two = new Promise<void>((resolve, reject) => {
      const subscription = connection.stream("Lines", "client").subscribe({
        next(item) {
          if (items.push(item) < 2) return;
          subscription.dispose();
          resolve();
        },
        error: reject,
        complete: () => reject(new Error("Completed before it was cancelled")),
      });
    });
    const { invocationId } = await streamOf(puppet, "client");
    for (const item of ['{"a":1}', '"b"', '"after"']) {
      puppet.send(`{"type":2,"invocationId":"${invocationId}","item":${item}}`);
    }
    await two;
    const cancel = (await puppet.calls.until(({ type }) => type === 5)).at(-1);
    expect(cancel).toMatchObject({ invocationId });
    expect(items).toEqual([{ a: 1 }, "b"]);
  });

  test("a stream that the origin ends is completed, with its error", async ({ relay, puppet }) => {
    const connection = await connectHub(`${relay.url}/hubs/puppet`);
    const end = new Promise<unknown>((resolve) => {
      const complete = () => resolve("complete");
      connection.stream("Lines", "ended").subscribe({ next() {}, error: resolve, complete });
    });
    const { invocationId } = await streamOf(puppet, "ended");
    puppet.send(`{"type":3,"invocationId":"${invocationId}","error":"Rain"}`);
    expect(await end).toEqual(new Error("Rain"));
  });

  test("one stream upstream serves all who ask for it, and ends with the last", async ({
    relay,
    origin,
  }) => {
    const clients = await Promise.all([1, 2, 3].map(() => connectHub(`${relay.url}/hubs/live`)));
    const streams = clients.map((client) =>
      client.stream("Ticker", "tennis").subscribe({ next() {}, error() {}, complete() {} }),
    );
    const [last] = streams;
    const running = async () => (await origin.stats()).streams;
    await eventually(running, (count) => count === 1);
    for (const stream of streams.slice(1)) stream.dispose();
    for (const client of clients) await client.invoke("GetMatch", 1);
    expect(await running()).toBe(1);
    last?.dispose();
    await eventually(running, (count) => count === 0);
  });

  test("a shared call is answered to everybody, and asked once", async ({ relay, fragile }) => {
    const { origin } = fragile;
    const clients = await Promise.all(
      Array.from({ length: 10 }, () => connectHub(`${relay.url}/hubs/fragile`)),
    );
    const asked = async () => (await origin.stats()).calls.GetMatch ?? 0;
    const before = await asked();
    const answers = await Promise.all(
      clients.map((client) => client.invoke<MatchState>("GetMatch", 20)),
    );
    expect(answers[0]).toMatchObject({ matchId: 20 });
    for (const answer of answers) expect(answer).toEqual(answers[0]);
    expect(await asked()).toBe(before + 1);
    await clients[0]?.invoke("GetMatch", 19);
    expect(await asked()).toBe(before + 2);
  });

  describe("what the origin refuses is refused in its words", () => {
    const calls: [method: string, ...args: unknown[]][] = [
      ["JoinMatch", 999],
      ["GetMatch", 999],
      ["NoSuchMethod", 1],
    ];
    test.for(calls)("%s(%s)", async ([method, ...args], { relay, origin }) => {
      const [direct, relayed] = await Promise.all([
        connectHub(origin.hub),
        connectHub(`${relay.url}/hubs/live`),
      ]);
      const text = await refusalOf(relayed.invoke(method, ...args));
      expect(text).toContain("HubException");
      expect(text).toBe(await refusalOf(direct.invoke(method, ...args)));
      expect(relayed.state).toBe(HubConnectionState.Connected);
    });

    test("Ticker(curling)", async ({ relay, origin }) => {
      const [direct, relayed] = await Promise.all(
        [origin.hub, `${relay.url}/hubs/live`].map(async (url) => {
          const stream = (await connectHub(url)).stream("Ticker", "curling");
          return refusalOf(
            new Promise((resolve, reject) => {
              stream.subscribe({
                next: resolve,
                error: reject,
                complete: () => resolve(undefined),
              });
            }),
          );
        }),
      );
      expect(relayed).toContain("curling");
      expect(relayed).toBe(direct);
    });
  });

  test("paths and methods are found whatever their case", async ({ relay, origin }) => {
    const connection = await connectHub(`${relay.url}/Hubs/LIVE`);
    const odds = pushesOf(connection, "OddsChanged");
    await connection.invoke("joinmatch", 16);
    await origin.publish(16, 1);
    expect(await odds.next()).toMatchObject([{ matchId: 16 }]);
  });

  test("the negotiation may be skipped", async ({ relay, origin }) => {
    const connection = await connectHub(`${relay.url}/hubs/live`, { skipNegotiation: true });
    const odds = pushesOf(connection, "OddsChanged");
    await connection.invoke("JoinMatch", 17);
    await origin.publish(17, 1);
    expect(await odds.next()).toMatchObject([{ matchId: 17 }]);
  });

  test("negotiate offers the transports in both versions", async ({ relay }) => {
    const post = async (query: string) =>
      (await ask(relay.url, `/hubs/live/negotiate${query}`, { method: "POST" })).json();
    const id = expect.stringMatching(/^[\w-]{16,}$/);
    const both = ["Text", "Binary"];
    const availableTransports = [
      { transport: "WebSockets", transferFormats: both },
      { transport: "ServerSentEvents", transferFormats: ["Text"] },
      { transport: "LongPolling", transferFormats: both },
    ];
    expect(await post("?negotiateVersion=1")).toMatchObject({
      negotiateVersion: 1,
      connectionId: id,
      connectionToken: id,
      availableTransports,
    });
    const old = await post("");
    expect(old).toMatchObject({ negotiateVersion: 0, connectionId: id, availableTransports });
    expect(old).not.toHaveProperty("connectionToken");
    expect(await post("?NegotiateVersion=x")).toEqual({ error: expect.any(String) });
    expect((await ask(relay.url, "/hubs/live/negotiate")).status).toBe(405);
  });

  test("pings keep a quiet connection alive", async ({ relay }) => {
    const client = await openRawHub(`${relay.url}/hubs/live`);
    client.send({ protocol: "json", version: 1 });
    expect(await client.records.next()).toBe("{}");
    await client.pings.take(3);
  });

  describe("bad input ends one connection", () => {
    const handshakes: [name: string, record: string, reply: RegExp][] = [
      ["an unknown protocol", '{"protocol":"morse","version":1}', /'morse' is not supported/],
      ["a later version", '{"protocol":"json","version":9}', /does not support version 9/],
      ["no handshake", '{"type":6}', /"error"/],
      ["half of one", '{"protocol":', /"error"/],
    ];
    test.for(handshakes)("in the handshake: %s", async ([, record, reply], { relay }) => {
      const client = await openRawHub(`${relay.url}/hubs/live`);
      client.send(record);
      expect(await client.records.next()).toMatch(reply);
      await client.closed;
    });

    test("when the handshake does not come", async ({ relay }) => {
      const client = await openRawHub(`${relay.url}/hubs/live`);
      await client.closed;
    });

    const messages: [name: string, record: string][] = [
      ["not JSON", "nonsense"],
      ["no target", '{"type":1,"arguments":[]}'],
      ["arguments that are none", '{"type":1,"target":"JoinMatch","arguments":7}'],
      ["more than 32 KiB", `{"type":6,"x":"${"x".repeat(40_000)}"}`],
    ];
    test.for(messages)("after it: %s", async ([, record], { relay, origin }) => {
      const witness = await connectHub(`${relay.url}/hubs/live`);
      const odds = pushesOf(witness, "OddsChanged");
      await witness.invoke("JoinMatch", 18);
      const client = await openRawHub(`${relay.url}/hubs/live`);
      client.send({ protocol: "json", version: 1 }, record);
      expect(await client.records.next()).toBe("{}");
      expect(JSON.parse(await client.records.next())).toMatchObject({ type: 7 });
      await client.closed;
      await origin.publish(18, 1);
      expect(await odds.next()).toMatchObject([{ matchId: 18 }]);
    });
  });

  test("who does not read is cut off, and nobody else waits", { timeout: 30_000 }, async ({
    relay,
    puppet,
  }) => {
    const stuck = await openRawHub(`${relay.url}/hubs/puppet`);
    const reader = await openRawHub(`${relay.url}/hubs/puppet`);
    for (const client of [stuck, reader]) {
      client.send({ protocol: "json", version: 1 });
      client.send({ type: 1, invocationId: "j", target: "JoinNote", arguments: ["stream"] });
      await client.records.take(2);
    }
    stuck.pause();
    await flood(puppet, "stream", reader.records);
    stuck.resume();
    await stuck.closed;
    const { waiting } = stuck.records;
    expect(JSON.parse(waiting.at(-1) ?? "")).toMatchObject({ type: 7, allowReconnect: true });
    expect(waiting.join("").length).toBeLessThan(FLOOD_BYTES);
  });
}
