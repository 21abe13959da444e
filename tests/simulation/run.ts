/** One run of the simulation: a seed, its steps, and what came of them. */

import { createChance } from "./chance.ts";
import { checkEnd, checkNow } from "./check.ts";
import { createSteps, type Step, take } from "./step.ts";
import { createWorld } from "./world.ts";

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
const SHRINK_RUNS = 300;

/** @returns `undefined` when all promises were kept */
export async function simulate(seed: number): Promise<Failure | undefined> {
  const steps = createSteps(STEPS, createChance(seed));
  const failure = await play(seed, steps);
  return failure && shrink(failure, steps);
}

async function play(seed: number, steps: readonly Step[]): Promise<Failure | undefined> {
  const history: string[] = [];
  const world = createWorld(seed);
  const startedAt = world.clock.now();
  try {
    for (const step of steps) {
      const what = await take(step, world, createChance);
      if (what === undefined) continue;
      history.push(`${world.clock.now() - startedAt} ms: ${what}`);
      world.clock.settle();
      checkNow(world);
    }
    history.push("the faults end");
    await checkEnd(world);
    return undefined;
  } catch (error) {
    return { seed, history, error };
  }
}

/** Leaves out steps as long as it fails without them: halves first, single ones last. */
async function shrink(failure: Failure, steps: readonly Step[]): Promise<Failure> {
  let [best, kept, runs] = [failure, steps, 0];
  for (let size = Math.ceil(kept.length / 2); size >= 1 && runs < SHRINK_RUNS; ) {
    let isShorter = false;
    for (let at = 0; at < kept.length && runs < SHRINK_RUNS; runs++) {
      const fewer = [...kept.slice(0, at), ...kept.slice(at + size)];
      const shorter = await play(failure.seed, fewer);
      if (shorter) {
        [best, kept, isShorter] = [shorter, fewer, true];
      } else at += size;
    }
    if (size > 1) size = Math.ceil(size / 2);
    else if (!isShorter) break;
  }
  return best;
}
