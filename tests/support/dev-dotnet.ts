/** `npm run dev:dotnet`: the demo board, with the ASP.NET Core hub of `tests/origin` for an origin. */

import { demoConfig } from "../../app/demo/config.ts";
import { messageOf } from "../../lib/errors.ts";
import { buildOrigin, findDotnet } from "./dotnet.ts";
import { findRuntime } from "./runtimes.ts";
import { killAll, type Program, startProgram } from "./spawn.ts";
import { withConfig } from "./spawned-relay.ts";

const programs: Program[] = [];
let stopping = false;
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => void stop(0));
try {
  await run();
} catch (error) {
  if (!stopping) console.error(messageOf(error));
}
await stop(1);

/** Starts both, and returns when one of them has ended: one without the other is of no use. */
async function run(): Promise<void> {
  const dotnet = findDotnet();
  const bun = findRuntime("bun");
  if ("missing" in dotnet) {
    throw new Error(`This origin needs .NET: ${dotnet.missing}. "npm run dev" needs none`);
  }
  if ("missing" in bun) throw new Error(`The relay needs Bun: ${bun.missing}`);

  console.log("building the origin; the first time takes a while");
  const command = await buildOrigin(dotnet);
  const origin = await startProgram([...command, "--port", "0", "--speed", "60"], {
    ready: /origin listening on (\S+)/,
  });
  programs.push(origin);
  const url = `${origin.ready[1]}/hubs/live`;
  console.log(`the origin listens on ${url}`);

  const { PORT, HOST } = process.env;
  const relay = await withConfig(JSON.stringify(demoConfig(url)), (KERYX_CONFIG) =>
    startProgram(bun.command("--dev"), {
      env: { KERYX_CONFIG, ...(PORT && { PORT }), ...(HOST && { HOST }) },
      ready: /keryx is listening/,
      echo: true,
    }),
  );
  programs.push(relay);
  await Promise.race([relay.exited, origin.exited]);
}

async function stop(code: number): Promise<void> {
  if (stopping) return;
  stopping = true;
  await Promise.allSettled(programs.map((program) => program.stop()));
  await killAll(); // what was still being built or started
  process.exit(code);
}
