/** Machines that share a log, within one isolate: any of them can be cut off, frozen, or crash. */

import type { Clock, ManualClock, Timer } from "../../lib/clock.ts";
import { decode, type LogEvent } from "../../lib/cluster/message.ts";
import { createJoiner } from "../../lib/cluster/pieces.ts";
import type { ClusterPort, Log, LogEntry } from "../../lib/cluster/port.ts";
import { turn } from "./turn.ts";

/** How long anything takes from one machine to another, ms. */
const TRAVEL_MS = 1;

export interface FakeCluster {
  join(): Place;
  /** What the log has ever held, whoever has written it. */
  readonly written: readonly Written[];
  /** How many entries of a subject are kept. */
  maxPerSubject: number;
  /** Loses the log. */
  lose(): void;
  /** The log forgets its entries: all have become too old. */
  forget(): void;
  /** Lets time pass, and everything happen that comes with it. */
  pass(ms: number): Promise<void>;
}

export interface Written {
  readonly number: number;
  readonly event: LogEvent;
}

/** A machine's place in the cluster. */
export interface Place {
  readonly port: ClusterPort;
  /** Stands still while the machine is frozen. */
  readonly clock: Clock;
  /** How much later than all else entries of the log come to it, in their order, ms. */
  lag(ms: number): void;
  /** Cuts it off from the others. They do not notice, and it does. */
  cut(): void;
  heal(): void;
  freeze(): void;
  thaw(): void;
}

interface Stored {
  readonly number: number;
  readonly subject: string;
  readonly bytes: Uint8Array;
}

