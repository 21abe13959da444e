/**
 * A SignalR client of the relay: its own joins, leaves, streams and shared calls are recognised and
 * answered as the origin would have answered.
 */

import { HubError, messageOf, Refusal, UnavailableError } from "../errors.ts";
import type { Format } from "../fanout/format.ts";
import type { Feed } from "../feed.ts";
import type { Subscriptions } from "../relay.ts";
import type { Socket, SocketHandler } from "../socket.ts";
import type { Parameters } from "../topic/template.ts";
import type { TopicSpec } from "../topic/topic.ts";
import type { HubMessage, Invocation, Raw, StreamInvocation } from "../wire/hub.ts";
import { jsonProtocol } from "../wire/json.ts";
import type { Context } from "./context.ts";
import {
  createHubReceiver,
  type HubConnection,
  type HubHandler,
  type HubLimits,
  type HubTransport,
} from "./hub.ts";
import type { Session } from "./sessions.ts";

/** Pushes as the origin wrote them. Staleness and resets have no words in SignalR. */
const pushFormat: Format = {
  name: "signalr-json",
  stateful: false,
  kept: true,
  publication: ({ event, raw }) =>
    jsonProtocol.print({
      type: "invocation",
      target: event,
      arguments: textOf(raw),
      values: [],
    }),
  notice: () => undefined,
  frame: joinText,
};

/** Items of a stream, for all clients that have given it this invocation id. */
function itemFormat(invocationId: string): Format {
  return {
    name: `signalr-json-stream ${invocationId}`,
    stateful: false,
    kept: false,
    publication: ({ raw }) =>
      jsonProtocol.print({ type: "streamItem", invocationId, item: textOf(raw), value: undefined }),
    notice: (notice) =>
      notice.type === "unsubscribed"
        ? jsonProtocol.print({
            type: "completion",
            invocationId,
            ...(notice.error === undefined ? {} : { error: notice.error }),
          })
        : undefined,
    frame: joinText,
  };
}

function joinText(renderings: Raw[]): string {
  return renderings.length === 1 ? textOf(renderings[0] as Raw) : renderings.join("");
}

function textOf(raw: Raw): string {
  if (typeof raw !== "string") throw new TypeError("Cannot splice: the feed is not JSON");
  return raw;
}

/** Streams of one connection at one time. */
const MAX_STREAMS = 100;

/** Serves one SignalR client over a WebSocket. */
export function acceptSignalRSocket(
  context: Context,
  feed: Feed<string>,
  limits: HubLimits,
  socket: Socket,
): SocketHandler {
  const { sessions, stats, wheel, clock } = context;
  const transport: HubTransport = {
    send: (frame) => socket.send(frame),
    get bufferedBytes() {
      return socket.bufferedBytes;
    },
    close() {
      sessions.remove(session);
      socket.close(1000);
    },
  };
  const receiver = createHubReceiver({
    transport,
    protocols: [jsonProtocol],
    wheel,
    now: clock.now,
    limits,
    open: (connection) => serve(context, feed, transport, connection),
  });
  const session: Session = {
    transport: "signalr-websocket",
    // When to come back cannot be said; stock clients have their own delays.
    drain: () => receiver.close({ allowReconnect: true }),
  };
  sessions.add(session);
  return {
    message(frame) {
      stats.receivedBytes += frame.length;
      receiver.receive(frame);
    },
    close() {
      receiver.gone();
      sessions.remove(session);
    },
  };
}

