/** An origin that comes back is not run over: joins are made once for each topic, a few at a time. */

import { expect, onTestFinished, test } from "vitest";
import { createRandom } from "../../app/demo/random.ts";
import { eventually } from "../support/eventually.ts";
import { readMetric } from "../support/metrics.ts";
import type { Runtime } from "../support/runtimes.ts";
import { startRelay } from "../support/spawned-relay.ts";
import { choose, onEachRuntime, printTotals, SEED } from "./form.ts";
import { startNumberingHub } from "./hub.ts";
import { configOf } from "./relay.ts";
import { createWanderer, type Wanderer } from "./wanderer.ts";
import { openWatcher, type Watcher } from "./watcher.ts";
import { createTally, createWitness } from "./witness.ts";

const CLIENTS = choose(1_000, 5_000);
const TOPICS = 200;
/** Of so many clients, one is of SignalR. It divides not the topics, so that all have some. */
const SIGNALR_EACH = 11;
/** Clients that are on their way in at one time. */
const CONNECTING = 100;
const JOINS_IN_FLIGHT = 8;
/** How long the origin takes for a join, ms. */
const JOIN_MS = 50;
/** How long the origin is away, ms. */
const OUTAGE_MS = 1_000;
const PATIENCE_MS = 60_000;

onEachRuntime((runtime) => {
  const title = `${CLIENTS} clients of ${TOPICS} topics stay while their origin restarts`;
  test(title, { timeout: 3 * PATIENCE_MS }, () => restart(runtime));
});

async function restart(runtime: Runtime): Promise<void> {
  const hub = await startNumberingHub({ joinMs: JOIN_MS });
  onTestFinished(hub.stop);
  const names = Array.from({ length: TOPICS }, (_, id) => `storm/${id}`);
  const upstream = { joinsInFlight: JOINS_IN_FLIGHT, backoffMinMs: 100, backoffMaxMs: 500 };
  const relay = await startRelay(
    runtime,
    configOf(hub.url, { storm: { history: { size: 10 } } }, { upstream }),
  );

  const tally = createTally();
  const random = createRandom(SEED);
  const plain: Wanderer[] = [];
  const stock: Watcher[] = [];
  onTestFinished(() => {
    for (const client of [...plain, ...stock]) client.stop();
  });
  function add(i: number): void {
    const topic = names[i % TOPICS] as string;
    if (i % SIGNALR_EACH === 0) {
      stock.push(openWatcher(relay.url, { transport: "signalr", topics: [topic] }));
      return;
    }
    const via = i % 2 === 0 ? "ws" : "sse";
    const witness = createWitness({ hub, tally, isStream: via === "sse", historySize: () => 10 });
    plain.push(createWanderer({ url: relay.url, via, topics: [topic], witness, tally, random }));
  }
  const areIn = () =>
    plain.every(({ witness }) => witness.isLive()) && stock.every(({ isOpen }) => isOpen);
  for (let i = 0; i < CLIENTS; ) {
    for (const end = Math.min(i + CONNECTING, CLIENTS); i < end; i++) add(i);
    await eventually(areIn, Boolean, PATIENCE_MS);
  }
  expect(hub.joins.total).toBe(TOPICS);
  await publishToAll();

  async function publishToAll(): Promise<void> {
    for (const name of names) hub.publish(name);
    await eventually(lagging, (count) => count === 0, PATIENCE_MS);
  }
  function lagging(): number {
    const late = stock.filter(({ number }, i) => number !== hub.number(topicOf(i))).length;
    return late + plain.filter(({ witness }) => !witness.isComplete()).length;
  }
  /** Of a SignalR client. */
  function topicOf(i: number): string {
    return names[(i * SIGNALR_EACH) % TOPICS] as string;
  }

  await hub.stop();
  await eventually(
    () => tally.stales,
    (stales) => stales === plain.length,
    PATIENCE_MS,
  );
  await new Promise((resolve) => setTimeout(resolve, OUTAGE_MS));
  for (const name of names) hub.publish(name); // which nobody hears
  const startedAt = performance.now();
  await hub.start();
  await eventually(
    () => plain.filter(({ witness }) => !witness.isComplete()).length,
    (count) => count === 0 && hub.joins.total >= TOPICS,
    PATIENCE_MS,
  );
  const liveAfterMs = Math.round(performance.now() - startedAt);
  await publishToAll();

  const { total, most } = hub.joins;
  printTotals(`storm on ${runtime.name}`, {
    clients: { plain: plain.length, signalr: stock.length },
    joins: total,
    mostJoinsOpen: most,
    liveAfterMs,
    ...tally,
  });
  // One for each topic, and all its places were used.
  expect({ total, most }).toEqual({ total: TOPICS, most: JOINS_IN_FLIGHT });
  expect(tally).toMatchObject({
    connections: plain.length,
    stales: plain.length,
    resets: new Map([
      ["new", plain.length],
      ["break", plain.length],
    ]),
    gaps: 0,
    duplicates: 0,
    oddities: 0,
    findings: [],
  });
  expect(stock.flatMap(({ findings }) => findings)).toEqual([]);
  expect(await readMetric(relay.url, "keryx_clients")).toBe(CLIENTS);
  await relay.program.stop();
}
