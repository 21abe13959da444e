/** The programs in C: compiled when they are needed, and spoken to by lines. */

import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, readdirSync, statSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** What each program is made of, in `bench/native`. */
const SOURCES = {
  sender: ["sender.c", "websocket.c"],
  feed: ["feed.c", "publication.c", "websocket.c"],
  load: ["load.c", "client.c", "websocket.c"],
} as const;

export type NativeName = keyof typeof SOURCES;

const FOLDER = fileURLToPath(new URL("native/", import.meta.url));
const BUILT = fileURLToPath(new URL("../dist/bench/native/", import.meta.url));

/**
 * Compiles what is older than its sources.
 * @throws Error with the compiler's words; they name gcc, when it is not there
 */
export function buildNative(): void {
  mkdirSync(BUILT, { recursive: true });
  const newest = Math.max(...readdirSync(FOLDER).map((name) => statSync(FOLDER + name).mtimeMs));
  for (const [name, sources] of Object.entries(SOURCES)) {
    const built = statSync(BUILT + name, { throwIfNoEntry: false });
    if (built && built.mtimeMs > newest) continue;
    const flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"];
    try {
      execFileSync("gcc", [...flags, "-o", BUILT + name, ...sources], { cwd: FOLDER });
    } catch (error) {
      throw new Error(`Cannot compile ${name}: is there gcc, with libc6-dev?`, { cause: error });
    }
  }
}

/** The command that starts a program. @param options in the order of its own text */
export function nativeCommand(
  name: NativeName,
  options: Readonly<Record<string, string | number | undefined>>,
): readonly string[] {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return [BUILT + name, ...given.map(([key, value]) => `${key}=${value}`)];
}

/** A program that answers each command with one line of JSON. */
export interface Console {
  /**
   * Gives a command, and waits for its answer. One at a time.
   * @throws Error when the program ends instead, or takes longer than 90 s
   */
  ask(command: string, options?: Readonly<Record<string, number>>): Promise<unknown>;
  /** Ends it. */
  stop(): void;
}

const ANSWER_TIMEOUT_MS = 90_000;

/** @returns the program, with its first line of output when `greets` */
export async function openConsole(
  command: readonly string[],
  { greets }: { readonly greets: boolean },
): Promise<Console & { readonly greeting: string }> {
  const [file = "", ...args] = command;
  const child = spawn(file, args, { stdio: ["pipe", "pipe", "inherit"] });
  const lines: string[] = [];
  let wake = () => {};
  let ended = false;
  createInterface({ input: child.stdout }).on("line", (line) => {
    lines.push(line);
    wake();
  });
  const onEnd = () => {
    ended = true;
    wake();
  };
  child.on("error", onEnd);
  child.on("exit", onEnd);
  child.stdin.on("error", () => {}); // it has ended, and that is told

  async function next(): Promise<string> {
    const deadline = setTimeout(onEnd, ANSWER_TIMEOUT_MS);
    try {
      while (lines.length === 0) {
        if (ended) throw new Error(`${command.join(" ")} ended, or does not answer`);
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    } finally {
      clearTimeout(deadline);
    }
    return lines.shift() as string; // there is one
  }

  return {
    greeting: greets ? await next() : "",
    ask(name, options = {}) {
      const words = Object.entries(options).map(([key, value]) => `${key}=${value}`);
      child.stdin.write(`${[name, ...words].join(" ")}\n`);
      return next().then(JSON.parse);
    },
    stop() {
      child.stdin.end();
      child.kill();
    },
  };
}
