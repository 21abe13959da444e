/**
 * From a connection's hub messages to the methods of a hub, and back to completions, with the error
 * texts of ASP.NET Core. Knows no contract: the methods are handed in.
 */
import type { z } from "zod";
import type { HubConnection, HubHandler } from "../../lib/downstream/hub.ts";
import type { Invocation, Raw, StreamInvocation } from "../../lib/wire/hub.ts";
import type { Rendering } from "./rendering.ts";

/** Thrown by a method: the one error whose message the caller is told. */
export class HubException extends Error {
  override readonly name = "HubException";
}

/** Writes an item of a stream. MUST NOT be called once the stream has been ended. */
export type Emit = (item: Rendering) => void;

/** A method that has its arguments. To run a stream starts it, and gives how to end it. */
export type Bound<Caller> =
  | { readonly kind: "call"; run(caller: Caller): unknown }
  | { readonly kind: "stream"; run(emit: Emit): () => void };

/** A method of a hub. */
export interface Method<Caller> {
  /** @returns `undefined` when these are not its arguments, by number or type */
  bind(values: readonly unknown[]): Bound<Caller> | undefined;
}

/** A method that answers at once. May throw {@link HubException}; `undefined` is answered as null. */
export function call<Caller, Arguments extends unknown[]>(
  parameters: z.ZodType<Arguments>,
  run: (caller: Caller, ...values: Arguments) => unknown,
): Method<Caller> {
  return {
    bind(values) {
      const { data } = parameters.safeParse(values);
      return data && { kind: "call", run: (caller) => run(caller, ...data) };
    },
  };
}

/**
 * A method that answers with a stream, until it is cancelled or the connection ends: `run` gives how
 * to end it. It may throw {@link HubException} instead of starting.
 */
export function stream<Arguments extends unknown[]>(
  parameters: z.ZodType<Arguments>,
  run: (emit: Emit, ...values: Arguments) => () => void,
): Method<unknown> {
  return {
    bind(values) {
      const { data } = parameters.safeParse(values);
      return data && { kind: "stream", run: (emit) => run(emit, ...data) };
    },
  };
}

/** The methods of a hub by name; callers may write a name in any case. */
export type Methods<Caller> = Readonly<Record<string, Method<Caller>>>;

export interface DispatchOptions<Caller> {
  readonly connection: HubConnection<Raw>;
  /** Handed to the methods: who calls. */
  readonly caller: Caller;
  readonly methods: Methods<Caller>;
  /** Streams the connection may have at one time; one more is refused. */
  readonly maxStreams: number;
  /** A method is about to run; `name` as it is declared. */
  onCall(name: string): void;
  /** The connection has ended, after its streams. */
  onClose(): void;
}

/** Listens to one connection. Methods run one after the other, in the order of the messages. */
export function createDispatcher<Caller>(options: DispatchOptions<Caller>): HubHandler<Raw> {
  const { connection, caller, methods, maxStreams, onCall, onClose } = options;
  const { protocol } = connection;
  /** How to end each running stream, by invocation id. */
  const streams = new Map<string, () => void>();

  function complete(
    invocationId: string | undefined,
    outcome: { readonly result?: Raw; readonly error?: string },
  ): void {
    // Without an id nobody waits, not even for an error.
    if (invocationId === undefined) return;
    connection.send({ type: "completion", invocationId, ...outcome });
  }

  function onInvocation({ invocationId, target, values, streamIds }: Invocation<Raw>): void {
    const refuse = (error: string): void => complete(invocationId, { error });
    const found = find(target, values);
    if ("error" in found) return refuse(found.error);
    const { name, bound } = found;
    if (bound.kind === "stream") return refuse(wrongKind(name, "streaming", "non-streaming"));
    if (streamIds) return refuse(thrown(name, unexpectedStreams(streamIds)));
    onCall(name);
    try {
      complete(invocationId, { result: protocol.encode(bound.run(caller)) });
    } catch (error) {
      refuse(thrown(name, error));
    }
  }

  function onStreamInvocation(message: StreamInvocation<Raw>): void {
    const { invocationId, target, values, streamIds } = message;
    const refuse = (error: string): void => complete(invocationId, { error });
    if (streams.has(invocationId)) {
      return refuse(`Invocation ID '${invocationId}' is already in use.`);
    }
    const found = find(target, values);
    if ("error" in found) return refuse(found.error);
    const { name, bound } = found;
    if (bound.kind === "call") return refuse(wrongKind(name, "non-streaming", "streaming"));
    if (streamIds) return refuse(thrown(name, unexpectedStreams(streamIds)));
    if (streams.size >= maxStreams) {
      const error = new HubException(`Cannot have more than ${maxStreams} streams`);
      return refuse(thrown(name, error));
    }
    onCall(name);
    try {
      const end = bound.run((item) => {
        connection.send({
          type: "streamItem",
          invocationId,
          item: item(protocol),
          value: undefined,
        });
      });
      streams.set(invocationId, end);
    } catch (error) {
      refuse(thrown(name, error));
    }
  }

  function onCancel(invocationId: string): void {
    const end = streams.get(invocationId);
    if (!end) return;
    streams.delete(invocationId);
    end();
    complete(invocationId, {});
  }

  /** Errors name a method as it is declared, and one that does not exist as the caller wrote it. */
  function find(
    target: string,
    values: readonly unknown[],
  ): { readonly name: string; readonly bound: Bound<Caller> } | { readonly error: string } {
    for (const [name, method] of Object.entries(methods)) {
      if (name.toLowerCase() !== target.toLowerCase()) continue;
      const bound = method.bind(values);
      return bound ? { name, bound } : { error: failed(name) };
    }
    return { error: `${failed(target)} HubException: Method does not exist.` };
  }

  return {
    onMessage(message) {
      switch (message.type) {
        case "invocation":
          return onInvocation(message);
        case "streamInvocation":
          return onStreamInvocation(message);
        case "cancelInvocation":
          return onCancel(message.invocationId);
        default: // items, completions, acks: of nothing we asked for, and .NET ignores them too
      }
    },
    onClose() {
      for (const end of streams.values()) end();
      streams.clear();
      onClose();
    },
  };
}

function failed(name: string): string {
  return `Failed to invoke '${name}' due to an error on the server.`;
}

type Kind = "streaming" | "non-streaming";

function wrongKind(name: string, method: Kind, invocation: Kind): string {
  return `The client attempted to invoke the ${method} '${name}' method with a ${invocation} invocation.`;
}

function unexpectedStreams(streamIds: readonly string[]): HubException {
  return new HubException(`Client sent ${streamIds.length} stream(s), Hub method expects 0.`);
}

/** Only a {@link HubException} may tell what went wrong. */
function thrown(name: string, error: unknown): string {
  const text = `An unexpected error occurred invoking '${name}' on the server.`;
  return error instanceof HubException ? `${text} HubException: ${error.message}` : text;
}
