/**
 * Questions between isolates and their answers, over a bus that may lose messages.
 *
 * A question is asked again until somebody has it, and it is handled once however often it came; one
 * that takes long is watched, so that an answer that was lost is sent again and each side notices
 * when the other is no more.
 *
 * ```
 * asker      ask     again every 250 ms until it was heard
 *            waiting the ids of all that was heard and not answered, every second
 * answerer   working the ids of what it is at, to each of both
 *            answer or failure, again to each of both
 * asker      done    it has its answer, or wants it no more
 * ```
 */

import type { Clock, Timer } from "../clock.ts";
import { messageOf } from "../errors.ts";
import { type Channel, isFor } from "./bus.ts";

/** Nobody has answered in time, or too much is asked already. */
export class UnansweredError extends Error {
  override readonly name = "UnansweredError";
}

/** What goes over the channel. `to` is an isolate, or all of a machine; without one it is for all. */
export type RequestMessage<Q, A> = { readonly to: string | undefined } & (
  | { readonly type: "ask"; readonly id: number; readonly question: Q }
  | { readonly type: "waiting" | "working"; readonly ids: readonly number[] }
  | { readonly type: "answer"; readonly id: number; readonly answer: A }
  | { readonly type: "failure"; readonly id: number; readonly reason: string }
  | { readonly type: "done"; readonly id: number }
);

export interface Requests<Q, A> {
  /**
   * Asks one isolate, or all others at once: those of a machine, or with `undefined` all there are.
   * The first answer counts.
   * @returns the answer. Rejects with {@link UnansweredError}, with an `Error` that has the message
   * of the one with which the answerer failed, or with `signal.reason`
   */
  ask(to: string | undefined, question: Q, signal?: AbortSignal): Promise<A>;
}

export interface RequestsOptions<Q, A> {
  readonly clock: Clock;
  /** Questions that wait here at one time, and as many of others that are answered here. */
  readonly maxInFlight: number;
  /**
   * Called once for each question of another isolate.
   * @param signal aborts when nobody waits for the answer any more
   * @returns `undefined` when it is not for this isolate to answer: it keeps silent
   */
  answer(from: string, question: Q, signal: AbortSignal): Promise<A> | undefined;
}

/**
 * How often an asker acts, ms. Time is counted in these turns, not by the clock: an isolate that was
 * too busy to hear an answer must not take the other one for gone.
 */
const TURN_MS = 250;

/** A question that nobody has heard is given up after so many turns: 2 s. */
const PATIENCE_TURNS = 8;

/** Of one that was heard it is asked every so many turns whether somebody is still at it: 1 s. */
const WATCH_TURNS = 4;

/** It is given up when there was no word of it for so many: 5 s. */
const SILENCE_TURNS = 20;

/** Nobody waits for what was not asked for again for so many: 20 s, as an asker may be busy. */
const FORGET_TURNS = 80;

interface Asked<Q, A> {
  readonly message: RequestMessage<Q, A>;
  isHeard: boolean;
  silentTurns: number;
  resolve(answer: A): void;
  reject(reason: unknown): void;
}

interface Held<Q, A> {
  readonly from: string;
  readonly id: number;
  readonly abort: AbortController;
  reply: RequestMessage<Q, A> | undefined;
  silentTurns: number;
}

