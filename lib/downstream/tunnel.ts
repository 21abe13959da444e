/**
 * WebSockets whose two ends are in different isolates: the client's socket in one, the connection
 * that it belongs to in another, and between them the bus. A stateful client that comes back is not
 * always let in where its connection has stayed.
 *
 * What the bus has lost is not sent again: a socket with a hole is cut, and its client, which is
 * there because it can come back without a loss, does so.
 */

import { type Bus, channelOf } from "../bus/bus.ts";
import type { Clock, Timer } from "../clock.ts";
import {
  byteLength,
  type Frame,
  type Socket,
  type SocketHandler,
  type Upgrade,
} from "../socket.ts";
import { BROKEN } from "./reattach.ts";

/** Both directions. `number` counts what this end has sent of a tunnel, from 1. */
type TunnelMessage = { readonly to: string; readonly tunnel: string } & (
  | { readonly type: "frame"; readonly number: number; readonly frame: Frame }
  | {
      readonly type: "end";
      readonly number: number;
      readonly code: number;
      readonly reason: string;
    }
  /** To the connection: how far its frames have come, and what waits in the client's socket, bytes. */
  | { readonly type: "taken"; readonly count: number; readonly bufferedBytes: number }
);

/** The client's end, from before the connection agrees until the socket is there. */
export interface Entrance {
  /** Puts the client's socket before the tunnel. */
  enter(upgrade: Upgrade): Response;
  /** The client is not let in. */
  cancel(): void;
}

export interface Tunnels {
  /**
   * To be called before the other isolate is asked: what comes at once is kept.
   * @param tunnel its name, another one each time and in each isolate
   */
  dig(to: string, tunnel: string): Entrance;
  /**
   * At the connection: a socket whose client is at another isolate.
   * @returns cuts it
   */
  accept(from: string, tunnel: string, handlerOf: (socket: Socket) => SocketHandler): () => void;
}

/** On its way to a client that reads, bytes: as much is no sign of a slow one. */
const WINDOW_BYTES = 262_144;

/** How often a client's socket is asked what it holds back, ms. */
const LOOK_MS = 100;

/** What a client's socket is closed with when the way to its connection is lost. */
const LOST = { code: 1012, reason: "" } as const;

/** One end of a tunnel. */
interface End {
  /** Of what comes. */
  count: number;
  frame(frame: Frame): void;
  end(code: number, reason: string): void;
  taken(count: number, bufferedBytes: number): void;
}

