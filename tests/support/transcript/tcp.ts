/** A TCP connection that is written and read by hand, down to how its peer ends it. */

import { connect } from "node:net";

/** How reading ended: the peer said that it is done, it cut the connection, or it said nothing. */
export type End = "FIN" | "RST" | "silence";

export interface Tcp {
  write(bytes: string | Uint8Array): void;
  /** Says that nothing more is written. */
  finish(): void;
  /** Cuts it, without a goodbye. */
  cut(): void;
  /**
   * Reads what `take` finds whole at the beginning of what is there.
   * @param take gets all bytes that came and were not taken; `undefined` waits for more
   * @param timeoutMs how long a silence may be
   */
  read<T>(
    take: (bytes: Buffer) => { readonly value: T; readonly size: number } | undefined,
    timeoutMs?: number,
  ): Promise<{ readonly value: T } | End>;
}

/**
 * Longer than any wait that a case has with its own timers, and than a server waits for the answer to
 * a close frame, 5 s.
 */
const SILENCE_MS = 7_500;

export async function openTcp(url: string): Promise<Tcp> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
  let pieces: Buffer[] = [];
  let end: End | undefined;
  let wake: (() => void) | undefined;
  const ended = (how: End) => {
    end ??= how;
    wake?.();
  };
  socket.on("data", (piece: Buffer) => {
    pieces.push(piece);
    wake?.();
  });
  socket.on("end", () => ended("FIN"));
  socket.on("close", () => ended("FIN"));
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  socket.on("error", () => ended("RST"));

  return {
    write: (bytes) => void socket.write(bytes),
    finish: () => void socket.end(),
    cut: () => void socket.resetAndDestroy(),
    async read(take, timeoutMs = SILENCE_MS) {
      const deadline = Date.now() + timeoutMs;
      for (;;) {
        const bytes = Buffer.concat(pieces);
        const taken = bytes.length > 0 ? take(bytes) : undefined;
        pieces = bytes.length > 0 ? [taken ? bytes.subarray(taken.size) : bytes] : [];
        if (taken) return taken;
        if (end) return end;
        const leftMs = deadline - Date.now();
        if (leftMs <= 0) return "silence";
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, leftMs);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
        wake = undefined;
      }
    },
  };
}
