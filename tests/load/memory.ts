/** What a relay's process takes, asked from outside. */

import { readFile } from "node:fs/promises";
import { eventually } from "../support/eventually.ts";
import type { Runtime, RuntimeName } from "../support/runtimes.ts";
import type { Program } from "../support/spawn.ts";

export interface Memory {
  /** What the process holds of the machine, bytes. */
  readonly rss: number;
  /** What is alive in the JavaScript heap, and buffers that belong to it, bytes. */
  readonly heap: number;
}

const PROBE = "./tests/load/probe.ts";
const FLAGS: Readonly<Record<RuntimeName, readonly string[]>> = {
  bun: ["--preload", PROBE],
  deno: ["--v8-flags=--expose-gc", "--preload", PROBE],
  node: ["--expose-gc", "--import", PROBE],
};

/** The runtime, so that its heap can be asked for. */
export function withProbe({ name, command }: Runtime): Runtime {
  return {
    name,
    command(...args) {
      const plain = command(...args);
      const entry = plain.findIndex((part) => part.endsWith(".ts"));
      return [...plain.slice(0, entry), ...FLAGS[name], ...plain.slice(entry)];
    },
  };
}

/** @returns a function that takes a sample; not to be called again before it is there */
export function watchMemory(program: Program): () => Promise<Memory> {
  let count = 0;
  return async () => {
    // First, because what is collected now is part of what it takes.
    const rss = await readRss(program.pid);
    const line = new RegExp(`^heap (\\d+) ${++count}$`, "m");
    process.kill(program.pid, "SIGUSR2");
    const found = await eventually(
      () => line.exec(program.output()),
      (match) => match !== null,
    );
    return { rss, heap: Number(found?.[1]) };
  };
}

async function readRss(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(status) ?? [];
  if (kilobytes === undefined) throw new Error(`No VmRSS in ${status}`);
  return Number(kilobytes) * 1024;
}
