/**
 * The shared lane: one connection to a hub, kept alive for good, that carries the joins and streams
 * of all topics. Joins are made again after each reconnect, a bounded number at a time.
 */

import type { Clock } from "../clock.ts";
import { HubError, messageOf, UnavailableError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Stats } from "../stats.ts";
import type { Topic } from "../topic/topic.ts";
import type { Completion, HubMessage, HubProtocol, Raw } from "../wire/hub.ts";
import { type BackoffLimits, backoffMs } from "./backoff.ts";
import { RELAY_HEADER } from "./client.ts";
import { type Connection, type ConnectionOptions, openConnection } from "./connection.ts";
import type { Source, SourceListener } from "./source.ts";

export interface SignalROptions<R extends Raw> {
  readonly url: string;
  readonly protocol: HubProtocol<R>;
  /** Everything else a connection needs. */
  readonly connection: Omit<
    ConnectionOptions<R>,
    | "url"
    | "protocol"
    | "signal"
    | "clock"
    | "stats"
    | "log"
    | "onLive"
    | "onHeard"
    | "onMessage"
    | "onClose"
  >;
  readonly backoff: BackoffLimits;
  /** A connection that lived this long starts the backoff anew when it is lost, ms. */
  readonly stableMs: number;
  /** Joins that wait for the origin's answer at one time. */
  readonly maxJoinsInFlight: number;
  /** Calls of `invoke` that wait for the origin's answer at one time. */
  readonly maxInvocations: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly stats: Stats;
  readonly log: Log;
}

type Outcome<R extends Raw> = (completion: Completion<R> | UnavailableError) => void;

