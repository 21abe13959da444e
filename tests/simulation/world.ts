/** What all worlds have: an origin, clients, time and chance. */

import { createManualClock, type ManualClock } from "../../lib/clock.ts";
import type { HubSpec } from "../../lib/feed/spec.ts";
import { createHubSpec } from "../support/hub-spec.ts";
import { turn } from "../support/turn.ts";
import { type Chance, createChance } from "./chance.ts";
import { type Client, createClient } from "./client.ts";
import type { Isolate, Life } from "./isolate.ts";
import { createOrigin, type Origin } from "./origin.ts";
import type { Actions } from "./step.ts";

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

/** Isolates between an origin and clients, in which everything happens by one seed. */
export interface World {
  readonly clock: ManualClock;
  readonly chance: Chance;
  readonly origin: Origin;
  readonly clients: readonly (Client & { readonly wish: Wish })[];
  /** All times in which somebody owned the feed, by epoch. */
  readonly lives: ReadonlyMap<string, Life>;
  /** Isolates that live, frozen or not. */
  isolates(): readonly Isolate[];
  /** Lets time pass. */
  pass(ms: number): Promise<void>;
}

/** How isolates share the feed: what is between them, what may go wrong there, and what must not. */
export interface Kind<W extends World = World> {
  create(seed: number): W;
  /** What may happen to what is between them. */
  readonly actions: Actions<W>;
  /** Throws when something does not hold that must hold at any time. */
  check(world: W): void;
  /** Whether somebody looks after the topics of an isolate, as far as it can know. */
  isCared(world: W, isolate: Isolate): boolean;
  /** The faults end: everything is there, and answers. */
  mend(world: W): void;
  /** Whether an isolate may still know what an owner before knew, and this one does not. */
  readonly outlivesOwner: boolean;
  /** After so long what nobody wants any more is forgotten, whatever was lost, ms. */
  readonly forgetMs: number;
}

/** What isolates are made of, whoever makes them. */
export interface Ground extends Pick<World, "clock" | "chance" | "origin"> {
  readonly spec: HubSpec;
  /** Told of each time in which one owns the feed. */
  onLife(life: Life): void;
}

/**
 * @param seed of all chance that is not a step's own
 * @param populate makes the isolates, with what is between them
 */
export function createWorld<T extends Pick<World, "isolates">>(
  seed: number,
  populate: (ground: Ground) => T,
): World & T {
  const chance = createChance(seed);
  const clock = createManualClock(1_700_000_000_000);
  const origin = createOrigin({ topics: TOPICS, events: EVENTS, clock, chance });
  const lives = new Map<string, Life>();
  const onLife = (life: Life) => void lives.set(life.epoch, life);
  const population = populate({ clock, chance, origin, spec: SPEC, onLife });
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
    ...population,
    clock,
    chance,
    origin,
    clients,
    lives,
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
