/**
 * Hub messages of SignalR as values, and what every hub protocol can do with them. Arguments, items
 * and results stay as their sender wrote them (`Raw`), so that they can be passed on unchanged.
 *
 * @see https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/HubProtocol.md
 */

/** A piece of a hub message as on the wire: JSON text, or MessagePack bytes. */
export type Raw = string | Uint8Array;

export interface Invocation<R extends Raw> {
  readonly type: "invocation";
  /** Absent when no completion is wanted. */
  readonly invocationId?: string;
  readonly target: string;
  /** The whole argument list: a JSON array, or a MessagePack array. */
  readonly arguments: R;
  /** The same list, decoded. */
  readonly values: readonly unknown[];
  /** Upload streams that belong to it; they are not in `arguments`. */
  readonly streamIds?: readonly string[];
}

export interface StreamInvocation<R extends Raw> extends Omit<Invocation<R>, "type"> {
  readonly type: "streamInvocation";
  readonly invocationId: string;
}

export interface StreamItem<R extends Raw> {
  readonly type: "streamItem";
  readonly invocationId: string;
  readonly item: R;
  /** The item, decoded. */
  readonly value: unknown;
}

/** At most one of `error` and `result`; neither at the end of a stream. */
export interface Completion<R extends Raw> {
  readonly type: "completion";
  readonly invocationId: string;
  readonly error?: string;
  readonly result?: R;
}

export interface CancelInvocation {
  readonly type: "cancelInvocation";
  readonly invocationId: string;
}

export interface Ping {
  readonly type: "ping";
}

export interface Close {
  readonly type: "close";
  readonly error?: string;
  readonly allowReconnect?: boolean;
}

/** Stateful reconnect only: everything up to `sequenceId` was processed. */
export interface Ack {
  readonly type: "ack";
  readonly sequenceId: number;
}

/** Stateful reconnect only: id of the first message that follows on a new socket. */
export interface Sequence {
  readonly type: "sequence";
  readonly sequenceId: number;
}

/** A message type we do not know: well-formed, and to be skipped. */
export interface Unknown {
  readonly type: "unknown";
  readonly code: number;
}

export type HubMessage<R extends Raw> =
  | Invocation<R>
  | StreamInvocation<R>
  | StreamItem<R>
  | Completion<R>
  | CancelInvocation
  | Ping
  | Close
  | Ack
  | Sequence;

/** Cuts the byte stream of one connection into whole records. */
export interface Framing<R extends Raw> {
  /**
   * Takes what a transport brought, text or bytes, cut anywhere.
   * @returns the records that are complete now, without their framing, in order
   * @throws {ProtocolError} when a record is larger than the limit, or its framing is broken
   */
  push(chunk: string | Uint8Array): R[];
}

export type ProtocolName = "json" | "messagepack";

/**
 * A hub protocol: pure functions between records and messages.
 *
 * Its members are declared as methods on purpose: who holds several protocols may hold each as a
 * `HubProtocol<Raw>`, as long as it feeds each only what came out of it.
 */
export interface HubProtocol<R extends Raw> {
  /** The name in the handshake. */
  readonly name: ProtocolName;
  readonly transferFormat: "Text" | "Binary";
  /** @param maxRecordBytes limit of one record, its framing included */
  createFraming(maxRecordBytes: number): Framing<R>;
  /**
   * Reads one record.
   * @param sender `"client"` for one that is to be held to every rule of ASP.NET Core's reader; an
   * origin writes what ASP.NET Core writes, and is read faster
   * @throws {ProtocolError} when it is not a hub message; the texts are those of ASP.NET Core
   */
  parse(record: R, sender?: "client"): HubMessage<R> | Unknown;
  /** Gives a record its framing again, so that it can be passed on as it came. */
  frame(record: R): R;
  /** Writes one message with its framing. `values` and `value` are not looked at. */
  print(message: HubMessage<R>): R;
  /** Reads a raw piece. */
  decode(raw: R): unknown;
  /** Writes a raw piece. */
  encode(value: unknown): R;
}
