/**
 * A client that does what a script tells it, byte by byte, and writes down whatever a server does.
 * The same script played to two servers gives two transcripts to compare.
 */

import { createEventPeer, type EventPeer } from "./event-peer.ts";
import { type BodyFraming, framingOf, readBody, readHead } from "./http.ts";
import { createSocketPeer, HANDSHAKE, type SocketPeer } from "./socket-peer.ts";
import { openTcp, type Tcp } from "./tcp.ts";
import { show, type Transcript } from "./transcript.ts";
import { UPGRADE } from "./websocket.ts";

export interface Message {
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent with its length, unless `headers` says how else. */
  readonly body?: string | Uint8Array;
}

export interface Answer {
  /** `undefined` when there was none. */
  readonly status: number | undefined;
  readonly text: string;
}

/** A request on a connection of its own. */
export interface Exchange {
  readonly tcp: Tcp;
  /** Waits for the answer and writes it down. */
  answer(): Promise<Answer>;
  /** Writes down how the server leaves the TCP connection after its answer. */
  ended(): Promise<void>;
}

export interface Peer {
  /** Of the server. */
  readonly url: string;
  readonly transcript: Transcript;
  /** Sends `METHOD target` and writes down the answer. */
  ask(line: string, message?: Message): Promise<Answer>;
  /** Sends `METHOD target` only. */
  start(line: string, message?: Message): Promise<Exchange>;
  /** Negotiates without writing anything down. @returns `{hub}?id={token}` */
  negotiate(hub: string, query?: string): Promise<string>;
  /** Asks for a WebSocket, and writes down the answer. Of one that was refused nothing can be asked. */
  upgrade(target: string, headers?: Message["headers"]): Promise<SocketPeer>;
  /** A WebSocket without negotiation, after its handshake. */
  open(hub: string, handshake?: object): Promise<SocketPeer>;
  /** Asks for an event stream, and writes down the head of the answer. */
  stream(target: string, headers?: Message["headers"]): Promise<EventPeer>;
  /** Does something, and writes down whether it took as long as it should. */
  timed(fromMs: number, toMs: number, work: () => Promise<unknown>): Promise<void>;
  /** Cuts everything. */
  close(): void;
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
          return { status: undefined, text: "" };
        }
        const framing: BodyFraming = method === "HEAD" ? "none" : framingOf(read.value);
        const { bytes, end } = await readBody(tcp, framing);
        transcript.addHead(read.value, framing, bytes.length === 0);
        if (bytes.length > 0) transcript.add(show(bytes));
        if (end) transcript.add(`${end} inside the body`);
        return { status: Number.parseInt(read.value.status, 10), text: bytes.toString() };
      },
      async ended() {
        const read = await tcp.read((bytes) => ({ value: bytes, size: bytes.length }), 500);
        transcript.add(typeof read === "string" ? read : show(read.value));
      },
    };
  }

  async function negotiate(hub: string, query = "negotiateVersion=1"): Promise<string> {
    const response = await fetch(`${url}${hub}/negotiate?${query}`, { method: "POST" });
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

  async function upgrade(target: string, headers: Message["headers"] = {}): Promise<SocketPeer> {
    const exchange = await start(`GET ${target}`, { headers: { ...UPGRADE, ...headers } });
    const { status } = await exchange.answer();
    return createSocketPeer(exchange.tcp, transcript, status === 101);
  }

  return {
    url,
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
    async timed(fromMs, toMs, work) {
      const startedAt = Date.now();
      await work();
      const tookMs = Date.now() - startedAt;
      transcript.add(tookMs < fromMs ? "early" : tookMs > toMs ? "late" : "in time");
    },
    close() {
      for (const tcp of tcps) tcp.cut();
    },
  };
}
