/** What joins machines with a log and with each other, as bad as NATS may be. */

import type { ManualClock } from "../../lib/clock.ts";
import type { ClusterPort, Log } from "../../lib/cluster/port.ts";
import type { Chance } from "./chance.ts";
import type { Heap } from "./heap.ts";
import type { Course, SimulatedLog, Stored } from "./log.ts";
import { createPipe, type Pipe } from "./pipe.ts";

/** How long a machine waits for the log's answer, ms. */
const ANSWER_MS = 1_500;

/** What the network does to what goes over it. */
export interface Weather {
  /** The most that anything takes from a machine to the server or back, ms. */
  delayMs: number;
  /** The most that entries of the log take beyond that, ms. */
  lagMs: number;
  /** Part of what is said to all, asked and answered that is lost, for each receiver by itself. */
  lost: number;
}

export const GOOD_WEATHER: Weather = { delayMs: 1, lagMs: 0, lost: 0 };

export interface Network {
  weather: Weather;
  /** A machine that is on the network until its heap dies. */
  join(id: string, heap: Heap): Place;
}

/** A machine's place in the network. */
export interface Place {
  readonly port: ClusterPort;
  /** When an entry of the log has last reached it, Unix ms; 0: never. */
  readonly reachedAt: number;
  /** The course of the log that it has read last. */
  readonly course: Course | undefined;
  /** Ends its connection. Of what was on the way to the server a part has got there. */
  cut(): void;
  heal(): void;
  /** Nothing gets through for so long, and nobody notices. */
  hold(forMs: number): void;
}

interface Listener {
  readonly link: Link;
  readonly subject: string;
  readonly hear: Parameters<ClusterPort["listen"]>[1];
  /** Whether the server knows of it. */
  isKnown: boolean;
}

/** A machine's connection to the server. */
interface Link {
  readonly id: string;
  readonly heap: Heap;
  isUp: boolean;
  /** Until then nothing gets through, Unix ms. */
  heldUntil: number;
  /** Each with an order of its own: as if what is said, asked and stored went by other servers. */
  ways: Map<string, Pipe>;
  readonly watchers: Set<() => void>;
  /** What it has asked and got no answer to. */
  readonly questions: Set<(error: Error) => void>;
  /** Ends what it reads. */
  readonly reads: Set<() => void>;
}

