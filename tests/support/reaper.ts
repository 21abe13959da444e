/**
 * Ends the isolate that owns the feeds, and nothing in the relay knows of it: a configuration may hold
 * functions, and the owner alone asks for the access token of a hub.
 */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ConfigInput } from "../../app/config.ts";

/** With an error that nobody catches, or in a loop without an end. */
export type Death = "throw" | "loop";

export interface Reaper {
  /** Path of the configuration file, for `KERYX_CONFIG`. */
  readonly path: string;
  /** Ends the owner. */
  reap(death: Death): void;
  stop(): Promise<void>;
}

/** @param config of a relay whose owner is to die */
export async function startReaper(config: ConfigInput): Promise<Reaper> {
  /** Owners that have asked how they shall die, the newest last. */
  const waiting: ServerResponse[] = [];
  const server = createServer((_, response) => void waiting.push(response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo; // of a TCP server, never a string
  const folder = await mkdtemp(join(tmpdir(), "keryx-"));
  const path = join(folder, "keryx.config.mjs");
  await writeFile(path, printModule(config, `http://127.0.0.1:${port}/`));
  return {
    path,
    reap: (death) => void waiting.pop()?.end(death),
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(folder, { recursive: true });
    },
  };
}

function printModule(config: ConfigInput, url: string): string {
  return `
    const config = ${JSON.stringify(config)};
    async function wait() {
      const response = await fetch(${JSON.stringify(url)});
      const death = await response.text();
      if (death === "loop") for (;;);
      setTimeout(() => { throw new Error("Ended by the test"); });
    }
    function accessToken() {
      wait().catch(() => {});
      return "token";
    }
    for (const hub of Object.values(config.hubs)) hub.accessToken = accessToken;
    export default config;
  `;
}
