/** The direct ASP.NET Core hub, `hub/`: what users have today. */

import { fileURLToPath } from "node:url";
import { findDotnet } from "../../tests/support/dotnet.ts";
import type { Missing, Runtime } from "../../tests/support/runtimes.ts";
import { runProgram } from "../../tests/support/spawn.ts";
import { type Feed, startFeed } from "../feed.ts";
import { LISTENING, type Subject, startServer } from "../subject.ts";
import { startBehind } from "./keryx.ts";

export const HUB = "hub";

const SOURCES = fileURLToPath(new URL("../hub/", import.meta.url));
const BUILT = fileURLToPath(new URL("../../dist/bench/hub/", import.meta.url));

export function hub(): Subject | Missing {
  const found = findDotnet();
  if ("missing" in found) return found;
  return {
    name: HUB,
    transports: ["json"],
    async start(options) {
      const { cores, owned } = options;
      const feed = owned.use(await startFeed(cores, { mode: "line" }));
      const command = await hubCommand(feed);
      const { pid, ready } = await startServer(options, command, LISTENING);
      const target = { protocol: "json", port: Number(ready[1]), path: "/hubs/live" } as const;
      return { pids: [pid], target, feed };
    },
  };
}

/** The relay in front of that hub, which runs beside the clients, on their core. */
export function keryxBeforeHub(runtime: Runtime): Subject {
  return {
    name: `keryx-${runtime.name}-${HUB}`,
    transports: ["ws", "sse", "json"],
    async start(options) {
      const { cores, owned } = options;
      const feed = owned.use(await startFeed(cores, { mode: "line" }));
      const elsewhere = { ...options, cores: { ...cores, server: cores.load } };
      const { ready } = await startServer(elsewhere, await hubCommand(feed), LISTENING);
      return startBehind(runtime, { ...options, feed, origin: Number(ready[1]) });
    },
  };
}

async function hubCommand({ port }: Feed): Promise<readonly string[]> {
  return ["dotnet", await build(), String(port)];
}

let built: Promise<string> | undefined;

/** Builds it, once in a run. @returns what dotnet is to run */
function build(): Promise<string> {
  built ??= (async () => {
    const command = ["dotnet", "build", SOURCES, "-c", "Release", "--artifacts-path", BUILT];
    const { code, output } = await runProgram([...command, "--nologo"]);
    if (code !== 0) throw new Error(`Cannot build the hub:\n${output}`);
    return `${BUILT}bin/Hub/release/Hub.dll`;
  })();
  return built;
}
