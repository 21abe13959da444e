/** The isolates of a process: a bus between them, and a supervisor that says who owns the feed. */

import { createGroup, type Group } from "../../lib/feed/group.ts";
import { createBus, NO_FAULTS, type SimulatedBus } from "./bus.ts";
import { createIsolate } from "./isolate.ts";
import { GOOD_MOOD } from "./origin.ts";
import { abandon } from "./step.ts";
import { createSupervisor, type Member, type Supervisor } from "./supervisor.ts";
import { createWorld, type Ground, type Kind, type World } from "./world.ts";

export interface GroupWorld extends World {
  readonly bus: SimulatedBus;
  readonly supervisor: Supervisor;
  isolates(): readonly Member[];
}

/** How long an owner may say nothing until it is taken for away, ms. */
const MOST_SILENT_MS = 4_000;

function create(seed: number): GroupWorld {
  return createWorld(seed, (ground) => {
    const { clock, chance } = ground;
    const bus = createBus(clock, chance);
    const supervisor = createSupervisor({
      clock,
      chance,
      size: 2 + chance.below(3),
      createIsolate: (id) => createMember(id, ground, bus),
    });
    const isolates = () => supervisor.isolates.filter(({ heap }) => heap.isAlive);
    return { bus, supervisor, isolates };
  });
}

function createMember(id: string, ground: Ground, bus: SimulatedBus): Member {
  let group: Group | undefined;
  const isolate = createIsolate(id, ground, ({ heap, budget, stats, spec, createOwn }) => {
    const { clock } = heap;
    group = createGroup({ bus: bus.join(id, heap), budget, maxCalls: 100, clock, stats });
    const { connect } = group.join<string>(spec, "json", createOwn);
    return { connect, epochOf: ({ epoch }) => epoch };
  });
  if (!group) throw new Error("It was made above");
  return { ...isolate, group };
}

export const GROUP: Kind<GroupWorld> = {
  create,
  outlivesOwner: false,
  forgetMs: 16_000,

  check({ lives, isolates, supervisor }) {
    for (const isolate of isolates()) {
      const { id, heap, group, feed, lives: own } = isolate;
      if ((group.roster?.term ?? 0) !== supervisor.toldTerm(isolate)) {
        throw new Error(`${id} believes an old roster`);
      }
      const active = own.filter(({ source }) => source.isActive);
      const isOwner = group.roster?.owner === id;
      // An owner has one way to the origin, and nobody else has any.
      if (active.length !== (isOwner ? 1 : 0)) {
        throw new Error(`${id} has ${active.length} ways to the origin`);
      }
      // Only the owner that it was told of is believed, whoever else may think to be it.
      const life = lives.get(feed.line.epoch);
      if (!heap.isFrozen && life && life.isolate !== group.roster?.owner) {
        throw new Error(`${id} believes ${life.isolate}, not ${group.roster?.owner}`);
      }
    }
  },

  isCared({ bus, clock, isolates }, isolate) {
    const { id, feed } = isolate;
    const owner = isolates().find((one) => one.id === id)?.group.roster?.owner ?? "";
    if (owner === id) return feed.line.connected;
    // A replica that has heard nothing of its owner is at the very beginning.
    return feed.line.sequence > 0 && clock.now() - bus.reachedAt(owner, id) <= MOST_SILENT_MS;
  },

  mend({ bus, origin, supervisor, clients }) {
    bus.faults = NO_FAULTS;
    origin.isUp = true;
    origin.mood = GOOD_MOOD;
    supervisor.mend();
    for (const client of clients) client.resume();
  },

  actions: {
    bus: {
      weight: 3,
      act({ bus }, chance) {
        const lost = chance.pick([0, 0, 0, 0.05, 0.3, 1, 1]);
        const delayMs = chance.pick([0, 0, 5, 50, 400]);
        const isWild = chance.hits(0.25);
        const doubled = isWild ? 0.2 : 0;
        bus.faults = { lost, delayMs, doubled, isOrdered: !isWild };
        return `loses ${lost}, takes ${delayMs} ms${isWild ? ", doubles and reorders" : ""}`;
      },
    },
    rosters: {
      weight: 1,
      act({ supervisor }, chance) {
        const delayMs = chance.pick([0, 50, 400, 1_500]);
        const lost = chance.pick([0, 0, 0.3]);
        supervisor.trouble = { delayMs, lost };
        return `loses ${lost}, takes ${delayMs} ms`;
      },
    },
    freeze: {
      weight: 2,
      act({ supervisor, isolates }, chance) {
        const owner = isolates().find(({ id }) => id === supervisor.roster.owner);
        const isolate = owner && chance.hits(0.5) ? owner : chance.pick(isolates());
        if (!isolate || isolate.heap.isFrozen) return undefined;
        const ms = chance.pick([300, 1_200, 2_500, 5_000]);
        supervisor.freeze(isolate, ms);
        return `${isolate.id} for ${ms} ms`;
      },
    },
    kill: {
      weight: 1,
      act({ supervisor, isolates, clients }, chance) {
        const isolate = chance.pick(isolates());
        if (!isolate) return undefined;
        supervisor.kill(isolate);
        abandon(clients, isolate);
        return isolate.id;
      },
    },
  },
};
