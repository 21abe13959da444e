/** How big the load tests are: `KERYX_LOAD=full` is for a quiet machine, the short form for CI. */

import { afterAll, describe } from "vitest";
import { declareWith } from "../support/needs.ts";
import { findRuntime, type Runtime, type RuntimeName } from "../support/runtimes.ts";
import { killAll } from "../support/spawn.ts";

export const isFull: boolean = process.env.KERYX_LOAD === "full";

/** The figures of the form that runs. */
export function choose<T>(short: T, full: T): T {
  return isFull ? full : short;
}

/** Of what is random, for a run that is to be repeated; timing is not in it. */
export const SEED: number = Number(process.env.LOAD_SEED ?? Date.now() % 1_000_000);

const RUNTIMES: readonly RuntimeName[] = ["bun", "deno", "node"];

/** Declares tests for a relay on each runtime. */
export function onEachRuntime(declare: (runtime: Runtime) => void): void {
  afterAll(killAll);
  for (const name of RUNTIMES) {
    describe(`a relay on ${name}`, () => declareWith(name, findRuntime(name), declare));
  }
}

/** Prints the totals of a run as one block. */
export function printTotals(title: string, totals: Readonly<Record<string, unknown>>): void {
  const lines = Object.entries(totals).map(([name, value]) => `  ${name}: ${printValue(value)}`);
  console.log(`${title}, seed ${SEED}\n${lines.join("\n")}`);
}

function printValue(value: unknown): string {
  if (value instanceof Map) return printValue(Object.fromEntries(value));
  return typeof value === "string" ? value : JSON.stringify(value);
}
