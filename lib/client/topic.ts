/**
 * One topic of a feed: messages of the relay in, updates to its listeners out. Holds the position to
 * resume from, and the half-received reset that nobody may see. No sockets.
 */

import { type Bases, createBases, type Item, MAX_KEYS } from "./delta.ts";
import type { Attachment } from "./iterator.ts";
import type { Delta, ResetReason, ServerMessage } from "./message.ts";
import { guard } from "./report.ts";
import type { Latest, TopicState, Update } from "./update.ts";

/** What a topic needs of its feed. */
export interface TopicHost {
  /** Makes the value that was sent from the JSON that came; may throw. */
  readonly revive: (value: unknown) => unknown;
  /** How long to wait before the state is asked for anew, after so many losses in a row; ms. */
  readonly waitMs: (losses: number) => number;
  /** A request became due. */
  readonly onDue: () => void;
  /** The topic has ended, or its last listener has gone. */
  readonly onGone: () => void;
}

/** One topic. */
export interface Topic {
  readonly name: string;
  readonly state: TopicState;
  /** Position to resume from; undefined when some listener needs the whole state. */
  readonly since: string | undefined;
  /** Updates a second to ask for; undefined for all. */
  readonly rate: number | undefined;
  /** True while the relay is to be asked to open the topic. */
  readonly due: boolean;
  /** Id of the request that the relay has not answered yet. */
  readonly request: number | undefined;
  /** The relay is being asked now. */
  ask(request: number): void;
  /**
   * The relay has to be asked again: the messages broke off or the request was refused. What was
   * received of a reset is forgotten.
   */
  cut(): void;
  /** The relay itself is away, so what is known may be old. */
  age(): void;
  /** Takes a message about this topic. An error is none: it belongs to a request. */
  accept(message: ServerMessage): void;
  /** Tells everybody that the topic is over, and lets them go. */
  end(reason: "rejected" | "ended", error?: string): void;
  /** Lets everybody go. */
  close(): void;
  /**
   * Adds a listener; it sees nothing before the next reset. Topics that are open already are opened
   * anew for it, and everybody else gets that reset too: on an event stream the publications since
   * the last one are in it and nowhere else.
   *
   * `rate` is in updates a second; Infinity, the default, is all.
   */
  attach(push: (update: Update) => void, finish: () => void, rate?: number): Attachment;
}

interface Listener {
  readonly push: (update: Update) => void;
  readonly finish: () => void;
  readonly rate: number;
  /** True until a reset has told it the whole state. */
  fresh: boolean;
  /** The state it was last told. */
  told: TopicState;
}