export function createNetwork(clock: ManualClock, chance: Chance, log: SimulatedLog): Network {
  const listeners = new Set<Listener>();

  function send(link: Link, way: string, arrive: () => void, lagMs = 0): void {
    if (!link.isUp || !link.heap.isAlive) return;
    let pipe = link.ways.get(way);
    if (!pipe) {
      pipe = createPipe(clock, () => clock.now() < link.heldUntil);
      link.ways.set(way, pipe);
    }
    pipe.put(chance.below(network.weather.delayMs + lagMs + 1), arrive);
  }

  /** What reaches a machine happens when it runs. */
  function bring(link: Link, way: string, happen: () => void, lagMs = 0): void {
    send(link, `from ${way}`, () => link.heap.run(happen), lagMs);
  }

  /** Has the server do something that has an answer. */
  function demand<T>(link: Link, act: (answer: (value: T | Error) => void) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      if (!link.isUp) return reject(new Error("Cut off"));
      const timer = link.heap.clock.after(ANSWER_MS, () => reject(new Error("No answer")));
      const answer = (value: T | Error) =>
        bring(link, "log", () => {
          timer.cancel();
          if (value instanceof Error) reject(value);
          else resolve(value);
        });
      send(link, "to log", () => act(answer));
    });
  }

  function read(
    link: Link,
    life: string,
    from: number,
    place: Reached,
  ): (listener: Reading) => () => void {
    return (listener) => {
      let isStopped = false;
      const hear = (entry: Stored) => {
        if (entry.number < from) return;
        const { course } = log;
        const isNewest = entry.number === course.last;
        const deliver = () => {
          // What was forgotten while it waited does not come.
          if (isStopped || !course.kept.includes(entry)) return;
          Object.assign(place, { course, reachedAt: clock.now() });
          listener({ number: entry.number, bytes: entry.bytes, isNewest });
        };
        bring(link, "reading", deliver, network.weather.lagMs);
      };
      const stop = () => {
        isStopped = true;
        log.readers.delete(hear);
        link.reads.delete(stop);
      };
      link.reads.add(stop);
      send(link, "to log", () => {
        if (isStopped || log.course.life !== life) return;
        for (const entry of log.course.kept) hear(entry);
        log.readers.add(hear);
      });
      return stop;
    };
  }

  function openLog(link: Link, place: Reached): Promise<Log> {
    return demand<Log>(link, (answer) => {
      const { life, last, kept } = log.course;
      const pen = {};
      let handed: number | undefined;
      answer({
        life,
        last,
        first: kept[0]?.number ?? last + 1,
        append(subject, bytes, after) {
          const entry = { by: link.id, pen, isNext: after === handed, subject, bytes, after };
          handed = after + 1;
          return demand<void>(link, (answer) =>
            log.append(entry, (refusal) =>
              answer(refusal === undefined ? undefined : new Error(refusal)),
            ),
          );
        },
        read: (from, listener) => read(link, life, from, place)(listener),
      });
    });
  }

  /** Hands something to all who listen. @returns how many there are */
  function spread(subject: string, from: string, tell: (listener: Listener) => void): number {
    const all = [...listeners].filter(
      ({ link, isKnown, ...one }) => one.subject === subject && isKnown && link.isUp,
    );
    for (const listener of all) {
      if (!chance.hits(network.weather.lost)) bring(listener.link, from, () => tell(listener));
    }
    return all.length;
  }

  function request(link: Link, [subject, bytes, timeoutMs]: Parameters<ClusterPort["request"]>) {
    return new Promise<Uint8Array>((resolve, reject) => {
      if (!link.isUp) return reject(new Error("Cut off"));
      const refuse = (error: Error) => end(() => reject(error));
      const timer = link.heap.clock.after(timeoutMs, () => refuse(new Error("No answer")));
      const end = (how: () => void) => {
        timer.cancel();
        link.questions.delete(refuse);
        how();
      };
      link.questions.add(refuse);
      send(link, "to one", () => {
        const count = spread(subject, link.id, ({ link: other, hear }) =>
          hear(bytes, (answer) =>
            send(other, "to one", () => {
              if (chance.hits(network.weather.lost)) return;
              bring(link, other.id, () => end(() => resolve(answer)));
            }),
          ),
        );
        if (count === 0) bring(link, "log", () => refuse(new Error("Nobody listens")));
      });
    });
  }

  function createPort(link: Link, place: Reached): ClusterPort {
    return {
      get connected() {
        return link.isUp;
      },
      maxBytes: 200,
      watch(listener) {
        link.watchers.add(listener);
        return () => link.watchers.delete(listener);
      },
      openLog: () => openLog(link, place),
      post(subject, bytes) {
        send(
          link,
          "to all",
          () => void spread(subject, link.id, ({ hear }) => hear(bytes, undefined)),
        );
      },
      request: (...question) => request(link, question),
      listen(subject, hear) {
        const own: Listener = { link, subject, hear, isKnown: false };
        listeners.add(own);
        send(link, "to log", () => {
          own.isKnown = true;
        });
        return () => listeners.delete(own);
      },
    };
  }

  function change(link: Link): void {
    link.heap.run(() => {
      for (const tell of [...link.watchers]) tell();
    });
  }

  function cut(link: Link): void {
    if (!link.isUp) return;
    link.isUp = false;
    const { ways } = link;
    link.ways = new Map();
    for (const [name, pipe] of ways) {
      const lost = pipe.close();
      if (!name.startsWith("to ")) continue;
      for (const arrive of lost.slice(0, chance.below(lost.length + 1))) arrive();
    }
    for (const stop of [...link.reads]) stop();
    link.heap.run(() => {
      for (const refuse of [...link.questions]) refuse(new Error("Cut off"));
    });
    change(link);
  }

  const network: Network = {
    weather: GOOD_WEATHER,
    join(id, heap) {
      for (const listener of listeners) {
        if (!listener.link.heap.isAlive) listeners.delete(listener);
      }
      const link: Link = {
        id,
        heap,
        isUp: true,
        heldUntil: 0,
        ways: new Map(),
        watchers: new Set(),
        questions: new Set(),
        reads: new Set(),
      };
      const reached: Reached = { reachedAt: 0, course: undefined };
      const release = () => {
        for (const pipe of link.ways.values()) pipe.release();
      };
      return {
        port: createPort(link, reached),
        get reachedAt() {
          return reached.reachedAt;
        },
        get course() {
          return reached.course;
        },
        cut: () => cut(link),
        heal() {
          link.heldUntil = 0;
          release();
          if (link.isUp || !heap.isAlive) return;
          link.isUp = true;
          // Its client tells the server first of all who listens there.
          for (const listener of listeners) if (listener.link === link) listener.isKnown = true;
          change(link);
        },
        hold(forMs) {
          link.heldUntil = clock.now() + forMs;
          clock.after(forMs, release);
        },
      };
    },
  };
  return network;
}

type Reading = Parameters<Log["read"]>[1];

/** How far a machine has read. */
interface Reached {
  reachedAt: number;
  course: Course | undefined;
}
