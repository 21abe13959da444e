/**
 * The way from the bus of one machine to those of the others, at the one isolate that is connected
 * to them: what is for another machine goes to that machine alone, in messages of a size that is
 * taken there.
 */

import { Decoder, Encoder } from "@msgpack/msgpack";
import { machineOf } from "../bus/bus.ts";
import type { Clock } from "../clock.ts";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import type { MachineNames } from "./names.ts";
import { concat } from "./pieces.ts";
import type { ClusterPort } from "./port.ts";

/** What goes from one machine to another. */
export interface Parcel {
  /** The isolate that has sent it. */
  readonly from: string;
  /** An isolate, a machine, or all. */
  readonly to: string | undefined;
  /** Rises with each one of its sender, whomever it is for. */
  readonly number: number;
  readonly bytes: Uint8Array;
}

export interface Bridge {
  /** Sends one to other machines. While they cannot be reached it is lost. */
  send(parcel: Parcel): void;
  close(): void;
}

/** What a message holds beside the bytes of a parcel, at most, bytes. */
const HEAD_BYTES = 128;

/** A sender of whom nothing more comes of a parcel that has begun is given up after this, ms. */
const FORGET_MS = 10_000;

/** A piece of a parcel as it is encoded: `index` of `count`, from 0. */
type Piece = readonly [
  from: string,
  to: string | null,
  number: number,
  index: number,
  count: number,
  bytes: Uint8Array,
];

/** A parcel of which some has come. */
interface Begun {
  readonly number: number;
  readonly pieces: Uint8Array[];
  /** On the monotonic clock, ms. */
  heardAt: number;
}

const encoder = new Encoder();
const decoder = new Decoder();

/** @param options.deliver is given what others have sent to this machine */
export function createBridge(options: {
  /** This machine. */
  readonly machine: string;
  readonly port: ClusterPort;
  readonly names: MachineNames;
  deliver(parcel: Parcel): void;
  readonly clock: Clock;
  readonly log: Log;
}): Bridge {
  const { machine, port, names, deliver, clock, log } = options;
  /** By sender. */
  const begun = new Map<string, Begun>();

  function hear(message: Uint8Array): void {
    let piece: Piece;
    try {
      piece = read(message);
    } catch (error) {
      return log.warn({ error: messageOf(error) }, "what another machine has sent cannot be read");
    }
    const [from, to, number, , count, part] = piece;
    if (machineOf(from) === machine) return; // what is for all comes back
    const bytes = count === 1 ? part.slice() : join(piece);
    if (bytes) deliver({ from, to: to ?? undefined, number, bytes });
  }

  /** @returns a parcel that has come to its end without a hole */
  function join([from, , number, index, count, part]: Piece): Uint8Array | undefined {
    const known = begun.get(from);
    const own = index === 0 ? { number, pieces: [], heardAt: 0 } : known;
    if (own?.number !== number || own.pieces.length !== index) {
      if (own) begun.delete(from);
      return undefined;
    }
    own.heardAt = clock.monotonic();
    own.pieces.push(part.slice()); // what came off a socket is part of something larger
    begun.set(from, own);
    if (index < count - 1) return undefined;
    begun.delete(from);
    return concat(own.pieces);
  }

  const sweep = clock.every(FORGET_MS, () => {
    const now = clock.monotonic();
    for (const [from, { heardAt }] of begun) if (now - heardAt > FORGET_MS) begun.delete(from);
  });
  const unlisten = [names.one(machine), names.all].map((subject) => port.listen(subject, hear));

  return {
    send({ from, to, number, bytes }) {
      if (!port.connected) return;
      const subject = to === undefined ? names.all : names.one(machineOf(to));
      const size = port.maxBytes - HEAD_BYTES;
      const count = Math.max(1, Math.ceil(bytes.length / size));
      for (let index = 0; index < count; index++) {
        const part = bytes.subarray(index * size, (index + 1) * size);
        const piece: Piece = [from, to ?? null, number, index, count, part];
        port.post(subject, encoder.encode(piece));
      }
    },
    close() {
      sweep.cancel();
      for (const stop of unlisten) stop();
    },
  };
}

/** @throws Error when it is none */
function read(message: Uint8Array): Piece {
  const piece = decoder.decode(message);
  // Who may write here is as trustworthy as this machine, but may be of another version.
  if (!Array.isArray(piece) || piece.length !== 6 || !(piece[5] instanceof Uint8Array)) {
    throw new TypeError("It is no piece");
  }
  return piece as unknown as Piece;
}
