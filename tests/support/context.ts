/** What a session is handed, around a test's relay. */

import type { Context } from "../../lib/downstream/context.ts";
import { createSessions } from "../../lib/downstream/sessions.ts";
import { silentLog } from "../../lib/log.ts";
import { createWheel } from "../../lib/wheel.ts";
import { createTestRelay, type TestRelay } from "./test-relay.ts";

export interface Setting extends TestRelay {
  readonly context: Context;
}

/** Takes what `createTestRelay` takes; chance is always a half. */
export function createSetting(
  topics: Parameters<typeof createTestRelay>[0],
  options: Parameters<typeof createTestRelay>[1] = {},
): Setting {
  const queueBytes = 10_000;
  const test = createTestRelay(topics, { queue: { queueBytes }, ...options });
  const { relay, stats, clock } = test;
  const random = () => 0.5;
  const context: Context = {
    relay,
    stats,
    clock,
    random,
    sessions: createSessions({ maxConnections: 1_000, connectsPerSecond: 0, clock, random }),
    log: silentLog,
    wheel: createWheel(clock, { random }),
    limits: { topicsPerConnection: 3, messageBytes: 32_768, queueBytes },
    heartbeatMs: 15_000,
    compression: "auto",
  };
  return { ...test, context };
}
