/** Several isolates of one process: one subscription for all of them, and what becomes of it. */

import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { demoConfig } from "../../app/demo/config.ts";
import type { Kind } from "../support/crowd.ts";
import { eventually } from "../support/eventually.ts";
import { ask } from "../support/http.ts";
import { readSeries } from "../support/metrics.ts";
import { declareWith } from "../support/needs.ts";
import { type Note, type Observer, observe } from "../support/observer.ts";
import { embeddedOrigin, type Origin } from "../support/origins.ts";
import { type Death, startReaper } from "../support/reaper.ts";
import { findRuntime, type Runtime } from "../support/runtimes.ts";
import { killAll } from "../support/spawn.ts";
import { type SpawnedRelay, startWith } from "../support/spawned-relay.ts";

const MATCH = 7;
const CLIENTS = 2_000;
const KINDS: readonly Kind[] = ["ws", "sse", "signalr"];
/** Clients that are on their way in at one time. */
const CONNECTING = 50;
const PUBLICATIONS = 300;
/** How long a take-over may take on a busy machine, ms; what it took is printed. */
const TAKE_OVER_MS = 5_000;
/** A dead owner is noticed at once, one that hangs when it has not answered for a while, ms. */
const PATIENCE_MS = 30_000;

/** What becomes of an isolate that hangs; not each runtime can end one. */
const HUNG = { bun: "is replaced", deno: "ends the process", node: "is replaced" } as const;

for (const name of ["bun", "deno", "node"] as const) {
  declareWith(name, findRuntime(name), (runtime: Runtime) => {
    describe(`two isolates on ${name}`, () => {
      afterAll(killAll);

      test(`${CLIENTS} clients hear the same, and go on when the owner dies`, async () => {
        const { origin, relay, reap } = await setUp(runtime);
        const crowd = await enter(CLIENTS, relay.url);
        const before = await readClients(relay.url);
        console.log(`${name}: clients by isolate ${JSON.stringify(before)}`);
        expect(Object.values(before).every((count) => count >= CLIENTS / 10)).toBe(true);
        expect(sum(before)).toBe(CLIENTS);
        const one = { connections: 1, connectionsTotal: 1, joins: { [MATCH]: 1 }, joinsTotal: 1 };
        expect(await origin.stats()).toMatchObject(one);

        const { first } = await origin.publish(MATCH, PUBLICATIONS);
        const { last } = await origin.publish(MATCH, 1);
        await hearAll(crowd, last);
        for (const { kind, notes } of crowd) {
          expect([kind, notes]).toEqual([kind, [...opening(kind), ...range(first, last)]]);
        }
        expect(await origin.stats()).toMatchObject(one);

        const owner = await findOwner(relay.url);
        const diedAt = performance.now();
        reap("throw");
        await origin.publish(MATCH, 3); // nobody hears of these, or only in a state
        const survivors = await watchTakeOver(crowd, before[owner] ?? 0);
        const tookMs = Math.max(
          ...plainOf(survivors).map(({ liveAt = Number.NaN }) => liveAt - diedAt),
        );
        console.log(`${name}: live again ${Math.round(tookMs)} ms after the owner's isolate died`);
        expect(tookMs).toBeLessThan(TAKE_OVER_MS);

        const after = await origin.publish(MATCH, PUBLICATIONS);
        await hearAll(survivors, after.last);
        for (const { kind, notes } of survivors) {
          const gap = kind === "signalr" ? [] : ["stale", "reset", "live"];
          const news = notes.slice(opening(kind).length + PUBLICATIONS + 1);
          const words = news.filter((note) => typeof note !== "number");
          const numbers = news.filter((note) => typeof note === "number");
          expect([kind, words]).toEqual([kind, gap]);
          // What came between the join and the first of these is among them, too.
          expect(numbers).toEqual(range(numbers[0] ?? 0, after.last));
          expect(numbers.length).toBeGreaterThanOrEqual(PUBLICATIONS);
        }
        expect(await origin.stats()).toMatchObject({
          connections: 1,
          connectionsTotal: 2,
          joinsTotal: 2,
        });

        await eventually(() => readOne(relay.url, "keryx_isolate_restarts_total"), isOne);
        await eventually(
          () => readClients(relay.url),
          (clients) => Object.keys(clients).length === 2,
          PATIENCE_MS,
        );
        // Some go to the new one, which has the topic before it has ever heard the origin.
        const newcomers = await enter(100, relay.url);
        const now = await readClients(relay.url);
        expect(Object.values(now).every((count) => count > 0)).toBe(true);
        const more = await origin.publish(MATCH, 1);
        await hearAll([...survivors, ...newcomers], more.last);
        expect(ended([...survivors, ...newcomers])).toEqual([]);
        expect(await origin.stats()).toMatchObject({ connectionsTotal: 2, joinsTotal: 2 });

        await relay.program.stop();
        await expect(ask(relay.url, "/healthz")).rejects.toThrow("ECONNREFUSED");
        const { connections } = await eventually(origin.stats, ({ connections }) => !connections);
        expect(connections).toBe(0);
      });

      test(`an owner that hangs is owner no more, and ${HUNG[name]}`, async () => {
        const { origin, relay, reap } = await setUp(runtime);
        const crowd = await enter(60, relay.url);
        const clients = await readClients(relay.url);
        const owner = await findOwner(relay.url);
        reap("loop");
        const hungAt = performance.now();
        await eventually(
          () => plainOf(crowd).filter(({ liveAt }) => liveAt !== undefined).length,
          (count) => count > 0,
          PATIENCE_MS,
        );
        const tookMs = performance.now() - hungAt;
        console.log(`${name}: live again ${Math.round(tookMs)} ms after the owner's isolate hung`);
        const { last } = await origin.publish(MATCH, 5);
        if (HUNG[name] === "ends the process") {
          await eventually(
            () => crowd.filter(({ notes }) => notes.at(-1) === last).length,
            (count) => count === crowd.length - (clients[owner] ?? 0),
          );
          expect(await relay.program.exited).toEqual({ code: 1, signal: null });
          return;
        }
        const survivors = await watchTakeOver(crowd, clients[owner] ?? 0);
        await eventually(() => readOne(relay.url, "keryx_isolate_restarts_total"), isOne, 60_000);
        await eventually(() => readOne(relay.url, "keryx_isolates"), isTwo);
        await hearAll(survivors, last);
        for (const { notes } of survivors) expect(notes.slice(-5)).toEqual(range(last - 4, last));
        await relay.program.stop();
      });
    });
  });
}

