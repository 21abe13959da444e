/** What may happen in a world from one moment to the next. */

import type { Chance } from "./chance.ts";
import type { Client } from "./client.ts";
import { KEYS, RATES, TOPICS, type World } from "./world.ts";

/** A step is known by its kind and a number from which all its chance comes: it means the same alone. */
export interface Step {
  readonly kind: string;
  readonly seed: number;
}

/** @returns what happened, for a person; `undefined` when it could not */
type Action = (world: World, chance: Chance) => string | undefined | Promise<string>;

/** How often a kind of step is taken, in parts of all, and what it does. */
const ACTIONS: Readonly<Record<string, { readonly weight: number; readonly act: Action }>> = {
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
      for (const client of clients) if (client.isolate === isolate) client.cut();
      return isolate.id;
    },
  },
};

const URN = Object.entries(ACTIONS).flatMap(([kind, { weight }]) =>
  Array.from({ length: weight }, () => kind),
);

export function createSteps(count: number, chance: Chance): Step[] {
  return Array.from({ length: count }, () => ({
    kind: chance.pick(URN),
    seed: Math.floor(chance.next() * 2 ** 32),
  }));
}

/** @returns what happened, for a person; `undefined` when it could not */
export async function take(
  { kind, seed }: Step,
  world: World,
  createChance: (seed: number) => Chance,
) {
  const what = await ACTIONS[kind]?.act(world, createChance(seed));
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

function each(client: Client, what: (client: Client) => void): string {
  what(client);
  return client.name;
}
