/** A client over a bare socket that stays, of any transport, and reads no more than it must. */

import { RECORD_SEPARATOR } from "../support/signalr-client.ts";
import { openRawSocket, openRawStream, type RawConnection, type RawListener } from "./raw.ts";
import { HUB_PATH } from "./relay.ts";

export const TRANSPORTS = ["ws", "sse", "signalr"] as const;
export type Transport = (typeof TRANSPORTS)[number];

export interface Watcher {
  /** Whether all its topics are open. */
  readonly isOpen: boolean;
  /** Its first topic. */
  readonly topic: string;
  /** The newest number of that; 0 before the first publication. */
  readonly number: number;
  /** How many publications of a topic it has got. */
  count(topic: string): number;
  /** How often it was told that some were left out; SignalR cannot say so. */
  readonly conflations: number;
  /** What it was not to hear, for a person: its end, an error, a number that is not a later one. */
  readonly findings: readonly string[];
  /** Stops reading, and goes on. */
  pause(): void;
  resume(): void;
  stop(): void;
}

export interface WatcherOptions {
  readonly transport: Transport;
  /** `{kind}/{id}` of a numbering hub, each with another id. */
  readonly topics: readonly string[];
  /** A publication of the first topic. @param at its field, or 0 when it has none */
  onNumber?(number: number, at: number): void;
}

/** What stands in a publication, whatever is around it. */
const PUBLICATION = /"id":(\d+),"number":(\d+)(?:,"at":([\d.]+))?/g;

/** @param url of the relay */
export function openWatcher(url: string, options: WatcherOptions): Watcher {
  const { transport, topics, onNumber } = options;
  const [topic = ""] = topics;
  const firstId = idOf(topic);
  /** By id. */
  const counts = new Map<string, number>();
  const { isOpening, isConflation, isFailure } = MARKS[transport];
  const findings: string[] = [];
  let opened = 0;
  let number = 0;
  let conflations = 0;

  function read(text: string): void {
    if (isOpening(text)) opened++;
    if (isConflation(text)) conflations++;
    if (isFailure(text)) findings.push(text);
    for (const [, id = "", digits, at = "0"] of text.matchAll(PUBLICATION)) {
      counts.set(id, (counts.get(id) ?? 0) + 1);
      if (id !== firstId) continue;
      if (Number(digits) <= number) findings.push(`${digits} after ${number}`);
      number = Number(digits);
      onNumber?.(number, Number(at));
    }
  }

  const connection = CONNECT[transport](url, topics, {
    onText(text) {
      for (const part of text.split(SEPARATOR[transport])) if (part !== "") read(part);
    },
    onEnd: (reason) => findings.push(reason),
  });
  return {
    topic,
    get isOpen() {
      return opened === topics.length;
    },
    get number() {
      return number;
    },
    count: (topic) => counts.get(idOf(topic)) ?? 0,
    get conflations() {
      return conflations;
    },
    findings,
    pause: connection.pause,
    resume: connection.resume,
    stop: connection.cut,
  };
}

function idOf(topic: string): string {
  return topic.slice(topic.indexOf("/") + 1);
}

type Connect = (
  url: string,
  topics: readonly string[],
  listener: Omit<RawListener, "onOpen">,
) => RawConnection;

const CONNECT: Readonly<Record<Transport, Connect>> = {
  ws(url, topics, listener) {
    const connection: RawConnection = openRawSocket(url, {
      ...listener,
      path: "/ws",
      onOpen: () => connection.send(JSON.stringify({ type: "subscribe", topics })),
    });
    return connection;
  },
  sse: (url, topics, listener) =>
    openRawStream(url, {
      ...listener,
      path: `/sse?${new URLSearchParams(topics.map((topic) => ["topic", topic]))}`,
      onOpen() {},
    }),
  signalr(url, topics, listener) {
    const joins = topics.map((topic, i) => {
      const [kind, id] = topic.split("/");
      return { type: 1, invocationId: `${i}`, target: "Join", arguments: [kind, Number(id)] };
    });
    const connection: RawConnection = openRawSocket(url, {
      ...listener,
      path: HUB_PATH,
      onOpen() {
        for (const record of [{ protocol: "json", version: 1 }, ...joins]) {
          connection.send(JSON.stringify(record) + RECORD_SEPARATOR);
        }
      },
    });
    return connection;
  },
};

const SEPARATOR: Readonly<Record<Transport, string>> = {
  ws: "\n",
  sse: "\n\n",
  signalr: RECORD_SEPARATOR,
};

/** How to know a message by its beginning. */
interface Known {
  isOpening(text: string): boolean;
  isConflation(text: string): boolean;
  isFailure(text: string): boolean;
}

const MARKS: Readonly<Record<Transport, Known>> = {
  ws: {
    isOpening: (text) => text.startsWith('{"type":"subscribed"'),
    isConflation: (text) => text.startsWith('{"type":"conflated"'),
    isFailure: (text) => text.startsWith('{"type":"error"'),
  },
  sse: {
    isOpening: (text) => text.startsWith("event: keryx.subscribed"),
    isConflation: (text) => text.startsWith("event: keryx.conflated"),
    isFailure: () => false,
  },
  signalr: {
    isOpening: (text) => text.startsWith('{"type":3'),
    isConflation: () => false,
    // A Close, or a completion with an error.
    isFailure: (text) => text.startsWith('{"type":7') || /^\{"type":3.*"error"/.test(text),
  },
};
