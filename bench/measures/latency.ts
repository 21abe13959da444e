/** How late publications are that come so seldom that none waits for another. */

import { warmUp } from "../pace.ts";
import { openStage } from "../stage.ts";
import type { Subject } from "../subject.ts";
import { type Measured, type MeasureOptions, troubleOf } from "./delivery.ts";

/** Figures: `p50`, `p99`, `p999`, ms. `rate`: publications a second. */
export async function measureLatency(
  subject: Subject,
  rate: number,
  { transport, subscribers, cores, seconds }: MeasureOptions,
): Promise<Measured> {
  await using stage = await openStage(subject, { transport, cores });
  await stage.connect({ count: subscribers });
  await warmUp(stage, { subscribers, per: 1 });
  const ticks = Math.max(20, Math.ceil(4 * seconds * rate));
  const seldom = await stage.observe({ ticks, rate, per: 1 });
  return { figures: { ...seldom.latency }, trouble: troubleOf({ seldom }) };
}
