/** The runtimes without a relay: `bare/`, the shortest server that passes lines on. */

import type { Runtime, RuntimeName } from "../../tests/support/runtimes.ts";
import { startFeed } from "../feed.ts";
import { scriptCommand } from "../script.ts";
import { LISTENING, type Subject, startServer } from "../subject.ts";

export function bareSubject(runtime: Runtime): Subject {
  return {
    name: NAMES[runtime.name],
    transports: ["ws", "sse"],
    async start(options) {
      const { transport: protocol, cores, owned } = options;
      const feed = owned.use(await startFeed(cores, { mode: "line" }));
      const path = `bench/bare/${runtime.name}.ts`;
      const command = scriptCommand(runtime, path, String(feed.port));
      const { pid, ready } = await startServer(options, command, LISTENING);
      const target = { protocol, port: Number(ready[1]), path: `/${protocol}` };
      return { pids: [pid], target, feed };
    },
  };
}

/** By what delivers on WebSockets. */
const NAMES: Readonly<Record<RuntimeName, string>> = {
  bun: "bun-publish",
  deno: "deno-bare",
  node: "node-ws",
};
