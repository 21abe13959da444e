/** The runtimes that the relay is tested on, where they are installed. */

import { execFileSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

export type RuntimeName = "bun" | "deno" | "node";

export interface Runtime {
  readonly name: RuntimeName;
  /** What configures every relay beside its own configuration, such as `KERYX_WORKERS`. */
  readonly env?: Readonly<Record<string, string>>;
  /** The command that starts the relay. */
  command(...args: readonly string[]): readonly string[];
}

/** Something that a suite needs and this machine has not. */
export interface Missing {
  readonly missing: string;
}

/** The oldest Node that runs the relay unbuilt. */
const NODE_MAJOR = 24;

const MODULES = new URL("../../node_modules/", import.meta.url);

export function findRuntime(name: RuntimeName): Runtime | Missing {
  const start = FIND[name]();
  if (typeof start !== "string" && "missing" in start) return start;
  const run = typeof start === "string" ? [start] : start;
  return { name, command: (...args) => [...run, `app/entry/${name}.ts`, ...args] };
}

const FIND: Readonly<Record<RuntimeName, () => string | readonly string[] | Missing>> = {
  bun() {
    const bun = fileURLToPath(new URL(".bin/bun", MODULES));
    return existsSync(bun) ? bun : { missing: "npm has not installed it" };
  },

  // The command of the npm package passes no signals on, so the binary itself.
  deno() {
    const folder = new URL("@deno/", MODULES);
    const platforms = existsSync(folder) ? readdirSync(folder) : [];
    const found = platforms
      .map((platform) => fileURLToPath(new URL(`${platform}/deno`, folder)))
      .find((path) => existsSync(path));
    if (found === undefined) return { missing: "npm has not installed it" };
    return [found, "run", "--allow-net", "--allow-env", "--allow-read", "--allow-sys"];
  },

  node() {
    const own = process.versions.bun === undefined ? process.execPath : "node";
    const node = process.env.KERYX_NODE || own;
    let version: string;
    try {
      version = execFileSync(node, ["--version"], { encoding: "utf8" }).trim();
    } catch {
      return { missing: `KERYX_NODE "${node}" cannot be run` };
    }
    if (Number(/^v(\d+)/.exec(version)?.[1]) >= NODE_MAJOR) return node;
    return { missing: `${version} is too old, set KERYX_NODE to one from ${NODE_MAJOR} on` };
  },
};
