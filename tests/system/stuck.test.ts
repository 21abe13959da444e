/**
 * A client that does not read is cut, and gives back what it held of the relay: its descriptor, and
 * what waited for it. Where it is merely closed, both stay for as long as the client likes.
 */

import { readdir, readFile, readlink } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { type NumberingHub, startNumberingHub } from "../load/hub.ts";
import { watchMemory, withProbe } from "../load/memory.ts";
import { configOf, HUB_PATH } from "../load/relay.ts";
import { openWatcher, TRANSPORTS } from "../load/watcher.ts";
import { eventually } from "../support/eventually.ts";
import { readMetric } from "../support/metrics.ts";
import { declareWith } from "../support/needs.ts";
import { findRuntime, type RuntimeName } from "../support/runtimes.ts";
import { RECORD_SEPARATOR } from "../support/signalr-client.ts";
import { killAll } from "../support/spawn.ts";
import { type SpawnedRelay, startRelay } from "../support/spawned-relay.ts";

/** What may wait: more than kernels take of an answer that nobody reads. */
const QUEUE_BYTES = 24 * 1024 * 1024;
/** What of all the queues may be left, as the size of a heap goes up and down by itself. */
const MAX_LEFT = 12 * 1024 * 1024;
/** Makes a publication that fills queues, so many at one time. */
const FILLING = "x".repeat(65_536);
const BURST = 8;

const TOPIC = "disconnect/0";
const FILLER = "disconnect/1";

const WAYS = ["ws", "sse", "signalr", "signalr over sse", "polling"] as const;
type Way = (typeof WAYS)[number];

/**
 * How long a client that was cut may keep its descriptor, ms. On Deno there is none: it cannot end a
 * connection whose client does not read, only drop what waits in an event stream.
 */
const BOUNDS: Readonly<Record<RuntimeName, Readonly<Record<Way, number>> | undefined>> = {
  bun: { ws: 20_000, sse: 10_000, signalr: 20_000, "signalr over sse": 10_000, polling: 35_000 },
  deno: undefined,
  node: { ws: 5_000, sse: 5_000, signalr: 5_000, "signalr over sse": 5_000, polling: 60_000 },
};
/** What a busy machine may be late, ms. */
const SLACK_MS = 20_000;
const PATIENCE_MS = 30_000;

const processes = process.platform === "linux" ? {} : { missing: "it is Linux that has /proc" };

for (const name of ["bun", "deno", "node"] as const) {
  declareWith(name, findRuntime(name), (runtime) => {
    declareWith("/proc", processes, () => {
      describe(`clients that read nothing, of a relay on ${name}`, () => {
        afterAll(killAll);

        test("give back what they hold once they are cut", { timeout: 240_000 }, async () => {
          const hub = await startNumberingHub();
          onTestFinished(hub.stop);
          const limits = { queueBytes: QUEUE_BYTES };
          const config = configOf(hub.url, { disconnect: { slow: "disconnect" } }, { limits });
          const relay = await startRelay(withProbe(runtime), config);
          const sample = watchMemory(relay.program);
          const others = TRANSPORTS.map((transport) =>
            openWatcher(relay.url, { transport, topics: [TOPIC] }),
          );
          onTestFinished(() => {
            for (const other of others) other.stop();
          });
          const stuck = new Map<Way, Peer>();
          for (const way of WAYS) stuck.set(way, await OPEN[way](relay.url));
          await eventually(() => others.every(({ isOpen }) => isOpen), Boolean);
          await eventually(
            () => heldPorts(relay),
            (held) => [...stuck.values()].every(({ port }) => held.has(port)),
          );
          const before = await sample();

          await flood(hub, relay);
          stuck.get("polling")?.poll?.();
          const cutAt = performance.now();
          hub.publish(TOPIC);
          await eventually(() => others.every(({ number }) => number === 1), Boolean);
          for (const [way, boundMs] of Object.entries(BOUNDS[name] ?? {})) {
            const port = stuck.get(way as Way)?.port ?? 0;
            await eventually(
              async () => ({ way, isHeld: (await heldPorts(relay)).has(port) }),
              ({ isHeld }) => !isHeld,
              cutAt + boundMs + SLACK_MS - performance.now(),
            );
          }
          await eventually(sample, ({ heap }) => heap - before.heap < MAX_LEFT, PATIENCE_MS);

          hub.publish(TOPIC);
          await eventually(() => others.every(({ number }) => number === 2), Boolean);
          expect(others.flatMap(({ findings }) => findings)).toEqual([]);
          expect(relay.program.output()).not.toMatch(/"level":[45]0|Error/);
        });
      });
    });
  });
}

/** Publishes until all who are stuck are cut. */
async function flood(hub: NumberingHub, { url }: SpawnedRelay): Promise<void> {
  await eventually(
    () => {
      for (let i = 0; i < BURST; i++) hub.publish(FILLER, { pad: FILLING });
      return readMetric(url, "keryx_slow_disconnects_total");
    },
    (count) => count === WAYS.length,
    PATIENCE_MS,
  );
}

