import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { PublicationMessage, TopicMessage } from "../../lib/client/message.ts";
import { createTopic, type Topic, type TopicHost } from "../../lib/client/topic.ts";
import type { Update } from "../../lib/client/update.ts";

const name = "match/1";

const host: TopicHost = { revive: (value) => value, waitMs: () => 0, onDue() {}, onGone() {} };

/** What a connection meets, in the order it meets it. */
type Step = "publish" | "evict" | "cut" | "break" | "join" | "leave";

/**
 * A relay with one topic, whose state is the list of all items ever published, so that a client that
 * missed or repeated one ends with another list.
 */
function createModel() {
  const items: number[] = [];
  let kept = 0;

  function item(n: number, position?: string): PublicationMessage {
    const message = { type: "publication", topic: name, event: "e", data: n } as const;
    return position === undefined ? message : { ...message, position };
  }

  return {
    items,
    publish(): PublicationMessage {
      items.push(items.length + 1);
      return item(items.length, `x:${items.length}`);
    },
    /** Everything so far leaves the history. */
    evict() {
      kept = items.length;
    },
    state(reason: "new" | "evicted" | "break"): TopicMessage[] {
      return [{ type: "reset", topic: name, reason }, ...items.map((n) => item(n))];
    },
    open(since: string | undefined): TopicMessage[] {
      const from = since === undefined ? -1 : Number(since.slice(2));
      const end = {
        type: "subscribed",
        topic: name,
        position: `x:${items.length}`,
        state: "live",
      } as const;
      if (from < kept) {
        return [...this.state(since ? "evicted" : "new"), { ...end, recovered: false }];
      }
      const missed = items.slice(from).map((n) => item(n, `x:${n}`));
      return [...missed, { ...end, recovered: true }];
    },
    /** The origin was lost and is back. */
    back(): TopicMessage[] {
      const end = { type: "live", topic: name, position: `x:${items.length}` } as const;
      return [{ type: "stale", topic: name }, ...this.state("break"), end];
    },
  };
}

/** A client that believes each update. */
function listen(topic: Topic) {
  let list: unknown[] | undefined;
  const place = topic.attach(
    (update: Update) => {
      if (update.type === "reset") list = update.latest.map(({ data }) => data);
      if (update.type === "publication") list?.push(update.data);
    },
    () => {},
  );
  return { ...place, list: () => list };
}

const step = fc.constantFrom<Step>("publish", "publish", "evict", "cut", "break", "join", "leave");
/** How many of the messages under way arrive before each step. */
const script = fc.array(fc.tuple(step, fc.nat({ max: 4 })), { maxLength: 60 });

describe("a topic", () => {
  test("gives each listener the state of the relay, wherever the messages break off", () => {
    fc.assert(
      fc.property(script, (steps) => {
        const model = createModel();
        const topic = createTopic(name, host);
        const listeners = [listen(topic)];
        let wire: TopicMessage[] = [];

        /** The relay answers a request at once, behind all that it has sent before. */
        function ask() {
          if (!topic.due) return;
          const { since } = topic;
          topic.ask(1);
          wire.push(...model.open(since));
        }
        function arrive(count: number) {
          for (const message of wire.splice(0, count)) topic.accept(message);
          ask();
        }

        ask();
        for (const [what, count] of steps) {
          arrive(count);
          if (what === "publish") wire.push(model.publish());
          if (what === "evict") model.evict();
          if (what === "break") wire.push(...model.back());
          if (what === "join") listeners.push(listen(topic));
          if (what === "leave" && listeners.length > 1) listeners.pop()?.detach();
          if (what === "cut") {
            wire = [];
            topic.cut();
          }
          ask();
        }
        // An answer may make another request due, but not without end.
        for (let round = 0; round < 3; round++) arrive(wire.length);
        expect(wire).toEqual([]);
        for (const { list } of listeners) expect(list()).toEqual(model.items);
      }),
      { numRuns: 500 },
    );
  });

  test("with a reset too large to hold is ended rather than shown in part", () => {
    const topic = createTopic(name, host);
    const seen: string[] = [];
    topic.attach(
      ({ type }) => seen.push(type),
      () => seen.push("finished"),
    );
    topic.accept({ type: "reset", topic: name, reason: "new" });
    for (let n = 0; n <= 10_000; n++) {
      topic.accept({ type: "publication", topic: name, event: "e", data: n });
    }
    expect(seen).toEqual(["end", "finished"]);
    expect(topic.state).toBe("closed");
  });
});
