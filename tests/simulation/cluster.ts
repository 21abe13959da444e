/** The machines of a cluster: a log that they share, and a network between it and them. */

import { createClusterEngine } from "../../lib/cluster/engine.ts";
import { nameFeed } from "../../lib/cluster/names.ts";
import { createMember } from "../../lib/feed/member.ts";
import { silentLog } from "../../lib/log.ts";
import { NOWHERE } from "../../lib/topic/position.ts";
import type { Chance } from "./chance.ts";
import { createIsolate, type Isolate } from "./isolate.ts";
import { createLog, type SimulatedLog } from "./log.ts";
import { createNetwork, GOOD_WEATHER, type Network, type Place } from "./network.ts";
import { GOOD_MOOD } from "./origin.ts";
import { abandon } from "./step.ts";
import { createWorld, type Ground, type Kind, type World } from "./world.ts";

const LEASE_MS = 1_500;

/** How long the log may say nothing until a machine takes what it knows for old, ms. */
const MOST_SILENT_MS = 2 * LEASE_MS + LEASE_MS / 6;

/** After so long it looks again, ms. */
const TICK_MS = LEASE_MS / 6;

const CALM_MS = 5_000;

/** How long a machine has to stop, ms. */
const GOODBYE_MS = 1_200;

/** A machine that serves clients by itself. */
export interface Machine extends Isolate {
  readonly place: Place;
}

export interface ClusterWorld extends World {
  readonly log: SimulatedLog;
  readonly network: Network;
  isolates(): readonly Machine[];
  /** Another machine takes its place a while later. */
  kill(machine: Machine): void;
  /** As in a rolling update: it says goodbye, takes no clients any more, and ends. */
  stop(machine: Machine): void;
}

function create(seed: number): ClusterWorld {
  return createWorld(seed, (ground) => {
    const { clock, chance } = ground;
    const log = createLog(clock, chance);
    const network = createNetwork(clock, chance, log);
    const machines: Machine[] = [];
    const add = () => {
      const id = `machine-${machines.length}`;
      machines.push(createMachine(id, ground, { log, network }));
    };
    for (let size = 2 + chance.below(3); size > 0; size--) add();
    const stopped = new Set<Machine>();
    return {
      log,
      network,
      isolates: () => machines.filter((one) => one.heap.isAlive && !stopped.has(one)),
      kill(machine: Machine) {
        machine.kill();
        clock.after(100 + chance.below(400), add);
      },
      stop(machine: Machine) {
        stopped.add(machine);
        void machine.relay.stop();
        clock.after(GOODBYE_MS, machine.kill);
        clock.after(chance.below(500), add);
      },
    };
  });
}

function createMachine(
  id: string,
  ground: Ground,
  { log, network }: { readonly log: SimulatedLog; readonly network: Network },
): Machine {
  const { chance } = ground;
  let place: Place | undefined;
  const skewMs = chance.below(60_000);
  const isolate = createIsolate(id, { ...ground, skewMs }, (own) => {
    const { heap, budget, stats, spec, createOwn } = own;
    const joined = network.join(id, heap);
    place = joined;
    const { connect } = createMember<string>(
      (table) =>
        createClusterEngine<string>(spec, table, {
          port: joined.port,
          id,
          names: nameFeed("test", spec.path, "json"),
          limits: { maxAgeMs: 60_000, maxPerSubject: 1_000, maxBytes: 1_000_000 },
          leaseMs: LEASE_MS,
          createOwn,
          onDemand: false,
          maxCalls: 100,
          budget,
          clock: heap.clock,
          random: chance.next,
          stats,
          log: silentLog,
        }),
      budget,
    );
    return { connect, epochOf: () => log.termBy(id) ?? NOWHERE };
  });
  if (!place) throw new Error("It was made above");
  return { ...isolate, place };
}

function isOwner({ lives }: Isolate): boolean {
  return lives.some(({ source }) => source.isActive);
}

/** A machine to which something happens: half of the time the owner. */
function pick({ isolates }: ClusterWorld, chance: Chance): Machine | undefined {
  const owner = isolates().find(isOwner);
  return owner && chance.hits(0.5) ? owner : chance.pick(isolates());
}

/** The term at a place of the log, as a machine has read it. */
function termAt({ place }: Machine, number: number): string | undefined {
  return place.course?.terms.findLast((one) => one.number <= number)?.term;
}

