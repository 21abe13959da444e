/**
 * Stateful reconnect: a stock client whose network breaks goes on as if nothing had been, and one
 * that comes too late begins anew.
 */

import { fileURLToPath } from "node:url";
import {
  HttpTransportType,
  type HubConnection,
  HubConnectionBuilder,
  HubConnectionState,
  type IHubProtocol,
  JsonHubProtocol,
  LogLevel,
} from "@microsoft/signalr";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import type { ConfigInput } from "../../app/config.ts";
import { demoConfig } from "../../app/demo/config.ts";
import { eventually } from "../support/eventually.ts";
import { openLossyWire } from "../support/lossy-wire.ts";
import { readMetric } from "../support/metrics.ts";
import { declareWith } from "../support/needs.ts";
import { embeddedOrigin, type Origin } from "../support/origins.ts";
import { findRuntime, type Runtime, type RuntimeName } from "../support/runtimes.ts";
import { killAll, startProgram } from "../support/spawn.ts";
import { type SpawnedRelay, startRelay } from "../support/spawned-relay.ts";
import { openWire } from "../support/tcp-proxy.ts";

const RELAYS: readonly RuntimeName[] = ["bun", "deno", "node"];
const PROTOCOLS: Readonly<Record<string, () => IHubProtocol>> = {
  json: () => new JsonHubProtocol(),
  messagepack: () => new MessagePackHubProtocol(),
};
const CLIENT = fileURLToPath(new URL("../support/stateful-client.mjs", import.meta.url));

const CUTS = 20;
/** How long the relay waits for a client that has lost its socket, ms. */
const DISCONNECT_TIMEOUT_MS = 1_000;
/** How long it waits for the old socket of a client that has come back, ms. */
const CLOSE_TIMEOUT_MS = 300;

// A client that has lost something waits for it forever.
vi.setConfig({ testTimeout: 30_000 });

declareWith("bun", findRuntime("bun"), (bun) => {
  let origin: Origin;
  beforeAll(async () => {
    origin = await embeddedOrigin(bun)();
  });
  afterAll(killAll);
  for (const name of RELAYS) {
    describe(`a relay on ${name}`, () => {
      declareWith(name, findRuntime(name), (runtime) => {
        for (const protocol of Object.keys(PROTOCOLS)) {
          describe(`in ${protocol}`, () => declareRelay(runtime, protocol, () => origin));
        }
      });
    });
  }
});

