/** The client's end of a WebSocket on which hub messages are spoken. */

import type { Tcp } from "./tcp.ts";
import { show, type Transcript } from "./transcript.ts";
import { OPCODE, printFrame, readFrame } from "./websocket.ts";

/** A hub's record, or its text. */
export type HubRecord = object | string;

export interface SocketPeer {
  readonly tcp: Tcp;
  /** Sends records, each with its separator, in one text frame. */
  send(...records: readonly HubRecord[]): void;
  /** Sends text as it is in one frame. */
  text(text: string): void;
  frame(...frame: Parameters<typeof printFrame>): void;
  /**
   * Writes down so many things that come: records, frames without any, how it ended. Hub pings and
   * Acks are left out.
   */
  take(count: number): Promise<readonly string[]>;
  /** Writes down everything up to so many hub pings. */
  pings(count: number): Promise<void>;
  /** Writes down everything up to an Ack of this id. Smaller ones may come before it. */
  acked(sequenceId: number): Promise<void>;
  /** Calls Echo, and writes down everything up to its result: what has not come by then never does. */
  sync(): Promise<void>;
  /** Writes down what comes in a time. */
  during(ms: number): Promise<void>;
  /**
   * Writes down everything up to the end of the TCP connection; no close frame before a reset.
   * @param from what comes before the close frame, or before the end, is left out: it is chance
   */
  ended(from?: "close" | "end"): Promise<void>;
  /** From here on no close frame is answered. */
  ignoreClose(): void;
}

/** What opens a hub connection. */
export const HANDSHAKE: object = { protocol: "json", version: 1 };

const SEPARATOR = "\u001e";
const PING = `{"type":6}${SEPARATOR}`;
const SYNC = { type: 1, invocationId: "sync", target: "Echo", arguments: ["sync"] };
const NORMAL_CLOSURE = Buffer.from([0x03, 0xe8]);

/** Records as they are sent. */
export function textOf(...records: readonly HubRecord[]): string {
  return records
    .map((record) => (typeof record === "string" ? record : JSON.stringify(record)) + SEPARATOR)
    .join("");
}

/** A script has nothing more to do: its WebSocket was refused, as is written down. */
export class NoWebSocketError extends Error {
  override readonly name = "NoWebSocketError";
}

/** One thing that comes over a WebSocket. */
interface Incoming {
  readonly kind: "record" | "ping" | "ack" | "control" | "close" | "end";
  readonly line: string;
}

/** @param isOpen whether there is one: of one that was refused, whatever is asked fails */
export function createSocketPeer(tcp: Tcp, transcript: Transcript, isOpen: boolean): SocketPeer {
  /** Records that came in one message with the last one. */
  const waiting: Incoming[] = [];
  let fragments: { readonly opcode: number; readonly payloads: Buffer[] } | undefined;
  /** Whether a close frame is not to be answered, as it is an answer itself. */
  let closing = false;

  function assertOpen(): void {
    if (!isOpen) throw new NoWebSocketError("There is no WebSocket");
  }

  async function next(timeoutMs?: number): Promise<Incoming> {
    assertOpen();
    for (;;) {
      const known = waiting.shift();
      if (known) return known;
      const read = await readFrame(tcp, timeoutMs);
      if (typeof read === "string") {
        if (read === "FIN") tcp.finish();
        return { kind: "end", line: read };
      }
      const { fin, rsv, opcode, payload } = read.value;
      const bits = rsv === 0 ? "" : ` with RSV ${rsv}`;
      if (opcode === OPCODE.close) {
        if (!closing) frame(OPCODE.close, NORMAL_CLOSURE);
        const code = payload.length < 2 ? "without a code" : payload.readUInt16BE(0);
        const reason = payload.length > 2 ? ` "${show(payload.subarray(2))}"` : "";
        return { kind: "close", line: `close ${code}${reason}${bits}` };
      }
      if (opcode >= OPCODE.ping) {
        const name = opcode === OPCODE.ping ? "ping" : "pong";
        return { kind: "control", line: `${name} ${show(payload)}${bits}` };
      }
      fragments ??= { opcode, payloads: [] };
      fragments.payloads.push(payload);
      if (!fin) continue;
      const { payloads } = fragments;
      const name = fragments.opcode === OPCODE.text ? "text" : "binary";
      const split = payloads.length > 1 ? " in fragments" : "";
      fragments = undefined;
      // One line a record, however many came in one frame: that is a matter of time.
      for (const record of recordsOf(Buffer.concat(payloads))) {
        waiting.push({ kind: kindOf(record), line: `${name}${split}${bits} ${show(record)}` });
      }
    }
  }

  /** The next thing that is neither a ping nor an Ack. */
  async function nextOwn(timeoutMs?: number): Promise<Incoming> {
    for (;;) {
      const incoming = await next(timeoutMs);
      if (incoming.kind !== "ping" && incoming.kind !== "ack") return incoming;
    }
  }

  function frame(...[opcode, payload, options]: Parameters<typeof printFrame>): void {
    assertOpen();
    if (opcode === OPCODE.close) closing = true;
    tcp.write(printFrame(opcode, payload, options));
  }

  const send = (...records: readonly HubRecord[]) => frame(OPCODE.text, textOf(...records));

  return {
    tcp,
    send,
    text: (text) => frame(OPCODE.text, text),
    frame,
    async take(count) {
      const lines: string[] = [];
      while (lines.length < count) {
        const { kind, line } = await nextOwn();
        transcript.add(line);
        lines.push(line);
        if (kind === "end") break;
      }
      return lines;
    },
    async pings(count) {
      for (let seen = 0; seen < count; ) {
        const { kind, line } = await next();
        transcript.add(line);
        if (kind === "ping") seen++;
        if (kind === "end") return;
      }
    },
    async acked(sequenceId) {
      for (;;) {
        const { kind, line } = await next();
        const isWanted = line.includes(`"sequenceId":${sequenceId}}`);
        if (kind === "ping" || (kind === "ack" && !isWanted)) continue;
        transcript.add(line);
        if (kind === "ack" || kind === "end") return;
      }
    },
    async sync() {
      send(SYNC);
      for (;;) {
        const { kind, line } = await nextOwn();
        transcript.add(line);
        if (kind === "end" || line.includes('{"type":3,"invocationId":"sync"')) return;
      }
    },
    async during(ms) {
      const until = Date.now() + ms;
      for (;;) {
        const { kind, line } = await nextOwn(Math.max(1, until - Date.now()));
        if (line === "silence") return;
        transcript.add(line);
        if (kind === "end") return;
      }
    },
    async ended(from) {
      let begun = from === undefined;
      let close: string | undefined;
      for (;;) {
        const { kind, line } = await nextOwn();
        // A reset may overtake the close frame before it.
        if (close !== undefined && line !== "RST") transcript.add(close);
        begun ||= kind === "end" || kind === from;
        close = begun && kind === "close" ? line : undefined;
        if (begun && kind !== "close") transcript.add(line);
        if (kind === "end") return;
      }
    },
    ignoreClose() {
      closing = true;
    },
  };
}

function recordsOf(message: Buffer): Buffer[] {
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; ) {
    const separator = message.indexOf(SEPARATOR, at);
    const end = separator < 0 ? message.length : separator + 1;
    records.push(message.subarray(at, end));
    at = end;
  }
  return records.length > 0 ? records : [message];
}

function kindOf(record: Buffer): Incoming["kind"] {
  const text = record.toString();
  if (text === PING) return "ping";
  return text.startsWith('{"type":8,') ? "ack" : "record";
}
