/** A relay below is told by its connection's end what SignalR has no words for. */

import { describe, expect, test } from "vitest";
import { createHubReceiver } from "../../lib/downstream/hub.ts";
import { PROTOCOLS } from "../../lib/downstream/hub-format.ts";
import { serveSignalR } from "../../lib/downstream/signalr.ts";
import { createSetting, type Setting } from "../support/context.ts";
import { createSink } from "../support/sink.ts";

const RS = "\u001e";
const CUT = '{"type":7,"error":"The origin is away","allowReconnect":true}';

function setUp(): Setting {
  const params = { id: "integer" } as const;
  return createSetting(
    {
      "match/{id}": {
        params,
        join: { method: "JoinMatch", args: ["{id}"] },
        leave: { method: "LeaveMatch", args: ["{id}"] },
        events: { Odds: "match/{0.id}" },
        slow: "conflate",
      },
      "ticker/{sport}": { stream: { method: "Ticker", args: ["{sport}"] }, slow: "conflate" },
    },
    { calls: { GetMatch: { share: true, ttlMs: 250 } }, queue: { conflateBytes: 1_000 } },
  );
}

/** A client of the JSON hub protocol, after its handshake. */
function connect(setting: Setting, isBelow: boolean) {
  const { context, relay } = setting;
  const [hub] = relay.hubs.values();
  if (!hub) throw new Error("The relay has one");
  const sink = createSink();
  const receiver = createHubReceiver(
    {
      transport: { kind: "websocket", sink, wrap: (messages) => messages, close() {} },
      serving: {
        open: (connection) => serveSignalR(context, hub, undefined, connection, { isBelow }),
      },
    },
    {
      protocols: Object.values(PROTOCOLS),
      wheel: context.wheel,
      now: context.clock.now,
      limits: {
        handshakeTimeoutMs: 15_000,
        keepAliveMs: 60_000,
        clientTimeoutMs: 120_000,
        messageBytes: 32_768,
      },
    },
  );
  receiver.receive(`{"protocol":"json","version":1}${RS}`);
  sink.take();
  return {
    sink,
    call(type: 1 | 4, invocationId: string, target: string, ...args: unknown[]) {
      receiver.receive(JSON.stringify({ type, invocationId, target, arguments: args }) + RS);
    },
    /** Records since the last time, after everything has happened. */
    async take(): Promise<string[]> {
      await setting.settle();
      return sink.take().flatMap((frame) => frame.split(RS).slice(0, -1));
    },
  };
}

async function joined(setting: Setting, isBelow: boolean) {
  const client = connect(setting, isBelow);
  client.call(1, "join", "JoinMatch", 42);
  setting.source.accept("match/42");
  expect(await client.take()).toEqual(['{"type":3,"invocationId":"join","result":null}']);
  return client;
}

describe("a relay below", () => {
  test("is cut when the origin is lost, and other clients are not", async () => {
    const setting = setUp();
    const relay = await joined(setting, true);
    const client = connect(setting, false);
    client.call(1, "j", "JoinMatch", 42);
    await client.take();
    setting.source.push("Odds", { id: 42 });
    const push = '{"type":1,"target":"Odds","arguments":[{"id":42}]}';
    expect([await relay.take(), await client.take()]).toEqual([[push], [push]]);
    setting.source.drop();
    expect([await relay.take(), await client.take()]).toEqual([[CUT], []]);
  });

  test("is cut when a stream of its own is lost", async () => {
    const setting = setUp();
    const relay = connect(setting, true);
    relay.call(4, "s", "Ticker", "tennis");
    setting.source.accept("ticker/tennis");
    setting.source.item("ticker/tennis", 1);
    expect(await relay.take()).toEqual(['{"type":2,"invocationId":"s","item":1}']);
    setting.source.drop();
    expect(await relay.take()).toEqual([CUT]);
  });

  test("has not joined before nothing is missing any more", async () => {
    const setting = setUp();
    await joined(setting, false);
    setting.source.drop();
    setting.source.connect();
    const [relay, client] = [connect(setting, true), connect(setting, false)];
    for (const one of [relay, client]) one.call(1, "j", "JoinMatch", 42);
    const answer = '{"type":3,"invocationId":"j","result":null}';
    expect([await relay.take(), await client.take()]).toEqual([[], [answer]]);
    setting.source.accept("match/42");
    setting.clock.advance(100);
    setting.source.push("Odds", { id: 42 });
    expect(await relay.take()).toEqual([
      answer,
      '{"type":1,"target":"Odds","arguments":[{"id":42}]}',
    ]);
  });

  test("is refused what the origin refuses after a break", async () => {
    const setting = setUp();
    await joined(setting, false);
    setting.source.drop();
    setting.source.connect();
    const relay = connect(setting, true);
    relay.call(1, "j", "JoinMatch", 42);
    await relay.take();
    setting.source.end("match/42", "rejected", "Not today");
    setting.clock.advance(100);
    await setting.settle();
    setting.source.end("match/42", "rejected", "Not today");
    expect(await relay.take()).toEqual(['{"type":3,"invocationId":"j","error":"Not today"}']);
  });

  test("is cut, not refused, while the origin cannot be asked", async () => {
    const setting = setUp();
    setting.source.drop();
    const [relay, client] = [connect(setting, true), connect(setting, false)];
    for (const one of [relay, client]) one.call(1, "c", "GetMatch", 42);
    expect(await relay.take()).toEqual([CUT]);
    expect(await client.take()).toEqual([expect.stringContaining('"error":"An unexpected error')]);
  });

  test("is never answered with what was asked for before", async () => {
    const setting = setUp();
    const [relay, client] = [connect(setting, true), connect(setting, false)];
    for (const one of [client, relay, client]) one.call(1, "c", "GetMatch", 42);
    await setting.settle();
    expect(setting.source.questions.map(({ call }) => call)).toEqual([
      "GetMatch[42]",
      "GetMatch[42]",
    ]);
  });

  test("is cut when it would be given the newest alone", async () => {
    const setting = setUp();
    const relay = await joined(setting, true);
    relay.sink.bufferedBytes = 2_000;
    setting.source.push("Odds", { id: 42, price: 1 });
    await setting.settle();
    setting.source.push("Odds", { id: 42, price: 2 });
    setting.source.push("Odds", { id: 42, price: 3 });
    await setting.settle();
    relay.sink.take();
    relay.sink.bufferedBytes = 0;
    setting.clock.advance(1_000);
    expect((await relay.take()).at(0)).toBe(CUT);
  });
});
