/**
 * The bookkeeping of SignalR's stateful reconnect, of one connection that outlives its sockets: what
 * was sent and may have to be sent again, and what was received and must not be processed twice.
 *
 * Only hub messages of the types 1 to 5 count. Their ids are implicit: each side numbers what it
 * sends and what it receives, from 1, and the first message on a new socket is a Sequence that says
 * from which id on the sender repeats.
 *
 * @see https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/HubProtocol.md
 */

import { ProtocolError } from "../errors.ts";
import type { Frame } from "../socket.ts";

export interface StatefulBuffer {
  /**
   * Keeps a frame until the peer has acked all of it; to be called for each frame, whether a socket
   * is there to send it or not.
   * @param frame whole hub messages, none of them an Ack, a Sequence or a Close. It is sent again as
   * it is, so its bytes MUST NOT change
   * @param messages how many of them count; a frame with 0, of pings, is not kept
   * @returns false when more than `maxBytes` are unacked now: the frame is kept all the same, and
   * the caller MUST append no other before `ack` returns true, or end the connection
   */
  append(frame: Frame, messages: number): boolean;
  /**
   * Keeps nothing from here on, and forgets what it has: for a peer that reads, but acknowledges too
   * seldom for its buffer. It goes on as it is, and cannot come back on another socket.
   */
  forget(): void;
  /** Whether nothing was forgotten, so that the peer can go on on a new socket. */
  readonly canResend: boolean;
  /**
   * The peer has processed everything up to this id; 0 and below say nothing.
   * @returns whether there is room for another frame
   * @throws {ProtocolError} when no message of this id was sent: .NET would forget what the peer
   * has not seen
   */
  ack(sequenceId: number): boolean;
  /**
   * What goes first on a new socket: a Sequence with this id, even when there are no frames, then
   * the frames. The id is that of the first message of the first frame, also when the peer has acked
   * a part of the frame: it drops what it knows. Without frames it is that of the next message.
   */
  resend(): { readonly sequenceId: number; readonly frames: readonly Frame[] };
  /** A counted message came. @returns false when it came before and is to be dropped */
  receive(): boolean;
  /**
   * A Sequence came: the next counted message has this id.
   * @throws {ProtocolError} when messages would be missing before it, or when it is below 1: .NET
   * takes that, and then drops new messages without a word until its count has caught up
   */
  sequence(sequenceId: number): void;
  /**
   * To be asked every second.
   * @returns the id to put into an Ack; `undefined` when the peer has been told all
   */
  ackDue(): number | undefined;
}

/**
 * @param maxBytes unacked bytes above which the sender has to wait; 100,000 as in .NET. Text counts
 * one byte a character, as the official JavaScript client counts: to measure it would cost an
 * encoding of every frame for every client
 */
export function createStatefulBuffer({
  maxBytes = 100_000,
}: {
  readonly maxBytes?: number;
} = {}): StatefulBuffer {
  let kept: Kept[] = [];
  let keptBytes = 0;
  let sent = 0;
  let forgotten = false;
  /** Id of the next counted message from the peer. */
  let next = 1;
  let processed = 0;
  /** The highest id that the peer may know to be processed. */
  let acked = 0;

  return {
    append(frame, messages) {
      if (messages > 0) {
        if (!forgotten) {
          kept.push({ frame, first: sent + 1, last: sent + messages });
          keptBytes += frame.length;
        }
        sent += messages;
      }
      return keptBytes <= maxBytes;
    },

    forget() {
      forgotten = true;
      kept = [];
      keptBytes = 0;
    },

    get canResend() {
      return !forgotten;
    },

    ack(sequenceId) {
      if (sequenceId > sent) {
        throw new ProtocolError(`Cannot ack message ${sequenceId}: only ${sent} were sent`);
      }
      const unacked = kept.findIndex(({ last }) => last > sequenceId);
      const done = unacked < 0 ? kept.length : unacked;
      for (const { frame } of kept.slice(0, done)) keptBytes -= frame.length;
      kept = kept.slice(done);
      return keptBytes <= maxBytes;
    },

    resend: () => ({
      sequenceId: kept[0]?.first ?? sent + 1,
      frames: kept.map(({ frame }) => frame),
    }),

    receive() {
      const id = next++;
      if (id <= processed) return false;
      processed = id;
      return true;
    },

    sequence(sequenceId) {
      if (sequenceId < 1) throw new ProtocolError(`Sequence ID ${sequenceId} is below 1.`);
      // Not above `next`: that may have been set back by an earlier Sequence whose repeats a cut has
      // swallowed, while an Ack told the peer that they need not be repeated again.
      if (sequenceId > processed + 1) {
        throw new ProtocolError("Sequence ID greater than amount of messages we've received.");
      }
      next = sequenceId;
      // It repeats what it takes for unacked, so the Ack of that was lost with the old socket. A
      // peer whose buffer is full sends nothing new, and would wait for this Ack forever.
      acked = Math.min(acked, sequenceId - 1);
    },

    ackDue() {
      if (acked === processed) return undefined;
      acked = processed;
      return processed;
    },
  };
}

/** A frame with the ids of its first and last counted message. */
interface Kept {
  readonly frame: Frame;
  readonly first: number;
  readonly last: number;
}
