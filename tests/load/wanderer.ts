/** A plain client that is cut again and again, and always comes back to where it was. */

import type { Random } from "../../app/demo/random.ts";
import { readEvent, readFrame } from "./message.ts";
import {
  openRawSocket,
  openRawStream,
  type RawConnection,
  type RawListener,
  type RawOptions,
} from "./raw.ts";
import type { Tally, Witness } from "./witness.ts";

export interface Wanderer {
  readonly witness: Witness;
  /** The topics it has now. */
  readonly topics: readonly string[];
  /** Whether all its cuts are behind it. */
  readonly isSettled: boolean;
  /** It is cut no more, and stays. */
  settle(): void;
  stop(): void;
}

export interface WandererOptions {
  /** Of the relay. */
  readonly url: string;
  readonly via: "ws" | "sse";
  readonly topics: readonly string[];
  readonly witness: Witness;
  readonly tally: Tally;
  readonly random: Random;
  /** How often it is cut; not at all unless this is given. */
  readonly cuts?: number;
  /** Mean time that it stays, and that it is away, ms. */
  readonly stayMs?: number;
  readonly awayMs?: number;
  /** Gives another topic for its last one, now and then; it keeps it unless this is given. */
  readonly change?: () => string;
}

/** How many bytes more are read at most by a client that is cut in the middle of them. */
const MAX_CUT_BYTES = 600;
/** A cut in the middle of bytes that do not come is made after this. */
const MAX_CUT_MS = 1_000;
/** Before it comes back where it was not cut but ended, ms. */
const RETRY_MS = 500;
/** How often it is cut at once, also while it connects; else somewhere in the bytes that come. */
const BLUNT = 0.25;
/** How often it changes a topic, on the way back or on an open socket. */
const CHANGE = 0.5;

export function createWanderer(options: WandererOptions): Wanderer {
  const { url, via, witness, tally, random, change, stayMs = 0, awayMs = 0 } = options;
  let { topics, cuts: cutsLeft = 0 } = options;
  let connection: RawConnection | undefined;
  let isOpen = false;
  let timer: ReturnType<typeof setTimeout> | undefined;

  function later(meanMs: number, run: () => void): void {
    timer = setTimeout(run, meanMs * (0.5 + random.next()));
  }

  function connect(): void {
    tally.connections++;
    if (change && random.chance(CHANGE)) replace(change());
    const requests = witness.ask(topics);
    const listener: RawListener = {
      onOpen() {
        isOpen = true;
        if (via === "ws") send({ type: "subscribe", topics: requests });
      },
      onText(text) {
        if (via === "ws") readFrame(text).forEach(witness.read);
        else {
          const message = readEvent(text);
          if (message) witness.read(message);
        }
      },
      onEnd(reason) {
        witness.refuse(`Ended: ${reason}`);
        lose();
        timer = setTimeout(connect, RETRY_MS);
      },
    };
    connection =
      via === "ws"
        ? openRawSocket(url, { path: "/ws", ...listener })
        : openRawStream(url, { ...resume(requests), ...listener });
    if (cutsLeft > 0) later(stayMs, act);
  }

  function send(message: object): void {
    connection?.send(JSON.stringify(message));
  }

  function act(): void {
    if (cutsLeft <= 0) return;
    if (change && via === "ws" && isOpen && random.chance(CHANGE)) return move(change());
    if (random.chance(BLUNT)) return cut();
    timer = setTimeout(cut, MAX_CUT_MS);
    connection?.cutAfter(random.integer(1, MAX_CUT_BYTES), leave);
  }

  /** Changes a topic on the open socket. */
  function move(topic: string): void {
    const left = replace(topic);
    if (left !== undefined) {
      send({ type: "unsubscribe", topics: [left] });
      send({ type: "subscribe", topics: witness.ask([topic]) });
    }
    later(stayMs, act);
  }

  /** @returns the topic that was left; `undefined` when nothing has changed */
  function replace(topic: string): string | undefined {
    const left = topics.at(-1);
    if (left === undefined || topics.includes(topic)) return undefined;
    topics = [...topics.slice(0, -1), topic];
    witness.leave(left);
    return left;
  }

  function cut(): void {
    connection?.cut();
    leave();
  }

  function leave(): void {
    cutsLeft--;
    tally.cuts++;
    lose();
    later(awayMs, connect);
  }

  function lose(): void {
    clearTimeout(timer);
    isOpen = false;
    witness.cut();
  }

  connect();
  return {
    witness,
    get topics() {
      return topics;
    },
    get isSettled() {
      return cutsLeft <= 0;
    },
    settle() {
      cutsLeft = 0;
    },
    stop() {
      clearTimeout(timer);
      connection?.cut();
    },
  };
}

/** A stream's request. With one position for all topics it is what an `EventSource` sends. */
function resume(requests: ReturnType<Witness["ask"]>): Pick<RawOptions, "path" | "headers"> {
  const query = new URLSearchParams(requests.map(({ topic }) => ["topic", topic]));
  const [first] = requests;
  if (!requests.every(({ since }) => since === first?.since)) {
    for (const { since = "" } of requests) query.append("since", since);
    return { path: `/sse?${query}` };
  }
  const headers = first?.since === undefined ? {} : { "last-event-id": first.since };
  return { path: `/sse?${query}`, headers };
}
