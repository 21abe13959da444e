/** How much a server on one core delivers for good: with p99 below 1 s, and nothing lost. */

import { pace, warmUp } from "../pace.ts";
import { type Observation, openStage, type Stage } from "../stage.ts";
import type { Subject } from "../subject.ts";
import { connect, type Measured, type MeasureOptions } from "./delivery.ts";

/** The search ends when what was sustained and what was not are this close. */
const CLOSE_ENOUGH = 1.25;
const STEP = 2;
const MAX_TRIES = 8;
/** Nothing new is tried after this, ms: a server that is far behind takes its time to come round. */
const MAX_MS = 10_000;

/**
 * Figures, of one and of ten publications a tick: `oneSustained`, `tenSustained`, deliveries a
 * second; `oneP99`, `tenP99` at that rate, ms; `oneLoad`, `tenLoad`: how busy the clients' core was,
 * 0 to 1; near 1 it was the clients that could not do more.
 */
export async function measureSustained(
  subject: Subject,
  { transport, subscribers, cores, seconds }: MeasureOptions,
): Promise<Measured> {
  await using stage = await openStage(subject, { transport, cores });
  await connect(stage, subscribers);
  const ten = await search(stage, { subscribers, per: 10, seconds });
  const one = await search(stage, { subscribers, per: 1, seconds });
  return {
    figures: {
      oneSustained: one?.perSecond ?? 0,
      tenSustained: ten?.perSecond ?? 0,
      oneP99: one?.latency.p99 ?? 0,
      tenP99: ten?.latency.p99 ?? 0,
      oneLoad: one?.loadShare ?? 0,
      tenLoad: ten?.loadShare ?? 0,
    },
    trouble: one && ten ? "" : "no rate was sustained",
  };
}

/** Tries rates, up by steps and then between; the best that was sustained. */
async function search(
  stage: Stage,
  run: { readonly subscribers: number; readonly per: number; readonly seconds: number },
): Promise<Observation | undefined> {
  const { cpuUs } = await warmUp(stage, run);
  let rate = 0.9e6 / cpuUs;
  let best: Observation | undefined;
  let passed = 0;
  let failed = Number.POSITIVE_INFINITY;
  const end = performance.now() + MAX_MS;
  for (let tries = 0; tries < MAX_TRIES && failed / passed > CLOSE_ENOUGH; tries++) {
    if (performance.now() > end) break;
    const observed = await stage.observe(pace({ ...run, rate }), { patienceMs: 3_000 });
    if (isSustained(observed, rate)) {
      passed = rate;
      best = observed;
    } else {
      failed = rate;
    }
    if (failed === Number.POSITIVE_INFINITY) rate = passed * STEP;
    else if (passed === 0) rate = failed / STEP;
    else rate = Math.sqrt(passed * failed);
  }
  return best;
}

/** Half a run's backlog may stay below 1 s; so the deliveries must also have kept the rate. */
function isSustained({ isWhole, latency, perSecond }: Observation, rate: number): boolean {
  return isWhole && latency.p99 < 1_000 && perSecond > 0.9 * rate;
}
