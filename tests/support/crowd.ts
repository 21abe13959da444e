/** Light clients by the thousand: each sees no more than what a relay's leaving asks of it. */

import { request } from "node:http";
import { WebSocket } from "ws";
import { createInbox } from "./inbox.ts";
import { RECORD_SEPARATOR } from "./signalr-client.ts";

export type Kind = "sse" | "ws" | "signalr";

/** A client's connection to a relay, subscribed to a match. */
export interface Visit {
  /** Pushes of `OddsChanged` that came on it. */
  readonly pushes: number;
  /** What it is told before it is closed; rejects when it is closed without a word. */
  farewell(): Promise<Farewell>;
  close(): void;
}

export interface Farewell {
  /** When it came, as `performance.now()`. */
  readonly at: number;
  /** How long the client shall stay away, ms. */
  readonly retryMs: number;
}

/** @returns once the subscription is open; rejects when it cannot be had */
export async function visit(kind: Kind, url: string, match: number): Promise<Visit> {
  const { open, push, farewell } = SIGNS[kind];
  const opened = createInbox<true>();
  const farewells = createInbox<Farewell>(FAREWELL_TIMEOUT_MS);
  let pushes = 0;
  const close = enter(kind, url, match, {
    hear(message) {
      const found = farewell.exec(message);
      if (found) farewells.push({ at: performance.now(), retryMs: Number(found[1] ?? 0) });
      else if (push.test(message)) pushes++;
      else if (open.test(message)) opened.push(true);
    },
    end(reason) {
      for (const inbox of [opened, farewells]) inbox.end(`A client of ${kind} ended: ${reason}`);
    },
  });
  await opened.next();
  return {
    get pushes() {
      return pushes;
    },
    farewell: farewells.next,
    close,
  };
}

const FAREWELL_TIMEOUT_MS = 60_000;

/** What messages that count look like. */
interface Signs {
  readonly open: RegExp;
  readonly push: RegExp;
  /** With the wait, where the protocol tells one. */
  readonly farewell: RegExp;
}

const SIGNS: Readonly<Record<Kind, Signs>> = {
  sse: {
    open: /^event: keryx\.subscribed\n/,
    push: /^event: OddsChanged\n/,
    farewell: /^event: keryx\.drain\nretry: (\d+)\n/,
  },
  ws: {
    open: /^\{"type":"subscribed"/,
    push: /^\{"type":"publication"/,
    farewell: /^\{"type":"drain","retryMs":(\d+)\}$/,
  },
  signalr: {
    open: /^\{"type":3,"invocationId":"join","result":null\}$/,
    push: /"target":"OddsChanged"/,
    farewell: /^\{"type":7,"allowReconnect":true\}$/,
  },
};

export interface Listener {
  /** Takes one message: an event, a line, a record. */
  hear(message: string): void;
  /** @param reason for a person */
  end(reason: string): void;
}

/** Connects a client, and subscribes it to a match. @returns ends it */
export function enter(kind: Kind, url: string, match: number, listener: Listener): () => void {
  let rest = "";
  return CONNECT[kind](url, match, {
    receive(text) {
      const messages = (rest + text).split(SEPARATORS[kind]);
      rest = messages.pop() ?? "";
      for (const message of messages) listener.hear(message);
    },
    end: listener.end,
  });
}

const SEPARATORS: Readonly<Record<Kind, string>> = {
  sse: "\n\n",
  ws: "\n",
  signalr: RECORD_SEPARATOR,
};

interface Receiver {
  receive(text: string): void;
  end(reason: string): void;
}

type Connect = (url: string, match: number, receiver: Receiver) => () => void;

const CONNECT: Readonly<Record<Kind, Connect>> = {
  sse(url, match, { receive, end }) {
    const headers = { accept: "text/event-stream" };
    const sent = request(`${url}/sse?topic=match/${match}`, { agent: false, headers });
    sent.on("response", (response) => {
      response.setEncoding("utf8");
      response.on("data", receive);
      response.on("error", () => {}); // a close follows
      response.on("close", () => end(`status ${response.statusCode}`));
    });
    sent.on("error", (error) => end(error.message));
    sent.end();
    return () => sent.destroy();
  },
  ws: (url, match, receiver) =>
    connectSocket(`${url}/ws`, receiver, {
      greeting: `{"type":"subscribe","topics":["match/${match}"]}`,
      separator: "\n",
    }),
  signalr: (url, match, receiver) =>
    connectSocket(`${url}/hubs/live`, receiver, {
      greeting: [
        '{"protocol":"json","version":1}',
        `{"type":1,"invocationId":"join","target":"JoinMatch","arguments":[${match}]}`,
        "",
      ].join(RECORD_SEPARATOR),
      separator: "",
    }),
};

/** @param options.separator behind each frame, where it is not in it */
function connectSocket(
  url: string,
  { receive, end }: Receiver,
  { greeting, separator }: { readonly greeting: string; readonly separator: string },
): () => void {
  const socket = new WebSocket(url.replace(/^http/, "ws"), { perMessageDeflate: false });
  socket.on("open", () => socket.send(greeting));
  socket.on("message", (data) => receive(`${data}${separator}`));
  socket.on("close", (code) => end(`code ${code}`));
  socket.on("error", (error) => end(error.message));
  return () => socket.terminate();
}
