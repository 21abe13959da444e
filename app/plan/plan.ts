/**
 * What a crowd needs: cores, machines, memory, bandwidth, and what is left for the origin to do. The
 * formula is told in `docs/scale.md`; what is not given is measured or reckoned, and stands here.
 */

import { ConfigError } from "../config.ts";

/** What is written to how many, on what. */
export interface Demand {
  readonly clients: number;
  /** Of all topics together, a second. */
  readonly publications: number;
  /** Topics that are watched, as if all were equally lively and equally liked. */
  readonly topics: number;
  /** A publication's arguments, as the origin writes them. */
  readonly bytes: number;
  /** Topics that one client watches. */
  readonly topicsPerClient: number;
  /** Publications that leave in one write, on average. */
  readonly joined: number;
  /** Part of every core, memory and line that is to stay free, 0 to 0.9. */
  readonly reserve: number;
  /** Clients by transport; the parts make 1. */
  readonly share: Readonly<Record<Transport, number>>;
  readonly runtime: Runtime;
  /** What one machine has: cores, memory in GiB, network in Gb/s each way. */
  readonly cores: number;
  readonly memory: number;
  readonly network: number;
  /** How far back a client can recover, seconds. */
  readonly history: number;
  /** What one `send` of a C program costs on these machines, µs of a core. */
  readonly send: number;
}

/** `signalr` is JSON, `messagepack` its binary protocol, both over WebSockets; `ws` and `sse` are the plain ones. */
export type Transport = "ws" | "sse" | "signalr" | "messagepack";
export type Runtime = "bun" | "node" | "deno";

export const TRANSPORTS: readonly Transport[] = ["ws", "sse", "signalr", "messagepack"];
export const RUNTIMES: readonly Runtime[] = ["bun", "node", "deno"];

export interface Plan {
  /** Publications that one client gets a second. */
  readonly updates: number;
  /** Publications handed to clients, and writes to their sockets, a second. */
  readonly deliveries: number;
  readonly writes: number;
  /** Cores that are busy writing. */
  readonly busyCores: number;
  readonly isolates: number;
  readonly machines: number;
  /** What decides the number of machines. */
  readonly limit: "cores" | "memory" | "network";
  /** The fullest machine. */
  readonly machine: {
    readonly clients: number;
    readonly isolates: number;
    readonly memoryBytes: number;
  };
  /** To all clients, with all headers up to Ethernet's, bits a second. */
  readonly bandwidth: {
    readonly whole: number;
    /** With deltas for those on the plain transports. */
    readonly deltas: number;
    /** With deltas on WebSockets, and gzip on event streams. */
    readonly compressed: number;
  };
  /** Cores that gzip takes beside. */
  readonly gzipCores: number;
  readonly origin: {
    /** Of all machines together when they share a bus; else each machine has as many. */
    readonly connections: number;
    /** From the origin on all of them, bits a second. */
    readonly bits: number;
  };
  /** `undefined` for one machine, which needs none. */
  readonly nats: Traffic | undefined;
  /** From the first to the last client of an isolate that hears of one publication, seconds. */
  readonly walk: number;
  /** Until all clients are back after all were cut, seconds. */
  readonly comeback: number;
}

/** Messages and bits a second, and what is stored. */
export interface Traffic {
  readonly messagesIn: number;
  readonly messagesOut: number;
  readonly bitsIn: number;
  readonly bitsOut: number;
  readonly storedBytes: number;
}

/**
 * Measured on two cores, over loopback, with publications of some 200 bytes. Work is in multiples of
 * what a C program needs for one `send` in the same run, so that the host cancels out.
 */
export const MEASURED = {
  /** That `send`, to ten thousand sockets in turn, µs. On another host of the kind it took 2.5 times as long. */
  sendMicros: 3.9,
  /** A write to one client, all of it. */
  write: {
    bun: { socket: 1.2, stream: 1.44 },
    node: { socket: 2.33, stream: 2.2 },
    deno: { socket: 1.92, stream: 2.56 },
  },
  /** Each further publication in a write. */
  joined: 0.03,
  /** Making a write for one client alone: of several topics, hardly two clients watch the same. */
  alone: 0.2,
  /** Taking a publication, whoever watches it: decoded, kept, printed in three formats. */
  take: 2.6,
  /** Deflating a write. */
  gzip: 4.9,
  /** What deltas leave of a message, and gzip of an event, of the demo's odds. */
  deltaRest: 0.23,
  gzipRest: 0.1,
  /** An idle client, bytes of memory. */
  client: {
    bun: { ws: 5_300, sse: 9_600, signalr: 6_300, messagepack: 6_300 },
    node: { ws: 12_000, sse: 28_000, signalr: 14_000, messagepack: 15_600 },
    deno: { ws: 27_000, sse: 68_000, signalr: 34_000, messagepack: 33_000 },
  },
  /** An isolate without clients, bytes of memory. */
  isolate: { bun: 75_000_000, node: 145_000_000, deno: 105_000_000 },
  /** Around a publication's arguments, bytes: with a target and a topic of some ten letters. */
  envelope: { ws: 98, sse: 45, signalr: 49, messagepack: 21 },
} as const;

