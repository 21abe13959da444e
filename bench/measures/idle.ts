/** Clients that are there and get nothing. */

import { openStage } from "../stage.ts";
import type { Subject } from "../subject.ts";
import { connect, type Measured, type MeasureOptions } from "./delivery.ts";

/** Figures: `connects` and `idleKb`, as of a delivery. */
export async function measureIdle(
  subject: Subject,
  { transport, subscribers, cores }: MeasureOptions,
): Promise<Measured> {
  await using stage = await openStage(subject, { transport, cores });
  return { figures: await connect(stage, subscribers), trouble: "" };
}
