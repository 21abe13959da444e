/**
 * What one plain client knows of its topics, held against the books of the hub: every publication
 * once and in order, or a reset whose reason the hub's books explain.
 */

import type { NumberingHub } from "./hub.ts";
import type { PlainMessage } from "./message.ts";

/** What all clients of a test have seen together. */
export interface Tally {
  /** Publications that clients got, those of recoveries too. */
  deliveries: number;
  /** Connections that were made. */
  connections: number;
  cuts: number;
  /** Openings that gave exactly what was missed. */
  recoveries: number;
  /** By reason. */
  readonly resets: Map<string, number>;
  /** Publications that resets stood for. */
  skipped: number;
  stales: number;
  /** Openings that were stale: the origin was away, or slower than an opening waits. */
  staleOpenings: number;
  /** Numbers left out, numbers that came again, and what else does not follow from what went before. */
  gaps: number;
  duplicates: number;
  oddities: number;
  /** The first of them, for a person. */
  readonly findings: string[];
}

export function createTally(): Tally {
  const seen = { deliveries: 0, connections: 0, cuts: 0, recoveries: 0 };
  const unlucky = { skipped: 0, stales: 0, staleOpenings: 0 };
  const wrong = { gaps: 0, duplicates: 0, oddities: 0 };
  return { ...seen, ...unlucky, ...wrong, resets: new Map(), findings: [] };
}

/** Findings that are kept. */
const MAX_FINDINGS = 20;

/** While a topic is reset: why, what was known before, and whether that was stale. */
interface Reset {
  readonly reason: string;
  readonly before: number | undefined;
  readonly wasStale: boolean;
}

interface Known {
  state: "closed" | "opening" | "resetting" | "live" | "stale" | "leaving";
  /** The newest number it knows; `undefined` before the first reset. */
  number: number | undefined;
  reset: Reset | undefined;
  /** Where it can go on after a cut, and what it knew there. */
  mark: { readonly position: string | undefined; readonly number: number | undefined };
}

export interface Witness {
  /** Asks for topics, each from where it is. @returns entries of a `subscribe` message */
  ask(topics: readonly string[]): { readonly topic: string; readonly since: string | undefined }[];
  /** Takes one message. */
  read(message: PlainMessage): void;
  /** Notes what ought not to be, for a person. */
  refuse(what: string): void;
  /** The connection is cut: what is known is what was known at the last position. */
  cut(): void;
  /** The client leaves a topic, and forgets it; what is on its way does not count. */
  leave(topic: string): void;
  /** Whether it is live in all its topics, and has the newest number of each. */
  isComplete(): boolean;
  /** Whether it is live in all its topics. */
  isLive(): boolean;
  /** For a person. */
  print(): string;
}

/**
 * @param isStream whether one position stands for all topics, as on `/sse`; else each has its own
 * @param historySize of a topic, as it is declared
 */