/** The meaning of a connection's messages. */
function serve(
  context: Context,
  feed: Feed<string>,
  transport: HubTransport,
  connection: HubConnection<string>,
): HubHandler<string> {
  const { relay, stats, limits } = context;
  const maxTopics = limits.topicsPerConnection;
  const streams = new Map<string, Subscriptions>();

  function onSlow(): void {
    stats.slowDisconnects++;
    connection.close({ error: "Too slow", allowReconnect: true });
  }

  const pushes = relay.subscriptions({ sink: transport, format: pushFormat, maxTopics, onSlow });

  function complete(
    invocationId: string | undefined,
    outcome: { result?: string; error?: string },
  ) {
    if (invocationId === undefined) return; // nobody waits for it
    connection.send({ type: "completion", invocationId, ...outcome });
  }

  /** Completes with what the promise brings, or with an error as the origin words it. */
  function answer(invocation: Invocation<string>, work: Promise<Raw | undefined>): void {
    const { invocationId, target } = invocation;
    work.then(
      (result) =>
        complete(invocationId, { result: result === undefined ? "null" : textOf(result) }),
      (error) => {
        if (!(error instanceof HubError)) stats.refusals++;
        complete(invocationId, { error: errorText(target, error) });
      },
    );
  }

  function onInvocation(invocation: Invocation<string>): void {
    const { invocationId, target, values } = invocation;
    for (const spec of feed.spec.topics) {
      const joined = spec.join?.match(target, values);
      if (joined) return answer(invocation, pushes.join(spec.template.print(joined)));
      const left = spec.leave?.match(target, values);
      if (left) {
        pushes.close(spec.template.print(left));
        return complete(invocationId, { result: "null" });
      }
      if (isStream(spec, target)) {
        const error = `The client attempted to invoke the streaming '${target}' method with a non-streaming invocation.`;
        return complete(invocationId, { error });
      }
    }
    const ttlMs = feed.spec.sharedCalls.get(target.toLowerCase());
    if (ttlMs === undefined) return complete(invocationId, { error: methodMissing(target) });
    stats.sharedCalls++;
    answer(
      invocation,
      feed.call(target, values, ttlMs).then(({ raw }) => raw),
    );
  }

  function onStreamInvocation({ invocationId, target, values }: StreamInvocation<string>): void {
    const refuse = (error: string) => complete(invocationId, { error });
    if (streams.has(invocationId))
      return refuse(`Invocation ID '${invocationId}' is already in use.`);
    let found: { spec: TopicSpec; parameters: Parameters } | undefined;
    for (const spec of feed.spec.topics) {
      const parameters = spec.stream?.match(target, values);
      if (parameters) found = { spec, parameters };
    }
    if (!found) return refuse(methodMissing(target));
    if (streams.size >= MAX_STREAMS) return refuse(`Cannot have more than ${MAX_STREAMS} streams`);
    const subscriptions = relay.subscriptions({
      sink: transport,
      format: itemFormat(invocationId),
      maxTopics: 1,
      onSlow,
      onEnded: () => streams.delete(invocationId),
    });
    streams.set(invocationId, subscriptions);
    subscriptions.join(found.spec.template.print(found.parameters)).catch((error) => {
      if (!streams.delete(invocationId)) return; // told by its format, or cancelled
      refuse(errorText(target, error));
    });
  }

  function onCancel(invocationId: string): void {
    const subscriptions = streams.get(invocationId);
    if (!subscriptions) return;
    streams.delete(invocationId);
    subscriptions.closeAll();
    connection.send({ type: "completion", invocationId });
  }

  return {
    onMessage(message: HubMessage<string>) {
      switch (message.type) {
        case "invocation":
          onInvocation(message);
          return;
        case "streamInvocation":
          onStreamInvocation(message);
          return;
        case "cancelInvocation":
          onCancel(message.invocationId);
          return;
        default: // items and completions of invocations that are not known here: .NET ignores them
      }
    },
    onClose() {
      pushes.closeAll();
      for (const subscriptions of streams.values()) subscriptions.closeAll();
      streams.clear();
    },
  };
}

function isStream(spec: TopicSpec, target: string): boolean {
  return spec.stream?.method.toLowerCase() === target.toLowerCase();
}

/** What .NET answers for a method that the hub has not. */
function methodMissing(target: string): string {
  return `Failed to invoke '${target}' due to an error on the server. HubException: Method does not exist.`;
}

/** The origin's own text where there is one, else one in the form that the origin gives its own. */
function errorText(target: string, error: unknown): string {
  if (error instanceof HubError) return error.message;
  if (error instanceof Refusal || error instanceof UnavailableError) {
    return `An unexpected error occurred invoking '${target}' on the server. HubException: ${messageOf(error)}`;
  }
  return `An unexpected error occurred invoking '${target}' on the server.`;
}
