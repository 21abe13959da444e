/**
 * Text of an event stream in, events out. Knows no network; whoever feeds it has decoded UTF-8 and
 * dropped the byte order mark (`TextDecoder` does both).
 *
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
 */

/** One event. `event` is undefined when it has no name. Ids are passed over: positions are in the data. */
export interface StreamEvent {
  readonly event: string | undefined;
  readonly data: string;
}

/** What a parser tells, in the order of the stream. */
export interface ParserOptions {
  readonly onEvent: (event: StreamEvent) => void;
  /** A `retry:` field, ms. */
  readonly onRetry?: (retryMs: number) => void;
  /** Most characters held for an event that is not complete. Default 4 Mi. */
  readonly maxChars?: number;
}

/** An incremental parser. */
export interface Parser {
  /**
   * Takes the next piece of the stream, cut anywhere.
   *
   * @throws RangeError when the event in the making is larger than `maxChars`.
   */
  feed(chunk: string): void;
}

/** Makes a parser for one stream. */
export function createParser({ onEvent, onRetry, maxChars = 1 << 22 }: ParserOptions): Parser {
  let rest = "";
  let afterCr = false;
  let event: string | undefined;
  let data: string | undefined;

  function take(line: string): void {
    if (line === "") {
      if (data !== undefined) onEvent({ event, data });
      event = data = undefined;
      return;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    // An id, and a comment with its field "", fall through like what is unknown.
    if (field === "data") data = data === undefined ? value : `${data}\n${value}`;
    else if (field === "event") event = value || undefined;
    else if (field === "retry" && /^\d+$/.test(value)) onRetry?.(Number(value));
  }

  return {
    feed(chunk) {
      if (chunk === "") return;
      // A CR ends its line at once, so that an event never waits for the next chunk; the LF of a
      // CRLF that was cut in two is then not a line of its own.
      let start = afterCr && chunk[0] === "\n" ? 1 : 0;
      const terminator = /\r\n|\n|\r/g;
      terminator.lastIndex = start;
      // Only the new chunk is searched: a long line in many pieces stays linear.
      for (let found = terminator.exec(chunk); found; found = terminator.exec(chunk)) {
        const line = rest + chunk.slice(start, found.index);
        rest = "";
        start = terminator.lastIndex;
        take(line);
      }
      rest += chunk.slice(start);
      afterCr = chunk.endsWith("\r");
      if (rest.length + (data?.length ?? 0) > maxChars) {
        throw new RangeError(`Cannot read event stream: an event is larger than ${maxChars}`);
      }
    },
  };
}
