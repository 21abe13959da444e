/**
 * The owner's side of the bus: wants what replicas want, and tells all of them what happens to it,
 * in one message a tick.
 */

import type { Channel } from "../bus/bus.ts";
import type { Clock } from "../clock.ts";
import { HubError, messageOf } from "../errors.ts";
import { printPosition } from "../topic/position.ts";
import type { Topic } from "../topic/topic.ts";
import type { Raw } from "../wire/hub.ts";
import type { Line, LineListener } from "./line.ts";
import {
  bareOf,
  type Event,
  type FeedMessage,
  type Image,
  type Lapse,
  type Request,
} from "./message.ts";
import { findTopic, type HubSpec } from "./spec.ts";

export interface Server {
  /** Isolates that are no more want nothing any more. */
  retain(isolates: ReadonlySet<string>): void;
  stop(): void;
}

/** How often replicas are shown that the owner is there, ms. */
export const BEAT_MS = 500;

export function createServer<R extends Raw>(
  spec: HubSpec,
  options: {
    connect(listener: LineListener): Line<R>;
    readonly channel: Channel<FeedMessage>;
    readonly clock: Clock;
  },
): Server {
  const { channel, clock } = options;
  /** Topics that replicas want, and which. */
  const wanted = new Map<string, { readonly topic: Topic; readonly by: Set<string> }>();
  const events: Event[] = [];
  let number = 0;
  let isDue = false;
  let isStopped = false;

  const line = options.connect({
    published: (topic, publication) =>
      note({ type: "published", name: topic.name, publication: bareOf(publication) }),
    stalled: ({ name }) => note({ type: "stalled", name }),
    reset: ({ name, facts }) => note({ type: "reset", name, sequence: line.sequence, facts }),
    changed: ({ name, facts }) => note({ type: "changed", name, facts }),
    ended({ name }, reason, error) {
      wanted.delete(name);
      note({ type: "ended", name, reason, error });
    },
  });

  function note(event: Event): void {
    events.push(event);
    if (isDue) return;
    isDue = true;
    clock.soon(flush);
  }

  function flush(): void {
    isDue = false;
    if (isStopped) return;
    const { epoch, sequence, connected, lastMessageAt } = line;
    number++;
    channel.post({
      type: "batch",
      number,
      epoch,
      sequence,
      connected,
      lastMessageAt,
      events: events.splice(0),
    });
  }

  function want(from: string, names: readonly string[], lapse: Lapse | undefined): void {
    const topics = names.flatMap((name) => hold(from, name) ?? []);
    // What is told now is as of a batch; a stream has gone live already, because it was asked for.
    if (events.length > 0) flush();
    const { epoch, sequence } = line;
    const asOf = { to: from, epoch, number, sequence, lapse: lapse?.id };
    const missed = lapse && missedSince(topics, lapse.since);
    // All or nothing: a position that is true for one would not be for the others.
    if (missed) channel.post({ type: "missed", missed, ...asOf });
    else channel.post({ type: "images", images: topics.map(imageOf), ...asOf });
  }

  function hold(from: string, name: string): Topic | undefined {
    let entry = wanted.get(name);
    if (!entry) {
      const declared = findTopic(spec, name);
      if (!declared) return undefined;
      entry = { topic: line.want(name, declared), by: new Set() };
      wanted.set(name, entry);
    }
    entry.by.add(from);
    return entry.topic;
  }

  function missedSince(topics: readonly Topic[], since: number) {
    const { epoch, sequence, lastMessageAt } = line;
    const progress = { epoch, sequence, now: clock.now(), lastMessageAt };
    const position = printPosition(epoch, since);
    // Of one that is stale the loss would have to be told, too.
    const isTold = (topic: Topic) => topic.state === "live" && topic.recovers(position, progress);
    if (!topics.every(isTold)) return undefined;
    return topics
      .flatMap(({ name, history }) =>
        (history.since(since, progress.now) ?? []).map((publication) => ({
          name,
          publication: bareOf(publication),
        })),
      )
      .sort((a, b) => a.publication.sequence - b.publication.sequence);
  }

  function imageOf(topic: Topic): Image {
    const contents = topic.contents(clock.now());
    return { ...contents, name: topic.name, publications: contents.publications.map(bareOf) };
  }

  function leave(from: string, name: string): void {
    const entry = wanted.get(name);
    if (!entry?.by.delete(from) || entry.by.size > 0) return;
    wanted.delete(name);
    // One that still wants it, and was taken for dead or whose wish came in the wrong order, is not
    // to believe that nothing happens.
    note({ type: "dropped", name });
    line.leave(entry.topic);
  }

  function call(from: string, { id, method, args, maxAgeMs }: Extract<Request, { type: "call" }>) {
    line.call(method, args, maxAgeMs).then(
      (answer) => channel.post({ type: "answer", to: from, id, result: { ...answer } }),
      (error) => {
        const kind = error instanceof HubError ? "hub" : "unavailable";
        const result = { kind, error: messageOf(error) } as const;
        channel.post({ type: "answer", to: from, id, result });
      },
    );
  }

  const unlisten = channel.listen((from, message) => {
    switch (message.type) {
      case "want":
        return want(from, message.names, message.lapse);
      case "leave":
        return leave(from, message.name);
      case "interest": {
        const names = new Set(message.names);
        for (const name of [...wanted.keys()]) if (!names.has(name)) leave(from, name);
        return;
      }
      case "refresh": {
        const entry = wanted.get(message.name);
        if (entry) line.refresh(entry.topic);
        return;
      }
      case "call":
        return call(from, message);
    }
  });
  const beat = clock.every(BEAT_MS, flush);
  flush();

  return {
    retain(isolates) {
      for (const [name, { by }] of [...wanted]) {
        for (const isolate of [...by]) if (!isolates.has(isolate)) leave(isolate, name);
      }
    },
    stop() {
      isStopped = true;
      unlisten();
      beat.cancel();
      for (const { topic } of wanted.values()) line.leave(topic);
      wanted.clear();
    },
  };
}
