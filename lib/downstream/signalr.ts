/**
 * A SignalR client of the relay. Its own joins, leaves, streams and shared calls are recognised and
 * answered as the origin would have answered; everything else goes over its private lane as it is.
 */

import { HubError, messageOf, Refusal, UnavailableError } from "../errors.ts";
import type { Format } from "../fanout/format.ts";
import type { Hub } from "../relay.ts";
import type { Subscriptions } from "../subscriptions.ts";
import type { Parameters } from "../topic/template.ts";
import type { TopicSpec } from "../topic/topic.ts";
import type { Lane, LaneListener } from "../upstream/private.ts";
import type { Completion, Invocation, Raw, StreamInvocation } from "../wire/hub.ts";
import { CUT, isAway, unbroken, until } from "./below.ts";
import type { Context } from "./context.ts";
import { type HubConnection, type HubHandler, isCounted } from "./hub.ts";
import { itemFormat, pushFormat } from "./hub-format.ts";

/** Streams of one client at one time, beside those on its private lane. */
const MAX_STREAMS = 100;

export interface SignalRClient {
  readonly handler: HubHandler<Raw>;
  /** To be told what comes over the private lane. */
  readonly lane: LaneListener;
}

/**
 * The meaning of one connection's messages.
 * @param lane `undefined` when the hub has no private lanes
 * @param options.isBelow whether the client is a relay, whose origin is this one
 */
