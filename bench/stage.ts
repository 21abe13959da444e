/** A stage: a subject that runs, its feed and its clients, and what can be watched on it. */

import { setTimeout as wait } from "node:timers/promises";
import type { Feed, Run } from "./feed.ts";
import { type Connected, type Load, startLoad, type Tally, type Transport } from "./load.ts";
import type { Cores } from "./machine.ts";
import type { Subject } from "./subject.ts";
import { busyMs, cpuMs, residentBytes } from "./usage.ts";

/** What one run of publications has cost and how it arrived. */
export interface Observation {
  readonly deliveries: number;
  /** From the first publication to the last delivery. */
  readonly perSecond: number;
  /** CPU time of the server for each, µs. */
  readonly cpuUs: number;
  /** Read by a client for each, framing included. */
  readonly bytes: number;
  /** CPU time of the server for each publication, µs. */
  readonly publicationUs: number;
  /** From handing over to reading, ms. */
  readonly latency: { readonly p50: number; readonly p99: number; readonly p999: number };
  /** Whether every client got every publication once, and all stayed. */
  readonly isWhole: boolean;
  /** What is missing, in words; empty when it is whole. */
  readonly gaps: string;
  /** Share of its core that the server used, and the clients of theirs. */
  readonly serverShare: number;
  readonly loadShare: number;
  /** Share of the server's core that others used, 0 to 1. */
  readonly othersShare: number;
  /** Deliveries in a frame or chunk, which tells whether ticks ran together; 0 without frames. */
  readonly perFrame: number;
}

export interface Stage {
  /** The processes of the server. */
  readonly pids: readonly number[];
  readonly load: Load;
  readonly feed: Feed;
  /** Connects clients; throws when not all of them could. */
  connect(options: Parameters<Load["connect"]>[0]): Promise<Connected>;
  /** Publishes, waits until everybody has everything or `patienceMs` (2 s) are over, and tells. */
  observe(run: Run, options?: { readonly patienceMs?: number }): Promise<Observation>;
  /** Memory of the server now, bytes. */
  resident(): number;
}

export async function openStage(
  subject: Subject,
  options: {
    readonly transport: Transport;
    readonly cores: Cores;
    /** What stands before a position, when clients are to come back with theirs. */
    readonly position?: string | undefined;
  },
): Promise<Stage & AsyncDisposable> {
  const { transport, cores, position } = options;
  await using started = new AsyncDisposableStack();
  started.defer(() => wait(50)); // the kernel has thousands of sockets to clean up
  const running = await subject.start({ transport, cores, owned: started });
  const load = started.use(await startLoad(cores, { ...running.target, position }));
  const owned = started.move();

  return {
    pids: running.pids,
    load,
    feed: running.feed,
    async connect(clients) {
      const connected = await load.connect(clients);
      if (connected.failed === 0 && connected.live >= clients.count) return connected;
      throw new Error(
        `${subject.name} ${transport}: ${connected.live} clients are live, ${connected.failed} failed: ${connected.failure}`,
      );
    },
    async observe(run, { patienceMs = 2_000 } = {}) {
      const { feed, pids } = running;
      await load.begin();
      const [cpu, busy] = [cpuMs(pids), busyMs(cores.server)];
      const ran = await feed.run(run);
      const { topics = 1, first = 0 } = run;
      const behind = await load.await({ count: ran.count, timeout: patienceMs, topics, first });
      const used = cpuMs(pids) - cpu;
      const others = Math.max(0, busyMs(cores.server) - busy - used);
      const tally = await load.end();
      return observationOf(run, tally, { used, others, behind });
    },
    resident: () => residentBytes(running.pids),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function observationOf(
  { ticks, per }: Run,
  tally: Tally,
  more: { used: number; others: number; behind: number },
): Observation {
  const { used, others, behind } = more;
  const { deliveries, lost, repeated, closed, ms } = tally;
  const gaps = Object.entries({ behind, lost, repeated, closed })
    .filter(([, count]) => count > 0)
    .map(([what, count]) => `${count} ${what}`)
    .join(", ");
  return {
    deliveries,
    perSecond: (1000 * deliveries) / ms,
    cpuUs: (1000 * used) / Math.max(1, deliveries),
    bytes: tally.bytes / Math.max(1, deliveries),
    publicationUs: (1000 * used) / (ticks * per),
    latency: { p50: tally.p50 / 1000, p99: tally.p99 / 1000, p999: tally.p999 / 1000 },
    isWhole: gaps === "",
    gaps,
    serverShare: used / ms,
    loadShare: tally.cpuMs / ms,
    othersShare: others / ms,
    perFrame: tally.frames > 0 ? deliveries / tally.frames : 0,
  };
}
