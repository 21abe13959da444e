/**
 * What the supervisor of a process and its isolates say to each other. It goes through the port that
 * joins a thread to the one that has started it, which loses nothing and keeps the order.
 */

import type { Roster } from "../lib/feed/group.ts";
import type { Config } from "./config.ts";

/** What is the same for all isolates of a process. */
export interface Brief {
  /** Name of the channel on which they meet. */
  readonly bus: string;
  /** Where all of them listen. */
  readonly port: number;
  /** Signs connection tokens. */
  readonly secret: string;
  /** Absent when it holds functions, which cannot be handed over: then each reads the file itself. */
  readonly config: Config | undefined;
}

/** To an isolate. */
export type Order =
  | ({
      readonly type: "start";
      /** Distinct for each isolate, those that are no more included. */
      readonly id: string;
      /** Its place in the process, from 1: that of one that has died goes to the next. */
      readonly place: number;
    } & Brief)
  | ({ readonly type: "roster" } & Appointment)
  /** Sends its clients away, and goes on being there for the other isolates. */
  | { readonly type: "drain" }
  | { readonly type: "end" };

/** Who belongs to the process, said anew at each beat. */
export interface Appointment {
  readonly roster: Required<Roster>;
  /** Isolates that were started in the place of one that had died. */
  readonly restarts: number;
}

/** From an isolate. */
export type Report =
  /** It listens to orders. */
  | { readonly type: "hello" }
  /** It is on the bus. */
  | { readonly type: "joined" }
  | { readonly type: "listening" }
  /** The answer to each roster. */
  | { readonly type: "alive" }
  /** It has no clients any more. */
  | { readonly type: "drained" }
  | { readonly type: "ended" }
  /** It cannot go on. */
  | { readonly type: "failed"; readonly error: string };
