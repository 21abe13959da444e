/** What every session of a client is handed. */

import type { Clock } from "../clock.ts";
import type { Log } from "../log.ts";
import type { Relay } from "../relay.ts";
import type { Stats } from "../stats.ts";
import type { Wheel } from "../wheel.ts";
import type { Sessions } from "./sessions.ts";

export interface Limits {
  /** Topics of one connection. */
  readonly topicsPerConnection: number;
  /** Largest message from a client, bytes. */
  readonly messageBytes: number;
  /** What may wait for one connection before it counts as too slow, bytes. */
  readonly queueBytes: number;
}

export interface Context {
  readonly relay: Relay;
  readonly sessions: Sessions;
  readonly stats: Stats;
  readonly log: Log;
  readonly clock: Clock;
  /** For the timers of sessions. */
  readonly wheel: Wheel;
  readonly random: () => number;
  readonly limits: Limits;
  /** Every connection hears something this often, ms. */
  readonly heartbeatMs: number;
  /** Whether event streams are compressed for clients that accept it. */
  readonly compression: "auto" | "off";
}
