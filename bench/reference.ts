/**
 * The control beside every measurement: C senders with as many clients on the same transport, kept
 * open while subjects come and go. Each subject is compared with what the control cost a moment
 * before, as the machine is not the same from one minute to the next.
 */

import type { Transport } from "./load.ts";
import type { Cores } from "./machine.ts";
import { observeAtPace } from "./pace.ts";
import { openStage, type Stage } from "./stage.ts";
import { joinedSender, sender } from "./subjects/sender.ts";

/** Subjects that follow one another this soon are compared with the same figures. */
const FRESH_MS = 40_000;

/** What a delivery costs the C sender now, µs of CPU time. */
export interface Reference {
  /** One publication a tick, one send for each client. */
  readonly oneUs: number;
  /** Ten publications a tick, joined: one send for each client. */
  readonly tenUs: number;
}

type OwnStage = Stage & AsyncDisposable;

export interface References {
  measure(options: {
    readonly transport: Transport;
    readonly subscribers: number;
    readonly seconds: number;
  }): Promise<Reference>;
}

/** Disposed of, the control has ended. */
export function createReferences(cores: Cores): References & AsyncDisposable {
  let open:
    | { readonly key: string; readonly single: OwnStage; readonly joined: OwnStage }
    | undefined;
  let last:
    | { readonly key: string; readonly at: number; readonly reference: Reference }
    | undefined;

  async function stages(transport: "ws" | "sse", subscribers: number) {
    const key = `${transport} ${subscribers}`;
    if (open?.key === key) return open;
    await stop();
    const single = await openStage(sender, { transport, cores });
    const joined = await openStage(joinedSender, { transport, cores });
    open = { key, single, joined };
    for (const stage of [single, joined]) await stage.connect({ count: subscribers });
    return open;
  }

  async function stop(): Promise<void> {
    await open?.single[Symbol.asyncDispose]();
    await open?.joined[Symbol.asyncDispose]();
    open = undefined;
  }

  return {
    async measure({ transport, subscribers, seconds }) {
      // SignalR goes over WebSocket.
      const family = transport === "sse" ? "sse" : "ws";
      const { key, single, joined } = await stages(family, subscribers);
      if (last?.key === key && performance.now() - last.at < FRESH_MS) return last.reference;
      // In the order in which a subject is observed: what went before has its effect on the kernel.
      const one = await observeAtPace(single, { subscribers, per: 1, seconds });
      await observeAtPace(joined, { subscribers, per: 1, seconds });
      const ten = await observeAtPace(joined, { subscribers, per: 10, seconds });
      const reference = { oneUs: one.cpuUs, tenUs: ten.cpuUs };
      last = { key, at: performance.now(), reference };
      return reference;
    },
    [Symbol.asyncDispose]: stop,
  };
}
