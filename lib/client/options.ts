/** What an application may choose, and what follows when it does not. */

import type { BackoffOptions } from "./backoff.ts";

/** The part of `localStorage` that is used. */
export interface Memory {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

/** The part of an event of a socket that is used: `data` of a message, `code` and `reason` of a close. */
export interface SocketEvent {
  readonly type: string;
  readonly data?: unknown;
  readonly code?: number;
  readonly reason?: string;
}

/** The part of a `WebSocket` that is used; that of the npm package ws fits too. */
export interface Socket {
  send(data: string): void;
  close(code?: number): void;
  addEventListener(type: string, listener: (event: SocketEvent) => void): void;
}

/** Options of a feed. Every one has a default. */
export interface FeedOptions {
  /** `auto`, the default: WebSocket, and event streams where sockets do not get through. */
  readonly transport?: "auto" | "websocket" | "sse" | undefined;
  /**
   * Has the relay send what changed since the publication before, where that is shorter. What comes of
   * it is checked, and should it ever be wrong, the topic is reset instead. Costs memory: the text of
   * the newest publication of each key.
   */
  readonly delta?: boolean | undefined;
  /** Headers of each request. Browsers let nobody set any on a WebSocket, so it goes without. */
  readonly headers?: (() => HeadersInit | Promise<HeadersInit>) | undefined;
  /**
   * Asked before each connection. Sent as `Authorization: Bearer` with requests, and as
   * `access_token` in the query of a WebSocket.
   */
  readonly accessToken?: (() => string | Promise<string>) | undefined;
  /**
   * A WebSocket that is not open and has not answered by then is mute, and an event stream is tried;
   * ms, default 2,500: a page behind a proxy that swallows upgrades is live in less than 5 s, and four
   * round trips (TCP, TLS, upgrade, ping) of 600 ms are still waited for. Only with `auto`: without a
   * choice, waiting is right.
   */
  readonly openTimeoutMs?: number | undefined;
  /** A connection this long without a byte is dead, ms. Default 35,000: two heartbeats missed. */
  readonly silenceMs?: number | undefined;
  /** Wait before a reconnect, ms: full jitter, at first below `minMs` (500), later `maxMs` (30,000). */
  readonly backoff?: { readonly minMs?: number; readonly maxMs?: number } | undefined;
  /**
   * Applied to `data` and `snapshot` where they have the shape `{json, meta?}` that superjson
   * writes: give `superjson.deserialize`. A method in type only, to let its parameter be narrower.
   */
  deserialize?(value: unknown): unknown;
  /** Remembers, for a day, which transport worked. Default `localStorage` where there is one. */
  readonly memory?: Memory | undefined;
  /** Uniform in [0, 1). Default `Math.random`. */
  readonly random?: (() => number) | undefined;
  /** Closes the feed. */
  readonly signal?: AbortSignal | undefined;
  /** Default: the runtime's own. */
  readonly WebSocket?: (new (url: string) => Socket) | undefined;
  /** Default: the runtime's own. */
  readonly fetch?: ((url: string, init: RequestInit) => Promise<Response>) | undefined;
}

/** Options with their defaults. */
export interface Settings {
  readonly transport: "auto" | "websocket" | "sse";
  readonly headers?: FeedOptions["headers"];
  readonly accessToken?: FeedOptions["accessToken"];
  readonly openTimeoutMs: number;
  readonly silenceMs: number;
  readonly backoff: BackoffOptions;
  readonly memory?: Memory | undefined;
  readonly WebSocket: NonNullable<FeedOptions["WebSocket"]> | undefined;
  readonly fetch: NonNullable<FeedOptions["fetch"]>;
  /** Address of the relay, http or https, its path ending in a slash, its query for each request. */
  readonly base: URL;
}

/**
 * Reads the options.
 *
 * @throws TypeError when `url` is not the URL of a relay, or when a WebSocket is asked for and the
 * runtime has none; RangeError when a time is not a positive number.
 */
export function settle(url: string | URL, options: FeedOptions): Settings {
  const base = new URL(url, globalThis.location?.href);
  base.protocol = base.protocol.replace(/^ws/, "http");
  if (!/^https?:$/.test(base.protocol)) {
    throw new TypeError(`Cannot reach a relay by ${base.protocol}: ${url}`);
  }
  base.pathname = base.pathname.replace(/\/?$/, "/");
  base.hash = "";
  if (options.delta) base.searchParams.set("delta", "splice");

  const { transport = "auto", openTimeoutMs = 2_500, silenceMs = 35_000 } = options;
  const { minMs = 500, maxMs = 30_000 } = options.backoff ?? {};
  assertPositive({ openTimeoutMs, silenceMs, minMs, maxMs });
  const WebSocket = options.WebSocket ?? globalThis.WebSocket;
  if (transport === "websocket" && !WebSocket) {
    throw new TypeError(
      "Cannot use WebSocket: this runtime has none, so options.WebSocket is needed",
    );
  }
  return {
    ...options,
    transport,
    openTimeoutMs,
    silenceMs,
    backoff: { minMs, maxMs, random: options.random ?? Math.random },
    WebSocket,
    // Called as a plain function: fetch refuses to be a method of anything but the global.
    fetch: options.fetch ?? ((input, init) => fetch(input, init)),
    base,
  };
}

/** @throws RangeError, with the name, when one of the numbers is not above 0. */
export function assertPositive(numbers: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(numbers)) {
    if (!(value > 0)) throw new RangeError(`Cannot use ${name}: ${value}`);
  }
}
