/** An origin that does what the test says, behind a fake `fetch` and a fake `Dial`. */

import type { Dial, Frame, SocketHandler } from "../../lib/socket.ts";
import { RECORD_SEPARATOR } from "../../lib/wire/json.ts";

/** One connection, seen from the origin. */
export interface Peer {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** The client's records since the last time, parsed. */
  take(): unknown[];
  /** Sends these as one text frame; what is text already goes as it is. */
  send(...messages: readonly (object | string)[]): void;
  /** Sends a frame as it is. */
  sendFrame(frame: Frame): void;
  /** Accepts the handshake, says more in the same frame, and forgets what the client has sent. */
  shake(...messages: readonly (object | string)[]): void;
  /** The connection ends for the client. */
  close(code?: number, reason?: string): void;
  /** Code with which the client closed. */
  readonly closed: number | undefined;
}

export interface ScriptedHub {
  readonly fetch: typeof fetch;
  readonly dial: Dial;
  readonly negotiations: readonly Request[];
  /** Answers a negotiation: with a connection unless this is replaced. */
  negotiate(request: Request): unknown;
  /** Stands before each connection: accepts it unless this is replaced. */
  connect(): Promise<void> | undefined;
  /** All connections so far. */
  readonly peers: readonly Peer[];
  /** The newest connection. */
  readonly peer: Peer;
}

/** Never comes, but ends with the signal, as `fetch` and `Dial` do. */
export function never(signal: AbortSignal | null | undefined): Promise<never> {
  return new Promise((_, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason));
  });
}

export function createScriptedHub(): ScriptedHub {
  const negotiations: Request[] = [];
  const peers: Peer[] = [];
  const hub: ScriptedHub = {
    negotiations,
    peers,
    get peer() {
      const peer = peers.at(-1);
      if (!peer) throw new Error("Nobody has connected");
      return peer;
    },
    negotiate: () => ({
      negotiateVersion: 1,
      connectionId: "id",
      connectionToken: `token-${negotiations.length}`,
      availableTransports: [{ transport: "WebSockets", transferFormats: ["Text", "Binary"] }],
    }),
    connect: () => undefined,
    async fetch(input, init) {
      const request = new Request(input, init);
      request.signal.throwIfAborted();
      negotiations.push(request);
      const answer = await hub.negotiate(request);
      return answer instanceof Response ? answer : Response.json(answer);
    },
    async dial(url, { headers, signal, accept }) {
      await hub.connect();
      signal.throwIfAborted();
      const { peer, open } = createPeer(new URL(url), headers);
      peers.push(peer);
      open(accept);
    },
  };
  return hub;
}

function createPeer(url: URL, headers: Readonly<Record<string, string>>) {
  let received = "";
  let closed: number | undefined;
  let handler: SocketHandler | undefined;
  const peer: Peer = {
    url,
    headers,
    take() {
      const records = received.split(RECORD_SEPARATOR);
      received = records.pop() ?? "";
      return records.map((record): unknown => JSON.parse(record));
    },
    send(...messages) {
      const records = messages.map((message) =>
        typeof message === "string" ? message : JSON.stringify(message),
      );
      peer.sendFrame(records.map((record) => record + RECORD_SEPARATOR).join(""));
    },
    sendFrame: (frame) => handler?.message(frame),
    shake(...messages) {
      peer.send({}, ...messages);
      peer.take();
    },
    close: (code = 1006, reason = "") => handler?.close(code, reason),
    get closed() {
      return closed;
    },
  };
  const open = (accept: Parameters<Dial>[1]["accept"]) => {
    handler = accept({
      send(frame) {
        if (closed === undefined) received += String(frame);
        return true;
      },
      bufferedBytes: 0,
      close(code) {
        closed ??= code;
      },
    });
  };
  return { peer, open };
}
