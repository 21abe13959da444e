/**
 * One life of a SignalR client connection over WebSocket: negotiate, connect, handshake, live,
 * closed. Whoever wants the next life opens another.
 *
 * @see https://github.com/dotnet/aspnetcore/tree/main/src/SignalR/docs/specs
 */

import type { Clock, Timer } from "../clock.ts";
import { HubError, messageOf, ProtocolError } from "../errors.ts";
import type { Log } from "../log.ts";
import { byteLength, type Dial, type Frame, type Socket } from "../socket.ts";
import type { Stats } from "../stats.ts";
import {
  createHandshakeReader,
  parseHandshakeResponse,
  printHandshakeRequest,
} from "../wire/handshake.ts";
import type { Close, HubMessage, HubProtocol, Raw, Unknown } from "../wire/hub.ts";
import { parseNegotiateResponse } from "../wire/negotiate.ts";

export interface ConnectionOptions<R extends Raw> {
  /** The hub's URL, http or https; its query is kept. */
  readonly url: string;
  readonly protocol: HubProtocol<R>;
  readonly fetch: typeof fetch;
  readonly dial: Dial;
  readonly clock: Clock;
  readonly stats: Stats;
  readonly log: Log;
  /** Sent with negotiate and the upgrade. */
  readonly headers: Readonly<Record<string, string>>;
  /** Asked before each negotiate; `undefined` sends none. */
  accessToken?(): Promise<string | undefined>;
  /** The token of a connection that has been negotiated already; negotiated here when it is not said. */
  readonly token?: string | undefined;
  /** Negotiate, connect and handshake must each be done within this, ms. */
  readonly handshakeTimeoutMs: number;
  /** A ping is sent when nothing else was for this long, ms. */
  readonly keepAliveMs: number;
  /** The connection is dead when nothing came for this long, ms. */
  readonly serverTimeoutMs: number;
  /** Largest record that is taken, bytes. */
  readonly maxMessageBytes: number;
  /** Ends the attempt or the connection. */
  readonly signal: AbortSignal;
  /** The handshake has succeeded. Called before anything that came with its answer is told. */
  onLive(connection: Connection<R>): void;
  /** Something came, be it a ping. */
  onHeard(): void;
  /** @param record the message as it came, without its framing */
  onMessage(message: HubMessage<R>, record: R): void;
  /** Once, and only after the connection was live. */
  onClose(end: ConnectionEnd): void;
}

export interface ConnectionEnd {
  /** For the log: what ended it. */
  readonly reason: string;
  /** Whether the origin asked, by a Close message without `allowReconnect`, not to come back. */
  readonly refused: boolean;
  /** The origin's Close message, if it sent one. */
  readonly close?: Omit<Close, "type">;
}

export interface Connection<R extends Raw> {
  send(message: HubMessage<R>): void;
  /** Sends one framed message as it is. */
  pass(framed: R): void;
  /** Says goodbye and closes. */
  close(): void;
}

/** As many as the official clients follow. */
const MAX_REDIRECTS = 100;

/**
 * Opens a connection.
 * @returns a promise that resolves when it is live, after `onLive`; it rejects with `HubError` when the origin refused the
 * handshake, else with an `Error` that says at which step it failed
 */
export async function openConnection<R extends Raw>(options: ConnectionOptions<R>): Promise<void> {
  const { signal, handshakeTimeoutMs, clock } = options;
  const attempt = new AbortController();
  const abort = () => attempt.abort(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  let step = "negotiate";
  let timer: Timer | undefined;
  const aborted = new Promise<never>((_, reject) => {
    attempt.signal.addEventListener("abort", () => reject(attempt.signal.reason), { once: true });
  });
  aborted.catch(() => {}); // heard by the step at hand, if there is one
  const timed = <T>(name: string, work: Promise<T>): Promise<T> => {
    step = name;
    timer?.cancel();
    timer = clock.after(handshakeTimeoutMs, () =>
      attempt.abort(new Error(`Timed out after ${handshakeTimeoutMs} ms`)),
    );
    return Promise.race([work, aborted]);
  };
  try {
    const target: Target =
      options.token === undefined
        ? await timed("negotiate", negotiate(options, attempt.signal))
        : { url: options.url, token: options.token, accessToken: undefined };
    const session = createSession(options, attempt);
    const url = new URL(target.url);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.searchParams.set("id", target.token);
    await timed(
      "connect",
      options.dial(url.href, {
        headers: { ...options.headers, ...bearer(target.accessToken) },
        signal: attempt.signal,
        accept: session.accept,
      }),
    );
    await timed("handshake", session.handshake());
  } catch (error) {
    const cause = attempt.signal.aborted ? attempt.signal.reason : error;
    attempt.abort(cause);
    if (cause instanceof HubError) throw cause;
    throw new Error(`Cannot ${step}: ${messageOf(cause)}`, { cause });
  } finally {
    timer?.cancel();
    signal.removeEventListener("abort", abort);
  }
}

interface Target {
  readonly url: string;
  readonly token: string;
  readonly accessToken: string | undefined;
}

async function negotiate<R extends Raw>(
  { url, fetch, headers, accessToken }: ConnectionOptions<R>,
  signal: AbortSignal,
): Promise<Target> {
  let token = await accessToken?.();
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    const request = new URL(url);
    request.pathname = `${request.pathname.replace(/\/$/, "")}/negotiate`;
    request.searchParams.set("negotiateVersion", "1");
    const response = await fetch(request, {
      method: "POST",
      headers: { ...headers, ...bearer(token) },
      signal,
    });
    const body = await response.text();
    if (response.status !== 200) {
      throw new Error(`${request.origin}${request.pathname} answered ${response.status}`);
    }
    const answer = parseNegotiateResponse(body);
    if ("error" in answer) throw new Error(answer.error);
    if ("url" in answer) {
      url = new URL(answer.url, url).href;
      token = answer.accessToken ?? token;
      continue;
    }
    if (!answer.availableTransports.some(({ transport }) => transport === "WebSockets")) {
      throw new Error("The origin does not offer WebSockets");
    }
    return { url, token: answer.connectionToken ?? answer.connectionId, accessToken: token };
  }
  throw new Error("Negotiate redirection limit exceeded.");
}

