/**
 * The promises of the relay, kept by a whole group of isolates while everything around them fails.
 * The same seed is the same run: `KERYX_SEED=42` runs one, `KERYX_SEEDS=100000` all up to
 * there, from `KERYX_FIRST` on.
 */

import { test } from "vitest";
import { GROUP } from "./group.ts";
import { simulateAll } from "./run.ts";

const SEEDS = 2_000;

test(
  "a group of isolates keeps its promises, whatever happens around it",
  () => simulateAll(GROUP, SEEDS),
  4 * 3_600_000,
);
