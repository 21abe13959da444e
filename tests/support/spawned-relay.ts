/** A relay as a child process. */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ConfigInput } from "../../app/config.ts";
import { eventually } from "./eventually.ts";
import { ask } from "./http.ts";
import type { Runtime } from "./runtimes.ts";
import { type Program, startProgram } from "./spawn.ts";

export interface SpawnedRelay {
  /** `http://127.0.0.1:{port}`. */
  readonly url: string;
  readonly program: Program;
}

const LISTENING = /"url":"http:\/\/localhost:(\d+)"[^\n]*keryx is listening/;

/** Starts a relay, and waits until it is ready. */
export async function startRelay(
  runtime: Runtime,
  config: ConfigInput,
  ...args: readonly string[]
): Promise<SpawnedRelay> {
  return withConfig(JSON.stringify(config), (KERYX_CONFIG) =>
    startWith(runtime, { KERYX_CONFIG }, ...args),
  );
}

/** Starts a relay that is configured by its environment. */
export async function startWith(
  runtime: Runtime,
  env: Readonly<Record<string, string>>,
  ...args: readonly string[]
): Promise<SpawnedRelay> {
  const program = await startProgram(runtime.command(...args), {
    env: { PORT: "0", HOST: "127.0.0.1", ...runtime.env, ...env },
    ready: LISTENING,
  });
  const url = `http://127.0.0.1:${program.ready[1]}`;
  await eventually(
    () => ask(url, "/readyz"),
    ({ status }) => status === 200,
  );
  return { url, program };
}

/** Writes a configuration file that is there while `use` is at work. */
export async function withConfig<T>(
  text: string,
  use: (path: string) => Promise<T>,
  name = "keryx.config.json",
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "keryx-"));
  try {
    const path = join(folder, name);
    await writeFile(path, text);
    return await use(path);
  } finally {
    await rm(folder, { recursive: true });
  }
}
