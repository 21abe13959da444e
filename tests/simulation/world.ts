/** A group of isolates between an origin and clients, in which everything happens by one seed. */

import { createManualClock, type ManualClock } from "../../lib/clock.ts";
import type { HubSpec } from "../../lib/feed/spec.ts";
import { createHubSpec } from "../support/hub-spec.ts";
import { turn } from "../support/turn.ts";
import { createBus, NO_FAULTS, type SimulatedBus } from "./bus.ts";
import { type Chance, createChance } from "./chance.ts";
import { type Client, createClient } from "./client.ts";
import { createIsolate, type Isolate, type Life } from "./isolate.ts";
import { createOrigin, GOOD_MOOD, type Origin } from "./origin.ts";
import { createSupervisor, type Supervisor } from "./supervisor.ts";

/** With and without a snapshot, with a long and with a short history, with either slow policy. */
export const TOPICS = ["plain/1", "plain/2", "whole/1", "short/1"];
export const KEYS = ["a", "b", "c"];
/** What clients ask for, updates a second. */
export const RATES = [undefined, 2, 5];

const EVENTS = { plain: "Plain", whole: "Whole", short: "Short" };

function declare(): HubSpec {
  const common = {
    params: { id: "integer" as const },
    join: { method: "Join", args: ["{id}"] },
    lingerMs: 3_000,
    slow: "conflate" as const,
  };
  return createHubSpec(
    {
      "plain/{id}": {
        ...common,
        events: { Plain: "{0}" },
        key: { Plain: "{1}" },
        history: { size: 6, ttlMs: 10_000 },
      },
      "whole/{id}": {
        ...common,
        events: { Whole: "{0}" },
        key: { Whole: "{1}" },
        history: { size: 8, ttlMs: 10_000 },
        snapshot: { method: "Get", args: ["{id}"] },
        snapshotTtlMs: 1_000,
      },
      "short/{id}": {
        ...common,
        events: { Short: "{0}" },
        key: { Short: "{1}" },
        maxKeys: 3,
        history: { size: 2, ttlMs: 10_000 },
        slow: "disconnect",
      },
    },
    { openTimeoutMs: 5_000 },
  );
}

const SPEC = declare();

/** What each client wants at least: of an event stream all at once, of a socket by topic. */
export interface Wish {
  readonly topics: readonly string[];
  readonly rate: number | undefined;
  readonly isStream: boolean;
}

const WISHES: readonly Wish[] = [
  { topics: ["plain/1", "plain/2", "whole/1"], rate: undefined, isStream: true },
  { topics: TOPICS, rate: undefined, isStream: true },
  { topics: TOPICS, rate: 2, isStream: true },
  { topics: TOPICS, rate: 2, isStream: true },
  { topics: TOPICS, rate: 2, isStream: true },
  { topics: TOPICS, rate: undefined, isStream: false },
  { topics: ["plain/1", "whole/1"], rate: 5, isStream: false },
];

export interface World {
  readonly clock: ManualClock;
  readonly chance: Chance;
  readonly bus: SimulatedBus;
  readonly origin: Origin;
  readonly supervisor: Supervisor;
  readonly clients: readonly (Client & { readonly wish: Wish })[];
  /** All times in which somebody owned the feed, by epoch. */
  readonly lives: ReadonlyMap<string, Life>;
  /** Isolates that live, frozen or not. */
  isolates(): readonly Isolate[];
  /** Lets time pass. */
  pass(ms: number): Promise<void>;
}

/** @param seed of all chance that is not a step's own */
export function createWorld(seed: number): World {
  const chance = createChance(seed);
  const clock = createManualClock(1_700_000_000_000);
  const bus = createBus(clock, chance);
  const origin = createOrigin({ topics: TOPICS, events: EVENTS, clock, chance });
  const lives = new Map<string, Life>();
  const supervisor = createSupervisor({
    clock,
    chance,
    size: 2 + chance.below(3),
    createIsolate: (id) =>
      createIsolate(id, {
        spec: SPEC,
        clock,
        chance,
        bus,
        origin,
        onLife: (life) => lives.set(life.epoch, life),
      }),
  });
  // A position from which nobody can go on names no life: the newest that had it is meant.
  const got = (epoch: string, topic: string) => {
    const life = lives.get(epoch);
    const meant = life ? [life] : [...lives.values()].reverse();
    return meant.flatMap(({ source }) => source.got.get(topic) ?? []);
  };
  const clients = WISHES.map((wish, i) => ({
    ...wish,
    client: createClient(`client ${i}`, { isStream: wish.isStream, clock, got }),
  })).map(({ client, ...wish }) => Object.assign(client, { wish }));

  return {
    clock,
    chance,
    bus,
    origin,
    supervisor,
    clients,
    lives,
    isolates: () => supervisor.isolates.filter(({ heap }) => heap.isAlive),
    async pass(ms) {
      const end = clock.now() + ms;
      for (;;) {
        clock.settle();
        await turn();
        const { dueAt } = clock;
        if (dueAt === undefined || dueAt > end) break;
        clock.advance(dueAt - clock.now());
      }
      clock.advance(end - clock.now());
    },
  };
}

/** The faults end: everything is there, and answers. */
export function mend({ bus, origin, supervisor, clients }: World): void {
  bus.faults = NO_FAULTS;
  origin.isUp = true;
  origin.mood = GOOD_MOOD;
  supervisor.mend();
  for (const client of clients) client.resume();
}
