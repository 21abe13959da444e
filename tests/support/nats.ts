/** nats-server with JetStream, where it is installed. */

import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Missing } from "./runtimes.ts";
import { type Program, startProgram } from "./spawn.ts";

/** An installed nats-server. */
export interface NatsServer {
  /** Starts one with a store of its own. @param args beside those for its address and its store */
  start(...args: readonly string[]): Promise<Nats>;
}

export interface Nats {
  /** `nats://127.0.0.1:{port}`. */
  readonly url: string;
  readonly port: number;
  /** Ends it at once, without a goodbye. What it has stored stays. */
  kill(): Promise<void>;
  /** Starts it again, at the same port and on the same store. */
  restart(): Promise<void>;
  /** Ends it, and removes its store. */
  end(): Promise<void>;
}

export function findNats(): NatsServer | Missing {
  const found = [
    process.env.KERYX_NATS_SERVER,
    "/usr/sbin/nats-server",
    "/usr/local/bin/nats-server",
  ]
    .filter((path) => path !== undefined)
    .find((path) => existsSync(path));
  if (found === undefined) return { missing: "there is no nats-server, set KERYX_NATS_SERVER" };
  return { start: (...args) => start(found, args) };
}

async function start(path: string, args: readonly string[]): Promise<Nats> {
  const store = await mkdtemp(join(tmpdir(), "keryx-nats-"));
  const run = (port: number) =>
    // It logs to standard error.
    startProgram(
      [
        "/bin/sh",
        "-c",
        'exec "$@" 2>&1',
        "sh",
        path,
        "-a",
        "127.0.0.1",
        "-p",
        String(port),
        "-js",
        "-sd",
        store,
        ...args,
      ],
      {
        // Written last, when the port is bound.
        ready: /Listening for client connections on [\d.]+:(\d+)[\s\S]*Server is ready/,
      },
    );
  let program: Program;
  try {
    program = await run(-1); // any that is free
  } catch (error) {
    await rm(store, { recursive: true, force: true });
    throw error;
  }
  const port = Number(program.ready[1]);
  return {
    url: `nats://127.0.0.1:${port}`,
    port,
    async kill() {
      await program.kill();
    },
    async restart() {
      program = await run(port);
    },
    async end() {
      await program.kill();
      await rm(store, { recursive: true, force: true });
    },
  };
}

/** A way to a server that may be blocked: connections stay, and nothing passes. */
export interface Gate {
  /** `nats://127.0.0.1:{port}`. */
  readonly url: string;
  block(): void;
  open(): void;
  end(): Promise<void>;
}

export async function openGate(port: number): Promise<Gate> {
  const sockets = new Set<Socket>();
  let isBlocked = false;
  const server = createServer((client) => {
    const inner = connect(port, "127.0.0.1");
    for (const [one, other] of [
      [client, inner],
      [inner, client],
    ] as const) {
      sockets.add(one);
      one.on("error", () => {}); // a close follows
      one.on("close", () => {
        sockets.delete(one);
        // As with a real wire, what has gone at one end is not known at the other.
        if (!isBlocked) other.destroy();
      });
      one.on("data", (bytes) => other.write(bytes));
      if (isBlocked) one.pause();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address() as AddressInfo; // of a TCP server, never a string
  return {
    url: `nats://127.0.0.1:${address.port}`,
    block() {
      isBlocked = true;
      for (const socket of sockets) socket.pause();
    },
    open() {
      isBlocked = false;
      for (const socket of sockets) socket.resume();
    },
    async end() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
