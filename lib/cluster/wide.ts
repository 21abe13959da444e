/**
 * A bus that joins the isolates of several machines. Within a machine it is that machine's own; to
 * the others one isolate has the connection, and carries what all send and get.
 *
 * Whatever becomes of the connection, and whichever isolate has it: what comes of one sender comes
 * in order and once, or it is lost.
 */

import { Decoder, Encoder } from "@msgpack/msgpack";
import { type Bus, channelOf, isFor, type Machines, machineOf } from "../bus/bus.ts";
import type { Clock } from "../clock.ts";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import { createBridge, type Parcel } from "./bridge.ts";
import type { MachineNames } from "./names.ts";
import type { ClusterPort } from "./port.ts";

export interface WideBus extends Bus {
  readonly machines: Machines;
  /** Makes this the isolate that has the connection, or with `undefined` one that has not. */
  connect(port: ClusterPort | undefined): void;
}

/** What the isolates of a machine say to each other. */
type Crossing =
  /** To the one that is connected. */
  | { readonly type: "out"; readonly parcel: Parcel }
  /** From it, to all. */
  | { readonly type: "in"; readonly parcel: Parcel }
  | { readonly type: "link"; readonly connected: boolean };

/** How often the others are told of the connection, ms. */
const BEAT_MS = 500;

/** Who has not heard of it for this long takes it for lost, ms; as long as an owner may be silent. */
const SILENCE_MS = 3_000;

/** What a sender has sent for this long cannot be on its way any more, ms. */
const FORGET_MS = 60_000;

/** JSON's types and bytes; `undefined` is left out. */
const encoder = new Encoder({ ignoreUndefined: true });
const decoder = new Decoder();

/** @param options.local the bus of this machine, whose ids name it; none where there is one isolate */
export function createWideBus(options: {
  readonly id: string;
  readonly local: Bus | undefined;
  readonly names: MachineNames;
  readonly clock: Clock;
  readonly log: Log;
}): WideBus {
  const { id, local, names, clock, log } = options;
  const own = machineOf(id);
  const crossings = local && channelOf<Crossing>(local, "machines");
  const listeners = new Set<(from: string, message: unknown) => void>();
  /** By sender: number of its newest, and when that came, on the monotonic clock, ms. */
  const newest = new Map<string, { readonly number: number; readonly at: number }>();
  let lastNumber = 0;
  let link: { readonly port: ClusterPort; send(parcel: Parcel): void; close(): void } | undefined;
  let told = { connected: false, at: Number.NEGATIVE_INFINITY };

  crossings?.listen((_, crossing) => {
    switch (crossing.type) {
      case "out":
        return link?.send(crossing.parcel);
      case "in":
        return receive(crossing.parcel);
      case "link":
        told = { connected: crossing.connected, at: clock.monotonic() };
    }
  });

  /** Tells the listeners here, unless it is for others or comes late. */
  function receive({ from, to, number, bytes }: Parcel): void {
    if (!isFor(to, id)) return;
    const now = clock.monotonic();
    // A connection that was lost may have left some on their way, which the next one has overtaken.
    if (number <= (newest.get(from)?.number ?? 0)) return;
    newest.delete(from);
    newest.set(from, { number, at: now });
    for (const [sender, { at }] of newest) {
      if (now - at <= FORGET_MS) break; // those behind were heard later
      newest.delete(sender);
    }
    let message: unknown;
    try {
      message = decoder.decode(bytes);
    } catch (error) {
      return log.warn({ from, error: messageOf(error) }, "a message cannot be read");
    }
    for (const listener of [...listeners]) listener(from, message);
  }

  function open(port: ClusterPort): typeof link {
    const bridge = createBridge({
      machine: own,
      port,
      names,
      deliver(parcel) {
        if (parcel.to !== id) crossings?.post({ type: "in", parcel }, parcel.to);
        receive(parcel);
      },
      clock,
      log,
    });
    const tell = () => crossings?.post({ type: "link", connected: port.connected });
    const beat = clock.every(BEAT_MS, tell);
    const unwatch = port.watch(tell);
    tell();
    return {
      port,
      send: bridge.send,
      close() {
        beat.cancel();
        unwatch();
        bridge.close();
      },
    };
  }

  return {
    id,
    machines: {
      own,
      get connected() {
        if (link) return link.port.connected;
        return told.connected && clock.monotonic() - told.at < SILENCE_MS;
      },
    },
    connect(port) {
      if (link?.port === port) return;
      link?.close();
      link = port && open(port);
    },
    post(message, to) {
      const machine = to === undefined ? undefined : machineOf(to);
      if (machine === undefined || machine === own) local?.post(message, to);
      if (machine === own) return;
      const parcel = { from: id, to, number: ++lastNumber, bytes: encoder.encode(message) };
      if (link) link.send(parcel);
      else crossings?.post({ type: "out", parcel });
    },
    listen(listener) {
      const unlisten = local?.listen(listener);
      listeners.add(listener);
      return () => {
        unlisten?.();
        listeners.delete(listener);
      };
    },
  };
}
