/** The log that machines share: stored in one order, forgetful, and once in a while lost. */

import type { ManualClock } from "../../lib/clock.ts";
import { decode, type LogEvent } from "../../lib/cluster/message.ts";
import { createJoiner } from "../../lib/cluster/pieces.ts";
import type { Chance } from "./chance.ts";
import { createPipe } from "./pipe.ts";

/** One course that the log has taken: there is another when it is made anew, or has lost its end. */
export interface Course {
  readonly life: string;
  /** Number of the newest entry; 0 before the first. */
  last: number;
  /** What has written it, if that is known. */
  pen: object | undefined;
  kept: readonly Stored[];
  /** Who became the owner, at which entry. */
  readonly terms: { readonly number: number; readonly term: string; readonly by: string }[];
}

export interface Stored {
  readonly number: number;
  /** When it was stored, Unix ms. */
  readonly at: number;
  readonly subject: string;
  readonly bytes: Uint8Array;
}

export interface SimulatedLog {
  readonly course: Course;
  /** The most that it takes to store an entry, ms. */
  storeMs: number;
  /** Entries of one subject that are kept, and for how long, ms. */
  maxPerSubject: number;
  maxAgeMs: number;
  /** Told of each entry when it is stored. */
  readonly readers: Set<(entry: Stored) => void>;
  /**
   * Stores an entry if the newest has this number, whichever life of the log that is.
   * @param entry.pen what writes it
   * @param entry.isNext whether the newest entry has to be of the same pen, too
   * @param done called with nothing once it is stored, or with the reason why it is not
   */
  append(
    entry: {
      readonly by: string;
      readonly pen: object;
      readonly isNext: boolean;
      readonly subject: string;
      readonly bytes: Uint8Array;
      readonly after: number;
    },
    done: (refusal: string | undefined) => void,
  ): void;
  /** The newest term that a machine has begun. */
  termBy(id: string): string | undefined;
  /** It is gone, and made anew. */
  lose(): void;
  /** It has lost at least so many of the newest entries. */
  truncate(count: number): void;
  /** Whether it was ever lost, whole or its end. */
  readonly isBroken: boolean;
  /** Whether it has ever lost its end, after which others are numbered the same. */
  readonly isTruncated: boolean;
}

const EMPTY = { last: 0, pen: undefined, kept: [] };

export function createLog(clock: ManualClock, chance: Chance): SimulatedLog {
  const readers: SimulatedLog["readers"] = new Set();
  let lives = 1;
  let course: Course = { ...EMPTY, life: "1", terms: [] };
  let joiner = createJoiner();
  let disk = createPipe(clock);
  let isBroken = false;
  let isTruncated = false;

  function store({ by, pen, subject, bytes }: Parameters<SimulatedLog["append"]>[0]): void {
    const entry = { number: ++course.last, at: clock.now(), subject, bytes: bytes.slice() };
    const same = course.kept.filter((one) => one.subject === subject);
    const forgotten = new Set(same.slice(0, Math.max(0, same.length + 1 - log.maxPerSubject)));
    course.pen = pen;
    course.kept = [...course.kept.filter((one) => !forgotten.has(one)), entry];
    const message = joiner.add(bytes);
    if (message) note(by, decode<LogEvent>(message));
    for (const read of [...readers]) read(entry);
  }

  function note(by: string, event: LogEvent): void {
    const { last: number, terms } = course;
    if (event.type === "break") terms.push({ number, term: event.term, by });
    else if (terms.at(-1)?.by !== by) throw new Error(`${by} writes in the term of another`);
  }

  function begin(next: Course): void {
    course = next;
    isBroken = true;
    joiner = createJoiner();
    disk.close();
    disk = createPipe(clock);
    readers.clear();
  }

  const log: SimulatedLog = {
    get course() {
      const isYoung = ({ at }: Stored) => clock.now() - at <= log.maxAgeMs;
      if (!course.kept.every(isYoung)) course.kept = course.kept.filter(isYoung);
      return course;
    },
    get isBroken() {
      return isBroken;
    },
    get isTruncated() {
      return isTruncated;
    },
    storeMs: 0,
    maxPerSubject: 1_000,
    maxAgeMs: 60_000,
    readers,
    append(entry, done) {
      disk.put(chance.below(log.storeMs + 1), () => {
        const isBehind = !entry.isNext || course.pen === entry.pen;
        const isRight = course.last === entry.after && isBehind;
        if (isRight) store(entry);
        done(isRight ? undefined : `The newest entry is ${course.last}`);
      });
    },
    termBy: (id) => course.terms.findLast(({ by }) => by === id)?.term,
    lose() {
      begin({ ...EMPTY, life: String(++lives), terms: [] });
    },
    truncate(count) {
      isTruncated = true;
      const { life, last: before, terms } = course;
      const kept = course.kept.filter(({ number }) => number <= before - count);
      const last = kept.at(-1)?.number ?? 0;
      begin({ ...EMPTY, life, last, kept, terms: terms.filter(({ number }) => number <= last) });
    },
  };
  return log;
}