export function createSignalRSource<R extends Raw>(
  options: SignalROptions<R>,
  listener: SourceListener<R>,
): Source<R> {
  const { url, protocol, clock, random, stats, log, backoff, stableMs } = options;
  /** From `start` to `stop`. */
  let life: { readonly stopping: AbortController; readonly done: Promise<void> } | undefined;
  /** What is wanted by name, connected or not. */
  const topics = new Map<string, Topic>();
  /** Wanted topics that have not been asked for on this connection yet, in order. */
  const queue = new Set<Topic>();
  /** Names whose leave has not been answered: a join that overtook it would be undone by it. */
  const leaving = new Set<string>();
  const waiting = new Map<string, Outcome<R>>();
  /** Topics whose join was accepted on this connection. */
  const joined = new Set<Topic>();
  /** Streams running on this connection, by invocation id and by topic. */
  const streams = new Map<string, Topic>();
  const streamIds = new Map<Topic, string>();
  let connection: Connection<R> | undefined;
  let joinsInFlight = 0;
  let callsInFlight = 0;
  let invocationCount = 0;

  async function run(signal: AbortSignal): Promise<void> {
    for (let attempt = 0; !signal.aborted; attempt++) {
      const end = await live(signal).catch((error: unknown) => {
        if (!signal.aborted) {
          log.warn({ url, attempt, error: messageOf(error) }, "cannot reach the origin");
        }
      });
      if (end?.stable) attempt = 0;
      if (signal.aborted) return;
      await pause(backoffMs(attempt, random(), backoff), signal);
    }
  }

  /** Opens a connection and stays with it. Rejects when it cannot be opened. */
  async function live(signal: AbortSignal): Promise<{ stable: boolean }> {
    let closed: (reason: string) => void = () => {};
    const ended = new Promise<string>((resolve) => {
      closed = resolve;
    });
    let refused = false;
    let since = 0;
    await openConnection({
      ...options.connection,
      headers: { ...options.connection.headers, [RELAY_HEADER]: "1" },
      url,
      protocol,
      clock,
      stats,
      log,
      signal,
      onLive(opened) {
        connection = opened;
        since = clock.now();
        log.info({ url, topics: topics.size }, "connected to the origin");
        listener.up();
        for (const topic of topics.values()) queue.add(topic);
        pump();
      },
      onHeard: listener.heard,
      onMessage,
      onClose(end) {
        // At once, not when the promise is heard: what is lost must be known before anything else.
        refused = end.refused;
        if (!signal.aborted) log.warn({ url, reason: end.reason }, "lost the origin");
        onLost(end.reason);
        closed(end.reason);
      },
    });
    await ended;
    return { stable: !refused && clock.now() - since >= stableMs };
  }

  function onLost(reason: string): void {
    connection = undefined;
    queue.clear();
    leaving.clear();
    joined.clear();
    streams.clear();
    streamIds.clear();
    joinsInFlight = 0;
    callsInFlight = 0;
    const outcomes = [...waiting.values()];
    waiting.clear();
    for (const outcome of outcomes) outcome(new UnavailableError(reason));
    listener.down();
  }

  function pause(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const finish = () => {
        timer.cancel();
        signal.removeEventListener("abort", finish);
        resolve();
      };
      const timer = clock.after(ms, finish);
      signal.addEventListener("abort", finish);
    });
  }

  function onMessage(message: HubMessage<R>): void {
    switch (message.type) {
      case "invocation":
        listener.push(message);
        if (message.invocationId !== undefined) {
          // A result of one client is wanted, and this connection is everybody's.
          stats.refusedClientResults++;
          const { invocationId } = message;
          const error = "Client didn't provide a result.";
          connection?.send({ type: "completion", invocationId, error });
        }
        return;
      case "streamItem": {
        const topic = streams.get(message.invocationId);
        if (topic) listener.item(topic, message);
        return;
      }
      case "completion": {
        const outcome = waiting.get(message.invocationId);
        waiting.delete(message.invocationId);
        outcome?.(message);
        return;
      }
      default: // nothing else comes from a server that we did not ask for
        log.debug({ url, type: message.type }, "message of the origin skipped");
    }
  }

  /** Starts as many of the waiting joins as may be in flight. */
  function pump(): void {
    for (const topic of queue) {
      if (!connection || joinsInFlight >= options.maxJoinsInFlight) return;
      if (leaving.has(topic.name)) continue;
      queue.delete(topic);
      const { join, stream } = topic.spec;
      if (stream) startStream(connection, topic);
      else if (join) startJoin(connection, topic);
      else listener.joined(topic, undefined);
    }
  }

  function startJoin(connection: Connection<R>, topic: Topic): void {
    const { join } = topic.spec;
    if (!join) return;
    joinsInFlight++;
    ask(connection, join.method, join.print(topic.parameters), (completion) => {
      if (completion instanceof UnavailableError) return; // all is begun anew with the next one
      joinsInFlight--;
      if (completion.error === undefined) {
        stats.upstreamJoins++;
        joined.add(topic);
        if (topics.get(topic.name) === topic) listener.joined(topic, completion.result);
        // Nobody wants it any more. Unless somebody does again, whose own join is on its way.
        else if (!topics.has(topic.name)) leaveUpstream(topic);
      } else if (forget(topic)) {
        listener.ended(topic, "rejected", completion.error);
      }
      pump();
    });
  }

  function startStream(connection: Connection<R>, topic: Topic): void {
    const { stream } = topic.spec;
    if (!stream) return;
    const invocationId = nextId();
    streams.set(invocationId, topic);
    streamIds.set(topic, invocationId);
    waiting.set(invocationId, (completion) => {
      if (completion instanceof UnavailableError) return;
      streams.delete(invocationId);
      streamIds.delete(topic);
      if (!forget(topic)) return;
      // An error before any item is how a hub refuses a stream.
      const rejected = completion.error !== undefined && topic.latest.after(-1).length === 0;
      listener.ended(topic, rejected ? "rejected" : "ended", completion.error);
    });
    stats.upstreamInvocations++;
    stats.upstreamJoins++;
    const args = protocol.encode(stream.print(topic.parameters));
    const target = stream.method;
    connection.send({
      type: "streamInvocation",
      invocationId,
      target,
      arguments: args,
      values: [],
    });
    listener.joined(topic, undefined);
  }

  /** @returns whether it was wanted until now */
  function forget(topic: Topic): boolean {
    return topics.get(topic.name) === topic && topics.delete(topic.name);
  }

  /** Undoes what this connection has done for a topic, if anything. */
  function leaveUpstream(topic: Topic): void {
    const invocationId = streamIds.get(topic);
    if (invocationId !== undefined) {
      stats.upstreamLeaves++;
      connection?.send({ type: "cancelInvocation", invocationId });
      streams.delete(invocationId);
      streamIds.delete(topic);
      return;
    }
    const { leave } = topic.spec;
    if (!joined.delete(topic) || !leave || !connection) return;
    stats.upstreamLeaves++;
    leaving.add(topic.name);
    ask(connection, leave.method, leave.print(topic.parameters), (completion) => {
      if (completion instanceof UnavailableError) return;
      leaving.delete(topic.name);
      if (completion.error !== undefined) {
        log.warn({ topic: topic.name, error: completion.error }, "leave refused");
      }
      pump();
    });
  }

  function ask(
    connection: Connection<R>,
    target: string,
    args: readonly unknown[],
    outcome: Outcome<R>,
  ): void {
    const invocationId = nextId();
    waiting.set(invocationId, outcome);
    stats.upstreamInvocations++;
    connection.send({
      type: "invocation",
      invocationId,
      target,
      arguments: protocol.encode(args),
      values: args,
    });
  }

  function nextId(): string {
    return String(invocationCount++);
  }

  return {
    start() {
      if (life && !life.stopping.signal.aborted) return;
      const stopping = new AbortController();
      const before = life?.done ?? Promise.resolve();
      life = { stopping, done: before.then(() => run(stopping.signal)) };
    },
    get connected() {
      return connection !== undefined;
    },
    join(topic) {
      topics.set(topic.name, topic);
      if (!connection) return;
      queue.add(topic);
      pump();
    },
    leave(topic) {
      if (!forget(topic)) return;
      if (queue.delete(topic) || !connection) return;
      // A join still in flight is undone when it is answered.
      leaveUpstream(topic);
    },
    invoke: (method, args) =>
      new Promise((resolve, reject) => {
        if (!connection) {
          reject(new UnavailableError("The origin is away"));
        } else if (callsInFlight >= options.maxInvocations) {
          reject(new UnavailableError("Too many calls wait for the origin"));
        } else {
          callsInFlight++;
          ask(connection, method, args, (completion) => {
            if (completion instanceof UnavailableError) return reject(completion);
            callsInFlight--;
            if (completion.error !== undefined) reject(new HubError(completion.error));
            else resolve(completion.result ?? protocol.encode(null));
          });
        }
      }),
    async stop() {
      life?.stopping.abort(new Error("The relay leaves"));
      await life?.done;
    },
  };
}
