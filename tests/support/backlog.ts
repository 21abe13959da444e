/** What a topic remembers, for tests of which nobody lags. */

import type { Backlog } from "../../lib/fanout/audience.ts";

export function createBacklog(): Backlog {
  return {
    mark: () => ({ sequence: 0, count: 0, lives: 1, state: "live" }),
    since: () => [],
  };
}