async function setUp(
  runtime: Runtime,
): Promise<{ origin: Origin; relay: SpawnedRelay; reap(death: Death): void }> {
  const origin = await embeddedOrigin(runtime)();
  onTestFinished(() => void origin.program.kill());
  const reaper = await startReaper({ ...demoConfig(origin.hub), drainMs: 500 });
  onTestFinished(reaper.stop);
  const env = { KERYX_CONFIG: reaper.path, KERYX_WORKERS: "2" };
  const relay = await startWith(runtime, env);
  onTestFinished(() => void relay.program.kill());
  return { origin, relay, reap: reaper.reap };
}

/** @returns clients of all kinds, a bounded number of them on their way at one time */
async function enter(count: number, url: string): Promise<Observer[]> {
  const observers: Observer[] = [];
  onTestFinished(() => {
    for (const observer of observers) observer.close();
  });
  let next = 0;
  const worker = async () => {
    while (next < count) {
      const kind = KINDS[next++ % KINDS.length] as Kind;
      observers.push(await observe(kind, url, MATCH));
    }
  };
  await Promise.all(Array.from({ length: CONNECTING }, worker));
  return observers;
}

/** What a client is told before the first push. */
function opening(kind: Kind): readonly Note[] {
  return kind === "signalr" ? [] : ["reset", "subscribed"];
}

/** Waits until all have heard this one. */
async function hearAll(observers: readonly Observer[], last: number): Promise<void> {
  await eventually(
    () => observers.filter(({ notes }) => notes.at(-1) !== last).length,
    (missing) => missing === 0,
    PATIENCE_MS,
  );
}

/**
 * Waits until everybody has gone on who was not with the owner, and everybody has gone who was.
 * @param lost clients of the owner
 */
async function watchTakeOver(crowd: readonly Observer[], lost: number): Promise<Observer[]> {
  await eventually(
    () => {
      const waiting = plainOf(crowd).filter(
        ({ end, liveAt }) => end === undefined && liveAt === undefined,
      );
      return { waiting: waiting.length, ended: ended(crowd).length };
    },
    (seen) => seen.waiting === 0 && seen.ended === lost,
    PATIENCE_MS,
  );
  return crowd.filter(({ end }) => end === undefined);
}

/** Those whose protocol has words for what happens to a topic. */
function plainOf(crowd: readonly Observer[]): Observer[] {
  return crowd.filter(({ kind }) => kind !== "signalr");
}

function ended(crowd: readonly Observer[]): string[] {
  return crowd.flatMap(({ kind, end }) => (end === undefined ? [] : `${kind}: ${end}`));
}

/** Clients by isolate. */
async function readClients(url: string): Promise<Record<string, number>> {
  const clients: Record<string, number> = {};
  for (const { labels, value } of await readSeries(url, "keryx_clients")) {
    const isolate = labels.isolate ?? "";
    clients[isolate] = (clients[isolate] ?? 0) + value;
  }
  return clients;
}

async function findOwner(url: string): Promise<string> {
  const series = await readSeries(url, "keryx_upstream_connections");
  const owners = series.filter(({ value }) => value > 0);
  expect(owners).toHaveLength(1);
  return owners[0]?.labels.isolate ?? "";
}

async function readOne(url: string, name: string): Promise<number | undefined> {
  return (await readSeries(url, name))[0]?.value;
}

const isOne = (value: number | undefined) => value === 1;
const isTwo = (value: number | undefined) => value === 2;

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}
