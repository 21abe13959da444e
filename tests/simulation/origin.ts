/** An origin with a memory, which answers when it likes, and connections to it. */

import type { ManualClock } from "../../lib/clock.ts";
import { HubError, UnavailableError } from "../../lib/errors.ts";
import type { Topic } from "../../lib/topic/topic.ts";
import type { Source, SourceListener } from "../../lib/upstream/source.ts";
import type { View } from "../support/reader.ts";
import type { Chance } from "./chance.ts";
import type { Heap } from "./heap.ts";

/** How the origin answers. */
export interface Mood {
  /** The most that an answer takes, ms. */
  delayMs: number;
  /** Part of the joins, and of the snapshots, that it refuses. */
  refused: number;
}

export const GOOD_MOOD: Mood = { delayMs: 20, refused: 0 };

export interface Origin {
  mood: Mood;
  isUp: boolean;
  /** All that was published, by topic. */
  readonly truth: ReadonlyMap<string, View>;
  /** Connections that are open now. */
  readonly connections: ReadonlySet<SimulatedSource>;
  publish(topic: string, key: string): void;
  /** Cuts all connections. They come again by themselves while it is up. */
  cut(): void;
  /** A way for an isolate to connect. */
  createSource(heap: Heap, listener: SourceListener<string>): SimulatedSource;
}

/** One owner's connection to the origin, through all its reconnects. */
export interface SimulatedSource extends Source<string> {
  /** Whether it connects, or would if it could. */
  readonly isActive: boolean;
  readonly wanted: ReadonlySet<Topic>;
  /** Topics that the origin sends. */
  readonly joined: ReadonlySet<string>;
  /** Numbers of the publications that came here, by topic; a list for each time it was wanted. */
  readonly got: ReadonlyMap<string, readonly (readonly number[])[]>;
  /** Topics of which a snapshot has been refused since they were joined. */
  readonly withoutSnapshot: ReadonlySet<string>;
  /** The origin sends this, or has closed the connection. */
  push(topic: string, key: string, number: number): void;
  cut(): void;
}

/** @param events by the first segment of a topic's name: the target of its pushes */
export function createOrigin(options: {
  readonly topics: readonly string[];
  readonly events: Readonly<Record<string, string>>;
  readonly clock: ManualClock;
  readonly chance: Chance;
}): Origin {
  const { topics, events, clock, chance } = options;
  const truth = new Map(topics.map((topic): [string, View] => [topic, { number: 0, values: {} }]));
  const connections = new Set<SimulatedSource>();

  function view(topic: string): View {
    const view = truth.get(topic);
    if (!view) throw new Error(`There is no topic "${topic}"`);
    return view;
  }

  const origin: Origin = {
    mood: GOOD_MOOD,
    isUp: true,
    truth,
    connections,
    publish(topic, key) {
      const { values } = view(topic);
      const number = ++view(topic).number;
      values[key] = number;
      for (const connection of connections) connection.push(topic, key, number);
    },
    cut() {
      for (const connection of [...connections]) connection.cut();
    },
    createSource,
  };

  function createSource(heap: Heap, listener: SourceListener<string>): SimulatedSource {
    const wanted = new Set<Topic>();
    const joined = new Set<string>();
    const got = new Map(topics.map((topic): [string, number[][]] => [topic, []]));
    const withoutSnapshot = new Set<string>();
    const questions = new Set<(error: Error) => void>();
    let isActive = false;
    /** Of the connection that is open; another for each. */
    let connection: object | undefined;
    /** The same, as the isolate knows it. */
    let connected: object | undefined;

    function connectLater(): void {
      heap.clock.after(50 + chance.below(500), () => {
        if (!isActive || connection) return;
        if (origin.isUp) connect();
        else connectLater();
      });
    }

    function connect(): void {
      connection = {};
      connected = connection;
      connections.add(source);
      listener.up();
      for (const topic of wanted) join(topic);
    }

    /** The origin does something to this connection, which the isolate learns when it runs. */
    function tell(on: object | undefined, task: () => void): void {
      heap.run(() => {
        if (connected === on && on !== undefined) task();
      });
    }

    function join(topic: Topic): void {
      const on = connection;
      const { delayMs, refused } = origin.mood;
      if (joined.has(topic.name)) throw new Error(`Joined ${topic.name} twice`);
      joined.add(topic.name);
      withoutSnapshot.delete(topic.name);
      const isRefused = chance.hits(refused);
      clock.after(chance.below(delayMs + 1), () =>
        tell(on, () => {
          if (!wanted.has(topic)) return;
          if (!isRefused) return listener.joined(topic, "null");
          leave(topic);
          listener.ended(topic, "rejected", "Not now");
        }),
      );
    }

    function leave(topic: Topic): void {
      if (wanted.delete(topic)) joined.delete(topic.name);
    }

    function close(): void {
      connection = undefined;
      joined.clear();
      connections.delete(source);
    }

    /** The isolate learns that its connection is gone. */
    function lose(): void {
      connected = undefined;
      for (const reject of questions) reject(new UnavailableError("The origin is away"));
      questions.clear();
      listener.down();
    }

    const source: SimulatedSource = {
      wanted,
      joined,
      got,
      withoutSnapshot,
      get isActive() {
        return isActive;
      },
      get connected() {
        return connected !== undefined;
      },
      start() {
        if (isActive) return;
        isActive = true;
        connectLater();
      },
      async stop() {
        if (!isActive) return;
        isActive = false;
        if (connection) close();
        if (connected) lose();
      },
      join(topic) {
        for (const { name } of wanted) {
          if (name === topic.name) throw new Error(`Asked twice for ${name}`);
        }
        wanted.add(topic);
        got.get(topic.name)?.push([]);
        if (connected && connected === connection) join(topic);
      },
      leave(topic) {
        if (!wanted.has(topic)) throw new Error(`Left ${topic.name}, which was not joined`);
        leave(topic);
      },
      invoke(_method, args) {
        const topic = `whole/${args[0]}`;
        const on = connected;
        if (!on) return Promise.reject(new UnavailableError("The origin is away"));
        return new Promise((resolve, reject) => {
          const { delayMs, refused } = origin.mood;
          questions.add(reject);
          let raw = "";
          // It makes up its mind at one time, and answers at another.
          const madeMs = chance.below(delayMs + 1);
          clock.after(madeMs, () => {
            raw = JSON.stringify(view(topic));
          });
          clock.after(madeMs + chance.below(delayMs + 1), () =>
            tell(on, () => {
              questions.delete(reject);
              if (chance.hits(refused)) {
                withoutSnapshot.add(topic);
                return reject(new HubError("Not now"));
              }
              resolve(raw);
            }),
          );
        });
      },
      push(topic, key, number) {
        if (!joined.has(topic)) return;
        tell(connection, () => {
          if (!joined.has(topic)) return;
          got.get(topic)?.at(-1)?.push(number);
          const values = [topic, key, number];
          const target = events[topic.replace(/\/.*/, "")] ?? "";
          listener.heard();
          listener.push({
            type: "invocation",
            target,
            arguments: JSON.stringify(values),
            values,
          });
        });
      },
      cut() {
        const on = connection;
        close();
        tell(on, () => {
          lose();
          if (isActive) connectLater();
        });
      },
    };
    return source;
  }

  return origin;
}
