/**
 * A SignalR client of the relay. Its own joins, leaves, streams and shared calls are recognised and
 * answered as the origin would have answered; everything else goes over its private lane as it is.
 */

import { HubError, messageOf, Refusal, UnavailableError } from "../errors.ts";
import type { Format } from "../fanout/format.ts";
import type { Sink } from "../fanout/sink.ts";
import type { Feed } from "../feed/feed.ts";
import type { Hub } from "../relay.ts";
import type { Subscriptions, SubscriptionsOptions } from "../subscriptions.ts";
import type { Parameters } from "../topic/template.ts";
import type { TopicSpec } from "../topic/topic.ts";
import type { Lane, LaneListener } from "../upstream/private.ts";
import type { Completion, HubMessage, Invocation, Raw, StreamInvocation } from "../wire/hub.ts";
import { CUT, isAway, unbroken, until } from "./below.ts";
import type { Context } from "./context.ts";
import { type HubClose, type HubConnection, type HubHandler, isCounted } from "./hub.ts";
import { itemFormat, pushFormat } from "./hub-format.ts";

/** Streams of one client at one time, beside those on its private lane. */
const MAX_STREAMS = 100;

/**
 * The meaning of one connection's messages.
 * @param lane `undefined` when the hub has no private lanes
 * @param options.isBelow whether the client is a relay, whose origin is this one
 * @returns who is to be told what comes from the client
 */
export function serveSignalR(
  context: Context,
  hub: Hub,
  lane: Lane | undefined,
  connection: HubConnection<Raw>,
  { isBelow }: { readonly isBelow: boolean } = { isBelow: false },
): HubHandler<Raw> {
  const client = new Client(context, hub, { lane, connection, isBelow });
  lane?.listen(client);
  return client;
}

interface ClientOptions {
  readonly lane: Lane | undefined;
  readonly connection: HubConnection<Raw>;
  readonly isBelow: boolean;
}

/** A class: there is one for each connection, and closures would take several times the memory. */
class Client implements HubHandler<Raw>, LaneListener, SubscriptionsOptions {
  readonly #context: Context;
  readonly #hub: Hub;
  readonly #lane: Lane | undefined;
  readonly #connection: HubConnection<Raw>;
  readonly #isBelow: boolean;
  readonly #pushes: Subscriptions;
  /** By invocation id. Few connections have any. */
  #streams: Map<string, Subscriptions> | undefined;
  /** Whether the private lane carried anything. */
  #isNeeded = false;
  #isOver = false;

  constructor(context: Context, hub: Hub, { lane, connection, isBelow }: ClientOptions) {
    this.#context = context;
    this.#hub = hub;
    this.#lane = lane;
    this.#connection = connection;
    this.#isBelow = isBelow;
    this.#pushes = context.relay.subscriptions(this);
    // What is pushed to everybody comes without being asked for.
    for (const { template, join, stream } of hub.spec.topics) {
      if (!join && !stream && template.names.length === 0) this.#pushes.follow(template.text);
    }
  }

  // Of the subscriptions

  get sink(): Sink {
    return this.#connection.transport.sink;
  }

  get format(): Format {
    const { protocol, transport } = this.#connection;
    return this.#shown(pushFormat(protocol.name, transport.kind));
  }

  get feed(): Feed<Raw> {
    return this.#hub[this.#connection.protocol.name];
  }

  get maxTopics(): number {
    return this.#context.limits.topicsPerConnection;
  }

  onSlow(): void {
    this.#context.stats.slowDisconnects++;
    this.#connection.close({ error: "Too slow", allowReconnect: true });
  }

  // From the client

