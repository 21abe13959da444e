/** Everybody loses the connection at once, and comes back with a position. */

import { setTimeout as wait } from "node:timers/promises";
import { openStage } from "../stage.ts";
import type { Subject } from "../subject.ts";
import { POSITION_MARKS } from "../subjects/keryx.ts";
import type { Measured, MeasureOptions } from "./delivery.ts";

/** Clients that are not cut, and whose latency is watched. */
const STAYING = 1_000;
const TICKS_PER_SECOND = 2;
/** Publishing goes on for so long after the cut, at least. */
const SECONDS = 12;

/**
 * Figures: `backMs`, until all are live again, with what they had missed; `p99`, ms, of those who
 * stayed, from the cut on; `lost` and `failed`: publications and clients.
 */
export async function measureStorm(
  subject: Subject,
  { transport, subscribers, cores }: MeasureOptions,
): Promise<Measured> {
  await using stage = await openStage(subject, {
    transport,
    cores,
    position: POSITION_MARKS[transport],
  });
  await stage.connect({ count: STAYING + subscribers });
  await stage.observe({ ticks: 2, rate: TICKS_PER_SECOND, per: 1 });
  const ticks = SECONDS * TICKS_PER_SECOND;
  const publishing = stage.feed.run({ ticks, rate: TICKS_PER_SECOND, per: 1 });
  publishing.catch(() => {}); // it ends with the stage, when something else has failed
  await wait(200); // the first has arrived, and the cut comes between two
  await stage.load.begin();
  const { failed, failure, ms } = await stage.load.storm(subscribers);
  const { count } = await publishing;
  const behind = await stage.load.await({ count, timeout: 2_000 });
  const { lost, closed, p99 } = await stage.load.end();
  const whole = failed + behind + lost + closed === 0;
  return {
    figures: { backMs: ms, p99: p99 / 1000, lost, failed },
    trouble: whole
      ? ""
      : `${failed} failed ${failure}, ${behind} behind, ${lost} lost, ${closed} closed`,
  };
}