/** The ports of those whose connections the relay has a descriptor of. */
async function heldPorts({ url, program }: SpawnedRelay): Promise<ReadonlySet<number>> {
  const folder = `/proc/${program.pid}/fd`;
  const links = (await readdir(folder)).map((fd) => readlink(`${folder}/${fd}`).catch(() => ""));
  const sockets = new Set(await Promise.all(links));
  const local = Number(new URL(url).port);
  const ports = new Set<number>();
  for (const line of (await readFile("/proc/net/tcp", "utf8")).split("\n").slice(1)) {
    const [, from = "", to = "", , , , , , , inode] = line.trim().split(/\s+/);
    if (portOf(from) === local && sockets.has(`socket:[${inode}]`)) ports.add(portOf(to));
  }
  return ports;
}

/** @param address as in `/proc/net/tcp`: both its parts are hexadecimal */
function portOf(address: string): number {
  return Number.parseInt(address.split(":")[1] ?? "", 16);
}

/** A client over a bare socket that reads no more. */
interface Peer {
  readonly port: number;
  /** Of one that polls: asks for all that waits. */
  poll?(): void;
}

const HANDSHAKE = JSON.stringify({ protocol: "json", version: 1 });
const JOIN = JSON.stringify({
  type: 1,
  invocationId: "0",
  target: "Join",
  arguments: ["disconnect", 1],
});
const JOINED = '{"type":3';
const EVENTS = "accept: text/event-stream";
const UPGRADE = [
  "upgrade: websocket",
  "connection: Upgrade",
  "sec-websocket-version: 13",
  "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
].join("\r\n");

/** Opens a client that has been told that it watches, and has just stopped reading. */
const OPEN: Readonly<Record<Way, (url: string) => Promise<Peer>>> = {
  async ws(url) {
    const socket = await request(url, "/ws", UPGRADE);
    await stopAt(socket, "101");
    socket.write(frameOf(JSON.stringify({ type: "subscribe", topics: [FILLER] })));
    return stopAt(socket, '"subscribed"');
  },
  async sse(url) {
    return stopAt(await request(url, `/sse?topic=${FILLER}`, EVENTS), "keryx.subscribed");
  },
  async signalr(url) {
    const socket = await request(url, HUB_PATH, UPGRADE);
    await stopAt(socket, "101");
    for (const record of [HANDSHAKE, JOIN]) socket.write(frameOf(record + RECORD_SEPARATOR));
    return stopAt(socket, JOINED);
  },
  async "signalr over sse"(url) {
    const path = await negotiate(url);
    const socket = await request(url, path, EVENTS);
    await join(url + path);
    return stopAt(socket, JOINED);
  },
  async polling(url) {
    const path = await negotiate(url);
    await (await fetch(url + path)).text(); // the first one is answered at once
    await join(url + path);
    for (let text = ""; !text.includes(JOINED); ) text = await (await fetch(url + path)).text();
    const { hostname, port } = new URL(url);
    const socket = await connectTo(hostname, Number(port));
    return {
      port: socket.localPort ?? 0,
      poll: () => void socket.write(printRequest(path, "")),
    };
  },
};

async function negotiate(url: string): Promise<string> {
  const response = await fetch(`${url}${HUB_PATH}/negotiate?negotiateVersion=1`, {
    method: "POST",
  });
  const { connectionToken } = (await response.json()) as { connectionToken: string }; // of our relay
  return `${HUB_PATH}?id=${connectionToken}`;
}

async function join(url: string): Promise<void> {
  const body = [HANDSHAKE, JOIN].map((record) => record + RECORD_SEPARATOR).join("");
  await (await fetch(url, { method: "POST", body })).text();
}

function printRequest(path: string, headers: string): string {
  return `GET ${path} HTTP/1.1\r\nhost: relay\r\n${headers}${headers && "\r\n"}\r\n`;
}

/** A masked text frame of less than 126 bytes; a mask of zeros leaves them as they are. */
function frameOf(text: string): Buffer {
  return Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);
}

async function connectTo(hostname: string, port: number): Promise<Socket> {
  const socket = connect(port, hostname).pause();
  onTestFinished(() => void socket.destroy());
  socket.on("error", () => {}); // it is cut
  await new Promise((resolve) => socket.once("connect", resolve));
  return socket;
}

async function request(url: string, path: string, headers: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = await connectTo(hostname, Number(port));
  socket.write(printRequest(path, headers));
  return socket;
}

/** Reads until a text has come. */
async function stopAt(socket: Socket, text: string): Promise<Peer> {
  await new Promise<void>((resolve) => {
    let read = "";
    socket.on("data", function listen(bytes) {
      read += bytes.toString("latin1");
      if (!read.includes(text)) return;
      socket.off("data", listen).pause();
      resolve();
    });
    socket.resume();
  });
  return { port: socket.localPort ?? 0 };
}
