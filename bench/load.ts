/** The clients: `native/load.c`. */

import { type Cores, pin } from "./machine.ts";
import { nativeCommand, openConsole } from "./native.ts";

/** `json` and `messagepack` are SignalR over WebSocket. */
export const TRANSPORTS = ["ws", "sse", "json", "messagepack"] as const;
export type Transport = (typeof TRANSPORTS)[number];

/** How clients of a server connect; texts as in `native/client.h`, struct target. */
export interface Target {
  readonly protocol: Transport;
  readonly port: number;
  readonly path: string;
  readonly subscribe?: string | undefined;
  readonly resume?: string | undefined;
  readonly ready?: string | undefined;
  readonly position?: string | undefined;
  /** Clients that are opening at one time. Default 256. */
  readonly inflight?: number | undefined;
}

/** The outcome of connecting. */
export interface Connected {
  readonly live: number;
  readonly failed: number;
  readonly ms: number;
  /** What failed first; empty when nothing did. */
  readonly failure: string;
}

/** What the clients have seen. Latencies in µs, from handing over to reading. */
export interface Tally {
  readonly live: number;
  readonly deliveries: number;
  readonly bytes: number;
  readonly reads: number;
  readonly frames: number;
  readonly lost: number;
  readonly repeated: number;
  /** Connections that the server ended. */
  readonly closed: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
  /** CPU time of the clients themselves. */
  readonly cpuMs: number;
  readonly ms: number;
}

export interface Load {
  connect(options: {
    readonly count: number;
    /** They go round so many topics, from the one of number `first` on. Default 1 and 0. */
    readonly topics?: number;
    readonly first?: number;
  }): Promise<Connected>;
  /** Cuts the last `count` clients and has them come back with their position. */
  storm(count: number): Promise<Connected>;
  begin(): Promise<void>;
  /** Waits until every client has had this mark. @returns how many have not in time */
  await(options: {
    readonly count: number;
    readonly timeout: number;
    readonly topics?: number;
    readonly first?: number;
  }): Promise<number>;
  end(): Promise<Tally>;
}

export async function startLoad(cores: Cores, target: Target): Promise<Load & Disposable> {
  const command = nativeCommand("load", { ...target });
  const program = await openConsole(pin(cores, "load", command), { greets: false });
  // What load.c prints is what is declared above.
  return {
    connect: async (options) => (await program.ask("connect", { ...options })) as Connected,
    storm: async (count) => (await program.ask("storm", { count })) as Connected,
    begin: async () => void (await program.ask("begin")),
    await: async (options) =>
      ((await program.ask("await", { ...options })) as { behind: number }).behind,
    end: async () => (await program.ask("end")) as Tally,
    [Symbol.dispose]: () => program.stop(),
  };
}