export function serveSignalR(
  context: Context,
  hub: Hub,
  lane: Lane | undefined,
  connection: HubConnection<Raw>,
  { isBelow }: { readonly isBelow: boolean } = { isBelow: false },
): SignalRClient {
  const { relay, stats, limits, clock } = context;
  const { protocol, transport } = connection;
  const { sink, kind } = transport;
  const { spec } = hub;
  const feed = hub[protocol.name];
  const maxTopics = limits.topicsPerConnection;
  const maxStreams = isBelow ? maxTopics : MAX_STREAMS;
  const shown = (format: Format) => (isBelow ? unbroken(format, protocol) : format);
  const streams = new Map<string, Subscriptions>();
  /** Whether the private lane carried anything. */
  let needed = false;
  let isOver = false;

  const pushes = relay.subscriptions({
    sink,
    format: shown(pushFormat(protocol.name, kind)),
    feed,
    maxTopics,
    onSlow,
  });
  // What is pushed to everybody comes without being asked for.
  for (const { template, join, stream } of spec.topics) {
    if (!join && !stream && template.names.length === 0) pushes.follow(template.text);
  }

  function onSlow(): void {
    stats.slowDisconnects++;
    connection.close({ error: "Too slow", allowReconnect: true });
  }

  function complete(
    invocationId: string | undefined,
    outcome: Pick<Completion<Raw>, "result" | "error">,
  ): void {
    if (isOver || invocationId === undefined) return; // nobody waits for it
    connection.send({ type: "completion", invocationId, ...outcome });
    // Who asks and does not read is slow, too.
    if (sink.bufferedBytes > limits.queueBytes) onSlow();
  }

  /** @returns whether it is over: a relay below would pass this on as the origin's word */
  function cutFor(error: unknown): boolean {
    const isCut = isBelow && isAway(error);
    if (isCut) connection.close(CUT);
    return isCut;
  }

  /** A relay below is told that it has joined once nothing is missing from there on. */
  async function join(topic: string): Promise<Raw | undefined> {
    for (;;) {
      const result = await pushes.join(topic);
      if (!isBelow) return result;
      const isSettled = () => isOver || pushes.isLive(topic) || !pushes.has(topic);
      await until(clock, isSettled, Number.POSITIVE_INFINITY);
      // Accepted once, it may be refused when it is joined again after a break.
      if (isOver || pushes.isLive(topic)) return result;
    }
  }

  /** Completes with what the promise brings, or with an error as the origin words it. */
  function answer(invocation: Invocation<Raw>, work: Promise<Raw | undefined>): void {
    const { invocationId, target } = invocation;
    work.then(
      (result) => complete(invocationId, { result: result ?? protocol.encode(null) }),
      (error) => {
        if (!(error instanceof HubError)) stats.refusals++;
        if (cutFor(error)) return;
        complete(invocationId, { error: errorText(target, error) });
      },
    );
  }

  function onInvocation(invocation: Invocation<Raw>, record: Raw): void {
    const { invocationId, target, values, streamIds } = invocation;
    if (streamIds) return pass(invocation, record);
    for (const topic of spec.topics) {
      const joined = topic.join?.match(target, values);
      if (joined) return answer(invocation, join(topic.template.print(joined)));
      const left = topic.leave?.match(target, values);
      if (left && pushes.close(topic.template.print(left))) {
        return complete(invocationId, { result: protocol.encode(null) });
      }
      if (lane === undefined && isStream(topic, target)) {
        const error = `The client attempted to invoke the streaming '${target}' method with a non-streaming invocation.`;
        return complete(invocationId, { error });
      }
    }
    const ttlMs = spec.sharedCalls.get(target.toLowerCase());
    if (ttlMs === undefined) return pass(invocation, record);
    stats.sharedCalls++;
    answer(
      invocation,
      // What was asked for earlier may lack what a relay below has not been told, either.
      feed.call(target, values, isBelow ? 0 : ttlMs).then(({ raw }) => raw),
    );
  }

  function onStreamInvocation(invocation: StreamInvocation<Raw>, record: Raw): void {
    const { invocationId, target, values, streamIds } = invocation;
    const refuse = (error: string) => complete(invocationId, { error });
    if (streams.has(invocationId)) {
      return refuse(`Invocation ID '${invocationId}' is already in use.`);
    }
    const found = streamIds ? undefined : findStream(spec.topics, target, values);
    if (!found) return pass(invocation, record);
    if (streams.size >= maxStreams) return refuse(`Cannot have more than ${maxStreams} streams`);
    const subscriptions = relay.subscriptions({
      sink,
      format: shown(itemFormat(protocol, kind, invocationId)),
      feed,
      maxTopics: 1,
      onSlow,
      onEnded: () => streams.delete(invocationId),
    });
    streams.set(invocationId, subscriptions);
    subscriptions.join(found).catch((error) => {
      if (!streams.delete(invocationId)) return; // told by its format, or cancelled
      if (cutFor(error)) return;
      refuse(errorText(target, error));
    });
  }

  /** @returns whether it was a shared stream */
  function cancel(invocationId: string): boolean {
    const subscriptions = streams.get(invocationId);
    if (!subscriptions) return false;
    streams.delete(invocationId);
    subscriptions.closeAll();
    connection.send({ type: "completion", invocationId });
    return true;
  }

  /** Over the private lane, as it came. */
  function pass(invocation: Invocation<Raw> | StreamInvocation<Raw>, record: Raw): void {
    const { invocationId, target } = invocation;
    const policy = spec.methods.get(target.toLowerCase()) ?? spec.undeclared;
    if (!lane || policy === "deny") {
      stats.refusals++;
      return complete(invocationId, { error: methodMissing(target) });
    }
    needed = true;
    if (lane.pass(protocol.frame(record), invocationId)) return;
    connection.close({ error: "Too many messages before the origin was reached" });
  }

  return {
    handler: {
      onMessage(message, record) {
        switch (message.type) {
          case "invocation":
            return onInvocation(message, record);
          case "streamInvocation":
            return onStreamInvocation(message, record);
          case "cancelInvocation":
            if (cancel(message.invocationId)) return;
        }
        // Items and results belong to invocations on the private lane; .NET ignores all others.
        if (lane?.isOpen) lane.pass(protocol.frame(record), undefined);
      },
      onClose() {
        isOver = true;
        pushes.closeAll();
        for (const subscriptions of streams.values()) subscriptions.closeAll();
        streams.clear();
        if (lane?.isOpen && !needed) stats.privateUnneeded++;
        lane?.close();
      },
    },
    lane: {
      onMessage(message, record) {
        if (message.type === "invocation" && isShared(message)) return;
        if (isCounted(message)) needed = true;
        connection.pass(protocol.frame(record), isCounted(message));
      },
      onEnd(close) {
        if (close) connection.close(close);
        else connection.cut();
      },
      onRefused(invocationIds, reason) {
        for (const invocationId of invocationIds) {
          complete(invocationId, { error: `The origin cannot be reached: ${reason}` });
        }
      },
    },
  };

  /** Whether a push of the private lane comes over the shared lane, too. */
  function isShared({ target, values }: Invocation<Raw>): boolean {
    const topic = spec.events.get(target)?.(values);
    return topic !== undefined && pushes.isLive(topic);
  }
}

function findStream(
  topics: readonly TopicSpec[],
  target: string,
  values: readonly unknown[],
): string | undefined {
  for (const { stream, template } of topics) {
    const parameters: Parameters | undefined = stream?.match(target, values);
    if (parameters) return template.print(parameters);
  }
  return undefined;
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
  const text = `An unexpected error occurred invoking '${target}' on the server.`;
  const isOurs = error instanceof Refusal || error instanceof UnavailableError;
  return isOurs ? `${text} HubException: ${messageOf(error)}` : text;
}
