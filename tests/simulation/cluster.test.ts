/**
 * The promises of the relay, kept by the machines of a cluster while their log, the network and
 * they themselves fail. Seeds are said as for `group.test.ts`.
 */

import { test } from "vitest";
import { CLUSTER } from "./cluster.ts";
import { simulateAll } from "./run.ts";

const SEEDS = 300;

test(
  "the machines of a cluster keep its promises, whatever happens around them",
  () => simulateAll(CLUSTER, SEEDS),
  4 * 3_600_000,
);