function declareRelay(runtime: Runtime, protocol: string, origin: () => Origin): void {
  let relay: SpawnedRelay;
  beforeAll(async () => {
    relay = await startRelay(runtime, configOf(origin()));
  });
  afterAll(() => relay.program.stop());

  test(`${CUTS} cuts under load lose nothing, double nothing, and are not noticed`, async () => {
    const wire = await openWire(relay.url);
    const { client, events } = await connect(`${wire.url}/hubs/live`, protocol);
    const { connectionId } = client;
    const heard: number[] = [];
    client.on("OddsChanged", ({ sequence }: { sequence: number }) => heard.push(sequence));
    await client.invoke("JoinMatch", 1);
    const callsBefore = (await origin().stats()).calls.PlaceBet ?? 0;

    let busy = true;
    const published: number[] = [];
    let answered = 0;
    const publish = async () => {
      while (busy) {
        const { first, last } = await origin().publish(1, 5);
        for (let sequence = first; sequence <= last; sequence++) published.push(sequence);
      }
    };
    const call = async () => {
      while (busy) {
        expect(await client.invoke("PlaceBet", BET)).toMatchObject({ accepted: false });
        answered++;
      }
    };
    const work = Promise.all([publish(), call(), call(), call(), call()]);
    work.catch(() => {}); // awaited after the cuts
    onTestFinished(() => {
      busy = false;
    });
    for (let cut = 0; cut < CUTS; cut++) {
      const before = { heard: heard.length, answered };
      await eventually(
        () => heard.length > before.heard + 10 && answered > before.answered + 4,
        (isBusy) => isBusy,
      );
      wire.cut();
    }
    busy = false;
    await work;
    await eventually(
      () => heard.length,
      (count) => count >= published.length,
    );
    expect(heard).toEqual(published);
    expect((await origin().stats()).calls.PlaceBet).toBe(callsBefore + answered);
    expect(client.connectionId).toBe(connectionId);
    expect(events).toEqual([]);
    expect(wire.connections).toBeGreaterThan(CUTS);
  });

  test("what is pushed while it is away is there when it comes back", async () => {
    const wire = await openLossyWire(relay.url);
    const { client, events } = await connect(`${wire.url}/hubs/live`, protocol);
    const heard: number[] = [];
    client.on("OddsChanged", ({ sequence }: { sequence: number }) => heard.push(sequence));
    await client.invoke("JoinMatch", 2);
    const { first } = await origin().publish(2, 1);
    wire.hold();
    const { last } = await origin().publish(2, 100);
    const receipt = client.invoke("PlaceBet", BET);
    wire.release();
    expect(await receipt).toMatchObject({ accepted: false });
    await eventually(
      () => heard.at(-1),
      (sequence) => sequence === last,
    );
    expect(heard).toEqual(Array.from({ length: last - first + 1 }, (_, i) => first + i));
    expect(events).toEqual([]);
  });

  test("a client whose old socket is still there to the relay gets the new one", async () => {
    const wire = await openLossyWire(relay.url);
    const { client, events } = await connect(`${wire.url}/hubs/live`, protocol);
    const { connectionId } = client;
    expect(await client.invoke("PlaceBet", BET)).toMatchObject({ accepted: false });
    wire.strand();
    expect(await client.invoke("PlaceBet", BET)).toMatchObject({ accepted: false });
    expect(client.connectionId).toBe(connectionId);
    expect(events).toEqual([]);
  });

  test("a client that comes back too late begins anew", async () => {
    const wire = await openLossyWire(relay.url);
    const { client, events } = await connect(`${wire.url}/hubs/live`, protocol);
    const { connectionId } = client;
    wire.hold();
    await eventually(
      () => readMetric(relay.url, "keryx_clients"),
      (count) => count === 0,
    );
    const back = new Promise((resolve) => client.onreconnected(resolve));
    wire.release();
    expect(await back).not.toBe(connectionId);
    expect(events).toEqual(["reconnecting", "reconnected"]);
    expect(client.state).toBe(HubConnectionState.Connected);
    expect(await client.invoke("PlaceBet", BET)).toMatchObject({ accepted: false });
  });

  test("a client that is sent away and invited back does not try its old connection", async () => {
    const { client, events } = await connect(`${relay.url}/hubs/live`, protocol);
    const { connectionId } = client;
    const back = new Promise((resolve) => client.onreconnected(resolve));
    // More than a message may have.
    client.send("PlaceBet", "x".repeat(40_000)).catch(() => {}); // it may be cut while it is sent
    expect(await back).not.toBe(connectionId);
    expect(await client.invoke("PlaceBet", BET)).toMatchObject({ accepted: false });
    expect(events).toEqual(["reconnecting", "reconnected"]);
  });

  test("a relay that drains does not crash a Node client", async () => {
    const relay = await startRelay(runtime, { ...configOf(origin()), drainMs: 100 });
    const program = await startProgram(
      [process.execPath, CLIENT, `${relay.url}/hubs/live`, protocol],
      { ready: /^connected$/m },
    );
    await relay.program.stop();
    const { code } = await program.exited;
    expect(program.output()).toMatch(
      /^connected\nreconnecting\n(reconnected\nreconnecting\n)?closed\n$/,
    );
    expect(code).toBe(0);
  });
}

/** At a price that nobody has: it is answered, and changes nothing. */
const BET = { matchId: 1, marketId: "1x2", selectionId: "home", price: 1, stake: 1 };

interface Connected {
  readonly client: HubConnection;
  /** What its user was told of the connection. */
  readonly events: string[];
}

async function connect(url: string, protocol: string): Promise<Connected> {
  const hubProtocol = PROTOCOLS[protocol]?.() ?? new JsonHubProtocol();
  const client = new HubConnectionBuilder()
    .withUrl(url, { transport: HttpTransportType.WebSockets })
    .withHubProtocol(hubProtocol)
    .withStatefulReconnect()
    .withAutomaticReconnect()
    .configureLogging(LogLevel.None)
    .build();
  const events: string[] = [];
  client.onreconnecting(() => events.push("reconnecting"));
  client.onreconnected(() => events.push("reconnected"));
  client.onclose(() => events.push("closed"));
  onTestFinished(() => client.stop());
  await client.start();
  return { client, events };
}

function configOf({ hub }: Origin): ConfigInput {
  return {
    ...demoConfig(hub),
    // More than a load without pauses brings in the second from one ack to the next.
    limits: { queueBytes: 64 * 1024 * 1024 },
    signalr: {
      disconnectTimeoutMs: DISCONNECT_TIMEOUT_MS,
      closeTimeoutMs: CLOSE_TIMEOUT_MS,
    },
  };
}
