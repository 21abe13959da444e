/**
 * A client that does what a script tells it, byte by byte, and writes down whatever a server does.
 * The same script played to two servers gives two transcripts to compare.
 */

import { type BodyFraming, framingOf, readBody, readChunk, readHead } from "./http.ts";
import { type End, openTcp, type Tcp } from "./tcp.ts";
import { show, type Transcript } from "./transcript.ts";
import { OPCODE, printFrame, readFrame, WEBSOCKET_KEY } from "./websocket.ts";

export interface Message {
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent with its length, unless `headers` says how else. */
  readonly body?: string | Uint8Array;
}

/** A request on a connection of its own. */
export interface Exchange {
  readonly tcp: Tcp;
  /** Waits for the answer and writes it down. @returns its body */
  answer(): Promise<string>;
  /** Writes down how the server leaves the TCP connection after its answer. */
  ended(): Promise<void>;
}

/** A hub's record, or its text. */
export type Record = object | string;

export interface WebSocketPeer {
  readonly tcp: Tcp;
  /** Sends records, each with its separator, in one text frame. */
  send(...records: readonly Record[]): void;
  /** Sends text as it is in one frame. */
  text(text: string): void;
  frame(...frame: Parameters<typeof printFrame>): void;
  /** Writes down so many things that come: records, close and pong frames. Hub pings and acks are not counted. */
  take(count: number): Promise<readonly string[]>;
  /** Writes down the hub pings that come, and nothing else that comes meanwhile. */
  pings(count: number): Promise<void>;
  /** Waits for an Ack of this id, and writes it down. Smaller ones may come before it. */
  acked(sequenceId: number): Promise<void>;
  /** Calls Echo, and writes down everything up to its completion: what did not come by then does not come. */
  sync(): Promise<void>;
  /** Writes down what comes in a time. */
  during(ms: number): Promise<void>;
  /**
   * Writes down everything up to the end of the TCP connection.
   * @param from leaves out what comes before a close frame, or before the very end: it is chance
   */
  ended(from?: "close" | "end"): Promise<void>;
  /** From here on no close frame is answered. */
  ignoreClose(): void;
}

export interface EventPeer {
  readonly tcp: Tcp;
  /** Writes down so many events. Hub pings are not counted. */
  take(count: number): Promise<void>;
  pings(count: number): Promise<void>;
  /** Writes down everything up to the end of the body. */
  ended(): Promise<void>;
}

export interface Peer {
  readonly transcript: Transcript;
  /** Sends `METHOD target` and writes down the answer. @returns its body */
  ask(line: string, message?: Message): Promise<string>;
  /** Sends `METHOD target` only. */
  start(line: string, message?: Message): Promise<Exchange>;
  /** Negotiates without writing anything down. @returns `{hub}?id={token}` */
  negotiate(hub: string, query?: string, headers?: Message["headers"]): Promise<string>;
  /** Asks for a WebSocket, and writes down the answer. Of one that was refused nothing can be asked. */
  upgrade(target: string, headers?: Message["headers"]): Promise<WebSocketPeer>;
  /** A WebSocket without negotiation, after its handshake. */
  open(hub: string, handshake?: object): Promise<WebSocketPeer>;
  /** Asks for an event stream, and writes down the head of the answer. */
  stream(target: string, headers?: Message["headers"]): Promise<EventPeer>;
  /** Polls until so many records have come, and writes them down; heads only of other answers than those. */
  poll(target: string, records: number): Promise<void>;
  /** Does something, and writes down whether it took as long as it should, ms. */
  timed(fromMs: number, toMs: number, work: () => Promise<unknown>): Promise<void>;
  /** Cuts everything. */
  close(): void;
}

/** Fields that ask for a WebSocket. */
export const UPGRADE = {
  Connection: "Upgrade",
  Upgrade: "websocket",
  "Sec-WebSocket-Version": "13",
  "Sec-WebSocket-Key": WEBSOCKET_KEY,
};

export const HANDSHAKE = { protocol: "json", version: 1 };
const SEPARATOR = "\u001e";
const SYNC = { type: 1, invocationId: "sync", target: "Echo", arguments: ["sync"] };

