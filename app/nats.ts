/** What joins the machines of a cluster: NATS with JetStream, through its official client. */

import type { JetStreamClient, JetStreamManager } from "@nats-io/jetstream";
import type { Msg, NatsConnection, Subscription } from "@nats-io/transport-node";
import type { Clock } from "../lib/clock.ts";
import { createJoiner, cut } from "../lib/cluster/pieces.ts";
import type { ClusterPort, Log, LogEntry, LogLimits } from "../lib/cluster/port.ts";
import { messageOf } from "../lib/errors.ts";
import type { Log as Logger } from "../lib/log.ts";
import { createEpoch } from "../lib/topic/position.ts";
import { backoffMs } from "../lib/upstream/backoff.ts";
import type { Config } from "./config.ts";

export interface Nats extends ClusterPort {
  close(): Promise<void>;
}

/** A server that answers no ping for two of these is given up, ms. */
const PING_MS = 1_000;

const CONNECT_TIMEOUT_MS = 2_000;

/** Bounds of the wait before a new attempt to connect, ms. */
const BACKOFF = { minMs: 100, maxMs: 5_000 };

/** What a message may hold when the server has not said it yet, bytes: its default. */
const DEFAULT_BYTES = 1_048_576;

/** Room for the headers of a message, bytes. */
const HEADER_BYTES = 1_024;

/** Entries of a log that are on their way here at one time. */
const READ_AHEAD = 1_000;

/** Code of the status that says that nobody listens. */
const NO_RESPONDERS = 503;

interface Listener {
  readonly subject: string;
  readonly hear: (message: Msg) => void;
  subscription: Subscription | undefined;
}

interface Question {
  readonly joiner: ReturnType<typeof createJoiner>;
  resolve(answer: Uint8Array): void;
  reject(error: Error): void;
}

/** Loaded when it is needed: a relay on its own starts without it. */
async function load() {
  const [{ connect }, { jetstream, jetstreamManager }] = await Promise.all([
    import("@nats-io/transport-node"),
    import("@nats-io/jetstream"),
  ]);
  return { connect, jetstream, jetstreamManager };
}