  onMessage(message: HubMessage<Raw>, record: Raw): void {
    switch (message.type) {
      case "invocation":
        return this.#onInvocation(message, record);
      case "streamInvocation":
        return this.#onStreamInvocation(message, record);
      case "cancelInvocation":
        if (this.#cancel(message.invocationId)) return;
    }
    // Items and results belong to invocations on the private lane; .NET ignores all others.
    if (this.#lane?.isOpen) this.#lane.pass(this.#connection.protocol.frame(record), undefined);
  }

  onClose(): void {
    this.#isOver = true;
    this.#pushes.closeAll();
    for (const subscriptions of this.#streams?.values() ?? []) subscriptions.closeAll();
    this.#streams?.clear();
    if (this.#lane?.isOpen && !this.#isNeeded) this.#context.stats.privateUnneeded++;
    this.#lane?.close();
  }

  // From the private lane

  onLaneMessage(message: HubMessage<Raw>, record: Raw): void {
    if (message.type === "invocation" && this.#isShared(message)) return;
    if (isCounted(message)) this.#isNeeded = true;
    this.#connection.pass(this.#connection.protocol.frame(record), isCounted(message));
  }

  onLaneEnd(close: HubClose | undefined): void {
    if (close) this.#connection.close(close);
    else this.#connection.cut();
  }

  onLaneRefused(invocationIds: readonly string[], reason: string): void {
    for (const invocationId of invocationIds) {
      this.#complete(invocationId, { error: `The origin cannot be reached: ${reason}` });
    }
  }

  #shown(format: Format): Format {
    return this.#isBelow ? unbroken(format, this.#connection.protocol) : format;
  }

  #complete(
    invocationId: string | undefined,
    outcome: Pick<Completion<Raw>, "result" | "error">,
  ): void {
    if (this.#isOver || invocationId === undefined) return; // nobody waits for it
    this.#connection.send({ type: "completion", invocationId, ...outcome });
    // Who asks and does not read is slow, too.
    if (this.sink.bufferedBytes > this.#context.limits.queueBytes) this.onSlow();
  }

  /** @returns whether it is over: a relay below would pass this on as the origin's word */
  #cutFor(error: unknown): boolean {
    const isCut = this.#isBelow && isAway(error);
    if (isCut) this.#connection.close(CUT);
    return isCut;
  }

  /** A relay below is told that it has joined once nothing is missing from there on. */
  async #join(topic: string): Promise<Raw | undefined> {
    const pushes = this.#pushes;
    for (;;) {
      const result = await pushes.join(topic);
      if (!this.#isBelow) return result;
      const isSettled = () => this.#isOver || pushes.isLive(topic) || !pushes.has(topic);
      await until(this.#context.clock, isSettled, Number.POSITIVE_INFINITY);
      // Accepted once, it may be refused when it is joined again after a break.
      if (this.#isOver || pushes.isLive(topic)) return result;
    }
  }

  /** Completes with what the promise brings, or with an error as the origin words it. */
  #answer({ invocationId, target }: Invocation<Raw>, work: Promise<Raw | undefined>): void {
    const { protocol } = this.#connection;
    work.then(
      (result) => this.#complete(invocationId, { result: result ?? protocol.encode(null) }),
      (error) => {
        if (!(error instanceof HubError)) this.#context.stats.refusals++;
        if (this.#cutFor(error)) return;
        this.#complete(invocationId, { error: errorText(target, error) });
      },
    );
  }

  #onInvocation(invocation: Invocation<Raw>, record: Raw): void {
    const { invocationId, target, values, streamIds } = invocation;
    const { spec } = this.#hub;
    if (streamIds) return this.#pass(invocation, record);
    for (const topic of spec.topics) {
      const joined = topic.join?.match(target, values);
      if (joined) return this.#answer(invocation, this.#join(topic.template.print(joined)));
      const left = topic.leave?.match(target, values);
      if (left && this.#pushes.close(topic.template.print(left))) {
        return this.#complete(invocationId, { result: this.#connection.protocol.encode(null) });
      }
      if (this.#lane === undefined && isStream(topic, target)) {
        const error = `The client attempted to invoke the streaming '${target}' method with a non-streaming invocation.`;
        return this.#complete(invocationId, { error });
      }
    }
    const ttlMs = spec.sharedCalls.get(target.toLowerCase());
    if (ttlMs === undefined) return this.#pass(invocation, record);
    this.#context.stats.sharedCalls++;
    this.#answer(
      invocation,
      // What was asked for earlier may lack what a relay below has not been told, either.
      this.feed.call(target, values, this.#isBelow ? 0 : ttlMs).then(({ raw }) => raw),
    );
  }

  #onStreamInvocation(invocation: StreamInvocation<Raw>, record: Raw): void {
    const { invocationId, target, values, streamIds } = invocation;
    const { protocol, transport } = this.#connection;
    const maxStreams = this.#isBelow ? this.maxTopics : MAX_STREAMS;
    const refuse = (error: string) => this.#complete(invocationId, { error });
    this.#streams ??= new Map();
    const streams = this.#streams;
    if (streams.has(invocationId)) {
      return refuse(`Invocation ID '${invocationId}' is already in use.`);
    }
    const found = streamIds ? undefined : findStream(this.#hub.spec.topics, target, values);
    if (!found) return this.#pass(invocation, record);
    if (streams.size >= maxStreams) return refuse(`Cannot have more than ${maxStreams} streams`);
    const subscriptions = this.#context.relay.subscriptions({
      sink: this.sink,
      format: this.#shown(itemFormat(protocol, transport.kind, invocationId)),
      feed: this.feed,
      maxTopics: 1,
      onSlow: () => this.onSlow(),
      onEnded: () => streams.delete(invocationId),
    });
    streams.set(invocationId, subscriptions);
    subscriptions.join(found).catch((error) => {
      if (!streams.delete(invocationId)) return; // told by its format, or cancelled
      if (this.#cutFor(error)) return;
      refuse(errorText(target, error));
    });
  }

  /** @returns whether it was a shared stream */
  #cancel(invocationId: string): boolean {
    const subscriptions = this.#streams?.get(invocationId);
    if (!subscriptions) return false;
    this.#streams?.delete(invocationId);
    subscriptions.closeAll();
    this.#connection.send({ type: "completion", invocationId });
    return true;
  }

  /** Over the private lane, as it came. */
  #pass(invocation: Invocation<Raw> | StreamInvocation<Raw>, record: Raw): void {
    const { invocationId, target } = invocation;
    const { methods, undeclared } = this.#hub.spec;
    const policy = methods.get(target.toLowerCase()) ?? undeclared;
    if (!this.#lane || policy === "deny") {
      this.#context.stats.refusals++;
      return this.#complete(invocationId, { error: methodMissing(target) });
    }
    this.#isNeeded = true;
    if (this.#lane.pass(this.#connection.protocol.frame(record), invocationId)) return;
    this.#connection.close({ error: "Too many messages before the origin was reached" });
  }

  /** Whether a push of the private lane comes over the shared lane, too. */
  #isShared({ target, values }: Invocation<Raw>): boolean {
    const topic = this.#hub.spec.events.get(target)?.(values);
    return topic !== undefined && this.#pushes.isLive(topic);
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
