/** Where the relay differs from ASP.NET Core on purpose, or because its runtime does. The test holds it to this. */

import type { RuntimeName } from "../../support/runtimes.ts";

/** Where it is so: on all runtimes unless it is said. */
interface Reason {
  readonly reason: string;
  readonly on?: readonly RuntimeName[];
}

export interface Difference extends Reason {
  /** By case: lines of ASP.NET Core's transcript that are not in the relay's, and the other way round. */
  readonly cases: Readonly<Record<string, readonly string[]>>;
}

/** Header fields that are not compared. */
export const HEADERS: readonly (Reason & { readonly header: string })[] = [
  { header: "date", reason: "it is the time" },
  { header: "server", reason: "the relay does not say what it is" },
  { header: "vary", reason: "what depends on the web origin must not be cached for another" },
  {
    header: "access-control-allow-credentials",
    reason: "the relay has a policy for web origins whether one is allowed or not",
  },
  {
    header: "access-control-expose-headers",
    reason: "the relay has a policy for web origins whether one is allowed or not",
  },
  {
    header: "x-accel-buffering",
    reason: "nginx holds event streams back unless it is told not to",
  },
  { header: "connection", reason: "it is between a server and the next hop" },
  { header: "keep-alive", on: ["node"], reason: "Node says how long it keeps the connection" },
];

/** How bodies are delimited that are not empty. */
export const BODY_FRAMING: Reason = {
  reason: "ASP.NET Core chunks its short texts; a runtime that knows their length says it",
};

export const DIFFERENCES: readonly Difference[] = [];
