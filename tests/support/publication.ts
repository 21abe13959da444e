/** A publication, of which only what matters needs to be said. */

import type { Publication } from "../../lib/topic/publication.ts";

export function createPublication(fields: Partial<Publication> = {}): Publication {
  const { sequence = 1 } = fields;
  return {
    type: "publication",
    topic: "a",
    sequence,
    position: `x:${sequence}`,
    event: "Changed",
    raw: "[]",
    argumentCount: 0,
    key: "Changed",
    previous: undefined,
    time: 0,
    receivedAt: 0,
    rendered: new Map(),
    ...fields,
  };
}
