/** What joins the machines of a cluster: NATS with JetStream, through its official client. */

import { readFile } from "node:fs/promises";
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
  /** Times that it was connected, ever. */
  readonly connects: number;
  /** By the log's name. */
  readonly traffic: ReadonlyMap<string, LogTraffic>;
  close(): Promise<void>;
}

/** What went through a log, as seen from here. */
export interface LogTraffic {
  /** Entries that were read, ever. */
  read: number;
  /** Entries that were written here and stored, ever. */
  written: number;
  /** Entries that the log had behind the one that was read last. */
  behind: number;
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

/**
 * How long the server keeps ids of entries, ms. That of the newest it knows for as long as it runs;
 * one that has been started anew finds it if it is not older.
 */
const IDS_MS = 10_000;

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
  const [{ connect, credsAuthenticator }, { jetstream, jetstreamManager }] = await Promise.all([
    import("@nats-io/transport-node"),
    import("@nats-io/jetstream"),
  ]);
  return { connect, credsAuthenticator, jetstream, jetstreamManager };
}

/** Connects in the background, for as long as it takes, and again whenever the connection is lost. */
export function createNats(
  config: NonNullable<Config["cluster"]>,
  options: { readonly clock: Clock; readonly random: () => number; readonly log: Logger },
): Nats {
  const { clock, random, log } = options;
  const { servers, ...inUrl } = readServers([config.nats].flat());
  const watchers = new Set<() => void>();
  const listeners = new Set<Listener>();
  const questions = new Map<string, Question>();
  const inbox = `_INBOX.${createEpoch(random)}${createEpoch(random)}`;
  let questionCount = 0;
  let nats: Link | undefined;
  let isConnected = false;
  let isClosed = false;
  let attempts = 0;
  let connects = 0;
  const traffic = new Map<string, LogTraffic>();

  interface Link {
    readonly connection: NatsConnection;
    readonly streams: JetStreamClient;
    readonly manager: JetStreamManager;
  }

  function setConnected(next: boolean): void {
    if (isConnected === next) return;
    isConnected = next;
    if (next) connects++;
    // No answer comes to what was asked on another connection.
    if (!next) for (const { reject } of [...questions.values()]) reject(new Error("NATS is away"));
    log.info({ servers }, next ? "connected to NATS" : "NATS is away");
    for (const tell of [...watchers]) tell();
  }

  function nextDelay(): number {
    return backoffMs(attempts++, random(), BACKOFF);
  }

  async function begin(): Promise<void> {
    const { connect, credsAuthenticator, jetstream, jetstreamManager } = await load();
    const { user = inUrl.user, password = inUrl.password ?? "", token = inUrl.token } = config;
    const { credentials, ca } = config;
    const isSecure = ca !== undefined || servers.some((url) => url.startsWith("tls:"));
    const tls = ca === undefined ? {} : { ca: await readFile(ca, "utf8") };
    const connection = await connect({
      servers,
      name: "keryx",
      ...(user === undefined ? {} : { user, pass: password }),
      ...(token === undefined ? {} : { token }),
      ...(credentials === undefined
        ? {}
        : { authenticator: credsAuthenticator(await readFile(credentials)) }),
      ...(isSecure ? { tls } : {}),
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
    const own = traffic.get(name) ?? { read: 0, written: 0, behind: 0 };
    traffic.set(name, own);
    const { created, state } = await openStream(manager, name, limits, config.replicas);
    const pen = createEpoch(random);
    /** Number that the entry has which was handed over last, if it is stored. */
    let handed: number | undefined;
    return {
      life: created,
      last: state.last_seq,
      first: state.messages === 0 ? state.last_seq + 1 : state.first_seq,
      async append(subject, bytes, after) {
        // A number alone does not say that the one before is ours: when it was refused, another
        // owner may since have written as many as were on their way from here.
        const before = after === handed ? { lastMsgID: `${pen}:${after}` } : {};
        handed = after + 1;
        const expect = { streamName: name, lastSequence: after, ...before };
        await link().streams.publish(subject, bytes, { msgID: `${pen}:${handed}`, expect });
        own.written++;
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
          if (isStopped) return;
          const own = traffic.get(name);
          if (own) {
            own.read++;
            own.behind = pending;
          }
          listener({ number, bytes, isNewest: pending === 0 });
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
    get connects() {
      return connects;
    },
    traffic,
    get maxBytes() {
      return maxBytes();
    },
    watch(listener) {
      watchers.add(listener);
      return () => watchers.delete(listener);
    },
    openLog,
    post(subject, bytes) {
      // Closed it may be before its end has been told.
      if (!nats || !isConnected || nats.connection.isClosed()) return;
      nats.connection.publish(subject, bytes);
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

/** What URLs of servers say: what the client takes, and a user or a token, which it does not. */
export function readServers(urls: readonly string[]): {
  readonly servers: string[];
  readonly user?: string;
  readonly password?: string;
  readonly token?: string;
} {
  const parsed = urls.map((url) => /^(\w+:\/\/)(?:([^@]*)@)?(.*)$/.exec(url) ?? []);
  const servers = parsed.map(([, scheme, , address]) => `${scheme}${address}`);
  const said = parsed.map(([, , said]) => said).find((said) => said !== undefined);
  if (said === undefined) return { servers };
  const [user = "", password] = said.split(/:(.*)/, 2).map(decodeURIComponent);
  return password === undefined ? { servers, token: user } : { servers, user, password };
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
      duplicate_window: IDS_MS * 1_000_000,
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
