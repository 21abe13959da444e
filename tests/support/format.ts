/** A format as bare as can be: each message is a line, a publication shows its sequence. */

import type { Format } from "../../lib/fanout/format.ts";

/** @param onRender called with the sequence of each publication that is rendered */
export function createFormat(
  options: Partial<Pick<Format, "name" | "stateful" | "kept">> = {},
  onRender: (sequence: number) => void = () => {},
): Format {
  return {
    name: "test",
    stateful: true,
    kept: true,
    publication({ sequence }) {
      onRender(sequence);
      return `${sequence}`;
    },
    notice: (notice) =>
      notice.type === "value" ? `(${notice.publication.sequence})` : notice.type,
    frame: (lines) => lines.join("\n"),
    ...options,
  };
}
