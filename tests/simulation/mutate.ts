/**
 * Shows that the simulation sees errors: puts each of the mutations into a copy of the sources, and
 * prints the first seed that fails. By hand, on Node 24: `node tests/simulation/mutate.ts [part of a name or file]`.
 */

import { spawn } from "node:child_process";
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MUTATIONS, type Mutation } from "./mutations.ts";

const ROOT = join(import.meta.dirname, "../..");

const GROUP = "tests/simulation/group.test.ts";
const CLUSTER = "tests/simulation/cluster.test.ts";

/** @returns the first seed that fails; `undefined` when none of those tried does */
async function firstFailure({ file, edits }: Mutation): Promise<string | undefined> {
  const copy = await mkdtemp(join(tmpdir(), "keryx-mutation-"));
  try {
    for (const part of [
      "lib",
      "app",
      "tests/support",
      "tests/simulation",
      "package.json",
      "tsconfig.base.json",
    ]) {
      await cp(join(ROOT, part), join(copy, part), { recursive: true });
    }
    await symlink(join(ROOT, "node_modules"), join(copy, "node_modules"));
    const path = join(copy, file);
    await writeFile(path, edits.reduce(edit, await readFile(path, "utf8")));
    const output = await run(
      join(ROOT, "node_modules/.bin/vitest"),
      ["run", /cluster|network/.test(file) ? CLUSTER : GROUP],
      copy,
    );
    const seed = /Seed (\d+) fails/.exec(output)?.[1];
    if (seed === undefined && !/1 passed/.test(output)) throw new Error(output);
    return seed;
  } finally {
    await rm(copy, { recursive: true });
  }
}

function edit(text: string, [from, to]: readonly [string, string]): string {
  const [before, after, ...more] = text.split(from);
  if (after === undefined || more.length > 0) throw new Error(`Not there once: ${from}`);
  return `${before}${to}${after}`;
}

function run(command: string, args: readonly string[], cwd: string): Promise<string> {
  const env = { ...process.env, KERYX_SHRINK: "0" };
  const child = spawn(command, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => {
      output += text;
    });
  }
  return new Promise((resolve, reject) => {
    child.on("error", reject).on("close", () => resolve(output));
  });
}

const [part = ""] = process.argv.slice(2);
for (const mutation of MUTATIONS) {
  if (!`${mutation.name} ${mutation.file}`.includes(part)) continue;
  const seed = await firstFailure(mutation);
  console.log(`| ${mutation.name} | \`${mutation.file}\` | ${seed ?? "none"} |`);
}
