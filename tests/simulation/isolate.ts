/** An isolate as `app/build.ts` makes one, in a heap that may freeze and die. */

import type { ManualClock } from "../../lib/clock.ts";
import { wsFormat } from "../../lib/downstream/ws.ts";
import { createFanout, type Fanout, type FanoutLimits } from "../../lib/fanout/fanout.ts";
import type { Format } from "../../lib/fanout/format.ts";
import { createFeed, type Feed } from "../../lib/feed/feed.ts";
import { createGroup, createSoloGroup, type Group } from "../../lib/feed/group.ts";
import { createOwner } from "../../lib/feed/owner.ts";
import type { HubSpec } from "../../lib/feed/spec.ts";
import type { TopicTable } from "../../lib/feed/table.ts";
import { silentLog } from "../../lib/log.ts";
import { createRelay, type Relay } from "../../lib/relay.ts";
import { createStats } from "../../lib/stats.ts";
import { createHistoryBudget, type HistoryBudget } from "../../lib/topic/budget.ts";
import type { SimulatedBus } from "./bus.ts";
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
  readonly group: Group;
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
    readonly bus: SimulatedBus;
    readonly origin: Origin;
    /** Told of each time in which it owns the feed. */
    onLife(life: Life): void;
  },
): Isolate {
  const { spec, chance, origin, onLife } = world;
  const heap = createHeap(world.clock);
  const { clock } = heap;
  const stats = createStats();
  const fanout = createFanout({ clock, stats, limits: LIMITS });
  const budget = createHistoryBudget(LIMITS.historyBytes);
  const lives: Life[] = [];
  const bus = world.bus.join(id, heap);
  const group = createGroup({ bus, budget, maxCalls: 100, clock, stats });

  const relay = createRelay({
    fanout,
    createHubs(onEnded) {
      const { connect } = group.join<string>(spec, "json", (table, sequence) => {
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
        const life = { epoch: engine.epoch, isolate: id, source, table };
        lives.push(life);
        onLife(life);
        return engine;
      });
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
    group,
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