/** Makes a topic, not opened yet. */
export function createTopic(name: string, host: TopicHost): Topic {
  const listeners = new Set<Listener>();
  let state: TopicState = "connecting";
  let position: string | undefined;
  let due = true;
  let request: number | undefined;
  let run:
    | { reason: ResetReason; snapshot: unknown; latest: Latest<unknown>[]; bases: Bases }
    | undefined;
  /** The rate that was asked for last. */
  let asked = 0;
  let bases = createBases();
  /** Set from when a delta could not be applied until the reset that makes up for it. */
  let loss: ReturnType<typeof setTimeout> | undefined;
  /** How often that happened. */
  let losses = 0;

  function fastest(): number {
    return Math.max(...[...listeners].map(({ rate }) => rate));
  }

  function isAnyFresh(): boolean {
    for (const listener of listeners) if (listener.fresh) return true;
    return false;
  }

  function demand(): void {
    due = true;
    host.onDue();
  }

  /** What is under way brings the state, too; if not, that is seen at its end. */
  function want(): void {
    if (request === undefined) demand();
  }

  function deliver(update: Update): void {
    for (const listener of listeners) {
      if (update.type === "reset") listener.fresh = false;
      if (!listener.fresh) listener.push(update);
    }
  }

  function turn(next: TopicState, lastMessageAt?: number): void {
    if (state === "closed") return; // a listener closed it while it was being told something else
    state = next;
    for (const listener of listeners) {
      if (listener.told === next || listener.fresh) continue;
      listener.told = next;
      listener.push({ type: "state", topic: name, state: next, lastMessageAt });
    }
  }

  function publish({ event, data, position: at }: Item): void {
    // Equality is all a position allows, and the one repetition it can tell is the last item.
    if (at !== undefined && at === position) return;
    if (at !== undefined && !run) position = at;
    const item = guard(() => ({ event, data: host.revive(data) }));
    if (!item) return;
    if (!run) deliver({ type: "publication", topic: name, ...item, position: at });
    else if (run.latest.push(item) > MAX_KEYS) {
      end("rejected", `A topic may have ${MAX_KEYS} keys at most`);
    }
  }

  function apply(delta: Delta): void {
    if (loss) return;
    const whole = bases.apply(delta);
    if (!whole) return lose();
    publish(whole);
  }

  /** What is known is not what the relay thinks it is, so nobody is told anything before it was told all. */
  function lose(): void {
    // It may have happened to everybody at once, and may happen again.
    loss = setTimeout(want, host.waitMs(losses++));
    turn("stale");
    for (const listener of listeners) listener.fresh = true;
  }

  function settle(at: string, recovered: boolean): void {
    if (run) {
      const { bases: others, ...whole } = run;
      run = undefined;
      bases = others;
      clearTimeout(loss);
      loss = undefined;
      position = at;
      deliver({ type: "reset", topic: name, ...whole, position: at });
    } else if (recovered) {
      position = at;
      deliver({ type: "recovered", topic: name, position: at });
    }
    // Else it ends an opening made for listeners who have left, and whose reset went by before.
  }

  function release(last?: Update): void {
    // Gone first: who subscribes again when told the end must get a new topic, not this one.
    const told = [...listeners];
    clearTimeout(loss);
    listeners.clear();
    state = "closed";
    host.onGone();
    for (const listener of told) {
      if (last) listener.push(last);
      listener.finish();
    }
  }

  function end(reason: "rejected" | "ended", error?: string): void {
    release({ type: "end", topic: name, reason, error });
  }

  return {
    name,
    get state() {
      return state;
    },
    get since() {
      return isAnyFresh() ? undefined : position;
    },
    get rate() {
      const rate = fastest();
      return rate < Infinity ? rate : undefined;
    },
    get due() {
      return due;
    },
    get request() {
      return request;
    },
    ask(id) {
      due = false;
      request = id;
      asked = fastest();
    },
    cut() {
      run = undefined;
      request = undefined;
      due = true;
    },
    age() {
      if (state === "live") turn("stale");
    },
    accept(message) {
      switch (message.type) {
        case "publication":
          (run?.bases ?? bases).keep(message);
          return publish(message);
        case "delta":
          return apply(message.delta);
        case "conflated":
          return deliver(message);
        case "reset": {
          const { reason, snapshot } = message;
          run = {
            reason,
            snapshot: guard(() => host.revive(snapshot)),
            latest: [],
            bases: createBases(),
          };
          return;
        }
        case "subscribed":
          request = undefined;
          settle(message.position, message.recovered);
          turn(message.state);
          // Who came while the topic was being resumed from a position still lacks its state.
          if (isAnyFresh() || fastest() > asked) demand();
          return;
        case "live":
          settle(message.position, false);
          return turn("live");
        case "stale":
          return turn("stale", message.lastMessageAt);
        case "unsubscribed":
          // The answer to a request of ours is for listeners who have left.
          if (message.reason !== "requested") end(message.reason, message.error);
      }
    },
    end,
    close() {
      release({ type: "state", topic: name, state: "closed" });
    },
    attach(push, finish, rate = Infinity) {
      const listener: Listener = { push, finish, rate, fresh: true, told: "connecting" };
      listeners.add(listener);
      want();
      return {
        refresh() {
          listener.fresh = true;
          listener.told = "connecting";
          want();
        },
        detach() {
          if (listeners.delete(listener) && listeners.size === 0) release();
        },
      };
    },
  };
}
