/** nginx as a reverse proxy, where it is installed. */

import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { Missing } from "./runtimes.ts";
import { startProgram } from "./spawn.ts";

/** An installed nginx. */
export interface Nginx {
  /**
   * Starts it with one server, which ends with the test.
   * @param locations what stands within `server {}`; all else is as nginx has it by default
   * @param blocks what stands beside it, within `http {}`
   * @returns its URL, `http://127.0.0.1:{port}`
   */
  start(locations: string, blocks?: string): Promise<string>;
}

export function findNginx(): Nginx | Missing {
  const path = process.env.KERYX_NGINX || "/usr/sbin/nginx";
  if (!existsSync(path)) return { missing: `there is no ${path}, set KERYX_NGINX` };
  return { start: (locations, blocks = "") => start(path, locations, blocks) };
}

async function start(path: string, locations: string, blocks: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "keryx-nginx-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const port = await findFreePort();
  const file = join(folder, "nginx.conf");
  await writeFile(file, configuration({ folder, port, locations, blocks }));
  // It cannot be told to log to standard output when that is a socket.
  const shell = ["/bin/sh", "-c", 'exec "$@" 2>&1', "sh"];
  const program = await startProgram([...shell, path, "-p", folder, "-c", file, "-e", "stderr"], {
    ready: /using the "\w+" event method/, // said when the port is bound
  });
  onTestFinished(() => program.stop());
  return `http://127.0.0.1:${port}`;
}

/** One process in the foreground, so that none outlives it, and no path outside of `folder`. */
function configuration(options: {
  readonly folder: string;
  readonly port: number;
  readonly locations: string;
  readonly blocks: string;
}): string {
  const { folder, port, locations, blocks } = options;
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  return `
    daemon off;
    master_process off;
    pid ${folder}/nginx.pid;
    error_log stderr notice;
    events { worker_connections 8192; }
    http {
      access_log off;
      ${temporary.map((name) => `${name}_temp_path ${folder}/${name};`).join("\n")}
      ${blocks}
      server {
        listen 127.0.0.1:${port};
        ${locations}
      }
    }`;
}

/** nginx does not take port 0. */
async function findFreePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo; // of a TCP server, never a string
  await new Promise((resolve) => server.close(resolve));
  return port;
}
