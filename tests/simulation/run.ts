/** One run of the simulation: a seed, its steps, and what came of them. */

import { createChance } from "./chance.ts";
import { checkEnd, checkNow } from "./check.ts";
import { createSteps, type Step, take } from "./step.ts";
import type { Kind, World } from "./world.ts";

/** A run that broke a promise. */
export interface Failure {
  readonly seed: number;
  /** What happened, a line each, as few as could be found. */
  readonly history: readonly string[];
  readonly error: unknown;
}

/** Steps of a run. */
const STEPS = 60;

/** How many runs are spent on making a failing one shorter. */
const SHRINK_RUNS = Number(process.env.KERYX_SHRINK ?? 300);

/**
 * Runs many seeds: `KERYX_SEED` says which one, or `KERYX_SEEDS` up to which and `KERYX_FIRST` from
 * where.
 * @param count how many, when neither is said
 * @throws Error with the history of the first run that breaks a promise
 */
export async function simulateAll<W extends World>(kind: Kind<W>, count: number): Promise<void> {
  const { KERYX_SEED: only, KERYX_SEEDS: seeds = count, KERYX_FIRST: from = 1 } = process.env;
  const first = Number(only ?? from);
  const last = Number(only ?? seeds);
  if (!(first <= last)) throw new RangeError(`There is no seed from ${first} to ${last}`);
  for (let seed = first; seed <= last; seed++) {
    const failure = await simulate(kind, seed);
    if (!failure) continue;
    const text = `Seed ${seed} fails:\n${failure.history.join("\n")}`;
    throw new Error(text, { cause: failure.error });
  }
}

/** @returns `undefined` when all promises were kept */
async function simulate<W extends World>(
  kind: Kind<W>,
  seed: number,
): Promise<Failure | undefined> {
  const steps = createSteps(STEPS, createChance(seed), kind.actions);
  const failure = await play(kind, seed, steps);
  return failure && shrink(kind, failure, steps);
}

async function play<W extends World>(
  kind: Kind<W>,
  seed: number,
  steps: readonly Step[],
): Promise<Failure | undefined> {
  const history: string[] = [];
  const world = kind.create(seed);
  const startedAt = world.clock.now();
  try {
    for (const step of steps) {
      const what = await take(step, world, kind.actions);
      if (what === undefined) continue;
      history.push(`${world.clock.now() - startedAt} ms: ${what}`);
      world.clock.settle();
      checkNow(world, kind);
    }
    history.push("the faults end");
    await checkEnd(world, kind);
    return undefined;
  } catch (error) {
    return { seed, history, error };
  }
}

/** Leaves out steps as long as it fails without them: halves first, single ones last. */
async function shrink<W extends World>(
  kind: Kind<W>,
  failure: Failure,
  steps: readonly Step[],
): Promise<Failure> {
  let [best, kept, runs] = [failure, steps, 0];
  for (let size = Math.ceil(kept.length / 2); size >= 1 && runs < SHRINK_RUNS; ) {
    let isShorter = false;
    for (let at = 0; at < kept.length && runs < SHRINK_RUNS; runs++) {
      const fewer = [...kept.slice(0, at), ...kept.slice(at + size)];
      const shorter = await play(kind, failure.seed, fewer);
      if (shorter) {
        [best, kept, isShorter] = [shorter, fewer, true];
      } else at += size;
    }
    if (size > 1) size = Math.ceil(size / 2);
    else if (!isShorter) break;
  }
  return best;
}
