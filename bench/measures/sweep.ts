/** What the cost of a publication grows with, and what it must not grow with. */

import { pace, warmUp } from "../pace.ts";
import { openStage, type Stage } from "../stage.ts";
import type { Subject } from "../subject.ts";
import { type Measured, type MeasureOptions, troubleOf } from "./delivery.ts";

/**
 * What is swept:
 *
 * - `subscribers`: clients of the one topic that is published
 * - `topics`: topics, each but the first with one client that gets nothing
 * - `unwatched`: topics that are published, and that nobody here watches
 * - `history`: publications that the topic keeps
 */
export const SWEEPS = ["subscribers", "topics", "unwatched", "history"] as const;
export type Sweep = (typeof SWEEPS)[number];

export const SWEEP_VALUES: readonly number[] = [1, 10, 100, 1_000, 10_000];

/** Clients of the first topic, where it is not they that are swept. */
export const WATCHING = 100;

const PUSHES_PER_SECOND = 5_000;
/** Numbers of topics that no client asks for. */
const FIRST_UNWATCHED = 10_000;

/** Figures: `publicationUs`: CPU time for each publication, all its deliveries included. */
export async function measureSweep(
  subject: Subject,
  { sweep, value }: { readonly sweep: Sweep; readonly value: number },
  { transport, cores, seconds }: Omit<MeasureOptions, "subscribers">,
): Promise<Measured> {
  await using stage = await openStage(subject, { transport, cores });
  const subscribers = sweep === "subscribers" ? value : WATCHING;
  await stage.connect({ count: subscribers });
  await prepare(stage, sweep, value);
  await warmUp(stage, { subscribers, per: 1 });
  const observed = await (sweep === "unwatched"
    ? stage.observe({
        ticks: Math.ceil(PUSHES_PER_SECOND * seconds),
        rate: PUSHES_PER_SECOND,
        per: 1,
        topics: value,
        first: FIRST_UNWATCHED,
      })
    : stage.observe(pace({ subscribers, per: 1, seconds })));
  return {
    figures: { publicationUs: observed.publicationUs },
    trouble: troubleOf({ [sweep]: observed }),
  };
}

async function prepare(stage: Stage, sweep: Sweep, value: number): Promise<void> {
  if (sweep === "topics" && value > 1) {
    await stage.connect({ count: value - 1, topics: value - 1, first: 1 });
  }
  if (sweep === "history") {
    const per = 10;
    await stage.observe({ ticks: Math.ceil(value / per), rate: 1_000, per });
  }
}
