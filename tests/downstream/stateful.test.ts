import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createStatefulBuffer } from "../../lib/downstream/stateful.ts";
import { ProtocolError } from "../../lib/errors.ts";

describe("two peers", () => {
  test("process every message exactly once and in order, wherever the connection is cut", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const peers = [createPeer(), createPeer()] as const;
        for (const step of steps) run(peers, step);

        // The last cut: everything comes through from here on.
        attach(peers);
        settle(peers);
        for (const peer of peers) peer.tick();
        settle(peers);

        const [a, b] = peers;
        expect(a.processed).toEqual(upTo(b.written));
        expect(b.processed).toEqual(upTo(a.written));
        // Also the acks came through, or a full peer would be waiting for one forever.
        for (const { buffer, written } of peers) {
          expect(buffer.resend()).toEqual({ sequenceId: written + 1, frames: [] });
        }
      }),
      { numRuns: 1000 },
    );
  });
});

/** What the literal cases of .NET 10 look like from inside. */
describe("sending", () => {
  test("everything unacked is sent again, and Sequence names its first message", () => {
    const buffer = createStatefulBuffer();
    buffer.append("one", 1);
    buffer.append("two", 1);
    expect(buffer.resend()).toEqual({ sequenceId: 1, frames: ["one", "two"] });
    buffer.ack(1);
    expect(buffer.resend()).toEqual({ sequenceId: 2, frames: ["two"] });
    expect(buffer.resend()).toEqual({ sequenceId: 2, frames: ["two"] });
  });

  test("with all acked, Sequence names the message that comes next", () => {
    const buffer = createStatefulBuffer();
    expect(buffer.resend()).toEqual({ sequenceId: 1, frames: [] });
    for (let n = 1; n <= 4; n++) buffer.append(`${n}`, 1);
    buffer.ack(4);
    expect(buffer.resend()).toEqual({ sequenceId: 5, frames: [] });
  });

  test("a frame that is acked in part is sent again from its first message", () => {
    const buffer = createStatefulBuffer();
    buffer.append("one", 1);
    buffer.append("two three four", 3);
    buffer.ack(3);
    expect(buffer.resend()).toEqual({ sequenceId: 2, frames: ["two three four"] });
    buffer.ack(4);
    expect(buffer.resend()).toEqual({ sequenceId: 5, frames: [] });
  });

  test("a frame without counted messages is not kept", () => {
    const buffer = createStatefulBuffer({ maxBytes: 1 });
    expect(buffer.append("ping", 0)).toBe(true);
    expect(buffer.resend()).toEqual({ sequenceId: 1, frames: [] });
  });

  test("the frame that crosses the bound still goes out, and an ack makes room", () => {
    const buffer = createStatefulBuffer({ maxBytes: 1000 });
    const frame = "x".repeat(143);
    /** How many go out before the next has to wait. */
    const push = () => {
      let frames = 1;
      while (frames < 100 && buffer.append(frame, 1)) frames++;
      return frames;
    };
    expect(push()).toBe(7);
    expect(buffer.append("ping", 0)).toBe(false);
    expect(buffer.ack(0)).toBe(false);
    expect(buffer.ack(3)).toBe(true);
    expect(push()).toBe(3);
    expect(buffer.resend()).toEqual({ sequenceId: 4, frames: Array(7).fill(frame) });
  });

  test("what is forgotten is still counted, and nothing is kept from then on", () => {
    const buffer = createStatefulBuffer({ maxBytes: 4 });
    expect(buffer.append("12345", 1)).toBe(false);
    expect(buffer.canResend).toBe(true);
    buffer.forget();
    expect(buffer.canResend).toBe(false);
    expect(buffer.append("67890", 2)).toBe(true);
    expect(buffer.resend().frames).toEqual([]);
    expect(buffer.ack(3)).toBe(true);
    expect(() => buffer.ack(4)).toThrow(ProtocolError);
  });

  test("the bound is 100,000 bytes unless told, of text and of bytes alike", () => {
    for (const frame of ["x".repeat(50_000), new Uint8Array(50_000)]) {
      const buffer = createStatefulBuffer();
      expect(buffer.append(frame, 1)).toBe(true);
      expect(buffer.append(frame, 1)).toBe(true);
      expect(buffer.append("x", 1)).toBe(false);
    }
  });

  test("an ack of what was never sent ends the connection", () => {
    const buffer = createStatefulBuffer();
    expect(() => buffer.ack(1)).toThrow(ProtocolError);
    buffer.append("one two", 2);
    expect(() => buffer.ack(3)).toThrow(ProtocolError);
    expect(buffer.resend().frames).toEqual(["one two"]);
  });

  test("an ack of 0 or below, or one that came before, has no effect", () => {
    const buffer = createStatefulBuffer();
    buffer.append("one", 1);
    buffer.append("two", 1);
    for (const id of [0, -1, 1, 1]) buffer.ack(id);
    expect(buffer.resend()).toEqual({ sequenceId: 2, frames: ["two"] });
  });
});

