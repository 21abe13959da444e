/** Thousands of stock clients are two connections to the origin: one in each hub protocol. */

import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ConfigInput } from "../../app/config.ts";
import { demoConfig } from "../../app/demo/config.ts";
import { createInbox, type Inbox } from "../support/inbox.ts";
import { readMetric } from "../support/metrics.ts";
import { declareWith } from "../support/needs.ts";
import { embeddedOrigin, type Origin, type StartOrigin } from "../support/origins.ts";
import { cutPacked, printPacked } from "../support/packed.ts";
import { findRuntime, type RuntimeName } from "../support/runtimes.ts";
import { openRawHub, RECORD_SEPARATOR } from "../support/signalr-client.ts";
import { killAll, type Program, startProgram } from "../support/spawn.ts";
import { type SpawnedRelay, startRelay } from "../support/spawned-relay.ts";
import { connectSocket } from "../support/ws-client.ts";

const RELAYS: readonly RuntimeName[] = ["bun", "deno", "node"];
const CROWD = fileURLToPath(new URL("../support/crowd-client.mjs", import.meta.url));

/** Clients of each hub protocol. */
const CLIENTS = 1_000;
const MATCH = 7;
const PUSHES = 40;
/** Pushes that go out in one tick of the origin. */
const BURST = 4;
const CALLS_PER_CLIENT = 10;
const CALL_TTL_MS = 500;

declareWith("bun", findRuntime("bun"), (bun) => {
  afterAll(killAll);
  for (const name of RELAYS) {
    describe(`a relay on ${name}`, () => declareRelay(name, embeddedOrigin(bun)));
  }
});

function declareRelay(name: RuntimeName, startOrigin: StartOrigin): void {
  declareWith(name, findRuntime(name), (runtime) => {
    let origin: Origin;
    let relay: SpawnedRelay;
    let url: string;
    beforeAll(async () => {
      origin = await startOrigin();
      relay = await startRelay(runtime, configOf(origin.hub));
      url = `${relay.url}/hubs/live`;
    });
    afterAll(() => relay.program.stop());

    test(`${2 * CLIENTS} clients cost two connections and two joins, and all hear the same`, async () => {
      const relayed = await Promise.all(
        ["json", "messagepack"].map((protocol) =>
          startCrowd(url, protocol, CLIENTS, "hear", PUSHES),
        ),
      );
      expect(await origin.stats()).toMatchObject({
        connections: 2,
        joins: { [MATCH]: 2 },
        joinsTotal: 2,
      });
      expect(await readMetric(relay.url, "keryx_private_connections")).toBe(0);

      const direct = await Promise.all(
        ["json", "messagepack"].map((protocol) =>
          startCrowd(origin.hub, protocol, 1, "hear", PUSHES),
        ),
      );
      const bare = await Promise.all([
        hearJson(origin.hub),
        hearJson(url),
        hearPacked(origin.hub),
        hearPacked(url),
      ]);
      for (let sent = 0; sent < PUSHES; sent += BURST) await origin.publish(MATCH, BURST);
      const [json, relayedJson, packed, relayedPacked] = await Promise.all(
        bare.map((records) => records.take(PUSHES)),
      );
      expect(relayedJson).toEqual(json);
      expect(relayedPacked).toEqual(packed);
      for (const [i, crowd] of relayed.entries()) {
        const { hashes } = (await seenBy(crowd)) as { hashes: string[] };
        expect(hashes).toHaveLength(1);
        expect({ hashes }).toEqual(await seenBy(direct[i] as Program));
      }
    });

    test(`${CLIENTS * CALLS_PER_CLIENT} calls of a shared method at once are one in ttlMs`, async () => {
      const crowd = await startCrowd(url, "json", CLIENTS, "call", CALLS_PER_CLIENT);
      const { answers, matches, elapsedMs } = (await seenBy(crowd)) as {
        answers: number;
        matches: number[];
        elapsedMs: number;
      };
      expect(answers).toBe(CLIENTS * CALLS_PER_CLIENT);
      expect(matches).toEqual([MATCH]);
      const { calls } = await origin.stats();
      expect(calls.GetMatch).toBeGreaterThanOrEqual(1);
      expect(calls.GetMatch).toBeLessThanOrEqual(1 + Math.floor(elapsedMs / CALL_TTL_MS));
    });
  });
}

function configOf(hub: string): ConfigInput {
  const { "/hubs/live": demo } = demoConfig(hub).hubs;
  if (!demo) throw new Error("The demo has no hub");
  const match = demo.topics?.["match/{id}"];
  return {
    hubs: {
      "/hubs/live": {
        ...demo,
        // Without a snapshot, all calls of GetMatch are those of clients.
        topics: { "match/{id}": { ...match, snapshot: undefined } },
        calls: { GetMatch: { share: true, ttlMs: CALL_TTL_MS } },
      },
    },
  };
}

/** Many clients in a process of their own; it is waited for until they have joined. */
function startCrowd(
  url: string,
  protocol: string,
  clients: number,
  what: "hear" | "call",
  count: number,
): Promise<Program> {
  const args = [url, protocol, clients, MATCH, what, count].map(String);
  return startProgram([process.execPath, CROWD, ...args], { ready: /^joined$/m });
}

/** What they saw, once they have ended. */
async function seenBy(crowd: Program): Promise<unknown> {
  const { code } = await crowd.exited;
  const [, seen] = /^seen (.*)$/m.exec(crowd.output()) ?? [];
  if (code !== 0 || seen === undefined)
    throw new Error(`They ended with ${code}: ${crowd.output()}`);
  return JSON.parse(seen);
}

/** The pushes of the match as they stand on the wire. */
async function hearJson(url: string): Promise<Inbox<string>> {
  const client = await openRawHub(url);
  client.send(
    { protocol: "json", version: 1 },
    { type: 1, invocationId: "j", target: "JoinMatch", arguments: [MATCH] },
  );
  await client.records.take(2);
  return client.records;
}

/** The same in MessagePack, in hexadecimal digits. */
async function hearPacked(url: string): Promise<Inbox<string>> {
  const socket = await connectSocket(url);
  const records = createInbox<string>();
  const joined = new Promise<void>((resolve) => {
    socket.on("message", (data: Buffer) => {
      if (String(data) === `{}${RECORD_SEPARATOR}`) return; // the handshake's answer
      for (const record of cutPacked(data)) {
        if (record[1] === COMPLETION) resolve();
        else if (record[1] === INVOCATION) records.push(record.toString("hex"));
      }
    });
  });
  socket.send(`{"protocol":"messagepack","version":1}${RECORD_SEPARATOR}`);
  socket.send(printPacked([INVOCATION, {}, "j", "JoinMatch", [MATCH]]));
  await joined;
  return records;
}

const INVOCATION = 1;
const COMPLETION = 3;
