/**
 * One topic of a feed: messages of the relay in, updates to its listeners out. Holds the position to
 * resume from, and the half-received reset that nobody may see. No sockets.
 */

import type { Attachment } from "./iterator.ts";
import type { ResetReason, TopicMessage } from "./message.ts";
import { guard } from "./report.ts";
import type { Latest, TopicState, Update } from "./update.ts";

/** Most publications behind one reset; a topic with more is ended, since its reset can never be whole. */
const MAX_RESET = 10_000;

/** What a topic needs of its feed. */
export interface TopicHost {
  /** Makes the value that was sent from the JSON that came; may throw. */
  readonly revive: (value: unknown) => unknown;
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
  /** Takes a message about this topic. */
  accept(message: TopicMessage): void;
  /** Tells everybody that the topic is over, and lets them go. */
  end(reason: "rejected" | "ended", error?: string): void;
  /** Lets everybody go. */
  close(): void;
  /**
   * Adds a listener; it sees nothing before the next reset. Topics that are open already are opened
   * anew for it, and everybody else gets that reset too: on an event stream the publications since
   * the last one are in it and nowhere else.
   */
  attach(push: (update: Update) => void, finish: () => void): Attachment;
}

interface Listener {
  readonly push: (update: Update) => void;
  readonly finish: () => void;
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
  let run: { reason: ResetReason; snapshot: unknown; latest: Latest<unknown>[] } | undefined;

  function isAnyFresh(): boolean {
    for (const listener of listeners) if (listener.fresh) return true;
    return false;
  }

  function demand(): void {
    due = true;
    host.onDue();
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

  function publish(event: string, data: unknown, at: string | undefined): void {
    // Equality is all a position allows, and the one repetition it can tell is the last item.
    if (at !== undefined && at === position) return;
    if (at !== undefined && !run) position = at;
    const item = guard(() => ({ event, data: host.revive(data) }));
    if (!item) return;
    if (!run) deliver({ type: "publication", topic: name, ...item, position: at });
    else if (run.latest.push(item) > MAX_RESET) {
      end("rejected", `The state of the topic has more than ${MAX_RESET} publications`);
    }
  }

  function settle(at: string, recovered: boolean): void {
    if (run) {
      const whole = run;
      run = undefined;
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
    get due() {
      return due;
    },
    get request() {
      return request;
    },
    ask(id) {
      due = false;
      request = id;
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
          return publish(message.event, message.data, message.position);
        case "reset": {
          const { reason, snapshot } = message;
          run = { reason, snapshot: guard(() => host.revive(snapshot)), latest: [] };
          return;
        }
        case "subscribed":
          request = undefined;
          settle(message.position, message.recovered);
          turn(message.state);
          // Who came while the topic was being resumed from a position still lacks its state.
          if (isAnyFresh()) demand();
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
    attach(push, finish) {
      const listener: Listener = { push, finish, fresh: true, told: "connecting" };
      listeners.add(listener);
      if (request === undefined) demand();
      return {
        refresh() {
          listener.fresh = true;
          listener.told = "connecting";
          if (request === undefined) demand();
        },
        detach() {
          if (listeners.delete(listener) && listeners.size === 0) release();
        },
      };
    },
  };
}
