/** How the relay is run, changed: another script, or flags for the runtime. */

import type { Runtime } from "../tests/support/runtimes.ts";

/** The command that runs another script as the relay is run. @param path from the project's folder */
export function scriptCommand(
  runtime: Runtime,
  path: string,
  ...args: readonly string[]
): readonly string[] {
  const entry = `app/entry/${runtime.name}.ts`;
  return runtime.command(...args).map((word) => (word === entry ? path : word));
}

/** The runtime, with flags of its own. */
export function withFlags(runtime: Runtime, ...flags: readonly string[]): Runtime {
  const entry = `app/entry/${runtime.name}.ts`;
  return {
    name: runtime.name,
    command: (...args) =>
      runtime.command(...args).flatMap((word) => (word === entry ? [...flags, word] : [word])),
  };
}
