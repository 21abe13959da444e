/** Light clients by the thousand that note all they are told of one match, in short. */

import { enter, type Kind } from "./crowd.ts";
import { createInbox } from "./inbox.ts";

/** A push is its number at the origin. SignalR has no words for the others. */
export type Note = number | "reset" | "subscribed" | "stale" | "live";

export interface Observer {
  readonly kind: Kind;
  readonly notes: readonly Note[];
  /** When `live` was noted last, as `performance.now()`. */
  readonly liveAt: number | undefined;
  /** How it was ended by the relay, for a person. */
  readonly end: string | undefined;
  close(): void;
}

/** @returns once the subscription is open; rejects when it cannot be had */
export async function observe(kind: Kind, url: string, match: number): Promise<Observer> {
  const notes: Note[] = [];
  const opened = createInbox<true>(30_000);
  let liveAt: number | undefined;
  let end: string | undefined;
  const close = enter(kind, url, match, {
    hear(message) {
      const note = read(message);
      if (note !== undefined) notes.push(note);
      if (note === "live") liveAt = performance.now();
      if (note === "subscribed" || JOINED.test(message)) opened.push(true);
    },
    end(reason) {
      end ??= reason;
      opened.end(`A client of ${kind} ended: ${reason}`);
    },
  });
  await opened.next();
  return {
    kind,
    notes,
    get liveAt() {
      return liveAt;
    },
    get end() {
      return end;
    },
    close,
  };
}

const JOINED = /^\{"type":3,"invocationId":"join","result":null\}$/;
const PUSH = /^(?:event: OddsChanged\n|\{"type":"publication"|\{"type":1,"target":"OddsChanged")/;
const WORD = /^(?:event: keryx\.|\{"type":")(reset|subscribed|stale|live)\b/;

function read(message: string): Note | undefined {
  if (PUSH.test(message)) return Number(/"sequence":(\d+)/.exec(message)?.[1]);
  return WORD.exec(message)?.[1] as Note | undefined; // the words of the expression
}
