/** The messages of the plain protocols as a client of a numbering hub reads them. */

/** What a numbering hub publishes on a topic `{kind}/{id}`, with the kind for a target. */
export interface Numbered {
  readonly id: number;
  /** Rises by one with each publication of the topic. */
  readonly number: number;
}

/** PROTOCOL.md section 3, in both plain protocols. */
export interface PlainMessage {
  readonly type: string;
  readonly topic: string;
  readonly position?: string;
  readonly data?: Numbered;
  readonly reason?: string;
  readonly snapshot?: { readonly number: number };
  readonly recovered?: boolean;
  readonly state?: "live" | "stale";
}

/** Reads the messages of one frame of `/ws`. Heartbeats and the like have no topic. */
export function readFrame(text: string): PlainMessage[] {
  return text.split("\n").map((line) => JSON.parse(line) as PlainMessage); // the witness checks them
}

/** Reads one event of `/sse`; `undefined` when it is a comment or says when to come back. */
export function readEvent(text: string): PlainMessage | undefined {
  let event = "";
  let position: string | undefined;
  let json: string | undefined;
  for (const line of text.split("\n")) {
    if (line.startsWith("event: ")) event = line.slice("event: ".length);
    else if (line.startsWith("data: ")) json = line.slice("data: ".length);
    else if (line.startsWith("id: ")) position = line.slice("id: ".length);
  }
  if (json === undefined) return undefined;
  const at = position === undefined ? {} : { position };
  const fields = JSON.parse(json);
  if (event.startsWith("keryx.")) return { type: event.slice("keryx.".length), ...at, ...fields };
  return { type: "publication", topic: `${event}/${fields.id}`, ...at, data: fields };
}
