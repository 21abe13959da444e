/** A relay in front of a numbering hub. */

import type { ConfigInput } from "../../app/config.ts";

/** What of a kind of topic differs from the others. */
export type Kind = Partial<NonNullable<ConfigInput["hubs"][string]["topics"]>[string]>;

/** Where SignalR clients find the hub on the relay. */
export const HUB_PATH = "/hubs/load";

/** A busy machine is no reason to open a topic as stale, ms. */
const OPEN_TIMEOUT_MS = 60_000;

/** Declares topics `{kind}/{id}` of a numbering hub. */
export function configOf(
  hub: string,
  kinds: Readonly<Record<string, Kind>>,
  rest: Omit<ConfigInput, "hubs"> = {},
): ConfigInput {
  const topics = Object.entries(kinds).map(([kind, more]) => {
    const args = [kind, "{id}"];
    const topic: Kind = {
      params: { id: "integer" },
      join: { method: "Join", args },
      leave: { method: "Leave", args },
      events: { [kind]: `${kind}/{0.id}` },
      snapshot: { method: "State", args },
      ...more,
    };
    return [`${kind}/{id}`, topic] as const;
  });
  return {
    drainMs: 0,
    openTimeoutMs: OPEN_TIMEOUT_MS,
    ...rest,
    hubs: { [HUB_PATH]: { origin: hub, topics: Object.fromEntries(topics), privateLane: "lazy" } },
  };
}