/** Connects in the background, for as long as it takes, and again whenever the connection is lost. */
export function createNats(
  config: NonNullable<Config["cluster"]>,
  options: { readonly clock: Clock; readonly random: () => number; readonly log: Logger },
): Nats {
  const { clock, random, log } = options;
  const servers = [config.nats].flat();
  const watchers = new Set<() => void>();
  const listeners = new Set<Listener>();
  const questions = new Map<string, Question>();
  const inbox = `_INBOX.${createEpoch(random)}${createEpoch(random)}`;
  let questionCount = 0;
  let nats: Link | undefined;
  let isConnected = false;
  let isClosed = false;
  let attempts = 0;

  interface Link {
    readonly connection: NatsConnection;
    readonly streams: JetStreamClient;
    readonly manager: JetStreamManager;
  }

  function setConnected(next: boolean): void {
    if (isConnected === next) return;
    isConnected = next;
    // No answer comes to what was asked on another connection.
    if (!next) for (const { reject } of [...questions.values()]) reject(new Error("NATS is away"));
    log.info({ servers }, next ? "connected to NATS" : "NATS is away");
    for (const tell of [...watchers]) tell();
  }

  function nextDelay(): number {
    return backoffMs(attempts++, random(), BACKOFF);
  }

  async function begin(): Promise<void> {
    const { connect, jetstream, jetstreamManager } = await load();
    const connection = await connect({
      servers,
      name: "keryx",
      ...(config.user === undefined ? {} : { user: config.user, pass: config.password ?? "" }),
      ...(config.token === undefined ? {} : { token: config.token }),
      ...(servers.some((url) => url.startsWith("tls:")) ? { tls: {} } : {}),
      timeout: CONNECT_TIMEOUT_MS,
      pingInterval: PING_MS,
      maxPingOut: 2,
      maxReconnectAttempts: -1,
      reconnectDelayHandler: nextDelay,
    });
    if (isClosed) return connection.close();
    const manager = await jetstreamManager(connection, {
      checkAPI: false,
      timeout: config.leaseMs,
    });
    const streams = jetstream(connection, { timeout: config.leaseMs });
    nats = { connection, streams, manager };
    connection.subscribe(`${inbox}.*`, { callback: (_, message) => onAnswer(message) });
    for (const listener of listeners) subscribe(listener);
    attempts = 0;
    setConnected(true);
    for await (const status of connection.status()) {
      if (status.type === "disconnect") setConnected(false);
      if (status.type === "reconnect") {
        attempts = 0;
        setConnected(true);
      }
      if (status.type === "error") log.warn({ error: messageOf(status.error) }, "NATS");
    }
  }

  async function keepConnected(): Promise<void> {
    while (!isClosed) {
      try {
        await begin();
      } catch (error) {
        log.warn({ servers, error: messageOf(error) }, "cannot connect to NATS");
      }
      nats = undefined;
      for (const listener of listeners) listener.subscription = undefined;
      setConnected(false);
      if (!isClosed) await new Promise<void>((resolve) => clock.after(nextDelay(), resolve));
    }
  }

  function subscribe(listener: Listener): void {
    listener.subscription = nats?.connection.subscribe(listener.subject, {
      callback: (_, message) => listener.hear(message),
    });
  }

  function onAnswer({ subject, headers, data }: Msg): void {
    const question = questions.get(subject);
    if (headers?.code === NO_RESPONDERS) question?.reject(new Error("Nobody listens"));
    const answer = question?.joiner.add(data);
    if (answer) question?.resolve(answer);
  }

  /** @throws Error while NATS is away: what waits for it must not pile up */
  function link(): Link {
    if (!nats || !isConnected) throw new Error("NATS is away");
    return nats;
  }

  function maxBytes(): number {
    const allowed = nats?.connection.info?.max_payload ?? DEFAULT_BYTES;
    return Math.min(allowed, DEFAULT_BYTES) - HEADER_BYTES;
  }

  async function openLog(name: string, limits: LogLimits): Promise<Log> {
    const { manager } = link();
    const { created, state } = await openStream(manager, name, limits, config.replicas);
    return {
      life: created,
      last: state.last_seq,
      async append(subject, bytes, after) {
        const expect = { streamName: name, lastSequence: after };
        await link().streams.publish(subject, bytes, { expect });
      },
      read: (from, listener) => read(name, from, listener),
    };
  }

  function read(name: string, from: number, listener: (entry: LogEntry) => void): () => void {
    let isStopped = false;
    let stop = () => {};
    const start = async () => {
      const consumer = await link().streams.consumers.get(name, {
        deliver_policy: "by_start_sequence",
        opt_start_seq: from,
      });
      const messages = await consumer.consume({
        max_messages: READ_AHEAD,
        callback({ seq: number, data: bytes, info: { pending } }) {
          if (!isStopped) listener({ number, bytes, isNewest: pending === 0 });
        },
      });
      stop = () => void messages.close();
      if (isStopped) stop();
    };
    // Silence is noticed by whoever reads, who then begins anew.
    start().catch((error) => log.warn({ log: name, error: messageOf(error) }, "cannot read"));
    return () => {
      isStopped = true;
      stop();
    };
  }

  function request(subject: string, bytes: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    const reply = `${inbox}.${++questionCount}`;
    return new Promise<Uint8Array>((resolve, reject) => {
      const timer = clock.after(timeoutMs, () => end(() => reject(new Error("No answer"))));
      const end = (how: () => void) => {
        timer.cancel();
        questions.delete(reply);
        how();
      };
      questions.set(reply, {
        joiner: createJoiner(),
        resolve: (answer) => end(() => resolve(answer)),
        reject: (error) => end(() => reject(error)),
      });
      try {
        link().connection.publish(subject, bytes, { reply });
      } catch (error) {
        end(() => reject(error));
      }
    });
  }

  const running = keepConnected();

  return {
    get connected() {
      return isConnected;
    },
    get maxBytes() {
      return maxBytes();
    },
    watch(listener) {
      watchers.add(listener);
      return () => watchers.delete(listener);
    },
    openLog,
    post(subject, bytes) {
      if (nats && isConnected) nats.connection.publish(subject, bytes);
    },
    request,
    listen(subject, listener) {
      const own: Listener = {
        subject,
        subscription: undefined,
        hear(message) {
          const answer = (bytes: Uint8Array) => {
            for (const piece of cut(bytes, maxBytes())) message.respond(piece);
          };
          listener(message.data, message.reply ? answer : undefined);
        },
      };
      listeners.add(own);
      subscribe(own);
      return () => {
        listeners.delete(own);
        own.subscription?.unsubscribe();
      };
    },
    async close() {
      isClosed = true;
      await nats?.connection.close();
      await Promise.race([running, new Promise<void>((resolve) => clock.after(0, resolve))]);
    },
  };
}

/** Opens a stream whose limits are as said. */
async function openStream(
  manager: JetStreamManager,
  name: string,
  { maxAgeMs, maxPerSubject, maxBytes }: LogLimits,
  replicas: number,
) {
  const limits = {
    max_age: maxAgeMs * 1_000_000,
    max_msgs_per_subject: maxPerSubject,
    max_bytes: maxBytes,
  };
  try {
    const info = await manager.streams.info(name);
    const { config } = info;
    const isSame =
      config.max_age === limits.max_age &&
      config.max_msgs_per_subject === limits.max_msgs_per_subject &&
      config.max_bytes === limits.max_bytes;
    return isSame ? info : await manager.streams.update(name, { ...config, ...limits });
  } catch (error) {
    if (nameOf(error) !== "StreamNotFoundError") throw error;
  }
  try {
    return await manager.streams.add({
      ...limits,
      name,
      subjects: [`${name}.>`],
      storage: "file",
      retention: "limits",
      discard: "old",
      num_replicas: replicas,
    });
  } catch (error) {
    if (nameOf(error) !== "JetStreamApiError") throw error;
    return manager.streams.info(name); // another machine was faster
  }
}

function nameOf(error: unknown): string | undefined {
  return error instanceof Error ? error.name : undefined;
}
