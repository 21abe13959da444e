/** Who does not read harms only itself: the others wait no longer, and nothing piles up. */

import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { readMetric } from "../support/metrics.ts";
import { type SpawnedRelay, startRelay } from "../support/spawned-relay.ts";
import { choose, isFull, onEachRuntime, printTotals } from "./form.ts";
import { type NumberingHub, startNumberingHub } from "./hub.ts";
import { createLatencies, median } from "./latencies.ts";
import { type Memory, watchMemory, withProbe } from "./memory.ts";
import { publishSteadily } from "./publisher.ts";
import { configOf } from "./relay.ts";
import { openWatcher, TRANSPORTS, type Transport, type Watcher } from "./watcher.ts";

const READERS = choose(200, 999);
const PHASES = choose(["without", "with"], ["without", "with", "without", "with"]);
const PHASE_MS = choose(1_000, 10_000);
/** In which what filled the buffers is over and done with, ms. */
const SETTLE_MS = 500;
const PER_SECOND = 50;
/** Makes a publication some 1 KB. */
const PAD = "x".repeat(900);
/** What p99 may be longer with a stuck client than without, in the full form. */
const MAX_DIFFERENCE = 0.1;
/** In which who reads again has the newest state, in the full form, ms. */
const MAX_RETURN_MS = 1_000;
/** Makes a publication that fills buffers; those between a relay and a stuck client take some MB. */
const FILLING = "x".repeat(32_768);
/** Publications at one time. */
const BURST = 8;
/** Publications that cannot hide in buffers: 64 or 512 MB. How many of them a stuck one may get. */
const FLOOD = choose(2_000, 16_000);
const MAX_BUFFERED = 500;
/**
 * What the relay may take more for it, bytes. Allocators give little back: on Node the process grows
 * by some 150 MB with the first floods, whoever reads them.
 */
const MAX_HEAP_GROWTH = 16 * 1024 * 1024;
const MAX_RSS_GROWTH = 256 * 1024 * 1024;
/** Clients that are on their way in at one time. */
const CONNECTING = 50;
const PATIENCE_MS = 30_000;

/** Kinds of topics; who is stuck has a topic besides that fills what is between it and the relay. */
const KINDS = {
  conflate: { slow: "conflate" },
  conflateFiller: { slow: "conflate" },
  disconnect: { slow: "disconnect" },
  disconnectFiller: { slow: "disconnect" },
} as const;

/** What a client is told that was cut for being slow. */
const ENDS: Readonly<Record<Transport, readonly RegExp[]>> = {
  ws: [/^Closed with 4508 Too slow$/],
  sse: [/^The stream has ended$/],
  signalr: [/^\{"type":7,"error":"Too slow","allowReconnect":true\}$/, /^Closed with 1000/],
};