export function createWitness(options: {
  readonly hub: Pick<NumberingHub, "number" | "absences">;
  readonly tally: Tally;
  readonly isStream: boolean;
  historySize(topic: string): number;
}): Witness {
  const { hub, tally, isStream, historySize } = options;
  const topics = new Map<string, Known>();
  let lastPosition: string | undefined;

  function note(what: "gaps" | "duplicates" | "oddities", text: string): void {
    tally[what]++;
    const at = `${Math.round(performance.now())} ms: `;
    if (tally.findings.length < MAX_FINDINGS) tally.findings.push(at + text);
  }

  function reach(known: Known, position: string): void {
    if (!isStream) {
      known.mark = { position, number: known.number };
      return;
    }
    // It says of all topics how far they have been read.
    lastPosition = position;
    for (const other of topics.values()) other.mark = { position, number: other.number };
  }

  function publish(known: Known, { topic, position, data }: PlainMessage): void {
    const { number = 0 } = data ?? {};
    if (known.state === "resetting") {
      // The newest of its key: in the snapshot already, or newer.
      if (number < (known.number ?? 0)) note("oddities", `${topic}: ${number} behind a snapshot`);
      known.number = number;
      return;
    }
    tally.deliveries++;
    const expected = (known.number ?? 0) + 1;
    if (known.state !== "opening" && known.state !== "live") {
      note("oddities", `${topic}: ${number} came while ${known.state}`);
    }
    if (number < expected) note("duplicates", `${topic}: ${number} came for ${expected}`);
    if (number > expected) note("gaps", `${topic}: ${number} came for ${expected}`);
    known.number = number;
    if (position !== undefined) reach(known, position);
  }

  function beginReset(known: Known, { topic, reason = "", snapshot }: PlainMessage): void {
    if (known.state !== "opening" && known.state !== "stale") {
      note("oddities", `${topic}: reset while ${known.state}`);
    }
    known.reset = { reason, before: known.number, wasStale: known.state === "stale" };
    known.state = "resetting";
    known.number = snapshot?.number ?? 0;
  }

  function endReset(known: Known, { topic, state = "live" }: PlainMessage): void {
    const { reset, number = 0 } = known;
    known.reset = undefined;
    if (known.state !== "resetting" || !reset) {
      return note("oddities", `${topic}: the end of a reset while ${known.state}`);
    }
    const { reason, before } = reset;
    tally.resets.set(reason, (tally.resets.get(reason) ?? 0) + 1);
    if (number < (before ?? 0)) note("oddities", `${topic}: ${reason} from ${before} to ${number}`);
    tally.skipped += number - (before ?? number);
    if (!explains(topic, reset, { number, state })) {
      const absences = JSON.stringify(hub.absences(topic));
      note("oddities", `${topic}: ${reason} from ${before} to ${number}, absences ${absences}`);
    }
  }

  /** Whether the books of the hub say so, too. */
  function explains(
    topic: string,
    { reason, before, wasStale }: Reset,
    { number, state }: { readonly number: number; readonly state: "live" | "stale" },
  ): boolean {
    // The second is an origin that took longer than an opening waits: a machine that is too busy.
    if (reason === "new") return before === undefined || wasStale;
    if (reason === "break" && state === "stale") return true;
    if (before === undefined) return false;
    const missed = hub
      .absences(topic)
      .filter(({ to = Number.POSITIVE_INFINITY }) => before <= to)
      .map(({ cause }) => cause);
    if (reason === "break") return missed.includes("break");
    if (reason !== "evicted") return false;
    return missed.includes("leave") || number - before > historySize(topic);
  }

  return {
    ask: (names) =>
      names.map((topic) => {
        let known = topics.get(topic);
        if (!known) {
          const mark = { position: undefined, number: undefined };
          known = { state: "opening", number: undefined, reset: undefined, mark };
          topics.set(topic, known);
        }
        known.state = "opening";
        const isKnown = known.mark.number !== undefined;
        return { topic, since: isStream && isKnown ? lastPosition : known.mark.position };
      }),

    read(message) {
      const { type, topic, position } = message;
      if (type === "heartbeat") return;
      const known = topics.get(topic);
      if (!known) return note("oddities", `Nobody asked for ${JSON.stringify(message)}`);
      if (known.state === "leaving") {
        if (type === "unsubscribed") topics.delete(topic);
        return;
      }
      switch (type) {
        case "publication":
          return publish(known, message);
        case "reset":
          return beginReset(known, message);
        case "subscribed":
          if (message.recovered && known.state === "opening") tally.recoveries++;
          else endReset(known, message);
          known.state = message.state ?? "stale";
          if (known.state === "stale") tally.staleOpenings++;
          break;
        case "stale":
          if (known.state !== "live") note("oddities", `${topic}: stale while ${known.state}`);
          tally.stales++;
          known.state = "stale";
          return;
        case "live":
          endReset(known, message);
          known.state = "live";
          break;
        default:
          return note("oddities", JSON.stringify(message));
      }
      if (position === undefined) note("oddities", `${topic}: ${type} without a position`);
      else reach(known, position);
    },

    refuse: (what) => note("oddities", what),

    cut() {
      for (const [topic, known] of topics) {
        if (known.state === "leaving") topics.delete(topic);
        known.state = "closed";
        known.reset = undefined;
        known.number = known.mark.number;
      }
    },

    leave(topic) {
      const known = topics.get(topic);
      if (known?.state === "closed") topics.delete(topic);
      else if (known) known.state = "leaving";
    },

    isComplete: () =>
      [...topics].every(
        ([topic, { state, number }]) => state === "live" && number === hub.number(topic),
      ),
    isLive: () => [...topics.values()].every(({ state }) => state === "live"),
    print: () =>
      [...topics]
        .map(([topic, { state, number }]) => `${topic} ${state} ${number} of ${hub.number(topic)}`)
        .join(", "),
  };
}