export function createFakeCluster(clock: ManualClock): FakeCluster {
  let life = 1;
  let last = 0;
  let kept: Stored[] = [];
  const written: Written[] = [];
  const joiner = createJoiner();
  const readers = new Set<(entry: Stored) => void>();
  const listeners = new Map<string, Set<(bytes: Uint8Array, from: Line) => boolean>>();

  /** What one machine says to the others; nothing arrives of what is on the way when it is cut. */
  interface Line {
    readonly clock: Clock;
    isUp: boolean;
    ups: number;
  }

  /** Runs at the other end, unless the line is cut meanwhile. */
  function send(line: Line, at: Clock, run: () => void, delayMs = TRAVEL_MS): void {
    const { ups } = line;
    if (!line.isUp) return;
    at.after(delayMs, () => {
      if (line.isUp && line.ups === ups) run();
    });
  }

  const cluster: FakeCluster = {
    written,
    maxPerSubject: 1_000,
    lose() {
      life++;
      last = 0;
      kept = [];
      joiner.clear();
      written.length = 0;
    },
    forget() {
      kept = [];
    },
    async pass(ms) {
      for (let left = ms; left > 0; left -= 5) {
        clock.advance(Math.min(5, left));
        await turn();
      }
    },
    join() {
      const own = createFreezableClock(clock);
      const line: Line = { clock: own.clock, isUp: true, ups: 0 };
      const watchers = new Set<() => void>();
      let lagMs = 0;
      let dueAt = 0;
      const reads = new Set<() => void>();

      function store(subject: string, bytes: Uint8Array): void {
        const entry = { number: ++last, subject, bytes };
        kept.push(entry);
        const same = kept.filter((one) => one.subject === subject);
        if (same.length > cluster.maxPerSubject) kept = kept.filter((one) => one !== same[0]);
        const message = joiner.add(bytes);
        if (message) written.push({ number: last, event: decode<LogEvent>(message) });
        for (const read of readers) read(entry);
      }

      const port: ClusterPort = {
        get connected() {
          return line.isUp;
        },
        maxBytes: 256,
        watch(listener) {
          watchers.add(listener);
          return () => watchers.delete(listener);
        },
        openLog(): Promise<Log> {
          if (!line.isUp) return Promise.reject(new Error("Cut off"));
          const opened = life;
          const log: Log = {
            life: String(life),
            last,
            first: kept[0]?.number ?? last + 1,
            append: (subject, bytes, after) =>
              new Promise((resolve, reject) => {
                if (!line.isUp) return reject(new Error("Cut off"));
                own.clock.after(2_000, () => reject(new Error("No answer")));
                send(line, clock, () => {
                  const isRight = life === opened && last === after;
                  if (isRight) store(subject, bytes.slice());
                  send(line, own.clock, () =>
                    isRight ? resolve() : reject(new Error(`The newest entry is ${last}`)),
                  );
                });
              }),
            read(from, listener) {
              let isStopped = false;
              const hear = ({ number, bytes }: Stored) => {
                const entry: LogEntry = { number, bytes, isNewest: number === last };
                dueAt = Math.max(dueAt, clock.now() + TRAVEL_MS + lagMs);
                const deliver = () => {
                  if (!isStopped) listener(entry);
                };
                send(line, own.clock, deliver, dueAt - clock.now());
              };
              const stop = () => {
                isStopped = true;
                readers.delete(hear);
                reads.delete(stop);
              };
              for (const entry of kept) if (entry.number >= from) hear(entry);
              readers.add(hear);
              reads.add(stop);
              return stop;
            },
          };
          return Promise.resolve(log);
        },
        post(subject, bytes) {
          send(line, clock, () => {
            for (const hear of listeners.get(subject) ?? []) hear(bytes.slice(), line);
          });
        },
        request: (subject, bytes, timeoutMs) =>
          new Promise((resolve, reject) => {
            own.clock.after(timeoutMs, () => reject(new Error("No answer")));
            if (!line.isUp) return reject(new Error("Cut off"));
            send(line, clock, () => {
              const all = [...(listeners.get(subject) ?? [])];
              const answer = {
                ...line,
                resolve: (reply: Uint8Array) => line.isUp && resolve(reply),
              };
              const isHeard = all.map((hear) => hear(bytes.slice(), answer)).some(Boolean);
              if (!isHeard) send(line, own.clock, () => reject(new Error("Nobody listens")));
            });
          }),
        listen(subject, listener) {
          const hear = (bytes: Uint8Array, from: Line) => {
            if (!line.isUp) return false;
            const { resolve } = from as Line & { resolve?: (bytes: Uint8Array) => void };
            send(line, own.clock, () =>
              listener(
                bytes,
                resolve && ((answer) => send(line, from.clock, () => resolve(answer.slice()))),
              ),
            );
            return true;
          };
          const all = listeners.get(subject) ?? new Set();
          listeners.set(subject, all.add(hear));
          return () => all.delete(hear);
        },
      };
      const change = (isUp: boolean) => {
        if (line.isUp === isUp) return;
        line.isUp = isUp;
        line.ups++;
        for (const stop of [...reads]) stop();
        own.clock.soon(() => {
          for (const tell of [...watchers]) tell();
        });
      };
      return {
        port,
        clock: own.clock,
        lag(ms) {
          lagMs = ms;
        },
        cut: () => change(false),
        heal: () => change(true),
        freeze: own.freeze,
        thaw: own.thaw,
      };
    },
  };
  return cluster;
}

/** A clock whose timers wait while it is frozen, and then come one after the other. */
function createFreezableClock(clock: Clock) {
  let isFrozen = false;
  let late: (() => void)[] = [];
  const guard = (run: () => void) => {
    let isCancelled = false;
    return {
      run: () => {
        const go = () => {
          if (!isCancelled) run();
        };
        if (isFrozen) late.push(go);
        else go();
      },
      wrap: (timer: Timer): Timer => ({
        cancel() {
          isCancelled = true;
          timer.cancel();
        },
      }),
    };
  };
  const own: Clock = {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    after(delayMs, run) {
      const guarded = guard(run);
      return guarded.wrap(clock.after(delayMs, guarded.run));
    },
    every(periodMs, run) {
      const guarded = guard(run);
      return guarded.wrap(clock.every(periodMs, guarded.run));
    },
    soon: (run) => clock.soon(guard(run).run),
  };
  return {
    clock: own,
    freeze() {
      isFrozen = true;
    },
    thaw() {
      isFrozen = false;
      const runs = late;
      late = [];
      for (const run of runs) run();
    },
  };
}