onEachRuntime((runtime) => {
  let hub: NumberingHub;
  let relay: SpawnedRelay;
  let sample: () => Promise<Memory>;
  beforeAll(async () => {
    hub = await startNumberingHub();
    const limits = { stuckMs: 600_000 };
    relay = await startRelay(withProbe(runtime), configOf(hub.url, KINDS, { limits }));
    sample = watchMemory(relay.program);
  });
  afterAll(async () => {
    await relay.program.kill();
    await hub.stop();
  });

  describe.each(TRANSPORTS)("over %s", (transport) => {
    test(`one that does not read delays none of ${READERS}`, {
      timeout: PHASES.length * (PHASE_MS + PATIENCE_MS) + PATIENCE_MS,
    }, async () => {
      const latencies = createLatencies();
      const readers = await openReaders(transport, latencies.add);
      const p99: Record<string, number[]> = {};
      const returns: number[] = [];
      for (const phase of PHASES) {
        const stuck = phase === "with" ? await openStuck(transport, "conflate") : undefined;
        await pause(SETTLE_MS);
        latencies.take(1); // of openings, which show what is older
        const startedAt = performance.now();
        const published = await publishSteadily(hub, {
          perSecond: PER_SECOND,
          isOver: () => performance.now() - startedAt > PHASE_MS,
          pick: () => "conflate/0",
          more: () => ({ at: performance.now(), pad: PAD }),
        });
        await haveNewest(readers);
        p99[phase] = [...(p99[phase] ?? []), ...latencies.take(0.99)];
        if (!stuck) continue;
        returns.push(await comeBack(stuck));
        expect(stuck.count(stuck.topic)).toBeLessThan(published / 2);
        expect(stuck.conflations > 0).toBe(transport !== "signalr");
        expect(stuck.findings).toEqual([]);
        stuck.stop();
      }
      expect(readers.flatMap(({ findings }) => findings)).toEqual([]);
      const [without, withStuck] = [median(p99.without ?? []), median(p99.with ?? [])];
      printTotals(`slow readers over ${transport} on ${runtime.name}`, {
        readers: READERS,
        p99WithoutMs: `${without.toFixed(1)}, each second ${printAll(p99.without)}`,
        p99WithMs: `${withStuck.toFixed(1)}, each second ${printAll(p99.with)}`,
        differencePercent: (100 * (withStuck / without - 1)).toFixed(1),
        newestAfterMs: printAll(returns),
      });
      if (!isFull) return;
      expect(withStuck).toBeLessThan(without * (1 + MAX_DIFFERENCE));
      expect(Math.max(...returns)).toBeLessThan(MAX_RETURN_MS);
    });

    test("what it misses is not kept for it", { timeout: 3 * PATIENCE_MS }, async () => {
      const filler = "conflateFiller/1";
      // The first flood goes to one that reads, so that the heap has the size that a flood takes.
      const reader = openWatcher(relay.url, { transport, topics: [filler] });
      await areOpen([reader]);
      await flood(filler);
      reader.stop();
      const before = await settled();
      const stuck = await openStuck(transport, "conflate");
      await flood(filler);
      const after = await settled();
      await comeBack(stuck);
      const growth = { rss: after.rss - before.rss, heap: after.heap - before.heap };
      printTotals(`a flood past one stuck over ${transport} on ${runtime.name}`, {
        publications: FLOOD,
        heardOfThem: stuck.count(filler),
        rssMiB: `${printMiB(before.rss)} + ${printMiB(growth.rss)}`,
        heapMiB: `${printMiB(before.heap)} + ${printMiB(growth.heap)}`,
      });
      // What was kept for it would have come.
      expect(stuck.count(filler)).toBeLessThan(MAX_BUFFERED);
      expect(growth.heap).toBeLessThan(MAX_HEAP_GROWTH);
      expect(growth.rss).toBeLessThan(MAX_RSS_GROWTH);
      expect(stuck.findings).toEqual([]);
    });

    test("where the topic says so it is cut, and told why", async () => {
      const topics = ["disconnect/0"];
      const others = [1, 2, 3].map(() => openWatcher(relay.url, { transport, topics }));
      onTestFinished(() => {
        for (const other of others) other.stop();
      });
      await areOpen(others);
      const stuck = await openStuck(transport, "disconnect");
      stuck.resume();
      const ends = ENDS[transport];
      await eventually(
        () => stuck.findings.length,
        (length) => length === ends.length,
      );
      expect(stuck.findings).toEqual(ends.map((end) => expect.stringMatching(end)));

      const again = openWatcher(relay.url, { transport, topics });
      onTestFinished(again.stop);
      await areOpen([again]);
      hub.publish("disconnect/0");
      await haveNewest([...others, again]);
      expect(others.flatMap(({ findings }) => findings)).toEqual([]);
    });
  });

  /** Publishes much, and waits until the relay has it. */
  async function flood(topic: string): Promise<void> {
    const metric = "keryx_publications_total";
    const before = await readMetric(relay.url, metric);
    for (let i = 0; i < FLOOD; i++) {
      hub.publish(topic, { pad: FILLING });
      if (i % BURST === 0) await pause(1);
    }
    await eventually(
      () => readMetric(relay.url, metric),
      (now) => now - before >= FLOOD,
      PATIENCE_MS,
    );
  }

  /** What is taken when all is collected. */
  async function settled(): Promise<Memory> {
    await sample();
    await pause(SETTLE_MS);
    return sample();
  }

  /** Clients of a topic that read. */
  async function openReaders(
    transport: Transport,
    onNumber: (number: number, at: number) => void,
  ): Promise<readonly Watcher[]> {
    const readers: Watcher[] = [];
    onTestFinished(() => {
      for (const reader of readers) reader.stop();
    });
    while (readers.length < READERS) {
      for (let i = 0; i < CONNECTING && readers.length < READERS; i++) {
        readers.push(openWatcher(relay.url, { transport, topics: ["conflate/0"], onNumber }));
      }
      await areOpen(readers);
    }
    return readers;
  }

  async function areOpen(watchers: readonly Watcher[]): Promise<void> {
    await eventually(() => watchers.every(({ isOpen }) => isOpen), Boolean, PATIENCE_MS);
  }

  async function haveNewest(watchers: readonly Watcher[]): Promise<void> {
    await eventually(
      () => watchers.every(({ topic, number }) => number === hub.number(topic)),
      Boolean,
      PATIENCE_MS,
    );
  }

  /** A client that has stopped reading, and of which the relay knows it. */
  async function openStuck(
    transport: Transport,
    kind: "conflate" | "disconnect",
  ): Promise<Watcher> {
    const filler = `${kind}Filler/1`;
    const stuck = openWatcher(relay.url, { transport, topics: [`${kind}/0`, filler] });
    onTestFinished(stuck.stop);
    await areOpen([stuck]);
    stuck.pause();
    const metric = `keryx_${kind === "conflate" ? "lags" : "slow_disconnects"}_total`;
    const before = await readMetric(relay.url, metric);
    await eventually(
      () => {
        for (let i = 0; i < BURST; i++) hub.publish(filler, { pad: FILLING });
        return readMetric(relay.url, metric);
      },
      (now) => now > before,
      PATIENCE_MS,
    );
    return stuck;
  }

  /** Reads again. @returns how long it takes until it has the newest number, ms */
  async function comeBack(stuck: Watcher): Promise<number> {
    hub.publish(stuck.topic);
    const startedAt = performance.now();
    stuck.resume();
    await haveNewest([stuck]);
    return Math.round(performance.now() - startedAt);
  }
});

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function printMiB(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(1);
}

function printAll(values: readonly number[] = []): string {
  return values.map((value) => value.toFixed(0)).join(" ");
}
