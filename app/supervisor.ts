/**
 * Isolates of one process: started, watched, replaced, and told which of them owns the feeds.
 *
 * Where threads are equals, they would elect an owner among them, with Web Locks or by a protocol.
 * Here one has started all the others and sees them end: it appoints, and there is no race.
 */

import type { Clock, Timer } from "../lib/clock.ts";
import { messageOf } from "../lib/errors.ts";
import type { Roster } from "../lib/feed/group.ts";
import type { Log } from "../lib/log.ts";
import { createEpoch } from "../lib/topic/position.ts";
import { backoffMs } from "../lib/upstream/backoff.ts";
import type { Isolate, StartIsolate } from "./host.ts";
import type { Brief, Order, Report } from "./order.ts";

export interface Supervisor {
  /** All isolates listen. Rejects when one ends before that. */
  readonly ready: Promise<void>;
  /**
   * An isolate hangs, and the runtime cannot end it: it keeps its share of the port, and whoever gets
   * there waits in vain, until the whole process ends.
   */
  readonly broken: Promise<void>;
  /** Has all isolates send their clients away, then end. */
  stop(): Promise<void>;
}

/** How often each isolate is told the roster, and answers, ms. */
export const BEAT_MS = 500;

/** An owner that leaves so many rosters in a row unanswered is owner no more. */
export const SILENT_BEATS = 4;

/** An isolate that leaves so many unanswered hangs, and is ended: its clients are worse off with it. */
export const HUNG_BEATS = 20;

/** How long an isolate may take until it listens, ms. */
export const START_TIMEOUT_MS = 30_000;

/** One that lived for this long is replaced at once, and its place has no bad name any more, ms. */
const STABLE_MS = 30_000;

/** The wait before a place is filled again that was filled in vain. */
const BACKOFF = { minMs: 500, maxMs: 30_000 };

/** A place for an isolate. */
interface Place {
  readonly number: number;
  life: Life | undefined;
  /** Lives in a row that were short. */
  failures: number;
  restart: Timer | undefined;
}

interface Life {
  readonly id: string;
  readonly isolate: Isolate;
  readonly startedAt: number;
  stage: "starting" | "joined" | "listening" | "drained" | "ended";
  /** Rosters that it has not answered yet. */
  unanswered: number;
}

