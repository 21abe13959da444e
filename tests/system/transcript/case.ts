import type { Script } from "../../support/transcript/play.ts";

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
