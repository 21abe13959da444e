/** An isolate as `app/build.ts` makes one, in a heap that may freeze and die. */

import type { ManualClock } from "../../lib/clock.ts";
import { wsFormat } from "../../lib/downstream/ws.ts";
import { createFanout, type Fanout, type FanoutLimits } from "../../lib/fanout/fanout.ts";
import type { Format } from "../../lib/fanout/format.ts";
import type { Engine } from "../../lib/feed/engine.ts";
import { createFeed, type Feed } from "../../lib/feed/feed.ts";
import { createSoloGroup } from "../../lib/feed/group.ts";
import type { CreateEngine, Member } from "../../lib/feed/member.ts";
import { createOwner } from "../../lib/feed/owner.ts";
import type { HubSpec } from "../../lib/feed/spec.ts";
import type { TopicTable } from "../../lib/feed/table.ts";
import { silentLog } from "../../lib/log.ts";
import { createRelay, type Relay } from "../../lib/relay.ts";
import { createStats, type Stats } from "../../lib/stats.ts";
import { createHistoryBudget, type HistoryBudget } from "../../lib/topic/budget.ts";
import type { Chance } from "./chance.ts";
import { createHeap, type Heap } from "./heap.ts";
import type { Origin, SimulatedSource } from "./origin.ts";

/** A time in which an isolate owns the feed. */
export interface Life {
  readonly epoch: string;
  /** Whose it is. */
  readonly isolate: string;
  readonly source: SimulatedSource;
  readonly table: TopicTable;
}

export interface Isolate {
  readonly id: string;
  readonly heap: Heap;
  readonly relay: Relay;
  readonly feed: Feed<string>;
  readonly fanout: Fanout;
  readonly budget: HistoryBudget;
  /** What its clients are sent: counts, and throws when something is rendered twice. */
  readonly format: Format;
  /** Its times as the owner, the last one last. */
  readonly lives: readonly Life[];
  kill(): void;
}

/** What an isolate shares its feed with others by. */
export interface Sharing {
  readonly connect: Member<string>["connect"];
  /** The epoch of the feed while this is what keeps it at the origin. */
  epochOf(engine: Engine<string>): string;
}

export interface SharingOptions {
  readonly spec: HubSpec;
  readonly heap: Heap;
  readonly budget: HistoryBudget;
  readonly stats: Stats;
  /** What keeps the feed at the origin, when it is the owner. */
  readonly createOwn: CreateEngine<string>;
}

/** Of the tables, small enough to be reached. */
export const LIMITS: FanoutLimits & { readonly historyBytes: number } = {
  queueBytes: 3_000,
  conflateBytes: 600,
  totalQueueBytes: 20_000,
  stuckMs: 8_000,
  historyBytes: 400,
};

export function createIsolate(
  id: string,
  world: {
    readonly spec: HubSpec;
    readonly clock: ManualClock;
    readonly chance: Chance;
    readonly origin: Origin;
    /** How far its clock is ahead of the others', ms; 0 when it is not said. */
    readonly skewMs?: number;
    /** Told of each time in which it owns the feed. */
    onLife(life: Life): void;
  },
  share: (own: SharingOptions) => Sharing,
): Isolate {
  const { spec, chance, origin, onLife } = world;
  const heap = createHeap(world.clock, world.skewMs);
  const { clock } = heap;
  const stats = createStats();
  const fanout = createFanout({ clock, stats, limits: LIMITS });
  const budget = createHistoryBudget(LIMITS.historyBytes);
  const lives: Life[] = [];

  const createOwn: CreateEngine<string> = (table, sequence) => {
    let source: SimulatedSource | undefined;
    const engine = createOwner<string>(spec, table, {
      createSource(listener) {
        source = origin.createSource(heap, listener);
        return source;
      },
      sequence,
      clock,
      random: chance.next,
      stats,
      log: silentLog,
    });
    if (!source) throw new Error("It was made above");
    const life = { epoch: sharing.epochOf(engine), isolate: id, source, table };
    lives.push(life);
    onLife(life);
    return engine;
  };
  const sharing = share({ spec, heap, budget, stats, createOwn });

  const relay = createRelay({
    fanout,
    createHubs(onEnded) {
      const { connect } = sharing;
      const json = createFeed(spec, { createLine: connect, onEnded, fanout, clock, stats });
      // Nobody speaks MessagePack here.
      const { connect: connectOther } = createSoloGroup(budget).join<Uint8Array>(
        spec,
        "messagepack",
        (table, sequence) =>
          createOwner<Uint8Array>(spec, table, {
            createSource: () => NO_SOURCE,
            sequence,
            clock,
            random: () => 0,
            stats,
            log: silentLog,
          }),
      );
      const other = { createLine: connectOther, onEnded, fanout, clock, stats };
      return [{ spec, json, messagepack: createFeed(spec, other) }];
    },
  });
  relay.start();
  const [hub] = relay.hubs.values();
  if (!hub) throw new Error("It was made above");

  return {
    id,
    heap,
    relay,
    feed: hub.json,
    fanout,
    budget,
    format: createStrictFormat(),
    lives,
    kill() {
      heap.kill();
      for (const { source } of lives) source.cut(); // the origin sees the connection end
    },
  };
}

const NO_SOURCE = {
  connected: false,
  start() {},
  async stop() {},
  join() {},
  leave() {},
  invoke: () => Promise.reject(new Error("There is no such feed")),
};

/** The format of `/ws`, which throws when it has to render a publication again. */
function createStrictFormat(): Format {
  const printed = new WeakSet<object>();
  return {
    ...wsFormat,
    publication(publication) {
      if (printed.has(publication)) throw new Error(`${publication.position} is rendered twice`);
      printed.add(publication);
      return wsFormat.publication(publication);
    },
  };
}
