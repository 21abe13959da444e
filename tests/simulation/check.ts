/** What must be true of a world: after every step, and in the end. */

import { expect } from "vitest";
import type { Client } from "./client.ts";
import { LIMITS } from "./isolate.ts";
import { connect } from "./step.ts";
import { KEYS, mend, RATES, TOPICS, type World } from "./world.ts";

/** How long an owner may say nothing until it is taken for away, ms. */
const MOST_SILENT_MS = 4_000;

/** What holds at any time. What clients are told is judged by themselves, when they read it. */
export function checkNow(world: World): void {
  const { lives, clients, isolates, supervisor } = world;
  for (const isolate of isolates()) {
    const { id, heap, group, feed, lives: own, budget } = isolate;
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
    if (feed.topicCount > TOPICS.length) throw new Error(`${id} has ${feed.topicCount} topics`);
    if (budget.bytes > LIMITS.historyBytes) throw new Error(`${id} keeps ${budget.bytes} bytes`);
  }
  for (const client of clients) {
    const { name, excesses } = client;
    checkLive(world, client);
    // What a tick brings may be more than may wait. Who has not taken that is sent no other, but by
    // those of its subscribers, one for each rate, that do not know of it yet.
    if (excesses > RATES.length) throw new Error(`${name} is sent more though it takes nothing`);
  }
}

/** Nobody is shown as live what nobody looks after. */
function checkLive({ bus, clock }: World, { name, isolate, topics, isLive }: Client): void {
  if (!isolate || isolate.heap.isFrozen || ![...topics].some(isLive)) return;
  const { id, group, feed } = isolate;
  const owner = group.roster?.owner ?? "";
  const silentMs = clock.now() - bus.reachedAt(owner, id);
  // A replica that has heard nothing of its owner is at the very beginning.
  const isHeard = feed.line.sequence > 0 && silentMs <= MOST_SILENT_MS;
  const isCared = owner === id ? feed.line.connected : isHeard;
  if (!isCared) throw new Error(`${name} is shown as live what nobody looks after`);
}

/** The faults stop, time passes, and everybody must be equal to the origin. */
export async function checkEnd(world: World): Promise<void> {
  const { clients, origin, chance, isolates } = world;
  mend(world);
  await settle(world, 12_000);
  for (const client of clients) {
    // Whoever was cut, or lost a topic to a refusal, comes again.
    if (client.wish.topics.every((topic) => client.topics.has(topic))) continue;
    client.cut();
    connect(world, chance, client);
  }
  await settle(world, 8_000);

  const owners = isolates().filter(({ id, group }) => group.roster?.owner === id);
  expect(owners.map(({ id }) => id)).toEqual([world.supervisor.roster.owner]);
  const life = owners[0]?.lives.at(-1);
  if (!life) throw new Error("There is no owner");
  expect([...origin.connections]).toEqual([life.source]);
  const wished = new Set(clients.flatMap(({ topics }) => [...topics]));
  expect([...life.source.joined].sort()).toEqual([...wished].sort());

  for (const client of clients) {
    for (const topic of client.topics) {
      const { state, number, values, skipping } = client.view(topic);
      const where = `${client.name} ${topic}`;
      expect({ where, state, skipping }).toEqual({ where, state: "live", skipping: 0 });
      const known = life.table.get(topic)?.latest.after(-1) ?? [];
      if (topic !== "whole/1") {
        // Without a snapshot, what was published while nobody listened is not to be had.
        const newest = known.map(({ raw }) => JSON.parse(String(raw)) as [string, string, number]);
        const own = Object.fromEntries(newest.map(([, key, number]) => [key, number]));
        expect({ where, values }).toEqual({ where, values: own });
      } else if (!life.source.withoutSnapshot.has(topic)) {
        expect({ where, number, values }).toEqual({ where, ...origin.truth.get(topic) });
      }
    }
  }

  for (const topic of TOPICS) for (const key of KEYS) origin.publish(topic, key);
  await settle(world, 1_500);
  for (const client of clients) {
    for (const topic of client.topics) {
      const { number, values, state, skipping } = client.view(topic);
      const where = `${client.name} ${topic}`;
      const truth = { where, ...origin.truth.get(topic), state: "live", skipping: 0 };
      expect({ where, number, values, state, skipping }).toEqual(truth);
    }
  }

  for (const client of clients) client.cut();
  await world.pass(16_000);
  expect(life.source.wanted.size).toBe(0);
  for (const { feed, fanout, budget } of isolates()) {
    const { laggardCount, queuedBytes } = fanout;
    const left = { topics: feed.topicCount, bytes: budget.bytes, laggardCount, queuedBytes };
    expect(left).toEqual({ topics: 0, bytes: 0, laggardCount: 0, queuedBytes: 0 });
  }
}

async function settle(world: World, ms: number): Promise<void> {
  const stepMs = 500;
  for (let passed = 0; passed < ms; passed += stepMs) {
    await world.pass(stepMs);
    for (const client of world.clients) client.read(Number.POSITIVE_INFINITY);
    checkNow(world);
  }
}
