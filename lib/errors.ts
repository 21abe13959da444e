/** Errors that peers may see, and the one table of our WebSocket close codes. */

/**
 * A peer sent what its protocol does not allow. The session that reads the peer catches it in one
 * place and ends that connection; nothing else is touched.
 */
export class ProtocolError extends SyntaxError {
  override readonly name = "ProtocolError";
}

/** The codes of PROTOCOL.md section 6. */
export type RefusalCode =
  | "invalid_message"
  | "invalid_request"
  | "invalid_topic"
  | "unknown_topic"
  | "too_many_topics"
  | "not_subscribed"
  | "rejected"
  | "overloaded"
  | "unavailable";

/** One request of a client is refused; its connection goes on. `message` is meant for the client. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly code: RefusalCode;
  /** The topic that was refused, when it was one. */
  readonly topic: string | undefined;

  constructor(code: RefusalCode, message: string, topic?: string) {
    super(message);
    this.code = code;
    this.topic = topic;
  }
}

/** The origin answered an invocation with an error; `message` is the origin's text, unchanged. */
export class HubError extends Error {
  override readonly name = "HubError";
}

/** The upstream connection is away, so that nothing can be asked of the origin now. */
export class UnavailableError extends Error {
  override readonly name = "UnavailableError";
}

/**
 * WebSocket close codes of `/ws`, PROTOCOL.md section 7. From 4000 to 4499: do not come back with
 * the same request; from 4500 to 4999: come back, with backoff.
 */
export const CloseCode = {
  normal: 1000,
  unsupportedData: 1003,
  tooLarge: 1009,
  restart: 1012,
  badMessage: 4400,
  tooSlow: 4508,
} as const;

/** Text of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
