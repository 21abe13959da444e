/** What publishes: `native/feed.c`, as an origin, a line server or a poster. */

import { type Cores, pin } from "./machine.ts";
import { nativeCommand, openConsole } from "./native.ts";

/** What is published in one run. */
export interface Run {
  readonly ticks: number;
  /** Ticks a second. */
  readonly rate: number;
  /** Publications of a tick, which leave in one write. */
  readonly per: number;
  /** They go round so many topics, from the one of number `first` on. Default 1 and 0. */
  readonly topics?: number;
  readonly first?: number;
}

export interface Ran {
  /** Count in the last mark of the run's first topic, from the feed's beginning on. */
  readonly count: number;
  readonly ms: number;
  /** Ticks that began when the next one was due already. */
  readonly late: number;
}

export interface Feed {
  readonly port: number;
  /** Publishes, and waits until all has been handed over. */
  run(run: Run): Promise<Ran>;
}

/** @param target as `native/feed.c` has it */
export async function startFeed(
  cores: Cores,
  options: {
    readonly mode: "line" | "signalr" | "nchan" | "pushpin";
    readonly target?: number;
    readonly path?: string;
  },
): Promise<Feed & Disposable> {
  const command = pin(cores, "load", nativeCommand("feed", { ...options }));
  const program = await openConsole(command, { greets: true });
  return {
    port: Number(program.greeting.split(":").at(-1)),
    run: async (run) => (await program.ask("run", { ...run })) as Ran, // as feed.c prints it
    [Symbol.dispose]: () => program.stop(),
  };
}
