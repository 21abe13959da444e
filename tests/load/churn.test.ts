/** Clients that come and go, and topics with them, leave nothing behind in the relay's memory. */

import { expect, onTestFinished, test } from "vitest";
import { createRandom } from "../../app/demo/random.ts";
import { eventually } from "../support/eventually.ts";
import { readMetric } from "../support/metrics.ts";
import type { Runtime } from "../support/runtimes.ts";
import { startRelay } from "../support/spawned-relay.ts";
import { choose, onEachRuntime, printTotals, SEED } from "./form.ts";
import { startNumberingHub } from "./hub.ts";
import { type Memory, watchMemory, withProbe } from "./memory.ts";
import { publishSteadily } from "./publisher.ts";
import { configOf } from "./relay.ts";
import { createWanderer } from "./wanderer.ts";
import { createTally, createWitness } from "./witness.ts";

const CLIENTS = choose(300, 1_000);
/** Time in which heaps and caches find their size, ms. */
const WARMUP_MS = choose(8_000, 60_000);
/** Memory is the mean of the samples of such a time; the first and the last are compared, ms. */
const WINDOW_MS = choose(10_000, 60_000);
const DURATION_MS = choose(28_000, 600_000);
const SAMPLE_MS = choose(1_000, 5_000);
/** What may be added between the two. */
const MAX_GROWTH = choose(0.25, 0.05);
const PER_SECOND = 50;
/** Mean time of a client on a connection and between two: each second 40 or 15 % come and go. */
const STAY_MS = choose(2_000, 6_000);
const AWAY_MS = 500;
/** Topics that many watch. Of the rare ones there is a new one for each client that wants another. */
const CROWDED = 20;
const RARE = 1_000_000;
/** What goes to the rare ones. */
const RARE_SHARE = 0.2;
/** Topics that the relay takes: this bounds what it keeps of answers, too, and is soon reached. */
const MAX_TOPICS = choose(500, 1_500);
const HISTORY = { crowd: 500, rare: 20 } as const;
/** Histories are as full as they get before the first look, ms; nobody is away for half as long. */
const HISTORY_MS = WARMUP_MS / 2;
const PATIENCE_MS = 30_000;

onEachRuntime((runtime) => {
  const title = `does not grow while ${CLIENTS} clients come and go for ${DURATION_MS / 1000} s`;
  test(title, { timeout: DURATION_MS + 3 * PATIENCE_MS }, () => churn(runtime));
});

async function churn(runtime: Runtime): Promise<void> {
  const random = createRandom(SEED);
  const hub = await startNumberingHub();
  onTestFinished(hub.stop);
  const kindOf = (size: number) => ({ history: { size, ttlMs: HISTORY_MS }, lingerMs: 500 });
  const kinds = { crowd: kindOf(HISTORY.crowd), rare: kindOf(HISTORY.rare) };
  const limits = { topics: MAX_TOPICS };
  const relay = await startRelay(withProbe(runtime), configOf(hub.url, kinds, { limits }));

  const tally = createTally();
  const wanderers = Array.from({ length: CLIENTS }, (_, i) => {
    const via = i % 2 === 0 ? "ws" : "sse";
    const witness = createWitness({
      hub,
      tally,
      isStream: via === "sse",
      historySize: (topic) => (topic.startsWith("crowd") ? HISTORY.crowd : HISTORY.rare),
    });
    const rare = () => `rare/${random.integer(1, RARE)}`;
    return createWanderer({
      url: relay.url,
      via,
      topics: [`crowd/${i % CROWDED}`, rare()],
      witness,
      tally,
      random,
      cuts: Number.POSITIVE_INFINITY,
      stayMs: STAY_MS,
      awayMs: AWAY_MS,
      change: rare,
    });
  });
  onTestFinished(() => {
    for (const wanderer of wanderers) wanderer.stop();
  });

  const startedAt = performance.now();
  const elapsed = () => performance.now() - startedAt;
  const publishing = publishSteadily(hub, {
    perSecond: PER_SECOND,
    isOver: () => elapsed() > DURATION_MS,
    pick() {
      const { topics } = random.pick(wanderers);
      return (random.chance(RARE_SHARE) ? topics[1] : topics[0]) as string; // each has two
    },
  });
  await pause(WARMUP_MS);
  const sample = watchMemory(relay.program);
  const windows: Memory[] = [];
  while (elapsed() < DURATION_MS) {
    const samples: Memory[] = [];
    for (const end = elapsed() + WINDOW_MS; elapsed() < end; await pause(SAMPLE_MS)) {
      samples.push(await sample());
    }
    windows.push(mean(samples));
  }
  const publications = await publishing;
  const [before, after] = [windows[0], windows.at(-1)];
  if (!before || !after) throw new RangeError("A run is longer than its warm-up");
  for (const wanderer of wanderers) wanderer.settle();
  await eventually(
    () => wanderers.filter(({ witness }) => !witness.isComplete()).length,
    (count) => count === 0,
    PATIENCE_MS,
  );
  printTotals(`churn on ${runtime.name}`, {
    clients: CLIENTS,
    seconds: DURATION_MS / 1000,
    rssMiB: printGrowth(windows.map(({ rss }) => rss)),
    heapMiB: printGrowth(windows.map(({ heap }) => heap)),
    topicsJoined: hub.joins.total,
    publications,
    ...tally,
  });
  expect(tally).toMatchObject({ gaps: 0, duplicates: 0, oddities: 0, findings: [] });
  expect(after.heap).toBeLessThan(before.heap * (1 + MAX_GROWTH));
  expect(after.rss).toBeLessThan(before.rss * (1 + MAX_GROWTH));

  for (const wanderer of wanderers) wanderer.stop();
  for (const metric of ["keryx_clients", "keryx_topics"]) {
    await eventually(
      () => readMetric(relay.url, metric),
      (value) => value === 0,
      PATIENCE_MS,
    );
  }
  await relay.program.stop();
}

function mean(samples: readonly Memory[]): Memory {
  const sum = samples.reduce((sum, one) => ({ rss: sum.rss + one.rss, heap: sum.heap + one.heap }));
  return { rss: sum.rss / samples.length, heap: sum.heap / samples.length };
}

function printGrowth(bytes: readonly number[]): string {
  const all = bytes.map((one) => (one / 1024 / 1024).toFixed(1)).join(" ");
  return `${all} (${(((bytes.at(-1) ?? 0) / (bytes[0] ?? 0) - 1) * 100).toFixed(1)} %)`;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
