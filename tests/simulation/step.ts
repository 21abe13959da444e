/** What may happen in a world from one moment to the next. */

import { type Chance, createChance } from "./chance.ts";
import type { Client } from "./client.ts";
import type { Isolate } from "./isolate.ts";
import { KEYS, RATES, TOPICS, type World } from "./world.ts";

/** A step is known by its kind and a number from which all its chance comes: it means the same alone. */
export interface Step {
  readonly kind: string;
  readonly seed: number;
}

/** Kinds of steps, by name. */
export type Actions<W extends World> = Readonly<
  Record<
    string,
    {
      /** How often it is taken, in parts of all. */
      readonly weight: number;
      /** @returns what happened, for a person; `undefined` when it could not */
      act(world: W, chance: Chance): string | undefined | Promise<string>;
    }
  >
>;

/** What clients and the origin do. */
const ACTIONS: Actions<World> = {
  publish: {
    weight: 10,
    act({ origin }, chance) {
      const all = Array.from({ length: 1 + chance.below(6) }, () => ({
        topic: chance.pick(TOPICS),
        key: chance.pick(KEYS),
      }));
      for (const { topic, key } of all) origin.publish(topic, key);
      return all.map(({ topic, key }) => `${topic} ${key}`).join(", ");
    },
  },
  pass: {
    weight: 10,
    async act({ pass }, chance) {
      const ms = chance.pick([1, 10, 50, 100, 300, 600, 1_500]);
      await pass(ms);
      return `${ms} ms`;
    },
  },
  wait: {
    weight: 2,
    async act({ pass }, chance) {
      const ms = chance.pick([3_500, 6_000]);
      await pass(ms);
      return `${ms} ms`;
    },
  },
  come: {
    weight: 8,
    act(world, chance) {
      const client = chance.pick(world.clients);
      if (client.isolate) return undefined;
      return connect(world, chance, client);
    },
  },
  /** Another isolate gets a client that another one has served until now. */
  move: {
    weight: 4,
    act(world, chance) {
      const client = chance.pick(world.clients);
      if (!client.isolate) return undefined;
      client.read(chance.below(12));
      client.cut();
      return connect(world, chance, client);
    },
  },
  open: {
    weight: 5,
    act({ clients }, chance) {
      const client = chance.pick(clients.filter(({ wish }) => !wish.isStream));
      const topics = TOPICS.filter(() => chance.hits(0.4));
      const rate = chance.pick(RATES);
      if (topics.length === 0 || !client.isolate || !client.open(topics, rate)) return undefined;
      return `${client.name} ${topics} ${rate ?? ""}`;
    },
  },
  leave: {
    weight: 3,
    act({ clients }, chance) {
      const client = chance.pick(clients.filter(({ wish }) => !wish.isStream));
      const topic = chance.pick(TOPICS);
      return client.leave(topic) ? `${client.name} ${topic}` : undefined;
    },
  },
  read: {
    weight: 5,
    act({ clients }, chance) {
      const client = chance.pick(clients);
      const count = chance.below(8);
      client.read(count);
      return `${client.name} ${count}`;
    },
  },
  readAll: {
    weight: 3,
    act({ clients }) {
      for (const client of clients) client.read(Number.POSITIVE_INFINITY);
      return "";
    },
  },
  cut: {
    weight: 4,
    act({ clients }, chance) {
      const client = chance.pick(clients);
      if (!client.isolate) return undefined;
      client.read(chance.below(12));
      client.cut();
      return client.name;
    },
  },
  stall: {
    weight: 3,
    act: ({ clients }, chance) => each(chance.pick(clients), (client) => client.stall()),
  },
  resume: {
    weight: 4,
    act: ({ clients }, chance) => each(chance.pick(clients), (client) => client.resume()),
  },
  /** More than may wait for a client. */
  flood: {
    weight: 2,
    act({ origin, clock }, chance) {
      const topic = chance.pick(TOPICS);
      const count = 20 + chance.below(60);
      for (let i = 0; i < count; i++) {
        origin.publish(topic, chance.pick(KEYS));
        if (i % 10 === 9) clock.settle(); // not all of it in one tick
      }
      return `${topic} ${count}`;
    },
  },
  originCut: {
    weight: 1,
    act({ origin }) {
      origin.cut();
      return "";
    },
  },
  originDown: {
    weight: 1,
    act({ origin }) {
      origin.isUp = false;
      origin.cut();
      return "";
    },
  },
  originUp: {
    weight: 3,
    act({ origin }) {
      if (origin.isUp) return undefined;
      origin.isUp = true;
      return "";
    },
  },
  originMood: {
    weight: 2,
    act({ origin }, chance) {
      const delayMs = chance.pick([0, 20, 500, 8_000]);
      const refused = chance.pick([0, 0, 0, 0.3]);
      origin.mood = { delayMs, refused };
      return `answers within ${delayMs} ms, refuses ${refused}`;
    },
  },
};

/** The steps of a run. @param own what may happen beside what clients and the origin do */
export function createSteps(count: number, chance: Chance, own: Actions<never>): Step[] {
  const urn = Object.entries({ ...ACTIONS, ...own }).flatMap(([kind, { weight }]) =>
    Array.from({ length: weight }, () => kind),
  );
  return Array.from({ length: count }, () => ({
    kind: chance.pick(urn),
    seed: Math.floor(chance.next() * 2 ** 32),
  }));
}

/** @returns what happened, for a person; `undefined` when it could not */
export async function take<W extends World>(
  { kind, seed }: Step,
  world: W,
  own: Actions<W>,
): Promise<string | undefined> {
  const actions: Actions<W> = { ...ACTIONS, ...own };
  const what = await actions[kind]?.act(world, createChance(seed));
  return what === undefined ? undefined : `${kind} ${what}`;
}

/** Has a client ask for all that it wants. */
export function connect(world: World, chance: Chance, client: World["clients"][number]): string {
  const isolate = chance.pick(world.isolates());
  if (!isolate) return `${client.name} nowhere`;
  const { topics, rate } = client.wish;
  client.connect(isolate);
  client.open(topics, rate);
  return `${client.name} to ${isolate.id}`;
}

/** An isolate is no more: its clients notice. */
export function abandon(clients: readonly Client[], isolate: Isolate): void {
  for (const client of clients) if (client.isolate === isolate) client.cut();
}

function each(client: Client, what: (client: Client) => void): string {
  what(client);
  return client.name;
}