export function textOf(...records: readonly Record[]): string {
  return records
    .map((record) => (typeof record === "string" ? record : JSON.stringify(record)) + SEPARATOR)
    .join("");
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

export function createPeer(url: string, transcript: Transcript): Peer {
  const tcps = new Set<Tcp>();
  const { host } = new URL(url);

  async function start(line: string, { headers = {}, body }: Message = {}): Promise<Exchange> {
    const tcp = await openTcp(url);
    tcps.add(tcp);
    const [method = ""] = line.split(" ");
    const fields = new Map(Object.entries({ Host: host, ...headers }));
    const delimits = [...fields.keys()].some((name) =>
      /^(content-length|transfer-encoding)$/i.test(name),
    );
    if (body !== undefined && !delimits) {
      fields.set("Content-Length", String(Buffer.from(body as string).length));
    }
    const head = [`${line} HTTP/1.1`, ...[...fields].map(([name, value]) => `${name}: ${value}`)];
    tcp.write(`${head.join("\r\n")}\r\n\r\n`);
    if (body !== undefined) tcp.write(body);
    return {
      tcp,
      async answer() {
        transcript.add(`${line}:`);
        const read = await readHead(tcp);
        if (typeof read === "string") {
          transcript.add(read);
          return "";
        }
        const framing: BodyFraming = method === "HEAD" ? "none" : framingOf(read.value);
        const { bytes, end } = await readBody(tcp, framing);
        transcript.addHead(read.value, framing, bytes.length === 0);
        if (bytes.length > 0) transcript.add(show(bytes));
        if (end) transcript.add(`${end} inside the body`);
        return bytes.toString();
      },
      async ended() {
        const read = await tcp.read((bytes) => ({ value: bytes, size: bytes.length }), 500);
        transcript.add(typeof read === "string" ? read : show(read.value));
      },
    };
  }

  async function negotiate(
    hub: string,
    query = "negotiateVersion=1",
    headers: Message["headers"] = {},
  ): Promise<string> {
    const response = await fetch(`${url}${hub}/negotiate?${query}`, { method: "POST", headers });
    const text = await response.text();
    const { connectionId = "", connectionToken } = JSON.parse(text) as {
      connectionId?: string;
      connectionToken?: string;
    };
    const token = connectionToken ?? connectionId;
    if (!token) throw new Error(`${hub} answered ${response.status}: ${text}`);
    transcript.mask(token, "<token>");
    transcript.mask(connectionId, "<connection>");
    return `${hub}?id=${token}`;
  }

  async function upgrade(
    target: string,
    headers: Message["headers"] = {},
  ): Promise<WebSocketPeer> {
    const exchange = await start(`GET ${target}`, { headers: { ...UPGRADE, ...headers } });
    await exchange.answer();
    return createWebSocketPeer(exchange.tcp, transcript);
  }

  return {
    transcript,
    start,
    negotiate,
    upgrade,
    async ask(line, message) {
      return (await start(line, message)).answer();
    },
    async open(hub, handshake = HANDSHAKE) {
      const peer = await upgrade(hub);
      peer.send(handshake);
      await peer.take(1);
      return peer;
    },
    async stream(target, headers = {}) {
      const line = `GET ${target}`;
      const { tcp } = await start(line, { headers: { Accept: "text/event-stream", ...headers } });
      transcript.add(`${line}:`);
      const read = await readHead(tcp);
      if (typeof read === "string") transcript.add(read);
      else transcript.addHead(read.value, framingOf(read.value), false);
      return createEventPeer(tcp, transcript);
    },
    async poll(target, records) {
      let got = "";
      while (got.split(SEPARATOR).length <= records) {
        const response = await fetch(url + target);
        const text = await response.text();
        if (response.status !== 200) {
          transcript.add(`poll: ${response.status} ${text}`);
          break;
        }
        got += text;
      }
      transcript.add(show(Buffer.from(got)));
    },
    async timed(fromMs, toMs, work) {
      const startedAt = Date.now();
      await work();
      const tookMs = Date.now() - startedAt;
      const isInTime = fromMs <= tookMs && tookMs <= toMs;
      transcript.add(isInTime ? `after ${fromMs} to ${toMs} ms` : `after ${tookMs} ms`);
    },
    close() {
      for (const tcp of tcps) tcp.cut();
    },
  };
}

/** One thing that comes over a WebSocket. */
interface Incoming {
  readonly line: string;
  readonly kind: "record" | "ping" | "ack" | "frame" | "close" | "end";
}

function createWebSocketPeer(tcp: Tcp, transcript: Transcript): WebSocketPeer {
  const waiting: Incoming[] = [];
  let fragments: { opcode: number; payloads: Buffer[] } | undefined;

  async function next(timeoutMs?: number): Promise<Incoming> {
    for (;;) {
      const known = waiting.shift();
      if (known) return known;
      const read = await readFrame(tcp, timeoutMs);
      if (typeof read === "string") return { kind: "end", line: read };
      const { fin, rsv, opcode, payload } = read.value;
      const bits = rsv === 0 ? "" : ` with RSV ${rsv}`;
      if (opcode === OPCODE.close) {
        const code = payload.length < 2 ? "without a code" : payload.readUInt16BE(0);
        const reason = payload.length > 2 ? ` "${show(payload.subarray(2))}"` : "";
        return { kind: "close", line: `close ${code}${reason}${bits}` };
      }
      if (opcode >= OPCODE.ping) {
        const name = opcode === OPCODE.ping ? "ping" : "pong";
        return { kind: "frame", line: `${name} ${show(payload)}${bits}` };
      }
      fragments ??= { opcode, payloads: [] };
      fragments.payloads.push(payload);
      if (!fin) continue;
      const kind = fragments.opcode === OPCODE.text ? "text" : "binary";
      const { length } = fragments.payloads;
      const split = length > 1 ? ` in ${length} frames` : "";
      const message = Buffer.concat(fragments.payloads);
      fragments = undefined;
      // One line a record, however many came in one frame: that is a matter of time.
      for (const record of recordsOf(message)) {
        waiting.push({ kind: kindOf(record), line: `${kind}${split}${bits} ${show(record)}` });
      }
    }
  }

  async function take(count: number): Promise<readonly string[]> {
    const lines: string[] = [];
    while (lines.length < count) {
      const { kind, line } = await next();
      if (kind === "ping" || kind === "ack") continue;
      transcript.add(line);
      lines.push(line);
      if (kind === "end") break;
    }
    return lines;
  }

  return {
    tcp,
    send: (...records) => tcp.write(printFrame(OPCODE.text, textOf(...records))),
    text: (text) => tcp.write(printFrame(OPCODE.text, text)),
    frame: (...frame) => tcp.write(printFrame(...frame)),
    take,
    async pings(count) {
      for (let seen = 0; seen < count; ) {
        const { kind, line } = await next();
        if (kind === "ack") continue;
        transcript.add(line);
        if (kind === "ping") seen++;
        if (kind === "end") return;
      }
    },
    async acked(sequenceId) {
      const wanted = `"sequenceId":${sequenceId}}`;
      for (;;) {
        const { kind, line } = await next();
        if (kind === "ping" || (kind === "ack" && !line.includes(wanted))) continue;
        transcript.add(line);
        if (kind === "ack" || kind === "end") return;
      }
    },
    async sync() {
      tcp.write(printFrame(OPCODE.text, textOf(SYNC)));
      for (;;) {
        const [line = ""] = await take(1);
        if (line.includes('"invocationId":"sync"') || !/^(text|binary|ping|pong)/.test(line)) return;
      }
    },
    async quiet(ms) {
      const deadline = Date.now() + ms;
      for (;;) {
        const { kind, line } = await next(Math.max(1, deadline - Date.now()));
        if (kind === "ping" || kind === "ack") continue;
        transcript.add(line);
        if (kind === "end") return;
      }
    },
    async ended(answer = true) {
      for (;;) {
        const [line = ""] = await take(1);
        if (/^(FIN|RST|silence)/.test(line)) return;
        if (answer && line.startsWith("close")) {
          tcp.write(printFrame(OPCODE.close, Buffer.from([0x03, 0xe8])));
        }
      }
    },
  };
}

function recordsOf(message: Buffer): Buffer[] {
  const records: Buffer[] = [];
  for (let at = 0; at < message.length || records.length === 0; ) {
    const end = message.indexOf(0x1e, at);
    records.push(message.subarray(at, end < 0 ? message.length : end + 1));
    at = end < 0 ? message.length : end + 1;
    if (message.length === 0) break;
  }
  return records;
}

function kindOf(record: Buffer): Incoming["kind"] {
  const text = record.toString();
  if (text === `{"type":6}${SEPARATOR}`) return "ping";
  return text.startsWith('{"type":8,') ? "ack" : "record";
}

function createEventPeer(tcp: Tcp, transcript: Transcript): EventPeer {
  let pending = Buffer.alloc(0);

  /** The next event, the opening comment, or how the body ended. */
  async function next(): Promise<{ event: Buffer } | { end: End | "end of the body" }> {
    for (;;) {
      const isComment = pending[0] === 0x3a;
      const mark = isComment ? "\r\n" : "\r\n\r\n";
      const at = pending.indexOf(mark);
      if (at >= 0) {
        const event = pending.subarray(0, at + mark.length);
        pending = pending.subarray(at + mark.length);
        return { event };
      }
      const chunk = await readChunk(tcp);
      if (typeof chunk === "string") return { end: chunk };
      if (chunk.value.length === 0) return { end: "end of the body" };
      pending = Buffer.concat([pending, chunk.value]);
    }
  }

  async function take(count: number, countsPings: boolean): Promise<boolean> {
    for (let seen = 0; seen < count; ) {
      const read = await next();
      if ("end" in read) {
        if (pending.length > 0) transcript.add(`${show(pending)} (not whole)`);
        transcript.add(read.end);
        return false;
      }
      const line = show(read.event);
      const isPing = line.startsWith('data: {"type":6}␞');
      if (isPing && !countsPings) continue;
      transcript.add(line);
      if (isPing === countsPings) seen++;
    }
    return true;
  }

  return {
    tcp,
    take: async (count) => void (await take(count, false)),
    pings: async (count) => void (await take(count, true)),
    async ended() {
      while (await take(1, false));
    },
  };
}
