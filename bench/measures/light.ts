/** Latency when there is little to do, so that what a relay adds is not hidden in a queue. */

import { warmUp } from "../pace.ts";
import { openStage } from "../stage.ts";
import type { Subject } from "../subject.ts";
import { type Measured, type MeasureOptions, troubleOf } from "./delivery.ts";

const TICKS_PER_SECOND = 50;

/** Figures: `p50`, `p99`, `p999`, ms. */
export async function measureLight(
  subject: Subject,
  { transport, subscribers, cores, seconds }: MeasureOptions,
): Promise<Measured> {
  await using stage = await openStage(subject, { transport, cores });
  await stage.connect({ count: subscribers });
  await warmUp(stage, { subscribers, per: 1 });
  const ticks = Math.ceil(4 * seconds * TICKS_PER_SECOND);
  const light = await stage.observe({ ticks, rate: TICKS_PER_SECOND, per: 1 });
  return { figures: { ...light.latency }, trouble: troubleOf({ light }) };
}
