/**
 * WebSockets whose two ends are in different isolates: the client's socket in one, the connection
 * that it belongs to in another, and between them the bus. A stateful client that comes back is not
 * always let in where its connection has stayed.
 *
 * What the bus has lost is not sent again: a socket with a hole is cut, and its client, which is
 * there because it can come back without a loss, does so. So it is when the other end is silent.
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
  /** It is there, and has sent so many. */
  | { readonly type: "beat"; readonly number: number }
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

/**
 * How often each end shows that it is there, ms. Time is counted in these, not by the clock: an
 * isolate that was busy must not take the other one for gone.
 */
const BEAT_MS = 1_000;

/** An end that was not heard for more than so many is no more: 5 s. */
const SILENT_BEATS = 5;

/** What a client's socket is closed with when the way to its connection is lost. */
const LOST = { code: 1012, reason: "" } as const;

/** One end of a tunnel. */
interface End {
  /** The isolate of the other one. */
  readonly peer: string;
  /** Of what comes. */
  count: number;
  /** Of itself, since the other one was heard; `undefined` until that is to be there. */
  silentBeats: number | undefined;
  beat(): void;
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
  let timer: Timer | undefined;

  channel.listen((_, message) => {
    if (message.to !== bus.id) return;
    const { type, tunnel } = message;
    const end = ends.get(tunnel);
    if (!end) return;
    if (end.silentBeats !== undefined) end.silentBeats = 0;
    switch (type) {
      case "taken":
        return end.taken(message.count, message.bufferedBytes);
      case "beat":
        if (message.number !== end.count) sever(tunnel, end);
        return;
    }
    if (message.number !== ++end.count) return sever(tunnel, end);
    if (type === "frame") end.frame(message.frame);
    else end.end(message.code, message.reason);
  });

  function add(tunnel: string, end: End): void {
    ends.set(tunnel, end);
    timer ??= clock.every(BEAT_MS, beat);
  }

  function beat(): void {
    for (const [tunnel, end] of [...ends]) {
      if (end.silentBeats === undefined) continue;
      if (++end.silentBeats > SILENT_BEATS) sever(tunnel, end);
      else end.beat();
    }
    if (ends.size > 0) return;
    timer?.cancel();
    timer = undefined;
  }

  /** Cuts a tunnel that has lost something, or its other end. */
  function sever(tunnel: string, end: End): void {
    ends.delete(tunnel);
    // Numbered so that it is a hole to the other end, too.
    post({ type: "end", to: end.peer, tunnel, number: 0, code: BROKEN, reason: "" });
    end.end(BROKEN, "");
  }

  function post(message: TunnelMessage): void {
    channel.post(message, message.to);
  }

  /** What an end may send. */
  function createWay(to: string, tunnel: string) {
    let number = 0;
    return {
      frame(frame: Frame): void {
        post({ type: "frame", to, tunnel, number: ++number, frame: compact(frame) });
      },
      end(code: number, reason = ""): void {
        post({ type: "end", to, tunnel, number: ++number, code, reason });
      },
      beat(): void {
        post({ type: "beat", to, tunnel, number });
      },
      taken(count: number, bufferedBytes: number): void {
        post({ type: "taken", to, tunnel, count, bufferedBytes });
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
        peer: to,
        count: 0,
        silentBeats: undefined,
        beat: way.beat,
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
      add(tunnel, end);

      function leave(code: number): void {
        look?.cancel();
        if (ends.delete(tunnel)) way.end(code);
      }

      return {
        enter(upgrade) {
          end.silentBeats = 0;
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
        peer: from,
        count: 0,
        silentBeats: 0,
        beat: way.beat,
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
      add(tunnel, end);
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
