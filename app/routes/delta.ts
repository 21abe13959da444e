/** The query parameter `delta` of `/ws` and `/sse`: PROTOCOL.md section 8. */

import { Refusal } from "../../lib/errors.ts";

/**
 * Whether publications shall come as deltas.
 * @throws {Refusal} `invalid_request` when it asks for deltas of a kind that is not known
 */
export function readDelta(query: URLSearchParams): boolean {
  const value = query.get("delta");
  if (value === null || value === "splice") return value !== null;
  throw new Refusal("invalid_request", `Query parameter "delta" must be splice, not "${value}"`);
}