export const CLUSTER: Kind<ClusterWorld> = {
  create,
  outlivesOwner: true,
  forgetMs: 75_000,

  check({ isolates, log }) {
    const machines = isolates().filter(({ heap }) => !heap.isFrozen);
    // One that is frozen does not know yet that it is the owner no more; nor does one whose log is
    // gone, until it writes.
    const owners = machines.filter(isOwner);
    if (owners.length > 1 && !log.isBroken)
      throw new Error(`${owners.map(({ id }) => id)} are owners`);
    // What was numbered the same before it lost its end is told from it by the next beat only.
    if (log.isTruncated) return;
    for (const machine of machines) {
      const { epoch, sequence } = machine.feed.line;
      if (epoch === NOWHERE || epoch === termAt(machine, sequence)) continue;
      throw new Error(`${machine.id} takes ${sequence} for a place of ${epoch}`);
    }
  },

  isCared({ clock, isolates }, { id, heap }) {
    const place = isolates().find((one) => one.id === id)?.place;
    // What it was told before it froze may show a topic as live until it looks.
    if (clock.now() - heap.thawedAt <= TICK_MS) return true;
    return place !== undefined && clock.now() - place.reachedAt <= MOST_SILENT_MS;
  },

  mend({ log, network, origin, isolates, clients }) {
    log.storeMs = 0;
    log.maxPerSubject = 1_000;
    log.maxAgeMs = 60_000;
    network.weather = GOOD_WEATHER;
    origin.isUp = true;
    origin.mood = GOOD_MOOD;
    for (const { place, heap } of isolates()) {
      place.heal();
      heap.thaw();
    }
    for (const client of clients) client.resume();
  },

  actions: {
    /** As long as it takes until others notice. */
    calm: {
      weight: 3,
      async act({ pass }) {
        await pass(CALM_MS);
        return `${CALM_MS} ms`;
      },
    },
    cut: {
      weight: 3,
      act(world, chance) {
        const machine = pick(world, chance);
        if (!machine) return undefined;
        const ms = chance.pick([10, 500, 1_200, 4_000, 8_000]);
        machine.place.cut();
        world.clock.after(ms, machine.place.heal);
        return `${machine.id} for ${ms} ms`;
      },
    },
    hold: {
      weight: 2,
      act(world, chance) {
        const machine = pick(world, chance);
        if (!machine) return undefined;
        const ms = chance.pick([300, 1_200, 4_000]);
        machine.place.hold(ms);
        return `${machine.id} for ${ms} ms`;
      },
    },
    network: {
      weight: 3,
      act({ network }, chance) {
        const delayMs = chance.pick([1, 1, 5, 50, 600]);
        const lagMs = chance.pick([0, 0, 5, 600, 2_000]);
        const lost = chance.pick([0, 0, 0, 0.1, 0.5]);
        network.weather = { delayMs, lagMs, lost };
        return `takes ${delayMs} ms, the log ${lagMs} ms more, loses ${lost}`;
      },
    },
    store: {
      weight: 2,
      act({ log }, chance) {
        log.storeMs = chance.pick([0, 20, 300, 1_000]);
        log.maxPerSubject = chance.pick([2, 10, 1_000]);
        log.maxAgeMs = chance.pick([5_000, 60_000]);
        const { storeMs, maxPerSubject, maxAgeMs } = log;
        return `takes ${storeMs} ms, keeps ${maxPerSubject} of a topic, ${maxAgeMs} ms`;
      },
    },
    /** The server is away, and may come back without its newest entries, or without a log. */
    outage: {
      weight: 2,
      act({ log, clock, isolates }, chance) {
        const ms = chance.pick([0, 500, 2_000, 12_000]);
        const lost = chance.pick([0, 0, 1, 4, Number.POSITIVE_INFINITY]);
        for (const { place } of isolates()) {
          place.cut();
          clock.after(ms + chance.below(2_000), place.heal);
        }
        if (lost === Number.POSITIVE_INFINITY) log.lose();
        else if (lost > 0) log.truncate(lost);
        return `for ${ms} ms, loses ${lost}`;
      },
    },
    /** Somebody deletes the log, and it is made anew. */
    lose: {
      weight: 1,
      act({ log }) {
        log.lose();
        return "";
      },
    },
    freeze: {
      weight: 3,
      act(world, chance) {
        const machine = pick(world, chance);
        if (!machine || machine.heap.isFrozen) return undefined;
        const ms = chance.pick([300, 1_200, 2_500, 6_000]);
        machine.heap.freeze();
        world.clock.after(ms, machine.heap.thaw);
        return `${machine.id} for ${ms} ms`;
      },
    },
    kill: {
      weight: 1,
      act(world, chance) {
        const machine = pick(world, chance);
        if (!machine) return undefined;
        world.kill(machine);
        abandon(world.clients, machine);
        return machine.id;
      },
    },
    stop: {
      weight: 1,
      act(world, chance) {
        const machine = pick(world, chance);
        if (!machine || machine.heap.isFrozen) return undefined;
        abandon(world.clients, machine);
        world.stop(machine);
        return machine.id;
      },
    },
  },
};