/** @param options.graceMs how long a client may take until its socket is there, and until it is closed */
export function createTunnels(options: {
  readonly bus: Bus;
  /** Tells the tunnels of several endpoints apart. */
  readonly name: string;
  readonly clock: Clock;
  readonly graceMs: number;
}): Tunnels {
  const { bus, name, clock, graceMs } = options;
  const channel = channelOf<TunnelMessage>(bus, `${name} sockets`);
  const ends = new Map<string, End>();

  channel.listen((from, message) => {
    if (message.to !== bus.id) return;
    const { type, tunnel } = message;
    const end = ends.get(tunnel);
    if (!end) return;
    if (type === "taken") return end.taken(message.count, message.bufferedBytes);
    if (message.number !== ++end.count) {
      ends.delete(tunnel);
      // Numbered so that it is a hole to the other end, too.
      channel.post({ type: "end", to: from, tunnel, number: 0, code: BROKEN, reason: "" });
      return end.end(BROKEN, "");
    }
    if (type === "frame") end.frame(message.frame);
    else end.end(message.code, message.reason);
  });

  /** What an end may send. */
  function createWay(to: string, tunnel: string) {
    let number = 0;
    return {
      frame(frame: Frame): void {
        channel.post({ type: "frame", to, tunnel, number: ++number, frame: compact(frame) });
      },
      end(code: number, reason = ""): void {
        channel.post({ type: "end", to, tunnel, number: ++number, code, reason });
      },
      taken(count: number, bufferedBytes: number): void {
        channel.post({ type: "taken", to, tunnel, count, bufferedBytes });
      },
    };
  }

  return {
    dig(to, tunnel) {
      const way = createWay(to, tunnel);
      let socket: Socket | undefined;
      /** What came before the socket. */
      let early: Frame[] = [];
      let ended: { readonly code: number; readonly reason: string } | undefined;
      let look: Timer | undefined;
      let isDue = false;

      /** Says what has been taken, once for all of a tick. */
      function report(): void {
        if (isDue || !socket) return;
        isDue = true;
        clock.soon(() => {
          isDue = false;
          look?.cancel();
          if (!socket || !ends.has(tunnel)) return;
          const { bufferedBytes } = socket;
          way.taken(end.count, bufferedBytes);
          if (bufferedBytes > 0) look = clock.after(LOOK_MS, report);
        });
      }

      const end: End = {
        count: 0,
        frame(frame) {
          if (!socket) return void early.push(frame);
          socket.send(frame);
          report();
        },
        end(code, reason) {
          ended = code === BROKEN ? LOST : { code, reason };
          look?.cancel();
          socket?.close(ended.code, ended.reason);
        },
        taken() {},
      };
      ends.set(tunnel, end);

      function leave(code: number): void {
        look?.cancel();
        if (ends.delete(tunnel)) way.end(code);
      }

      return {
        enter(upgrade) {
          const expiry = clock.after(graceMs, () => leave(BROKEN));
          return upgrade((opened) => {
            expiry.cancel();
            socket = opened;
            for (const frame of early) socket.send(frame);
            early = [];
            if (!ends.has(tunnel)) ended ??= LOST; // it has taken too long
            if (ended) socket.close(ended.code, ended.reason);
            else report();
            return {
              message(frame) {
                if (ends.has(tunnel)) way.frame(frame);
              },
              close: leave,
            };
          });
        },
        cancel: () => leave(BROKEN),
      };
    },

    accept(from, tunnel, handlerOf) {
      const way = createWay(from, tunnel);
      /** Bytes of what was sent and not reported as taken, a number each. */
      let underway: number[] = [];
      let underwayBytes = 0;
      let takenCount = 0;
      let heldBack = 0;
      const socket: Socket = {
        send(frame) {
          if (!ends.has(tunnel)) return true;
          const bytes = byteLength(frame);
          underway.push(bytes);
          underwayBytes += bytes;
          way.frame(frame);
          return socket.bufferedBytes === 0;
        },
        get bufferedBytes() {
          return ends.has(tunnel) ? heldBack + Math.max(0, underwayBytes - WINDOW_BYTES) : 0;
        },
        close(code, reason) {
          if (!ends.has(tunnel)) return;
          way.end(code, reason);
          // The other end says how its client has closed, unless there is none any more.
          clock.after(graceMs, () => ends.has(tunnel) && end.end(BROKEN, ""));
        },
      };
      const end: End = {
        count: 0,
        frame: (frame) => handler.message(frame),
        end(code, reason) {
          ends.delete(tunnel);
          handler.close(code, reason);
        },
        taken(count, bufferedBytes) {
          for (const bytes of underway.slice(0, count - takenCount)) underwayBytes -= bytes;
          underway = underway.slice(count - takenCount);
          takenCount = count;
          heldBack = bufferedBytes;
        },
      };
      ends.set(tunnel, end);
      const handler = handlerOf(socket);
      return () => {
        if (!ends.has(tunnel)) return;
        way.end(BROKEN);
        end.end(BROKEN, "");
      };
    },
  };
}

/** Without what is not its own: a clone takes the whole of a buffer along. */
function compact(frame: Frame): Frame {
  return typeof frame !== "string" && frame.byteLength < frame.buffer.byteLength
    ? frame.slice()
    : frame;
}
