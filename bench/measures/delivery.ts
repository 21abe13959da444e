/**
 * What a delivery costs, next to the C sender a moment before; how late it is when the server is
 * half busy; and on the way there, what connecting and keeping a client costs.
 */

import { setTimeout as wait } from "node:timers/promises";
import type { Transport } from "../load.ts";
import type { Cores } from "../machine.ts";
import { observeAtPace, pace } from "../pace.ts";
import type { References } from "../reference.ts";
import type { Figures } from "../sample.ts";
import { type Observation, openStage, type Stage } from "../stage.ts";
import type { Subject } from "../subject.ts";

/** What every measure is given. */
export interface MeasureOptions {
  readonly transport: Transport;
  readonly subscribers: number;
  readonly cores: Cores;
  readonly references: References;
  /** How long each observation takes, about. */
  readonly seconds: number;
}

/** Figures, and what was wrong with them; empty when nothing was. */
export interface Measured {
  readonly figures: Figures;
  readonly trouble: string;
}

/** A server's core that others use more than this is not its own. */
const MAX_OTHERS_SHARE = 0.15;

/** More deliveries in a frame than this, at one a tick, are a trouble. */
const MAX_PER_FRAME = 1.1;

/**
 * Figures, of one and of ten publications a tick:
 *
 * - `connects`: clients that became live, a second; `idleKb`: memory for each, KiB
 * - `bytes`: that a client reads of a delivery
 * - `oneUs`, `tenUs`: CPU time for a delivery; `oneRatio`, `tenRatio`: over the C sender's, which
 *   joins ten; `tenOverOne`: ten a tick over the C sender's cost of one
 * - `halfP50`, `halfP99`, `halfP999`: ms, at the rate at which the server is half busy; `halfRate`:
 *   that rate, deliveries a second; `walkMs`: how long the C sender takes to send to everybody once
 * - `loadShare`: how busy the clients' core was at most, 0 to 1
 */
export async function measureDelivery(
  subject: Subject,
  options: MeasureOptions,
): Promise<Measured> {
  const { transport, subscribers, cores, references, seconds } = options;
  const reference = await references.measure({ transport, subscribers, seconds });
  await using stage = await openStage(subject, { transport, cores });
  const { connects, idleKb } = await connect(stage, subscribers);
  const one = await observeAtPace(stage, { subscribers, per: 1, seconds });
  const ten = await observeAtPace(stage, { subscribers, per: 10, seconds });
  const rate = 0.5e6 / one.cpuUs;
  const half = await stage.observe(pace({ subscribers, per: 1, seconds, rate }));
  return {
    figures: {
      connects,
      idleKb,
      bytes: one.bytes,
      oneUs: one.cpuUs,
      tenUs: ten.cpuUs,
      oneRatio: one.cpuUs / reference.oneUs,
      tenRatio: ten.cpuUs / reference.tenUs,
      tenOverOne: ten.cpuUs / reference.oneUs,
      halfP50: half.latency.p50,
      halfP99: half.latency.p99,
      halfP999: half.latency.p999,
      halfRate: rate,
      walkMs: (reference.oneUs * subscribers) / 1000,
      loadShare: Math.max(one.loadShare, ten.loadShare, half.loadShare),
    },
    trouble: [troubleOf({ one, ten, half }), mergedOf(one)].filter(Boolean).join("; "),
  };
}

/** Connects clients; `connects` and `idleKb` as above. */
export async function connect(
  stage: Stage,
  subscribers: number,
): Promise<{ readonly connects: number; readonly idleKb: number }> {
  const before = stage.resident();
  const { ms } = await stage.connect({ count: subscribers });
  await wait(1_500); // by then the garbage of connecting is gone, where a runtime takes the time for it
  return {
    connects: (1000 * subscribers) / ms,
    idleKb: (stage.resident() - before) / 1024 / subscribers,
  };
}

/** What is missing from observations, and what makes them worth little, in words. */
export function troubleOf(observations: Readonly<Record<string, Observation>>): string {
  return Object.entries(observations)
    .flatMap(([name, { gaps, othersShare }]) => [
      ...(gaps ? [`${name}: ${gaps}`] : []),
      ...(othersShare > MAX_OTHERS_SHARE
        ? [`${name}: others used ${Math.round(100 * othersShare)} % of the core`]
        : []),
    ])
    .join("; ");
}

/** Ticks that ran together cost less than each for itself: the server was kept from its core. */
function mergedOf({ perFrame }: Observation): string {
  return perFrame > MAX_PER_FRAME ? `one: ${perFrame.toFixed(1)} deliveries in a frame` : "";
}
