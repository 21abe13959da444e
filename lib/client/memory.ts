/** Which transport worked last, so that a client behind a hostile proxy does not find out each time. */

import type { Memory } from "./options.ts";
import type { TransportName } from "./transport.ts";

/** After this, a WebSocket is given another chance. */
const DAY_MS = 86_400_000;

/** What is remembered of one relay. */
export interface Recollection {
  /** The transport that worked within the last day. */
  recall(): TransportName | undefined;
  /** The transport works now. */
  remember(name: TransportName): void;
}

/** Remembers in `storage` under `key`, and in any case as long as this object lives. */
export function createRecollection(key: string, storage?: Memory): Recollection {
  let entry: string | null = null;

  /** Storage is forbidden in some frames, even to look at, and full in others: then we do without. */
  function attempt(use: (memory: Memory) => void): void {
    try {
      // Not among the types of a worker, nor in each runtime.
      const memory = storage ?? (globalThis as { localStorage?: Memory }).localStorage;
      if (memory) use(memory);
    } catch {
      // see above
    }
  }

  attempt((memory) => {
    entry = memory.getItem(key);
  });

  function recall(): TransportName | undefined {
    const [name, at] = entry?.split(" ") ?? [];
    if (name !== "websocket" && name !== "sse") return undefined;
    return Date.now() - Number(at) < DAY_MS ? name : undefined;
  }

  return {
    recall,
    remember(name) {
      // The day runs from when it was found out, not from the last reconnect.
      if (recall() === name) return;
      const fresh = `${name} ${Date.now()}`;
      entry = fresh;
      attempt((memory) => memory.setItem(key, fresh));
    },
  };
}