export function createSupervisor(options: {
  /** Isolates. */
  readonly count: number;
  readonly brief: Brief;
  readonly startIsolate: StartIsolate;
  /** Whether isolates can be ended that hang. */
  readonly endsBusyIsolates: boolean;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}): Supervisor {
  const { count, brief, startIsolate, endsBusyIsolates, clock, random, log } = options;
  /** Names this process among those that its isolates may meet, of other machines. */
  const machine = createEpoch(random);
  const places = Array.from({ length: count }, (_, i): Place => {
    return { number: i + 1, life: undefined, failures: 0, restart: undefined };
  });
  let roster: Required<Roster> | undefined;
  let restarts = 0;
  let isReady = false;
  let isStopping = false;
  const ready = createGate();
  const broken = createGate();
  const drained = createGate();
  const ended = createGate();

  function lives(): Life[] {
    return places.flatMap(({ life }) => life ?? []);
  }

  function members(): Life[] {
    return lives().filter(({ stage }) => stage !== "starting");
  }

  function tell({ isolate }: Life, order: Order): void {
    isolate.post(order);
  }

  function fill(place: Place): void {
    const id = `${machine}.${createEpoch(random)}`;
    const isolate = startIsolate({
      message: (report) => hear(place, id, report as Report), // nobody else writes there
      exited: (reason) => lose(place, id, reason),
    });
    place.life = { id, isolate, startedAt: clock.now(), stage: "starting", unanswered: 0 };
  }

  /** @param id of who has said it, which may have been given up meanwhile */
  function hear(place: Place, id: string, report: Report): void {
    const { life } = place;
    if (life?.id !== id) return;
    life.unanswered = 0;
    switch (report.type) {
      case "hello":
        return tell(life, { type: "start", id, place: place.number, ...brief });
      case "failed":
        return lose(place, id, report.error);
      case "alive":
        return;
      default:
        life.stage = report.type;
        check();
    }
  }

  function lose(place: Place, id: string, reason: string): void {
    const { life } = place;
    if (life?.id !== id) return;
    place.life = undefined;
    life.isolate.terminate();
    if (!isReady && !isStopping) return fail(new Error(`An isolate has ended: ${reason}`));
    if (!isStopping) {
      log.error({ isolate: place.number, id, reason }, "an isolate has ended");
      refill(place, life.startedAt);
    }
    check();
  }

  function refill(place: Place, startedAt: number): void {
    if (clock.now() - startedAt >= STABLE_MS) place.failures = 0;
    const attempt = place.failures++;
    const waitMs = attempt === 0 ? 0 : backoffMs(attempt - 1, random(), BACKOFF);
    place.restart = clock.after(waitMs, () => {
      restarts++;
      try {
        fill(place);
      } catch (error) {
        log.error({ isolate: place.number, error: messageOf(error) }, "cannot start an isolate");
        refill(place, clock.now());
      }
    });
  }

  /** It cannot even begin: whoever starts it shall see that, and not an attempt after the other. */
  function fail(error: Error): void {
    isStopping = true;
    close();
    ready.fail(error);
  }

  function close(): void {
    beat.cancel();
    for (const place of places) {
      place.life?.isolate.terminate();
      place.life = undefined; // what it says of its end does not matter any more
    }
  }

  /** Draws the conclusions of what has changed. */
  function check(): void {
    appoint();
    const stages = new Set(lives().map(({ stage }) => stage));
    if (!isReady && stages.size === 1 && stages.has("listening")) {
      isReady = true;
      ready.open();
    }
    if (!isStopping) return;
    if (!stages.has("joined") && !stages.has("listening")) drained.open();
    if (lives().every(({ stage }) => stage === "ended")) ended.open();
  }

  /** Makes a new roster when the one before is not true any more, and tells it. */
  function appoint(): void {
    const candidates = members();
    const owner = chooseOwner(candidates);
    if (!owner) return;
    const isolates = candidates.map(({ id }) => id);
    if (owner.id === roster?.owner && String(isolates) === String(roster.isolates)) return;
    if (owner.id !== roster?.owner)
      log.info({ owner: owner.id }, "an owner of the feeds is appointed");
    roster = { term: (roster?.term ?? 0) + 1, owner: owner.id, isolates };
    announce();
  }

  /** The one before for as long as it answers; else one that does; else there is none better. */
  function chooseOwner(candidates: readonly Life[]): Life | undefined {
    const current = candidates.find(({ id }) => id === roster?.owner);
    const answering = candidates.filter(({ unanswered }) => unanswered < SILENT_BEATS);
    if (current && answering.includes(current)) return current;
    return answering[0] ?? current ?? candidates[0];
  }

  function announce(): void {
    if (!roster) return;
    for (const life of members()) tell(life, { type: "roster", roster, restarts });
  }

  const beat = clock.every(BEAT_MS, () => {
    for (const place of places) {
      const { life } = place;
      if (!life) continue;
      if (life.stage === "starting") {
        const isLate = clock.now() - life.startedAt >= START_TIMEOUT_MS;
        if (isLate) lose(place, life.id, `it was not there after ${START_TIMEOUT_MS} ms`);
      } else if (++life.unanswered > HUNG_BEATS) {
        if (!endsBusyIsolates) broken.open();
        lose(place, life.id, "it does not answer");
      }
    }
    appoint();
    announce();
  });

  for (const place of places) fill(place);

  return {
    ready: ready.opened,
    broken: broken.opened,
    async stop() {
      isStopping = true;
      for (const place of places) {
        place.restart?.cancel();
        const { life } = place;
        if (life?.stage === "starting") lose(place, life.id, "it is not needed any more");
        else if (life) tell(life, { type: "drain" });
      }
      check();
      // The owner last: until all clients have been sent away, they hear what it hears.
      await drained.opened;
      for (const life of lives()) tell(life, { type: "end" });
      check();
      await ended.opened;
      close();
    },
  };
}

/** Something that happens once, and is waited for. */
interface Gate {
  readonly opened: Promise<void>;
  open(): void;
  fail(error: Error): void;
}

function createGate(): Gate {
  let open: Gate["open"] = () => {};
  let fail: Gate["fail"] = () => {};
  const opened = new Promise<void>((resolve, reject) => {
    open = resolve;
    fail = reject;
  });
  return { opened, open, fail };
}
