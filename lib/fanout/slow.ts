/**
 * Connections that do not keep up: what waits for each of them and for all together is bounded, and
 * so is the time in which one may take nothing.
 */

import type { Clock, Timer } from "../clock.ts";
import type { Sink } from "./sink.ts";

export interface QueueLimits {
  /** What may wait for one connection, bytes. */
  readonly queueBytes: number;
  /** What may wait for all connections together, bytes: beyond it those go first for whom most waits. */
  readonly totalQueueBytes: number;
  /** A connection that takes nothing for this long while something waits for it is cut, ms. */
  readonly stuckMs: number;
}

/** Who sends over a connection. Several may share one. */
export interface Sender {
  readonly sink: Sink;
  /** A limit is passed: it SHOULD close the connection. */
  onSlow(): void;
}

export interface SlowWatch {
  /** Bytes that wait for connections that do not keep up, as of the last look. */
  readonly queuedBytes: number;
  /**
   * Watches a connection until nothing waits for it any more.
   * @param sentBytes what was sent to it just now
   */
  add(sender: Sender, sentBytes: number): void;
  /** It sends no more. */
  remove(sender: Sender): void;
}

interface Watched {
  /** Bytes sent since it is watched, and of those the most that had left at any look. */
  sent: number;
  taken: number;
  /** When it last took anything, Unix ms. */
  movedAt: number;
  readonly senders: Set<Sender>;
}

/** How often it looks whether they have moved, ms. */
const LOOK_MS = 100;

/** @param onLook called after each look, for those who wait until something has moved */
export function createSlowWatch(
  clock: Clock,
  { totalQueueBytes, stuckMs }: QueueLimits,
  onLook: () => void,
): SlowWatch {
  const watched = new Map<Sink, Watched>();
  let looks: Timer | undefined;
  let queuedBytes = 0;

  function look(): void {
    const now = clock.now();
    const moving: { readonly waiting: number; readonly one: Watched }[] = [];
    queuedBytes = 0;
    for (const [sink, one] of watched) {
      const waiting = sink.bufferedBytes;
      if (waiting === 0) {
        watched.delete(sink);
        continue;
      }
      const taken = one.sent - waiting;
      if (taken > one.taken) {
        one.taken = taken;
        one.movedAt = now;
      }
      if (now - one.movedAt >= stuckMs) {
        cut(one); // with what waits for it: there may be no other look to notice that
        continue;
      }
      queuedBytes += waiting;
      moving.push({ waiting, one });
    }
    if (queuedBytes > totalQueueBytes) {
      moving.sort((a, b) => a.waiting - b.waiting);
      while (queuedBytes > totalQueueBytes) {
        const most = moving.pop();
        if (!most) break;
        queuedBytes -= most.waiting;
        cut(most.one);
      }
    }
    onLook();
    if (watched.size > 0) return;
    looks?.cancel();
    looks = undefined;
  }

  return {
    get queuedBytes() {
      return queuedBytes;
    },
    add(sender, sentBytes) {
      const { sink } = sender;
      const one = watched.get(sink);
      if (one) {
        one.sent += sentBytes;
        one.senders.add(sender);
        return;
      }
      const sent = sink.bufferedBytes;
      watched.set(sink, { sent, taken: 0, movedAt: clock.now(), senders: new Set([sender]) });
      looks ??= clock.every(LOOK_MS, look);
    },
    remove(sender) {
      const one = watched.get(sender.sink);
      if (one?.senders.delete(sender) && one.senders.size === 0) watched.delete(sender.sink);
    },
  };
}

function cut({ senders }: Watched): void {
  const [sender] = senders;
  sender?.onSlow(); // any of them closes the connection of all
}
