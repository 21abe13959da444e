/** A source that does what the test says. */

import { HubError, UnavailableError } from "../../lib/errors.ts";
import type { Topic } from "../../lib/topic/topic.ts";
import type { Source, SourceListener } from "../../lib/upstream/source.ts";

/** A call that waits for the origin's answer. */
export interface Question {
  /** Such as `GetMatch[42]`. */
  readonly call: string;
  answer(raw: string): void;
  refuse(error: string): void;
}

export interface FakeSource extends Source<string> {
  /** What was asked of it since the last time: `join match/1`, `leave match/1`. */
  take(): string[];
  /** Topics that are wanted, by name. */
  readonly wanted: ReadonlyMap<string, Topic>;
  readonly questions: readonly Question[];
  /** The connection is there. Nothing is joined by itself. */
  connect(): void;
  /** The connection is gone; whoever waits for an answer is told so. */
  drop(): void;
  /** Refuses calls as a source that has too many. */
  isBusy: boolean;
  accept(topic: string, result?: string): void;
  /** The origin refuses a topic, or ends its stream. */
  end(topic: string, reason: "rejected" | "ended", error?: string): void;
  push(target: string, ...args: unknown[]): void;
  /** @param json the list of arguments as the origin wrote it */
  pushRaw(target: string, json: string): void;
  item(topic: string, value: unknown): void;
}

export function createFakeSource(listener: SourceListener<string>): FakeSource {
  const wanted = new Map<string, Topic>();
  const questions: (Question & { reject(error: Error): void })[] = [];
  let log: string[] = [];
  let connected = false;

  function find(name: string): Topic {
    const topic = wanted.get(name);
    if (!topic) throw new Error(`Nobody wants ${name}`);
    return topic;
  }

  const source: FakeSource = {
    wanted,
    questions,
    isBusy: false,
    get connected() {
      return connected;
    },
    start: () => void log.push("start"),
    async stop() {
      log.push("stop");
      if (connected) source.drop();
    },
    join(topic) {
      log.push(`join ${topic.name}`);
      wanted.set(topic.name, topic);
    },
    leave(topic) {
      log.push(`leave ${topic.name}`);
      if (wanted.get(topic.name) === topic) wanted.delete(topic.name);
    },
    invoke(method, args) {
      if (!connected) return Promise.reject(new UnavailableError("The origin is away"));
      if (source.isBusy) return Promise.reject(new UnavailableError("Too many calls wait"));
      return new Promise((resolve, reject) => {
        const done = () => void questions.splice(questions.indexOf(question), 1);
        const question = {
          call: `${method}${JSON.stringify(args)}`,
          answer(raw: string) {
            done();
            resolve(raw);
          },
          refuse(error: string) {
            done();
            reject(new HubError(error));
          },
          reject,
        };
        questions.push(question);
      });
    },
    take() {
      const taken = log;
      log = [];
      return taken;
    },
    connect() {
      connected = true;
      listener.up();
    },
    drop() {
      connected = false;
      for (const { reject } of questions.splice(0)) reject(new UnavailableError("lost"));
      listener.down();
    },
    accept: (name, result) => listener.joined(find(name), result),
    end(name, reason, error) {
      const topic = find(name);
      wanted.delete(name);
      listener.ended(topic, reason, error);
    },
    push: (target, ...values) => source.pushRaw(target, JSON.stringify(values)),
    pushRaw(target, json) {
      listener.heard();
      listener.push({ type: "invocation", target, arguments: json, values: JSON.parse(json) });
    },
    item(name, value) {
      const item = JSON.stringify(value);
      listener.item(find(name), { type: "streamItem", invocationId: "1", item, value });
    },
  };
  return source;
}
