/**
 * A format: one way to write publications and notices for clients. Downstream protocols make them
 * from the wire codecs and hand them in, so that fan-out knows no protocol.
 */

import type { Frame } from "../socket.ts";
import type { Message, Notice, Publication } from "../topic/publication.ts";
import type { Raw } from "../wire/hub.ts";

export interface Format {
  /** Distinct for each format; names the cohorts. */
  readonly name: string;
  /**
   * Whether its clients are shown state, resets and staleness. The others (SignalR) get every
   * publication as it comes, also before a topic's state has been made sure of after a break.
   */
  readonly stateful: boolean;
  /** Whether renderings are kept with the publication, by the function that made them. Not for a format that few clients share. */
  readonly kept: boolean;
  readonly publication: (publication: Publication) => Raw;
  /** Of a publication for those who may lack the one before it; absent: as `publication`. */
  readonly whole?: (publication: Publication) => Raw;
  /** @returns `undefined` when this format does not say such a thing */
  notice(notice: Exclude<Notice, { type: "newest" }>): Raw | undefined;
  /** Joins renderings into what is sent at once; there is at least one. */
  frame(renderings: Raw[]): Frame;
}

/** Renders a message, a publication at most once per format that keeps. */
export function render(format: Format, message: Message): Raw | undefined {
  if (message.type === "publication") return keep(format, message, format.publication);
  if (message.type !== "newest") return format.notice(message);
  return keep(format, message.publication, format.whole ?? format.publication);
}

function keep(
  format: Format,
  publication: Publication,
  print: (publication: Publication) => Raw,
): Raw {
  if (!format.kept) return print(publication);
  let rendering = publication.rendered.get(print);
  if (rendering === undefined) {
    rendering = print(publication);
    publication.rendered.set(print, rendering);
  }
  return rendering;
}

/** What is to be sent at once. */
export interface Batch {
  readonly frame: Frame;
  /** How many messages it holds. */
  readonly count: number;
}

/** @returns what is to be sent for these messages; `undefined` when the format says none of them */
export function renderAll(format: Format, messages: readonly Message[]): Batch | undefined {
  const renderings: Raw[] = [];
  for (const message of messages) {
    const rendering = render(format, message);
    if (rendering !== undefined) renderings.push(rendering);
  }
  if (renderings.length === 0) return undefined;
  return { count: renderings.length, frame: format.frame(renderings) };
}
