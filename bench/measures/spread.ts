/** How late a publication reaches many clients when little is published: the time to walk them all. */

import { warmUp } from "../pace.ts";
import { openStage } from "../stage.ts";
import type { Subject } from "../subject.ts";
import { type Measured, type MeasureOptions, troubleOf } from "./delivery.ts";

const TICKS_PER_SECOND = 4;

/** Figures: `p50`, `p99`, `p999`, ms. */
export async function measureSpread(
  subject: Subject,
  { transport, subscribers, cores, seconds }: MeasureOptions,
): Promise<Measured> {
  await using stage = await openStage(subject, { transport, cores });
  await stage.connect({ count: subscribers });
  await warmUp(stage, { subscribers, per: 1 });
  const ticks = Math.ceil(5 * seconds * TICKS_PER_SECOND);
  const walks = await stage.observe({ ticks, rate: TICKS_PER_SECOND, per: 1 });
  return { figures: { ...walks.latency }, trouble: troubleOf({ walks }) };
}
