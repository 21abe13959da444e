/**
 * The promises of the relay, kept by a whole group of isolates while everything around them fails.
 * The same seed is the same run: `KERYX_SEED=42` runs one, `KERYX_SEEDS=100000` all up to
 * there, from `KERYX_FIRST` on.
 */

import { expect, test } from "vitest";
import { simulate } from "./run.ts";

const SEEDS = 2_000;

test(
  "a group of isolates keeps its promises, whatever happens around it",
  async () => {
    const { KERYX_SEED: only, KERYX_SEEDS: count = SEEDS } = process.env;
    const first = Number(only ?? process.env.KERYX_FIRST ?? 1);
    const last = only === undefined ? Number(count) : first;
    for (let seed = first; seed <= last; seed++) {
      const failure = await simulate(seed);
      if (!failure) continue;
      const text = `Seed ${seed} fails:\n${failure.history.join("\n")}`;
      throw new Error(text, { cause: failure.error });
    }
    expect(last).toBeGreaterThanOrEqual(first);
  },
  4 * 3_600_000,
);
