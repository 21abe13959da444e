/** Nchan, nginx's module for pub/sub: Debian's libnginx-mod-nchan. */

import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Missing } from "../../tests/support/runtimes.ts";
import { startFeed } from "../feed.ts";
import { findFreePort } from "../port.ts";
import { type Subject, startServer } from "../subject.ts";

const NGINX = "/usr/sbin/nginx";
const MODULE = "/usr/lib/nginx/modules/ngx_nchan_module.so";

export function nchan(): Subject | Missing {
  for (const path of [NGINX, MODULE]) {
    if (!existsSync(path))
      return { missing: `there is no ${path}: apt-get install libnginx-mod-nchan` };
  }
  return {
    name: "nchan",
    transports: ["ws", "sse"],
    async start(options) {
      const { transport: protocol, cores, owned } = options;
      const folder = await mkdtemp(join(tmpdir(), "keryx-nchan-"));
      owned.defer(() => rm(folder, { recursive: true }));
      const port = await findFreePort();
      const file = join(folder, "nginx.conf");
      await writeFile(file, configuration(folder, port));
      // It cannot be told to log to standard output when that is a socket.
      const shell = ["/bin/sh", "-c", 'exec "$@" 2>&1', "sh"];
      const command = [...shell, NGINX, "-p", folder, "-c", file, "-e", "stderr"];
      const { pid } = await startServer(options, command, /using the "\w+" event method/);
      const feed = await startFeed(cores, { mode: "nchan", target: port, path: "/publish" });
      owned.use(feed);
      return { pids: [pid], target: { protocol, port, path: `/${protocol}` }, feed };
    },
  };
}

/** One process, as one core is measured. Publications are passed on and kept as briefly as it can. */
function configuration(folder: string, port: number): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  const subscriber = (transport: string) => `
        nchan_subscriber ${transport};
        nchan_channel_id bench;
        nchan_subscriber_first_message newest;`;
  return `
    load_module ${MODULE};
    daemon off;
    master_process off;
    pid ${folder}/nginx.pid;
    error_log stderr notice;
    worker_rlimit_nofile 20000;
    events { worker_connections 19900; }
    http {
      access_log off;
      keepalive_requests 100000000;
      nchan_message_buffer_length 1000;
      nchan_message_timeout 5s;
      nchan_store_messages on;
      ${temporary.map((name) => `${name}_temp_path ${folder}/${name};`).join("\n")}
      server {
        listen 127.0.0.1:${port} backlog=4096;
        location = /publish { nchan_publisher; nchan_channel_id bench; }
        location = /ws {${subscriber("websocket")} }
        location = /sse {${subscriber("eventsource")} }
      }
    }`;
}
