/** Much comes from the origin, and little of it is watched here. */

import type { Runtime } from "../../tests/support/runtimes.ts";
import { runProgram } from "../../tests/support/spawn.ts";
import type { Transport } from "../load.ts";
import { type Cores, pin } from "../machine.ts";
import { scriptCommand } from "../script.ts";
import { openStage } from "../stage.ts";
import type { Subject } from "../subject.ts";
import { type Measured, type MeasureOptions, troubleOf } from "./delivery.ts";

const TOPICS = 1_000;
const TICKS_PER_SECOND = 1_000;
const PER_TICK = 20;

/**
 * Pushes go round 1,000 topics; each client watches one. Figures: `pushUs`: CPU time of the relay
 * for each push, deliveries included; `share`: of its core, 0 to 1; `pushes`: a second;
 * `decodeRatio`: reading, routing and finding the key of a push over only decoding it, `decode.ts`.
 */
export async function measureUpstream(
  subject: Subject,
  runtime: Runtime,
  { transport, subscribers, cores, seconds }: MeasureOptions,
): Promise<Measured> {
  await using stage = await openStage(subject, { transport, cores });
  await stage.connect({ count: subscribers, topics: subscribers });
  const run = (ticks: number) =>
    stage.observe({ ticks, rate: TICKS_PER_SECOND, per: PER_TICK, topics: TOPICS });
  await run(500);
  // Whole rounds of the topics, so that all of them end with the same count.
  const rounds = Math.ceil((3 * seconds * TICKS_PER_SECOND * PER_TICK) / TOPICS);
  const observed = await run((rounds * TOPICS) / PER_TICK);
  const { publicationUs, serverShare } = observed;
  return {
    figures: {
      pushUs: publicationUs,
      share: serverShare,
      pushes: TICKS_PER_SECOND * PER_TICK,
      decodeRatio: await decodeRatio(runtime, cores, transport),
    },
    trouble: troubleOf({ pushes: observed }),
  };
}

/** The feed is MessagePack for those clients only. */
async function decodeRatio(runtime: Runtime, cores: Cores, transport: Transport): Promise<number> {
  const protocol = transport === "messagepack" ? "messagepack" : "json";
  const command = pin(cores, "server", scriptCommand(runtime, "bench/decode.ts", protocol));
  const { code, output } = await runProgram(command);
  const ratio = Number(/^ratio (\d+\.\d+)$/m.exec(output)?.[1]);
  if (code !== 0 || Number.isNaN(ratio)) throw new Error(`decode.ts: ${output}`);
  return ratio;
}
