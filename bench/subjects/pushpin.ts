/** Pushpin, a proxy that holds streams for a backend: Debian's package of that name. */

import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../../tests/support/eventually.ts";
import type { Missing } from "../../tests/support/runtimes.ts";
import { startProgram } from "../../tests/support/spawn.ts";
import { startFeed } from "../feed.ts";
import { pin } from "../machine.ts";
import { findFreePort, isListening } from "../port.ts";
import type { Subject } from "../subject.ts";
import { processTree } from "../usage.ts";

const PUSHPIN = "/usr/bin/pushpin";

export function pushpin(): Subject | Missing {
  if (!existsSync(PUSHPIN)) return { missing: `there is no ${PUSHPIN}: apt-get install pushpin` };
  return {
    name: "pushpin",
    transports: ["sse"],
    maxSubscribers: 1_000, // some 300 connect in a second
    async start({ transport: protocol, cores, owned }) {
      const folder = await mkdtemp(join(tmpdir(), "keryx-pushpin-"));
      owned.defer(() => rm(folder, { recursive: true }));
      const backend = owned.use(await startFeed(cores, { mode: "pushpin" }));
      const port = await findFreePort();
      const push = await findFreePort();
      await mkdir(join(folder, "log"));
      await writeFile(join(folder, "routes"), `* 127.0.0.1:${backend.port}\n`);
      const file = join(folder, "pushpin.conf");
      await writeFile(file, configuration(folder, { port, push }));
      const command = pin(cores, "server", [PUSHPIN, "--verbose", `--config=${file}`]);
      const program = await startProgram(command, { ready: /started/ });
      owned.defer(() => program.stop()); // it ends its own children, if it is let
      for (const needed of [port, push]) await eventually(() => isListening(needed), Boolean);
      const feed = owned.use(await startFeed(cores, { mode: "pushpin", target: push }));
      // It loses some of those that come together.
      const target = { protocol, port, path: "/", inflight: 1 };
      return { pids: processTree(program.pid), target, feed };
    },
  };
}

/** @param ports where clients connect, and where publications are pushed */
function configuration(
  folder: string,
  { port, push }: { readonly port: number; readonly push: number },
): string {
  return `
[global]
include={libdir}/internal.conf
rundir=${folder}
ipc_prefix=bench-

[runner]
services=condure,zurl,pushpin-proxy,pushpin-handler
http_port=127.0.0.1:${port}
logdir=${folder}/log
log_level=1
client_maxconn=19000

[proxy]
zurl_out_specs=ipc://{rundir}/{ipc_prefix}zurl-in
zurl_out_stream_specs=ipc://{rundir}/{ipc_prefix}zurl-in-stream
zurl_in_specs=ipc://{rundir}/{ipc_prefix}zurl-out
routesfile=${folder}/routes

[handler]
push_in_spec=tcp://127.0.0.1:${push}
push_in_sub_specs=ipc://${folder}/sub
push_in_http_port=0
command_spec=ipc://${folder}/command
message_rate=1000000
message_hwm=1000000
`;
}
