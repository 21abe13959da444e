/**
 * Light clients by the hundred, which keep no more than what shows whether they were told the truth:
 * at each publication a client knows of the one before, or has been told that it does not.
 */

import { request } from "node:http";
import { WebSocket } from "ws";
import type { MatchState } from "../../../app/demo/contract.ts";
import type { Message } from "../../support/ws-client.ts";

/** A client of `/sse` or `/ws` that watches one match, of which the origin's `publish` is all that happens. */
export interface Viewer {
  /** Sequence of the newest OddsChanged that it knows of, heard or in a state that it was given. */
  readonly known: number;
  /** OddsChanged that came as they were published. */
  readonly heard: number;
  /** What was missing or came twice without a word about it. */
  readonly faults: readonly string[];
  /** Reasons of all resets. */
  readonly resets: readonly string[];
  readonly state: "opening" | "live" | "stale";
  /** Whether its opening recovered. */
  readonly recovered: boolean | undefined;
  readonly position: string | undefined;
  readonly isOpen: boolean;
  close(): void;
}

export type ViewerKind = "sse" | "ws";

/** Sequence of the newest OddsChanged that is in a state. */
export type SequenceOf = (state: MatchState) => number;

/**
 * Tells by the first price, which every `publish` raises by one hundredth.
 * @param first the state when the origin has published nothing
 */
export function sequencesFrom(first: MatchState): SequenceOf {
  return (state) => Math.round((priceOf(state) - priceOf(first)) * 100);
}

function priceOf({ markets }: MatchState): number {
  const price = markets.find(({ marketId }) => marketId === "1x2")?.selections[0]?.price;
  if (price === undefined) throw new Error("The match has no such market");
  return price;
}

/**
 * Connects, as one who comes back where `since` is a position. With what `before` knew, or nothing.
 * @returns once it is subscribed
 */
export function watch(
  kind: ViewerKind,
  url: string,
  topic: string,
  sequenceOf: SequenceOf,
  before?: Viewer,
): Promise<Viewer> {
  const faults: string[] = [];
  const resets: string[] = [];
  let known = before?.known ?? -1;
  let told = before?.known ?? -1;
  let heard = 0;
  /** Whether it has just been told that publications are left out. */
  let isConflated = false;
  let state: Viewer["state"] = "opening";
  let recovered: boolean | undefined;
  let position = before?.position;
  let isOpen = true;

  function hearPublication(message: Message): void {
    const { sequence } = message.data as { readonly sequence: number };
    if (message.position !== undefined) {
      heard++;
      if (sequence <= told) faults.push(`${sequence} after ${told}`);
      if (sequence > known + 1 && !isConflated) faults.push(`${sequence} when it knew ${known}`);
      told = sequence;
      isConflated = false;
    }
    known = Math.max(known, sequence);
  }

  /** @returns whether its opening has ended */
  function hear(message: Message): boolean {
    if (typeof message.position === "string") position = message.position;
    switch (message.type) {
      case "reset":
        resets.push(String(message.reason));
        known = message.snapshot ? sequenceOf(message.snapshot as MatchState) : -1;
        return false;
      case "publication":
        hearPublication(message);
        return false;
      case "conflated":
        isConflated = true;
        return false;
      case "stale":
      case "live":
        state = message.type;
        return false;
      case "subscribed":
        state = message.state === "live" ? "live" : "stale";
        recovered = message.recovered === true;
        return true;
      default:
        return false;
    }
  }

  return new Promise((resolve, reject) => {
    const close = CONNECT[kind](url, topic, position, {
      hear(message) {
        if (hear(message)) resolve(viewer);
      },
      end(reason) {
        isOpen = false;
        reject(new Error(reason)); // which says nothing once it is subscribed
      },
    });
    const viewer: Viewer = {
      get known() {
        return known;
      },
      get heard() {
        return heard;
      },
      faults,
      resets,
      get state() {
        return state;
      },
      get recovered() {
        return recovered;
      },
      get position() {
        return position;
      },
      get isOpen() {
        return isOpen;
      },
      close,
    };
  });
}

interface Listener {
  hear(message: Message): void;
  end(reason: string): void;
}

type Connect = (
  url: string,
  topic: string,
  since: string | undefined,
  listener: Listener,
) => () => void;

const CONNECT: Readonly<Record<ViewerKind, Connect>> = {
  sse(url, topic, since, { hear, end }) {
    const headers = since === undefined ? {} : { "last-event-id": since };
    const path = `/sse?topic=${topic}&envelope=true`;
    const sent = request(url + path, { agent: false, headers }, (response) => {
      let rest = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        const lines = (rest + chunk).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) {
          if (line.startsWith("data: ")) hear(JSON.parse(line.slice("data: ".length)) as Message);
        }
      });
      response.on("error", () => {}); // a close follows
      response.on("close", () => end(`The stream ended, status ${response.statusCode}`));
    });
    sent.on("error", (error) => end(error.message));
    sent.end();
    return () => sent.destroy();
  },
  ws(url, topic, since, { hear, end }) {
    const socket = new WebSocket(`${url.replace("http", "ws")}/ws`, { perMessageDeflate: false });
    const topics = [since === undefined ? topic : { topic, since }];
    socket.on("open", () => socket.send(JSON.stringify({ type: "subscribe", topics })));
    socket.on("message", (data) => {
      for (const line of String(data).split("\n")) hear(JSON.parse(line) as Message);
    });
    socket.on("close", (code) => end(`The socket closed with ${code}`));
    socket.on("error", (error) => end(error.message));
    return () => socket.terminate();
  },
};
