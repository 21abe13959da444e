/** What must be true of a world: after every step, and in the end. */

import { expect } from "vitest";
import type { Client } from "./client.ts";
import { LIMITS } from "./isolate.ts";
import { connect } from "./step.ts";
import { KEYS, type Kind, RATES, TOPICS, type World } from "./world.ts";

/** What holds at any time. What clients are told is judged by themselves, when they read it. */
export function checkNow<W extends World>(world: W, kind: Kind<W>): void {
  for (const { id, feed, budget } of world.isolates()) {
    if (feed.topicCount > TOPICS.length) throw new Error(`${id} has ${feed.topicCount} topics`);
    if (budget.bytes > LIMITS.historyBytes) throw new Error(`${id} keeps ${budget.bytes} bytes`);
  }
  kind.check(world);
  for (const client of world.clients) {
    const { name, excesses } = client;
    checkLive(world, kind, client);
    // What a tick brings may be more than may wait. Who has not taken that is sent no other, but by
    // those of its subscribers, one for each rate, that do not know of it yet.
    if (excesses > RATES.length) throw new Error(`${name} is sent more though it takes nothing`);
  }
}

/** Nobody is shown as live what nobody looks after. */
function checkLive<W extends World>(world: W, kind: Kind<W>, client: Client): void {
  const { name, isolate, topics, isLive } = client;
  if (!isolate || isolate.heap.isFrozen || ![...topics].some(isLive)) return;
  if (kind.isCared(world, isolate)) return;
  throw new Error(`${name} is shown as live what nobody looks after`);
}

/** The faults stop, time passes, and everybody must be equal to the origin. */
export async function checkEnd<W extends World>(world: W, kind: Kind<W>): Promise<void> {
  const { clients, origin, chance, isolates } = world;
  const settle = (ms: number) => settleFor(ms, world, kind);
  kind.mend(world);
  await settle(12_000);
  for (const client of clients) {
    // Whoever was cut, or lost a topic to a refusal, comes again.
    if (client.wish.topics.every((topic) => client.topics.has(topic))) continue;
    client.cut();
    connect(world, chance, client);
  }
  await settle(8_000);

  const lives = isolates().flatMap(({ lives }) => lives.filter(({ source }) => source.isActive));
  expect(lives).toHaveLength(1);
  const life = lives[0] as (typeof lives)[number]; // see above
  expect([...origin.connections]).toEqual([life.source]);
  const wished = new Set(clients.flatMap(({ topics }) => [...topics]));
  expect([...life.source.joined]).toEqual(expect.arrayContaining([...wished]));

  for (const client of clients) {
    for (const topic of client.topics) {
      const { state, number, values, skipping } = client.view(topic);
      const where = `${client.name} ${topic}`;
      expect({ where, state, skipping }).toEqual({ where, state: "live", skipping: 0 });
      const known = life.table.get(topic)?.latest.after(-1) ?? [];
      if (topic !== "whole/1") {
        // Without a snapshot, what was published while nobody listened is not to be had.
        const newest = known.map(({ raw }) => JSON.parse(String(raw)) as [string, string, number]);
        const own = {
          ...(kind.outlivesOwner ? values : {}),
          ...Object.fromEntries(newest.map(([, key, number]) => [key, number])),
        };
        expect({ where, values }).toEqual({ where, values: own });
      } else if (!life.source.withoutSnapshot.has(topic)) {
        expect({ where, number, values }).toEqual({ where, ...origin.truth.get(topic) });
      }
    }
  }

  for (const topic of TOPICS) for (const key of KEYS) origin.publish(topic, key);
  await settle(1_500);
  for (const client of clients) {
    for (const topic of client.topics) {
      const { number, values, state, skipping } = client.view(topic);
      const where = `${client.name} ${topic}`;
      const truth = { where, ...origin.truth.get(topic), state: "live", skipping: 0 };
      expect({ where, number, values, state, skipping }).toEqual(truth);
    }
  }

  for (const client of clients) client.cut();
  await world.pass(kind.forgetMs);
  expect(life.source.wanted.size).toBe(0);
  for (const { feed, fanout, budget } of isolates()) {
    const { laggardCount, queuedBytes } = fanout;
    const left = { topics: feed.topicCount, bytes: budget.bytes, laggardCount, queuedBytes };
    expect(left).toEqual({ topics: 0, bytes: 0, laggardCount: 0, queuedBytes: 0 });
  }
}

async function settleFor<W extends World>(ms: number, world: W, kind: Kind<W>): Promise<void> {
  const stepMs = 500;
  for (let passed = 0; passed < ms; passed += stepMs) {
    await world.pass(stepMs);
    for (const client of world.clients) client.read(Number.POSITIVE_INFINITY);
    checkNow(world, kind);
  }
}
