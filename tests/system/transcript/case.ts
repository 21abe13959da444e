import type { Peer } from "../../support/transcript/peer.ts";

/** What is played to two servers. Whatever the peer writes down must be the same. */
export type Script = (peer: Peer) => Promise<unknown>;

/** Scripts by what they are about. */
export type Cases = Readonly<Record<string, Script>>;

/** One case for each value. */
export function each<T>(
  values: Readonly<Record<string, T>> | readonly T[],
  name: (key: string) => string,
  script: (value: T) => Script,
): Cases {
  const entries = Array.isArray(values)
    ? values.map((value): [string, T] => [String(value), value])
    : Object.entries(values);
  return Object.fromEntries(entries.map(([key, value]) => [name(key), script(value)]));
}
