/**
 * Event stream text.
 *
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
 */

export interface ServerSentEvent {
  /** Absent: `message`. */
  readonly event?: string;
  /** May hold line feeds; they arrive as such. */
  readonly data: string;
  /** Becomes the client's `Last-Event-ID`. MUST hold no line feed and no NUL. */
  readonly id?: string;
  /** The client's wait before it reconnects, ms. */
  readonly retryMs?: number;
}

export function printEvent({ event, data, id, retryMs }: ServerSentEvent): string {
  let text = "";
  if (event !== undefined) text += `event: ${oneLine(event)}\n`;
  if (id !== undefined) text += `id: ${id}\n`;
  if (retryMs !== undefined) text += `retry: ${retryMs}\n`;
  // JSON text seldom holds a line break, and finding none is cheaper than replacing none.
  const lines = BREAK.test(data) ? data.replaceAll(BREAKS, "\ndata: ") : data;
  return `${text}data: ${lines}\n\n`;
}

const BREAK = /[\r\n]/;
const BREAKS = /\r\n|\r|\n/g;

/** The name of a hub's method may be any string; an event's name ends with its line. */
function oneLine(text: string): string {
  return BREAK.test(text) ? text.replaceAll(BREAKS, " ") : text;
}

/**
 * A comment, which clients skip.
 * @param bytes size of the whole; some proxies pass on nothing that is small
 */
export function printComment(bytes: number): string {
  return `:${" ".repeat(Math.max(0, bytes - 3))}\n\n`;
}
