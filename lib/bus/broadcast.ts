/**
 * The bus of one process: `BroadcastChannel`, which joins the threads of a process on Bun, Deno and
 * Node. Deno drops messages without a word when a receiver lags.
 */

import type { Bus } from "./bus.ts";

/** @param id distinct for each isolate of the process */
export function createBroadcastBus(name: string, id: string): Bus & { close(): void } {
  const channel = new BroadcastChannel(name);
  const listeners = new Set<(from: string, message: unknown) => void>();
  channel.onmessage = ({ data }) => {
    const { from, message } = data as { from: string; message: unknown }; // posted below
    for (const listener of listeners) listener(from, message);
  };
  // Node's keeps the process alive until told not to.
  (channel as { unref?: () => void }).unref?.();
  return {
    id,
    post: (message) => channel.postMessage({ from: id, message }),
    listen(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: () => channel.close(),
  };
}