function bearer(token: string | undefined): Record<string, string> {
  return token === undefined ? {} : { authorization: `Bearer ${token}` };
}

function createSession<R extends Raw>(options: ConnectionOptions<R>, attempt: AbortController) {
  const { protocol, clock, stats, log, signal, onMessage, onClose, onHeard } = options;
  const { keepAliveMs, serverTimeoutMs, maxMessageBytes } = options;
  let socket: Socket | undefined;
  let state: "connecting" | "handshaking" | "live" | "closed" = "connecting";
  let settle: { resolve(): void; reject(error: Error): void } | undefined;
  const shaken = new Promise<void>((resolve, reject) => {
    settle = { resolve, reject };
  });
  shaken.catch(() => {}); // heard by handshake(), unless the connection fails before it
  const opening = createHandshakeReader(maxMessageBytes);
  const framing = protocol.createFraming(maxMessageBytes);
  let lastHeardAt = 0;
  let lastSentAt = 0;
  let watch: Timer | undefined;

  function end(reason: string, close?: Omit<Close, "type">): void {
    if (state === "closed") return;
    const wasLive = state === "live";
    state = "closed";
    watch?.cancel();
    signal.removeEventListener("abort", onAbort);
    socket?.close(1000);
    if (wasLive) {
      stats.upstreamConnections--;
      const refused = close !== undefined && close.allowReconnect !== true;
      onClose({ reason, refused, ...(close ? { close } : {}) });
    } else settle?.reject(new Error(reason));
  }

  function onAbort(): void {
    close();
  }

  function write(frame: Frame): void {
    lastSentAt = clock.now();
    stats.upstreamSentBytes += byteLength(frame);
    socket?.send(frame);
  }

  function close(): void {
    if (state === "live") write(protocol.print({ type: "close" }));
    end("closed by the relay");
  }

  function goLive(): void {
    state = "live";
    stats.upstreamConnections++;
    stats.upstreamConnects++;
    // From here on the caller's signal ends it; that of the attempt has done its work.
    signal.addEventListener("abort", onAbort, { once: true });
    const periodMs = Math.min(1000, keepAliveMs / 2);
    watch = clock.every(periodMs, () => {
      const now = clock.now();
      if (now - lastHeardAt >= serverTimeoutMs) {
        end(`nothing came from the origin for ${serverTimeoutMs} ms`);
      } else if (now - lastSentAt >= keepAliveMs - periodMs) {
        write(protocol.print({ type: "ping" }));
      }
    });
    settle?.resolve();
    options.onLive(connection);
    // As the official clients do: the first ping arms the server's own timeout.
    write(protocol.print({ type: "ping" }));
  }

  function onRecord(record: R): void {
    if (state === "closed") return; // a Close message stood before it in the frame
    stats.upstreamMessages++;
    let message: HubMessage<R> | Unknown;
    try {
      message = protocol.parse(record);
    } catch (error) {
      // Skipped, not fatal: the next connection would bring the same one again.
      stats.malformedMessages++;
      const text = typeof record === "string" ? record.slice(0, 200) : `${record.length} bytes`;
      log.error({ error: messageOf(error), record: text }, "cannot read a message of the origin");
      return;
    }
    switch (message.type) {
      case "unknown":
        stats.malformedMessages++;
        log.warn({ type: message.code }, "unknown type of message from the origin");
        return;
      case "ping":
        return;
      case "close": {
        const { type, ...close } = message;
        end(message.error ?? "closed by the origin", close);
        return;
      }
      default:
        onMessage(message, record);
    }
  }

  function onFrame(frame: Frame): void {
    lastHeardAt = clock.now();
    stats.upstreamReceivedBytes += byteLength(frame);
    onHeard();
    try {
      if (state === "handshaking") {
        const reply = opening.push(frame);
        if (!reply) return;
        const error = parseHandshakeResponse(reply.record);
        if (error !== undefined) {
          settle?.reject(new HubError(error));
          end(error);
          return;
        }
        goLive();
        frame = reply.rest; // the server may go on in the same frame
      }
      for (const record of framing.push(frame)) onRecord(record);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      stats.malformedMessages++;
      end(messageOf(error));
    }
  }

  const connection: Connection<R> = {
    send(message) {
      if (state === "live") write(protocol.print(message));
    },
    pass(framed) {
      if (state === "live") write(framed);
    },
    close,
  };

  return {
    accept(opened: Socket) {
      socket = opened;
      if (attempt.signal.aborted) end("aborted");
      else {
        state = "handshaking";
        write(printHandshakeRequest({ protocol: protocol.name, version: 1 }));
      }
      return {
        message: onFrame,
        close: (code: number, reason: string) =>
          end(`connection closed (${code}${reason ? ` ${reason}` : ""})`),
      };
    },
    handshake(): Promise<void> {
      attempt.signal.addEventListener(
        "abort",
        () => {
          if (state !== "live") end(messageOf(attempt.signal.reason));
        },
        { once: true },
      );
      return shaken;
    },
  };
}
