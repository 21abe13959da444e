/** The machine: which core does what, and what a reader of the figures has to know of it. */

import { execFileSync } from "node:child_process";
import { availableParallelism, cpus, platform, release, totalmem } from "node:os";
import { findRuntime, type RuntimeName } from "../tests/support/runtimes.ts";

export const RUNTIMES: readonly RuntimeName[] = ["bun", "deno", "node"];

/** What a program does here. The server has a core of its own; all else shares another. */
export type Role = "server" | "load";

/** The core of each role, by its number. */
export type Cores = Readonly<Record<Role, number>>;

/**
 * Parses `0,1`: the server's core, and the one of the clients and of what publishes.
 * @throws {RangeError} when these are not two cores of this machine
 */
export function parseCores(text: string): Cores {
  const [server, load, ...more] = text.split(",").map(Number);
  const isCore = (core: number | undefined): core is number =>
    core !== undefined && Number.isInteger(core) && core >= 0 && core < cpus().length;
  if (!isCore(server) || !isCore(load) || server === load || more.length > 0) {
    throw new RangeError(`Invalid cores "${text}": two of 0 to ${cpus().length - 1} are needed`);
  }
  return { server, load };
}

/** @throws Error when the bench cannot run here at all */
export function checkMachine(): void {
  if (platform() !== "linux") throw new Error("The bench needs Linux: epoll, /proc and taskset");
}

/** Has a command run on the core of its role, and on no other. It keeps its pid. */
export function pin(cores: Cores, role: Role, command: readonly string[]): readonly string[] {
  return ["taskset", "-c", String(cores[role]), ...command];
}

/** Has a command run on both cores. It keeps its pid. */
export function spread({ server, load }: Cores, command: readonly string[]): readonly string[] {
  return ["taskset", "-c", `${server},${load}`, ...command];
}

/** One line a fact. */
export function describeMachine(): readonly string[] {
  const [cpu] = cpus();
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`;
  const runtimes = RUNTIMES.flatMap((name) => {
    const runtime = findRuntime(name);
    const [command = ""] = "missing" in runtime ? [] : runtime.command();
    return command ? [`${name} ${version(command, "--version").replace(`${name} `, "")}`] : [];
  });
  return [
    `${availableParallelism()} cores, ${cpu?.model ?? "unknown"}, ${memory}, Linux ${release()}`,
    [...runtimes, `gcc ${version("gcc", "-dumpfullversion")}`].join(", "),
  ];
}

/** What a program says of its version; `not found` when it cannot be run. */
export function version(command: string, ...args: readonly string[]): string {
  try {
    return execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] })
      .trim()
      .split("\n", 1)[0] as string; // a split has at least one part
  } catch {
    return "not found";
  }
}
