import { expect, onTestFinished, test } from "vitest";
import { demoConfig } from "../../app/demo/config.ts";
import { type Kind, type Visit, visit } from "../support/crowd.ts";
import { readMetric } from "../support/metrics.ts";
import { declareWith } from "../support/needs.ts";
import { embeddedOrigin, type Origin } from "../support/origins.ts";
import { findRuntime, type Runtime, type RuntimeName } from "../support/runtimes.ts";
import { type SpawnedRelay, startRelay } from "../support/spawned-relay.ts";

const MATCH = 7;
const KINDS: readonly Kind[] = ["sse", "ws", "signalr"];
/** Clients that are on their way in at one time. */
const CONNECTING = 50;
/** What a client takes of the time to leave, as the relay has it, ms. */
const MS_PER_CLIENT = 2;

/** How long a publication may take to all of them, ms. */
const HEARD_MS = 1_000;

const CLIENTS: readonly [RuntimeName, count: number][] = [
  ["bun", 5_000],
  ["deno", 1_500],
  ["node", 1_500],
];

for (const [name, count] of CLIENTS) {
  declareWith(name, findRuntime(name), (runtime: Runtime) => {
    test(`${count} clients of a relay on ${name} go over to another, one after the other`, async () => {
      const drainMs = count * MS_PER_CLIENT;
      const { origin, from, to } = await setUp(runtime, drainMs);
      const crowd = await enter(count, from.url);

      const startedAt = performance.now();
      process.kill(from.program.pid, "SIGTERM");
      const moves = crowd.map((guest) => move(guest, to.url));
      await new Promise((resolve) => setTimeout(resolve, drainMs / 2));
      await origin.publish(MATCH, 1);
      const publishedAt = performance.now();

      const moved = await Promise.all(moves);
      expect(await from.program.exited).toEqual({ code: 0, signal: null });
      const told = perSecond(moved.map(({ toldAt }) => toldAt - startedAt));
      const came = perSecond(moved.map(({ cameAt }) => cameAt - startedAt));
      console.log(`${name}, ${drainMs} ms, by second: told ${told}, came ${came}`);

      expect(await readMetric(to.url, "keryx_clients")).toBe(count);
      const early = moved.filter(({ toldAt, cameAt }) => cameAt < toldAt);
      const evenShare = count / (drainMs / 1000);
      for (const bySecond of [told, came]) {
        expect(Math.max(...bySecond)).toBeLessThanOrEqual(3 * evenShare);
      }
      // Who still waited for its turn heard what was published meanwhile.
      const waited = moved.filter(({ toldAt }) => toldAt > publishedAt + HEARD_MS);
      const deaf = waited.filter(({ pushes }) => pushes !== 1);
      expect({ early: early.length, deaf: deaf.length }).toEqual({ early: 0, deaf: 0 });
      expect(waited.length).toBeGreaterThan(0);
    });
  });
}

async function setUp(
  runtime: Runtime,
  drainMs: number,
): Promise<{ origin: Origin; from: SpawnedRelay; to: SpawnedRelay }> {
  const origin = await embeddedOrigin(runtime)();
  onTestFinished(() => void origin.program.kill());
  const start = async () => {
    const relay = await startRelay(runtime, { ...demoConfig(origin.hub), drainMs });
    onTestFinished(() => void relay.program.kill());
    return relay;
  };
  return { origin, from: await start(), to: await start() };
}

interface Guest {
  readonly kind: Kind;
  readonly visit: Visit;
}

/** @returns clients of all kinds, a bounded number of them on their way at one time */
async function enter(count: number, url: string): Promise<Guest[]> {
  const guests: Guest[] = [];
  onTestFinished(() => {
    for (const guest of guests) guest.visit.close();
  });
  let next = 0;
  const worker = async () => {
    while (next < count) {
      const kind = KINDS[next++ % KINDS.length] as Kind;
      guests.push({ kind, visit: await visit(kind, url, MATCH) });
    }
  };
  await Promise.all(Array.from({ length: CONNECTING }, worker));
  return guests;
}

/** How a client went over; times are as `performance.now()`. */
interface Move {
  readonly toldAt: number;
  readonly cameAt: number;
  /** What it heard before it was told to go. */
  readonly pushes: number;
}

/** Waits until the relay sends the client away, and for as long as it says, and goes to another. */
async function move({ kind, visit: before }: Guest, url: string): Promise<Move> {
  const { at: toldAt, retryMs } = await before.farewell();
  await new Promise((resolve) => setTimeout(resolve, retryMs));
  const after = await visit(kind, url, MATCH);
  onTestFinished(() => after.close());
  return { toldAt, cameAt: performance.now(), pushes: before.pushes };
}

function perSecond(times: readonly number[]): number[] {
  const counts: number[] = [];
  for (const ms of times) {
    const second = Math.floor(ms / 1000);
    while (counts.length <= second) counts.push(0);
    counts[second] = (counts[second] as number) + 1;
  }
  return counts;
}