describe("receiving", () => {
  test("a message that was processed is acked once", () => {
    const buffer = createStatefulBuffer();
    expect(buffer.ackDue()).toBeUndefined();
    expect(buffer.receive()).toBe(true);
    expect(buffer.ackDue()).toBe(1);
    expect(buffer.ackDue()).toBeUndefined();
  });

  test("after Sequence 1 the messages 1 and 2 are dropped, 3 is processed and acked", () => {
    const buffer = createStatefulBuffer();
    receive(buffer, 2);
    buffer.ackDue();
    buffer.sequence(1);
    expect(receive(buffer, 3)).toEqual([false, false, true]);
    expect(buffer.ackDue()).toBe(3);
    expect(buffer.ackDue()).toBeUndefined();
  });

  test("who repeats what was acked is told again, without anything new", () => {
    const buffer = createStatefulBuffer();
    receive(buffer, 2);
    expect(buffer.ackDue()).toBe(2);
    buffer.sequence(2);
    expect(receive(buffer, 1)).toEqual([false]);
    expect(buffer.ackDue()).toBe(2);
    buffer.sequence(3);
    expect(buffer.ackDue()).toBeUndefined();
  });

  test("a Sequence above the next message ends the connection", () => {
    const buffer = createStatefulBuffer();
    receive(buffer, 2);
    buffer.sequence(3);
    expect(() => buffer.sequence(4)).toThrow(
      new ProtocolError("Sequence ID greater than amount of messages we've received."),
    );
  });

  test("a Sequence on a first connection is taken when it is 1", () => {
    const buffer = createStatefulBuffer();
    buffer.sequence(1);
    expect(buffer.receive()).toBe(true);
    expect(() => createStatefulBuffer().sequence(5)).toThrow(ProtocolError);
  });

  test("a Sequence of 0 or below ends the connection, where .NET would lose messages", () => {
    for (const id of [0, -1, -5]) {
      const buffer = createStatefulBuffer();
      receive(buffer, 2);
      expect(() => buffer.sequence(id)).toThrow(ProtocolError);
    }
  });
});

function receive(buffer: { receive(): boolean }, count: number): boolean[] {
  return Array.from({ length: count }, () => buffer.receive());
}

/** The ids from 1 to `last`. */
function upTo(last: number): number[] {
  return Array.from({ length: last }, (_, index) => index + 1);
}

/** What travels; `messages` are the ids that the sender knows them by. */
type Packet =
  | { type: "messages"; messages: number[] }
  | { type: "ack"; sequenceId: number }
  | { type: "sequence"; sequenceId: number };

type Step =
  | { type: "send"; side: 0 | 1; messages: number }
  | { type: "deliver"; side: 0 | 1; packets: number }
  | { type: "tick"; side: 0 | 1 }
  | { type: "cut" }
  | { type: "attach" };

const side = fc.constantFrom(0 as const, 1 as const);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ type: fc.constant("send"), side, messages: fc.nat(4) }) },
  { weight: 6, arbitrary: fc.record({ type: fc.constant("deliver"), side, packets: fc.nat(5) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("tick"), side }) },
  fc.record({ type: fc.constant("cut") }),
  fc.record({ type: fc.constant("attach") }),
);

type Peer = ReturnType<typeof createPeer>;

/** One end of a connection. What is on its way is in `wire`; without a socket that is `undefined`. */
function createPeer() {
  const buffer = createStatefulBuffer();
  const packets = new Map<string, Packet>();
  const peer = {
    buffer,
    /** Ids of the peer's messages, in the order in which they were processed here. */
    processed: [] as number[],
    /** Messages written so far, with a socket or without. */
    written: 0,
    wire: [] as Packet[] | undefined,

    send(count: number) {
      const messages = Array.from({ length: count }, () => ++peer.written);
      const packet: Packet = { type: "messages", messages };
      const frame = messages.join(" ");
      packets.set(frame, packet);
      buffer.append(frame, count);
      peer.wire?.push(packet);
    },
    tick() {
      // Without a socket the Ack is written to nowhere, as .NET's and JavaScript's are.
      const sequenceId = buffer.ackDue();
      if (sequenceId !== undefined) peer.wire?.push({ type: "ack", sequenceId });
    },
    attach() {
      const { sequenceId, frames } = buffer.resend();
      peer.wire = [{ type: "sequence", sequenceId }];
      for (const frame of frames) peer.wire.push(packets.get(frame as string) as Packet);
    },
    receive(packet: Packet) {
      if (packet.type === "ack") buffer.ack(packet.sequenceId);
      else if (packet.type === "sequence") buffer.sequence(packet.sequenceId);
      else for (const id of packet.messages) if (buffer.receive()) peer.processed.push(id);
    },
  };
  return peer;
}

function run(peers: readonly [Peer, Peer], step: Step): void {
  switch (step.type) {
    case "send":
      return peers[step.side].send(step.messages);
    case "tick":
      return peers[step.side].tick();
    case "deliver":
      return deliver(peers, step.side, step.packets);
    case "attach":
      return attach(peers);
    case "cut":
      // What is on its way is lost.
      for (const peer of peers) peer.wire = undefined;
  }
}

/** A new socket; the old one, if there was one, is lost with what was on its way. */
function attach(peers: readonly [Peer, Peer]): void {
  for (const peer of peers) peer.attach();
}

/** Brings packets to one side. */
function deliver(peers: readonly [Peer, Peer], side: 0 | 1, packets: number): void {
  const from = peers[side === 0 ? 1 : 0];
  for (const packet of from.wire?.splice(0, packets) ?? []) peers[side].receive(packet);
}

/** Brings everything that is on its way. */
function settle(peers: readonly [Peer, Peer]): void {
  deliver(peers, 0, Number.POSITIVE_INFINITY);
  deliver(peers, 1, Number.POSITIVE_INFINITY);
}