export function createRequests<Q, A>(
  channel: Channel<RequestMessage<Q, A>>,
  { clock, maxInFlight, answer }: RequestsOptions<Q, A>,
): Requests<Q, A> {
  /** By id. */
  const asked = new Map<number, Asked<Q, A>>();
  /** By the asker and its id. */
  const held = new Map<string, Held<Q, A>>();
  let lastId = 0;
  let timer: Timer | undefined;

  function post(message: RequestMessage<Q, A>): void {
    channel.post(message, message.to);
  }

  function turn(): void {
    const waiting = new Map<string | undefined, number[]>();
    for (const [id, own] of asked) {
      const { to } = own.message;
      own.silentTurns++;
      if (own.silentTurns > (own.isHeard ? SILENCE_TURNS : PATIENCE_TURNS)) {
        own.reject(new UnansweredError(`Cannot ask ${to ?? "the isolates"}: no answer in time`));
      } else if (!own.isHeard) post(own.message);
      else if (own.silentTurns % WATCH_TURNS === 0) {
        const ids = waiting.get(to) ?? [];
        waiting.set(to, ids);
        ids.push(id);
      }
    }
    for (const [to, ids] of waiting) post({ type: "waiting", to, ids });
    for (const entry of held.values()) {
      if (++entry.silentTurns > FORGET_TURNS) drop(entry);
    }
    if (asked.size > 0 || held.size > 0) return;
    timer?.cancel();
    timer = undefined;
  }

  function drop(entry: Held<Q, A>): void {
    held.delete(keyOf(entry.from, entry.id));
    entry.abort.abort();
  }

  function onAsk(from: string, id: number, question: Q): void {
    const key = keyOf(from, id);
    if (held.has(key)) return onWaiting(from, [id]);
    if (held.size >= maxInFlight) return; // it will be asked again
    const abort = new AbortController();
    const answering = answer(from, question, abort.signal);
    if (!answering) return;
    const entry: Held<Q, A> = { from, id, abort, reply: undefined, silentTurns: 0 };
    held.set(key, entry);
    timer ??= clock.every(TURN_MS, turn);
    const send = (reply: RequestMessage<Q, A>) => {
      if (held.get(key) !== entry) return; // nobody waits for it
      entry.reply = reply;
      post(reply);
    };
    answering.then(
      (answer) => send({ type: "answer", to: from, id, answer }),
      (error) => send({ type: "failure", to: from, id, reason: messageOf(error) }),
    );
  }

  function onWaiting(from: string, ids: readonly number[]): void {
    const working: number[] = [];
    for (const id of ids) {
      const entry = held.get(keyOf(from, id));
      if (!entry) continue;
      entry.silentTurns = 0;
      if (entry.reply) post(entry.reply);
      else working.push(id);
    }
    if (working.length > 0) post({ type: "working", to: from, ids: working });
  }

  channel.listen((from, message) => {
    if (!isFor(message.to, channel.id)) return;
    switch (message.type) {
      case "ask":
        return onAsk(from, message.id, message.question);
      case "waiting":
        return onWaiting(from, message.ids);
      case "done": {
        const entry = held.get(keyOf(from, message.id));
        if (entry) drop(entry);
        return;
      }
      case "working":
        for (const id of message.ids) {
          const own = asked.get(id);
          if (!own) continue;
          own.isHeard = true;
          own.silentTurns = 0;
        }
        return;
      case "answer":
        return asked.get(message.id)?.resolve(message.answer);
      case "failure":
        return asked.get(message.id)?.reject(new Error(message.reason));
    }
  });

  return {
    ask(to, question, signal) {
      return new Promise((resolve, reject) => {
        signal?.throwIfAborted();
        if (asked.size >= maxInFlight) {
          throw new UnansweredError(`Cannot ask: ${maxInFlight} questions wait already`);
        }
        const id = ++lastId;
        const end = () => {
          asked.delete(id);
          signal?.removeEventListener("abort", abort);
          post({ type: "done", to, id });
        };
        const own: Asked<Q, A> = {
          message: { type: "ask", to, id, question },
          isHeard: false,
          silentTurns: 0,
          resolve(answer) {
            end();
            resolve(answer);
          },
          reject(reason) {
            end();
            reject(reason);
          },
        };
        const abort = () => own.reject(signal?.reason);
        signal?.addEventListener("abort", abort, { once: true });
        asked.set(id, own);
        timer ??= clock.every(TURN_MS, turn);
        post(own.message);
      });
    },
  };
}

function keyOf(from: string, id: number): string {
  return `${from} ${id}`;
}
