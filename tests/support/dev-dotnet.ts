/** `npm run dev:dotnet`: the demo board, with the ASP.NET Core hub of `tests/origin` for an origin. */

import { demoConfig } from "../../app/demo/config.ts";
import { buildOrigin, findDotnet } from "./dotnet.ts";
import { findRuntime } from "./runtimes.ts";
import { killAll, startProgram } from "./spawn.ts";
import { withConfig } from "./spawned-relay.ts";

const dotnet = findDotnet();
const bun = findRuntime("bun");
if ("missing" in dotnet) {
  fail(`The ASP.NET Core origin needs .NET: ${dotnet.missing}. "npm run dev" needs none.`);
}
if ("missing" in bun) fail(`The relay needs Bun: ${bun.missing}.`);

let stop: (code: number) => Promise<never> = leave;
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => void stop(0));

console.log("building the origin; the first time takes a while");
const command = await buildOrigin(dotnet);
const origin = await startProgram([...command, "--port", "0", "--speed", "60"], {
  ready: /origin listening on (\S+)/,
});
console.log(`the origin listens on ${origin.ready[1]}`);

const { PORT, HOST } = process.env;
const config = demoConfig(`${origin.ready[1]}/hubs/live`);
const relay = await withConfig(JSON.stringify(config), (KERYX_CONFIG) =>
  startProgram(bun.command("--dev"), {
    env: { KERYX_CONFIG, ...(PORT && { PORT }), ...(HOST && { HOST }) },
    ready: /keryx is listening/,
    echo: true,
  }),
);

stop = async (code) => {
  stop = leave; // asked twice, it goes at once
  await Promise.allSettled([relay.stop(), origin.stop()]);
  return leave(code);
};
const first = await Promise.race([
  relay.exited.then(() => "the relay has ended"),
  origin.exited.then(() => `the origin has ended:\n${origin.output()}`),
]);
// On the way out both end; otherwise one without the other is of no use.
if (stop !== leave) {
  console.error(first);
  await stop(1);
}

async function leave(code: number): Promise<never> {
  await killAll();
  process.exit(code);
}

function fail(text: string): never {
  console.error(text);
  process.exit(1);
}
