/** A client of the plain protocols, which comes and goes, and reads when it likes. */

import type { ManualClock } from "../../lib/clock.ts";
import { byteLength, type Frame } from "../../lib/socket.ts";
import type { Subscriptions } from "../../lib/subscriptions.ts";
import { parsePosition } from "../../lib/topic/position.ts";
import { createReader, type Reader } from "../support/reader.ts";
import { type Isolate, LIMITS } from "./isolate.ts";

export interface Client {
  readonly name: string;
  /** Where it is connected. */
  readonly isolate: Isolate | undefined;
  readonly isStalled: boolean;
  /** How often it was sent more while more waited for it than may. */
  readonly excesses: number;
  /** Topics that it has. */
  readonly topics: ReadonlySet<string>;
  /** Whether its isolate takes a topic of it for live. */
  isLive(topic: string): boolean;
  view: Reader["view"];
  connect(isolate: Isolate): void;
  /**
   * Subscribes from where it is; topics that it has are opened anew.
   * @returns false when it cannot know what belongs to before: it or its isolate takes nothing now
   */
  open(topics: readonly string[], rate: number | undefined): boolean;
  /** @returns as `open` */
  leave(topic: string): boolean;
  /** Takes nothing from its socket from here on. */
  stall(): void;
  resume(): void;
  /** Reads so many of the messages that have come. */
  read(count: number): void;
  /** Goes, and loses what it has not read. The isolate learns of it when it runs. */
  cut(): void;
}

interface Connection {
  readonly isolate: Isolate;
  readonly subscriptions: Subscriptions;
  isClosed: boolean;
}

/**
 * @param options.isStream whether one position stands for all its topics, as on `/sse`
 * @param options.got numbers of a topic's publications as the owner got them in the life of the feed
 * that an epoch names, a list for each time that it wanted the topic
 */
export function createClient(
  name: string,
  options: {
    readonly isStream: boolean;
    readonly clock: ManualClock;
    got(epoch: string, topic: string): readonly (readonly number[])[];
  },
): Client {
  const { isStream, clock, got } = options;
  const decoder = new TextDecoder();
  const topics = new Set<string>();
  /** Topics that are to begin anew, from no position. */
  const blank = new Set<string>();
  let connection: Connection | undefined;
  let isStalled = false;
  /** Sent, and not taken. */
  let buffer: Frame[] = [];
  let bufferedBytes = 0;
  let excesses = 0;
  /** Taken, and not read. */
  let inbox: string[] = [];
  /** What is read just now belongs to this life of the feed, and has this number. */
  let epoch = "";
  let reading = 0;
  const reader = createReader(
    (topic, number) =>
      got(epoch, topic)
        .find((numbers) => numbers.includes(reading))
        ?.find((later) => later > number),
    { isStream },
  );

  const sink = {
    get bufferedBytes() {
      return bufferedBytes;
    },
    send(frame: Frame) {
      if (bufferedBytes > LIMITS.queueBytes) excesses++;
      buffer.push(frame);
      bufferedBytes += byteLength(frame);
      if (!isStalled) take();
      return bufferedBytes === 0;
    },
  };

  function take(): void {
    for (const frame of buffer) {
      inbox.push(...(typeof frame === "string" ? frame : decoder.decode(frame)).split("\n"));
    }
    drop();
  }

  function drop(): void {
    buffer = [];
    bufferedBytes = 0;
    excesses = 0;
  }

  function readOne(text: string): void {
    const { type, topic, position, data } = JSON.parse(text);
    if (type === "unsubscribed") {
      topics.delete(topic);
      blank.add(topic);
      return reader.leave(topic);
    }
    if (position !== undefined) epoch = parsePosition(position)?.epoch ?? "";
    if (type === "subscribed") blank.delete(topic);
    if (data !== undefined) reading = data[2];
    try {
      reader.read(text);
    } catch (error) {
      throw new Error(`${name} cannot believe ${text}`, { cause: error });
    }
  }

  /** Makes sure that nothing is under way between its isolate and itself. */
  function catchUp(): boolean {
    if (!connection || isStalled || connection.isolate.heap.isFrozen) return false;
    clock.settle();
    client.read(Number.POSITIVE_INFINITY);
    return connection !== undefined;
  }

  const client: Client = {
    name,
    topics,
    get isolate() {
      return connection?.isolate;
    },
    get isStalled() {
      return isStalled;
    },
    get excesses() {
      return excesses;
    },
    isLive: (topic) => connection?.subscriptions.isLive(topic) ?? false,
    view: reader.view,
    connect(isolate) {
      if (connection) throw new Error(`${name} is connected`);
      // Each connection has a sink of its own: what is sent to one that has ended goes nowhere.
      const own: Connection = {
        isolate,
        isClosed: false,
        subscriptions: isolate.relay.subscriptions({
          sink: {
            get bufferedBytes() {
              return connection === own ? sink.bufferedBytes : 0;
            },
            send: (frame) => connection !== own || sink.send(frame),
          },
          format: isolate.format,
          maxTopics: 10,
          onSlow: () => {
            if (connection === own) client.cut();
          },
        }),
      };
      connection = own;
    },
    open(names, rate) {
      if (!connection || (topics.size > 0 && !catchUp())) return false;
      const isBlank = isStream && blank.size > 0;
      const entries = reader.ask(names).map(({ topic, since }) => ({
        topic,
        since: isBlank || blank.has(topic) ? undefined : since,
        rate,
      }));
      for (const topic of names) topics.add(topic);
      const { isolate, subscriptions } = connection;
      isolate.heap.run(() => subscriptions.open(entries));
      return true;
    },
    leave(topic) {
      if (!topics.has(topic) || !catchUp() || !topics.has(topic)) return false;
      connection?.subscriptions.close(topic);
      client.read(Number.POSITIVE_INFINITY);
      topics.delete(topic);
      reader.leave(topic);
      return true;
    },
    stall() {
      isStalled = true;
    },
    resume() {
      isStalled = false;
      take();
    },
    read(count) {
      for (const text of inbox.splice(0, count)) readOne(text);
    },
    cut() {
      if (!connection) return;
      const { isolate, subscriptions } = connection;
      connection = undefined;
      isolate.heap.run(() => subscriptions.closeAll());
      drop();
      inbox = [];
      // The reader does not remember that some were to be skipped, and would miss them.
      for (const topic of topics) if (reader.view(topic).skipping > 0) blank.add(topic);
      topics.clear();
      reader.cut();
    },
  };
  return client;
}
