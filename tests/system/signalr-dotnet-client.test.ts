/** The official .NET client in front of a relay, on every runtime: it lives the life of the others. */

import { afterAll, beforeAll, describe, test } from "vitest";
import type { ConfigInput } from "../../app/config.ts";
import { demoConfig } from "../../app/demo/config.ts";
import { buildOrigin, findDotnet } from "../support/dotnet.ts";
import { buildDotnetClient } from "../support/dotnet-client.ts";
import { countTopic, createCell, expectLife, type Seen } from "../support/life.ts";
import { declareWith } from "../support/needs.ts";
import { dotnetOrigin, type Origin } from "../support/origins.ts";
import { findRuntime, type RuntimeName } from "../support/runtimes.ts";
import { killAll, startProgram } from "../support/spawn.ts";
import { startRelay } from "../support/spawned-relay.ts";

const RELAYS: readonly RuntimeName[] = ["bun", "deno", "node"];

declareWith(".NET", findDotnet(), (dotnet) => {
  let client: readonly string[];
  let origin: Origin;
  beforeAll(async () => {
    client = await buildDotnetClient(dotnet);
    origin = await dotnetOrigin(await buildOrigin(dotnet))();
  });
  afterAll(killAll);
  for (const [i, name] of RELAYS.entries()) {
    describe(`in front of a relay on ${name}`, () => {
      declareWith(name, findRuntime(name), (runtime) => {
        test("the .NET client, in JSON over WebSockets", async () => {
          const relay = await startRelay(runtime, configOf(origin));
          const cell = createCell(i, {
            hubs: `${relay.url}/hubs`,
            origin: origin.url,
            transport: "WebSockets",
            protocol: "json",
          });
          const program = await startProgram([...client, JSON.stringify(cell)], {
            ready: /^seen (.*)\n/m,
          });
          await program.exited;
          expectLife(JSON.parse(program.ready[1] ?? "") as Seen, cell);
          await relay.program.stop();
        });
      });
    });
  }
});

function configOf({ url, hub }: Origin): ConfigInput {
  const { "/hubs/live": demo } = demoConfig(hub).hubs;
  const match = demo?.topics?.["match/{id}"];
  return {
    hubs: {
      "/hubs/live": { origin: hub, topics: { "match/{id}": { ...match } } },
      "/hubs/probe": { origin: `${url}/hubs/probe`, topics: countTopic() },
    },
  };
}
