/** How fast is published: the same number of deliveries a second, whatever the number of clients. */

import type { Run } from "./feed.ts";
import type { Observation, Stage } from "./stage.ts";

/** What most figures are taken at. It keeps the C sender's core about half busy. */
export const DELIVERIES_PER_SECOND = 100_000;

/** So that one tick that the machine disturbed does not decide. */
const MIN_TICKS = 3;

/** A run of about so many seconds. @param rate deliveries a second; {@link DELIVERIES_PER_SECOND} by default */
export function pace(options: {
  readonly subscribers: number;
  readonly per: number;
  readonly seconds: number;
  readonly rate?: number;
}): Run {
  const { subscribers, per, seconds, rate = DELIVERIES_PER_SECOND } = options;
  // Beyond 2,000 ticks a second they would melt into each other, whatever the subject does.
  const ticksPerSecond = Math.min(2_000, rate / (subscribers * per));
  const ticks = Math.max(MIN_TICKS, Math.ceil(ticksPerSecond * seconds));
  return { ticks, rate: ticksPerSecond, per };
}

/** With many subscribers the usual rate is a tick a second, for which there is no time here. */
const WARM_TICKS_PER_SECOND = 5;

/** The first deliveries on new sockets and in cold code cost up to twice as much. */
export async function warmUp(
  stage: Stage,
  { subscribers, per }: { readonly subscribers: number; readonly per: number },
): Promise<Observation> {
  const rate = Math.max(DELIVERIES_PER_SECOND, WARM_TICKS_PER_SECOND * subscribers * per);
  await stage.observe(pace({ subscribers, per, seconds: 0.3, rate }));
  return stage.observe(pace({ subscribers, per, seconds: 0.2, rate }));
}

/** A server that would use more of its core than this at the usual rate is measured at a lower one. */
const MAX_SHARE = 0.7;

/** Watches a stage that is warm, at the usual rate or one that its server can keep. */
export async function observeAtPace(
  stage: Stage,
  run: { readonly subscribers: number; readonly per: number; readonly seconds: number },
): Promise<Observation> {
  const { cpuUs } = await warmUp(stage, run);
  if (cpuUs * DELIVERIES_PER_SECOND < MAX_SHARE * 1e6) return stage.observe(pace(run));
  return stage.observe(pace({ ...run, rate: 0.5e6 / cpuUs }));
}