/** Reckoned, or said by a specification or a default. */
export const RECKONED = {
  /** Around what is written at once, bytes: a WebSocket frame's head, a chunk's. */
  frame: 4,
  chunk: 7,
  /** What fits into a TCP segment, and what each has around it: TCP with timestamps, IPv4, Ethernet. */
  segment: 1_448,
  headers: 90,
  /** A publication in the history, beside its own bytes: those are kept as they came, and in each of three formats. */
  entry: 500,
  copies: 4,
  /** Subject and headers of a publication on NATS, bytes. */
  bus: 100,
  /** Defaults of `limits.historyBytes`, `.connections` and `.connectsPerSecond`, of one isolate. */
  historyBytes: 268_435_456,
  connections: 200_000,
  connectsPerSecond: 5_000,
} as const;

/** @throws {ConfigError} when one isolate cannot even take all publications, let alone write them */
export function plan(demand: Demand): Plan {
  const { clients, publications, topics, bytes, topicsPerClient, joined } = demand;
  const { share, runtime, history } = demand;
  const free = 1 - demand.reserve;
  const average = (of: (transport: Transport) => number) =>
    TRANSPORTS.reduce((sum, transport) => sum + share[transport] * of(transport), 0);
  /** Cores that are busy with so many things a second that take so many sends each. */
  const busy = (things: number, sends: number) => (things * sends * demand.send) / 1e6;

  const updates = (publications * topicsPerClient) / topics;
  const deliveries = clients * updates;
  const writes = deliveries / joined;

  const isAlone = topicsPerClient > 1;
  const write =
    average((t) => MEASURED.write[runtime][t === "sse" ? "stream" : "socket"]) +
    MEASURED.joined * (joined - 1) +
    (isAlone ? MEASURED.alone : 0);
  const busyCores = busy(writes, write);
  // Each isolate takes every publication: somebody there watches it.
  const taking = busy(publications, MEASURED.take);
  if (taking >= free) {
    const most = Math.floor((free / taking) * publications);
    throw new ConfigError(`Invalid --publications: one isolate can take ${most} a second`);
  }
  const isolates = Math.ceil(Math.max(busyCores / (free - taking), clients / RECKONED.connections));

  const bits = (rest: Partial<Record<Transport, number>>) =>
    8 *
    writes *
    average((t) => wireBytes(t, joined * (bytes + MEASURED.envelope[t]) * (rest[t] ?? 1)));
  const { deltaRest, gzipRest } = MEASURED;
  const bandwidth = {
    whole: bits({}),
    deltas: bits({ ws: deltaRest, sse: deltaRest }),
    compressed: bits({ ws: deltaRest, sse: gzipRest }),
  };
  // What many are sent is deflated once in each isolate.
  const deflated = isAlone ? writes * share.sse : (isolates * publications) / joined;

  const clientBytes = average((t) => MEASURED.client[runtime][t]);
  const isolateBytes = MEASURED.isolate[runtime] + historyBytes(publications * history, bytes);
  const needs = {
    cores: isolates / demand.cores,
    memory: (clients * clientBytes + isolates * isolateBytes) / (demand.memory * 2 ** 30 * free),
    network: bandwidth.whole / (demand.network * 1e9 * free),
  };
  const machines = Math.ceil(Math.max(...Object.values(needs)));
  const machine = {
    clients: Math.ceil(clients / machines),
    isolates: Math.ceil(isolates / machines),
  };

  const feeds = share.messagepack > 0 && share.messagepack < 1 ? 2 : 1;
  const messages = publications * feeds;
  return {
    updates,
    deliveries,
    writes,
    busyCores,
    isolates,
    machines,
    limit: largest(needs),
    machine: {
      ...machine,
      memoryBytes: machine.clients * clientBytes + machine.isolates * isolateBytes,
    },
    bandwidth,
    gzipCores: share.sse > 0 ? busy(deflated, MEASURED.gzip) : 0,
    origin: { connections: feeds, bits: 8 * messages * (bytes + MEASURED.envelope.signalr) },
    nats: machines > 1 ? traffic(messages, bytes, machines, history) : undefined,
    walk: busy((clients / isolates) * (topicsPerClient / topics), write),
    comeback: clients / (isolates * RECKONED.connectsPerSecond),
  };
}

/** A payload with all that it is sent in. */
function wireBytes(transport: Transport, payload: number): number {
  const framed = payload + (transport === "sse" ? RECKONED.chunk : RECKONED.frame);
  return framed + Math.ceil(framed / RECKONED.segment) * RECKONED.headers;
}

/** What an isolate keeps of so many publications, as far as it may. */
function historyBytes(publications: number, bytes: number): number {
  const kept = Math.min(publications, RECKONED.historyBytes / bytes);
  return kept * (RECKONED.entry + RECKONED.copies * bytes);
}

/** Each machine takes every publication from NATS once, for all its isolates. */
function traffic(messages: number, bytes: number, machines: number, history: number): Traffic {
  const bytesIn = messages * (bytes + RECKONED.bus);
  return {
    messagesIn: messages,
    messagesOut: messages * machines,
    bitsIn: 8 * bytesIn,
    bitsOut: 8 * bytesIn * machines,
    storedBytes: bytesIn * history,
  };
}

function largest({
  cores,
  memory,
  network,
}: Readonly<Record<Plan["limit"], number>>): Plan["limit"] {
  if (cores >= memory && cores >= network) return "cores";
  return memory >= network ? "memory" : "network";
}
