/** Where stock SignalR clients run: programs on each runtime, and a page in Chromium. */

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { type Chromium, findChromium, launchChromium } from "./chromium.ts";
import type { Cell, Seen } from "./life.ts";
import { findRuntime, type Missing } from "./runtimes.ts";
import { startProgram } from "./spawn.ts";

export type ClientName = "node" | "bun" | "deno" | "chromium";

/** Runs all cells at one time. */
export type RunCells = (cells: readonly Cell[]) => Promise<readonly Seen[]>;

const SCRIPT = fileURLToPath(new URL("matrix-client.mjs", import.meta.url));
const MODULES = new URL("../../node_modules/@microsoft/", import.meta.url);

/** The page's files by path. SignalR's own are what its users load from a CDN. */
const FILES: Readonly<Record<string, string | URL>> = {
  "/signalr.js": new URL("signalr/dist/browser/signalr.js", MODULES),
  "/messagepack.js": new URL(
    "signalr-protocol-msgpack/dist/browser/signalr-protocol-msgpack.js",
    MODULES,
  ),
  "/matrix-client.mjs": SCRIPT,
};

const PAGE = `<!doctype html>
<script src="/signalr.js"></script>
<script src="/messagepack.js"></script>`;

/** Serves the page from which browsers run cells. */
export interface Pages {
  /** Its web origin, which a relay has to allow. */
  readonly origin: string;
  stop(): Promise<void>;
}

export async function servePages(): Promise<Pages> {
  const server = createServer(async ({ url = "/" }, response) => {
    const file = FILES[url];
    const body = file === undefined ? PAGE : await readFile(file);
    const type = file === undefined ? "text/html" : "text/javascript";
    response.writeHead(200, { "content-type": type }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo; // of a TCP server, never a string
  return {
    origin: `http://127.0.0.1:${port}`,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** @param pages is asked when a browser needs it */
export function findClient(name: ClientName, pages: () => Pages): { run: RunCells } | Missing {
  if (name === "chromium") {
    const found = findChromium();
    return "missing" in found ? found : { run: (cells) => runInPage(found, pages().origin, cells) };
  }
  if (name === "node") return { run: runProgram([process.execPath]) };
  const found = findRuntime(name);
  if ("missing" in found) return found;
  // What starts the relay, less its entry.
  return { run: runProgram(found.command().slice(0, -1)) };
}

function runProgram(command: readonly string[]): RunCells {
  return async (cells) => {
    const program = await startProgram([...command, SCRIPT, JSON.stringify(cells)], {
      ready: /^seen (.*)\n/m,
    });
    await program.exited;
    return JSON.parse(program.ready[1] ?? "") as Seen[]; // of our own script
  };
}

async function runInPage(
  found: Chromium,
  origin: string,
  cells: readonly Cell[],
): Promise<readonly Seen[]> {
  const browser = await launchChromium(found);
  try {
    const page = await browser.newPage();
    await page.goto(origin);
    return await page.evaluate<readonly Seen[]>(`
      import("/matrix-client.mjs").then(({ observeAll }) =>
        observeAll(signalR, signalR.protocols.msgpack.MessagePackHubProtocol, ${JSON.stringify(cells)}),
      )`);
  } finally {
    await browser.close();
  }
}
