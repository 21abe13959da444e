/**
 * A client of the plain protocols that believes every word and forgives nothing: it keeps what it
 * knows of each topic and throws when a message does not follow from the ones before.
 *
 * The publications it reads are `[topic, key, number]`, numbered from 1 in each topic, and snapshots
 * are `{"number", "values"}`: the newest number, and the newest number of each key.
 */

import { expect } from "vitest";

/** What the origin keeps of a topic, and a client of what it was told. */
export interface View {
  /** The newest publication that is in it; 0 before the first. */
  number: number;
  /** Number of the newest publication of each key. */
  values: Record<string, number>;
}

interface Known extends View {
  /** Publications that were said to be left out, and whose place has not been passed yet. */
  skipping: number;
  state: "closed" | "opening" | "resetting" | "live" | "stale";
  /** Nothing came since the last reset, so that numbers may be missing that nobody could know. */
  isFresh: boolean;
  /** Where it can go on after a cut, and what it knew there. */
  mark: View & { readonly position: string | undefined; readonly isFresh: boolean };
}

export interface Reader {
  /** Reads one message of PROTOCOL.md section 3. */
  read(text: string): void;
  /** The client asks for these topics, from where it is. @returns entries of a `subscribe` message */
  ask(topics: readonly string[]): { readonly topic: string; readonly since: string | undefined }[];
  /** The client leaves a topic. */
  leave(topic: string): void;
  /** The connection is cut. */
  cut(): void;
  /** What it knows of a topic. */
  view(topic: string): Readonly<Known>;
}

/**
 * @param next the number of the publication that follows a number in a topic, as the relay got them
 * @param isStream whether one position stands for all topics, as on `/sse`; else each has its own
 */
export function createReader(
  next: (topic: string, number: number) => number | undefined,
  { isStream }: { readonly isStream: boolean },
): Reader {
  const topics = new Map<string, Known>();
  let lastPosition: string | undefined;

  function view(topic: string): Known {
    let known = topics.get(topic);
    if (!known) {
      const nothing = { number: 0, values: {}, isFresh: true, skipping: 0 };
      known = { state: "closed", ...nothing, mark: { position: undefined, ...nothing } };
      topics.set(topic, known);
    }
    return known;
  }

  function reach(known: Known, position: string | undefined): void {
    if (position === undefined) return;
    lastPosition = position;
    // On a stream it says of all topics how far they have been read. Elsewhere each has its own:
    // one may be catching up with the others, or have a rate of its own.
    const open = [...topics.values()].filter(({ state }) => state !== "closed");
    for (const other of isStream ? open : [known]) {
      const { number, values, isFresh } = other;
      other.mark = { position, number, values: { ...values }, isFresh };
    }
  }

  function put(known: Known, [, key, number]: [string, string, number]): void {
    expect(number).toBeGreaterThan(known.values[key] ?? 0);
    known.values[key] = number;
    known.number = Math.max(known.number, number);
  }

  return {
    view,
    ask(names) {
      for (const name of names) view(name).state = "opening";
      return names.map((topic) => ({
        topic,
        since: isStream ? lastPosition : view(topic).mark.position,
      }));
    },
    leave(topic) {
      view(topic).state = "closed";
    },
    cut() {
      for (const known of topics.values()) {
        const { number, values, isFresh } = known.mark;
        // An opening that was cut in the middle has not been.
        Object.assign(known, {
          state: "closed",
          number,
          values: { ...values },
          isFresh,
          skipping: 0,
        });
      }
    },
    read(text) {
      const message = JSON.parse(text);
      const known = view(message.topic);
      switch (message.type) {
        case "publication":
          if (known.state === "resetting") {
            // The newest of a key. It may be in the snapshot already, but cannot be older.
            const [, key, number] = message.data;
            if (known.values[key] !== number) put(known, message.data);
            expect(message.position).toBeUndefined();
            return;
          }
          expect(["opening", "live"]).toContain(known.state);
          for (; known.skipping > 0; known.skipping--) {
            const number = next(message.topic, known.number);
            if (number === undefined || number >= message.data[2]) break;
            known.number = number;
          }
          expect(message.data[2]).toBe(next(message.topic, known.number));
          if (!known.isFresh) expect(message.data[2]).toBe(known.number + 1);
          known.isFresh = false;
          put(known, message.data);
          return reach(known, message.position);
        case "conflated":
          expect(known).toMatchObject({ state: "live", skipping: 0 });
          known.skipping = message.skipped;
          return;
        case "reset":
          expect(["opening", "stale"]).toContain(known.state);
          expect(known.skipping).toBe(0);
          known.state = "resetting";
          known.isFresh = true;
          known.number = message.snapshot?.number ?? 0;
          known.values = { ...message.snapshot?.values };
          return;
        case "subscribed":
          expect(known.state).toBe(message.recovered ? "opening" : "resetting");
          known.state = message.state;
          return reach(known, message.position);
        case "stale":
          expect(known.state).toBe("live");
          known.state = "stale";
          return;
        case "live":
          expect(known.state).toBe("resetting");
          known.state = "live";
          return reach(known, message.position);
        default:
          throw new Error(`Nothing was said of ${text}`);
      }
    },
  };
}
