/**
 * Keeps one link to the relay alive as long as topics are wanted: chooses the transport, notices
 * silence, waits between attempts. Knows nothing of what the messages say, but for `drain`.
 */

import { backoff } from "./backoff.ts";
import { dialEventStream } from "./eventstream.ts";
import { createRecollection } from "./memory.ts";
import type { ServerMessage } from "./message.ts";
import type { Settings } from "./options.ts";
import type { Topic } from "./topic.ts";
import type { Link, LinkEnd, TransportName } from "./transport.ts";
import { dialWebSocket } from "./websocket.ts";

/** How long a connection without topics is kept for the next one, ms: a page is being changed. */
const IDLE_MS = 5_000;
/** A connection that lived this long was a success, and the next wait is a first one again. */
const STEADY_MS = 10_000;
/** Failures in a row after which a WebSocket that has worked before is given up for a stream. */
const PATIENCE = 2;
/** Longest wait that a relay may ask for, ms. */
const MAX_WAIT_MS = 3_600_000;

/** Where a feed stands. */
export interface FeedStatus {
  /**
   * - `connecting`: on the way, or at rest since no topic is wanted (then without `transport`);
   * - `open`: the relay answers;
   * - `waiting`: the next attempt is at `retryAt`;
   * - `closed`: for good, by `close()`, or by the relay (then with `error`).
   */
  readonly state: "connecting" | "open" | "waiting" | "closed";
  readonly transport?: TransportName | undefined;
  /** Unix milliseconds. */
  readonly retryAt?: number | undefined;
  /** Why the last connection ended, or could not be made. */
  readonly error?: string | undefined;
}

/** What a connection needs of its feed. */
export interface ConnectionHost {
  readonly topics: ReadonlyMap<string, Topic>;
  readonly settings: Settings;
  onStatus(status: FeedStatus): void;
  onMessage(message: ServerMessage): void;
  /** The relay asked not to come back. */
  onStop(error: string): void;
}

/** A connection that comes back. */
export interface Connection {
  /** To be called when the set of topics has changed, or one of them is due. */
  sync(): void;
  close(): void;
}

/** Makes a connection, at rest until there is a topic. */
export function createConnection(host: ConnectionHost): Connection {
  const { topics, settings } = host;
  const isAuto = settings.transport === "auto";
  const { origin, pathname } = settings.base;
  const memory = isAuto
    ? createRecollection(`keryx ${origin}${pathname}`, settings.memory)
    : undefined;
  let transport = prefer();

  let link: Link | undefined;
  /** When the relay was first heard on this link. */
  let heardAt: number | undefined;
  /** Of a link: until it is dead. Without one: until the next attempt. */
  let timer: ReturnType<typeof setTimeout> | undefined;
  let idle: ReturnType<typeof setTimeout> | undefined;
  let isWaiting = false;
  let attempt = 0;
  let patience = 0;
  let closed = false;

  /** The transport to begin with. */
  function prefer(): TransportName {
    if (settings.transport !== "auto") return settings.transport;
    return memory?.recall() ?? "websocket";
  }

  function arm(ms: number, then: () => void): void {
    clearTimeout(timer);
    timer = setTimeout(then, ms);
  }

  function watch(limitMs: number): void {
    arm(limitMs, () => drop({ error: `The relay was silent for ${limitMs} ms` }));
  }

  function connect(): void {
    stopWaiting();
    heardAt = undefined;
    host.onStatus({ state: "connecting", transport });
    if (closed) return;
    const dial = transport === "websocket" ? dialWebSocket : dialEventStream;
    link = dial({
      topics,
      settings,
      onDial() {
        const isTrial = isAuto && transport === "websocket" && heardAt === undefined;
        watch(isTrial ? settings.openTimeoutMs : settings.silenceMs);
      },
      onHeard() {
        watch(settings.silenceMs);
        if (heardAt !== undefined) return;
        heardAt = Date.now();
        memory?.remember(transport);
        if (transport === "websocket") patience = PATIENCE;
        host.onStatus({ state: "open", transport });
      },
      onMessage(message) {
        if (message.type === "drain") {
          drop({ error: "The relay is going away", notBeforeMs: message.retryMs });
        } else host.onMessage(message);
      },
      onEnd: lose,
    });
    link.sync();
  }

  /** Ends the link from this side. */
  function drop(end: LinkEnd): void {
    link?.close();
    lose(end);
  }

  function lose(end: LinkEnd): void {
    link = undefined;
    clearTimeout(timer);
    for (const topic of topics.values()) topic.cut();
    if (heardAt !== undefined && Date.now() - heardAt >= STEADY_MS) attempt = 0;
    if (end.fatal) host.onStop(end.error);
    else if (isAuto && reconsider()) connect();
    else {
      wait(end);
      for (const topic of [...topics.values()]) topic.age();
    }
  }

  /** Chooses the transport of the next attempt. True when that should be made at once. */
  function reconsider(): boolean {
    if (heardAt !== undefined) {
      transport = prefer(); // the day of a stream may be over
    } else if (transport === "sse") {
      transport = "websocket";
    } else if (patience > 0) {
      // It got through before, so more likely the relay is away than a proxy has come. Without
      // this, each restart of a relay would cost it two requests a client and leave many on streams.
      patience--;
    } else {
      transport = "sse";
      return true;
    }
    return false;
  }

  function wait({ error, notBeforeMs = 0 }: LinkEnd): void {
    if (topics.size === 0) {
      rest();
      return;
    }
    // The relay may ask the same of all its clients, so the jitter comes on top.
    const floorMs = Math.min(Math.max(Number(notBeforeMs) || 0, 0), MAX_WAIT_MS);
    const waitMs = floorMs + backoff(attempt++, settings.backoff);
    isWaiting = true;
    arm(waitMs, connect);
    // A phone that comes out of the lift need not sit out its backoff; what the relay asked, it must.
    if (floorMs === 0) globalThis.addEventListener?.("online", connect);
    host.onStatus({ state: "waiting", transport, retryAt: Date.now() + waitMs, error });
  }

  function stopWaiting(): void {
    isWaiting = false;
    clearTimeout(timer);
    globalThis.removeEventListener?.("online", connect);
  }

  function rest(): void {
    stopWaiting();
    link?.close();
    link = undefined;
    transport = prefer();
    host.onStatus({ state: "connecting" });
  }

  return {
    sync() {
      clearTimeout(idle);
      if (!link && !isWaiting) {
        if (topics.size > 0) connect();
        return;
      }
      if (topics.size === 0) idle = setTimeout(rest, IDLE_MS);
      link?.sync();
    },
    close() {
      closed = true;
      stopWaiting();
      clearTimeout(idle);
      link?.close();
      link = undefined;
    },
  };
}
