/**
 * All sessions of clients here: who is let in, how many there are of each transport, and how they
 * leave when the relay does.
 */

import type { Clock } from "../clock.ts";
import { Refusal } from "../errors.ts";
import { createBucket } from "./bucket.ts";

export type Transport =
  | "websocket"
  | "sse"
  | "signalr-websocket"
  | "signalr-sse"
  | "signalr-polling";

/** A client's session, as far as it concerns the whole. */
export interface Session {
  readonly transport: Transport;
  /** Tells the client to come back in `retryMs`, and closes. */
  drain(retryMs: number): void;
}

/** Why a newcomer is turned away: the relay leaves, is full, or too many came at once. */
export type Obstacle = "draining" | "full" | "rate";

/** A newcomer is turned away; another attempt may succeed. */
export class Overload extends Refusal {
  /** When to come back, ms. */
  readonly retryMs: number;

  constructor(message: string, retryMs: number) {
    super("overloaded", message);
    this.retryMs = retryMs;
  }
}

export interface Sessions {
  readonly size: number;
  count(transport: Transport): number;
  /** Who was turned away so far. */
  readonly refused: Readonly<Record<Obstacle, number>>;
  /** Whether no more are taken: the bound is reached, or the relay is leaving. */
  readonly full: boolean;
  /** @throws {Overload} when no more are taken */
  assertRoom(): void;
  /**
   * Turns somebody away for whom there is no room, by another count than that of sessions.
   * @throws {Overload} always
   */
  turnAway(): never;
  /**
   * To be asked before a client gets a connection.
   * @throws {Overload} when no more are taken, or too many have come within a second
   */
  admit(): void;
  add(session: Session): void;
  remove(session: Session): void;
  /**
   * Takes nobody any more, and sends everybody away in a random order, spread evenly over
   * `spreadMs`, or less when they are few. Who was let in before and has its session only now leaves
   * with them.
   * @returns when the last of them was sent away
   */
  drain(spreadMs: number): Promise<void>;
}

/** Those who leave are sent away this often, ms. */
const STEP_MS = 25;
/** What a client takes of the time to leave at most, ms: a few need not wait for each other. */
const MS_PER_SESSION = 2;
/** Who is sent away comes back within this, ms: its turn has been spread already. */
const RETURN_MS = 1_000;
/** Bounds of the wait of who found the relay full, ms. */
const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 5_000;

const MESSAGES: Readonly<Record<Obstacle, string>> = {
  draining: "This relay is going away",
  full: "No more connections are taken here",
  rate: "Too many clients are connecting at this moment",
};

export function createSessions(options: {
  readonly maxConnections: number;
  /** Newcomers that are let in each second, and at once after a quiet one; 0 for any number. */
  readonly connectsPerSecond: number;
  readonly clock: Pick<Clock, "monotonic" | "every">;
  readonly random: () => number;
}): Sessions {
  const { maxConnections, connectsPerSecond, clock, random } = options;
  const sessions = new Set<Session>();
  const counts = new Map<Transport, number>();
  const refused = { draining: 0, full: 0, rate: 0 };
  const bucket = createBucket(connectsPerSecond, clock);
  let leaving: { readonly waiting: Session[]; readonly endsAt: number } | undefined;

  function change(session: Session, by: 1 | -1): void {
    counts.set(session.transport, (counts.get(session.transport) ?? 0) + by);
  }

  /** @returns why nobody is taken, whoever it is */
  function findObstacle(): "draining" | "full" | undefined {
    if (leaving) return "draining";
    return sessions.size >= maxConnections ? "full" : undefined;
  }

  function refuseIf(obstacle: Obstacle | undefined): void {
    if (obstacle !== undefined) refuse(obstacle);
  }

  function refuse(obstacle: Obstacle): never {
    refused[obstacle]++;
    throw new Overload(MESSAGES[obstacle], obstacle === "draining" ? untilGone() : retryIn());
  }

  /** To whole seconds: since not all ask at the same time, this spreads their return over one. */
  function untilGone(): number {
    const leftMs = (leaving?.endsAt ?? 0) - clock.monotonic();
    return Math.max(1, Math.ceil(leftMs / 1000)) * 1000;
  }

  function retryIn(): number {
    return Math.ceil(RETRY_MIN_MS + random() * (RETRY_MAX_MS - RETRY_MIN_MS));
  }

  /** Sends away whichever chance picks. */
  function dismiss(waiting: Session[]): void {
    const place = Math.floor(random() * waiting.length);
    const session = waiting[place] as Session; // called only while there are any
    waiting[place] = waiting.at(-1) as Session;
    waiting.pop();
    // It may have left by itself.
    if (sessions.has(session)) session.drain(Math.ceil(random() * RETURN_MS));
  }

  return {
    get size() {
      return sessions.size;
    },
    count: (transport) => counts.get(transport) ?? 0,
    refused,
    get full() {
      return findObstacle() !== undefined;
    },
    assertRoom: () => refuseIf(findObstacle()),
    turnAway: () => refuse(leaving ? "draining" : "full"),
    admit() {
      refuseIf(findObstacle() ?? (bucket.take() ? undefined : "rate"));
    },
    add(session) {
      sessions.add(session);
      change(session, 1);
      leaving?.waiting.push(session);
    },
    remove(session) {
      if (sessions.delete(session)) change(session, -1);
    },
    drain(spreadMs) {
      const waiting = [...sessions];
      const total = waiting.length;
      const lengthMs = Math.min(spreadMs, total * MS_PER_SESSION);
      const endsAt = clock.monotonic() + lengthMs;
      leaving = { waiting, endsAt };
      return new Promise((resolve) => {
        function step(): void {
          const leftMs = Math.max(0, endsAt - clock.monotonic());
          const staying = lengthMs > 0 ? Math.floor((total * leftMs) / lengthMs) : 0;
          while (waiting.length > staying) dismiss(waiting);
          if (waiting.length === 0) resolve();
        }
        // It goes on behind the end, for those who still come.
        clock.every(STEP_MS, step);
        step();
      });
    },
  };
}
