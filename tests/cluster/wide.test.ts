import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createManualClock } from "../../lib/clock.ts";
import { createBridge, type Parcel } from "../../lib/cluster/bridge.ts";
import { nameMachines } from "../../lib/cluster/names.ts";
import type { ClusterPort } from "../../lib/cluster/port.ts";
import { showSeal } from "../../lib/cluster/seal.ts";
import { createWideBus } from "../../lib/cluster/wide.ts";
import { silentLog } from "../../lib/log.ts";
import { eventually } from "../support/eventually.ts";
import { createFakeBus } from "../support/fake-bus.ts";
import { createFakeCluster } from "../support/fake-cluster.ts";

const NAMES = nameMachines("test");

/** What an isolate has heard since the last time: who has said it, and what. */
type Heard = readonly [from: string, message: unknown][];

/**
 * Machines `m` and `n` of two isolates each, and `o` of one without a bus of its own; of each the
 * first is connected.
 */
function create() {
  const clock = createManualClock(1_000);
  const cluster = createFakeCluster(clock);
  /** Messages from machine to machine, by subject. */
  const sent: string[] = [];
  const machines = ["m", "n", "o"].map((machine) => {
    const place = cluster.join();
    const bus = createFakeBus(clock.soon);
    const port: ClusterPort = {
      ...place.port,
      get connected() {
        return place.port.connected;
      },
      post(subject, bytes) {
        sent.push(subject);
        place.port.post(subject, bytes);
      },
    };
    const ids = machine === "o" ? ["a"] : ["a", "b"];
    const isolates = ids.map((isolate, i) => {
      const id = `${machine}.${isolate}`;
      // Ids of the machine's own bus name it, but that one joins no others.
      const { machines: _, ...local } = bus.join(id);
      const wide = createWideBus({
        id,
        local: machine === "o" ? undefined : local,
        names: NAMES,
        clock,
        log: silentLog,
      });
      if (i === 0) wide.connect(port);
      const heard: [string, unknown][] = [];
      wide.listen((from, message) => {
        // What the isolates of a machine say to each other of the connection is not for listeners.
        if ((message as { channel?: string }).channel !== "machines") heard.push([from, message]);
      });
      const take = (): Heard => heard.splice(0);
      return { ...wide, id, wide, take };
    });
    return { place, port, isolates };
  });
  const all = machines.flatMap(({ isolates }) => isolates);
  return {
    clock,
    machine: (name: string) => {
      const found = machines["mno".indexOf(name)];
      if (!found) throw new Error(`There is no machine ${name}`);
      return found;
    },
    of(id: string) {
      const found = all.find((isolate) => isolate.id === id);
      if (!found) throw new Error(`There is no isolate ${id}`);
      return found;
    },
    /** What all have heard, those left out who have heard nothing. */
    taken: () =>
      Object.fromEntries(
        all.map(({ id, take }) => [id, take()] as const).filter(([, heard]) => heard.length > 0),
      ),
    sent: () => sent.splice(0),
    pass: (ms = 50) => cluster.pass(ms),
  };
}

describe("a message", () => {
  test("for an isolate goes to that one, and to no other machine", async () => {
    const { of, pass, taken, sent } = create();
    of("m.b").post("hello", "n.b");
    await pass();
    expect(taken()).toEqual({ "n.b": [["m.b", "hello"]] });
    expect(sent()).toEqual(["test-machines.n"]);
    of("n.b").post("you too", "o.a");
    await pass();
    expect(taken()).toEqual({ "o.a": [["n.b", "you too"]] });
    of("m.b").post("here", "m.a");
    await pass();
    expect(taken()).toMatchObject({ "m.a": [["m.b", "here"]] });
    expect(sent()).toEqual(["test-machines.o"]);
  });

  test("for a machine goes to all of it", async () => {
    const { of, pass, taken } = create();
    of("o.a").post("hello", "n");
    await pass();
    expect(taken()).toEqual({ "n.a": [["o.a", "hello"]], "n.b": [["o.a", "hello"]] });
    of("n.a").post("hello", "n");
    await pass();
    expect(taken()).toEqual({ "n.b": [["n.a", "hello"]] });
  });

  test("for all goes to all but its sender, once", async () => {
    const { of, pass, taken, sent } = create();
    of("m.b").post("hello");
    await pass();
    const heard = [["m.b", "hello"]];
    expect(taken()).toEqual({ "m.a": heard, "n.a": heard, "n.b": heard, "o.a": heard });
    expect(sent()).toEqual(["test-machines"]);
  });

  test("comes through as it was, whatever its size, and in order", async () => {
    const value = fc.oneof(
      fc.string(),
      fc.uint8Array({ maxLength: 2_000 }),
      fc.integer(),
      fc.constant(1_700_000_000_123),
      fc.array(fc.tuple(fc.string(), fc.string())),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.record({ type: fc.string(), value })), async (messages) => {
        const { of, pass, taken } = create();
        for (const message of messages) of("m.b").post({ ...message, absent: undefined }, "n.b");
        await pass();
        const heard = messages.map((message) => ["m.b", message]);
        expect(taken()).toEqual(heard.length > 0 ? { "n.b": heard } : {});
      }),
      { numRuns: 50 },
    );
  });

  test("that comes late or again is not heard", async () => {
    const { of, machine, pass, taken } = create();
    type Posted = Parameters<ClusterPort["post"]>;
    const posted: Posted[] = [];
    const { port } = machine("o");
    const { post } = port;
    port.post = (...args) => void posted.push(args);
    for (const message of ["first", "second", "third"]) of("o.a").post(message, "m.b");
    const [first, second, third] = posted as [Posted, Posted, Posted];
    for (const [subject, bytes] of [second, first, second, third, third]) post(subject, bytes);
    await pass();
    expect(taken()).toEqual({
      "m.b": [
        ["o.a", "second"],
        ["o.a", "third"],
      ],
    });
  });

  test("of which a piece was lost is lost, and no more than that", async () => {
    const bytes = new Uint8Array(1_000).fill(7);
    for (let lost = 0; lost < 8; lost++) {
      const { of, machine, pass, taken } = create();
      const { port } = machine("o");
      const { post } = port;
      let number = 0;
      port.post = (subject, bytes) => {
        if (number++ !== lost) post(subject, bytes);
      };
      of("o.a").post(bytes, "m.a");
      expect(number).toBe(8);
      of("o.a").post("next", "m.a");
      of("o.a").post(bytes, "m.a");
      await pass();
      expect(taken()).toEqual({
        "m.a": [
          ["o.a", "next"],
          ["o.a", bytes],
        ],
      });
    }
  });

  test("of which a piece was lost is not handed on in part", async () => {
    const clock = createManualClock();
    const cluster = createFakeCluster(clock);
    const handed: Parcel[] = [];
    const bridge = (machine: string, port: ClusterPort) =>
      createBridge({
        machine,
        port,
        names: NAMES,
        deliver: (parcel) => handed.push(parcel),
        clock,
        log: silentLog,
      });
    bridge("n", cluster.join().port);
    const { port } = cluster.join();
    let count = 0;
    let lost = 0;
    const lossy: ClusterPort = {
      ...port,
      post: (subject, bytes) => count++ !== lost && port.post(subject, bytes),
    };
    const { send } = bridge("m", lossy);
    const parcel = { from: "m.a", to: "n.b", bytes: new Uint8Array(1_000).fill(7) };
    for (; lost < 8; lost++) {
      count = 0;
      send({ ...parcel, number: lost + 1 });
      expect(count).toBe(8);
      await cluster.pass(50);
      expect(handed).toEqual([]);
    }
    count = 0;
    send({ ...parcel, number: 9 });
    await cluster.pass(50);
    expect(handed).toEqual([{ ...parcel, number: 9 }]);
  });

  test("that nobody can read is nothing", async () => {
    const { of, machine, pass, taken } = create();
    for (const bytes of [[], [0xc1], [0x01], [0xc0], [0x91, 0xa1, 0x6d]]) {
      machine("o").port.post("test-machines.m", new Uint8Array(bytes));
    }
    of("o.a").post("hello", "m.b");
    await pass();
    expect(taken()).toEqual({ "m.b": [["o.a", "hello"]] });
  });
});

test("a machine with another secret is noticed by all others, once", async () => {
  const clock = createManualClock();
  const cluster = createFakeCluster(clock);
  const noticed: string[] = [];
  const secrets = { m: "the same on all", n: "the same on all", o: "another than theirs" };
  for (const [machine, secret] of Object.entries(secrets)) {
    const { port } = cluster.join();
    const onOther = (other: string) => noticed.push(`${other} at ${machine}`);
    showSeal({ machine, secret, port, subject: NAMES.seals, onOther, clock });
    // Its seal is made by the runtime's cryptography, which takes a while of its own.
    await eventually(
      () => clock.dueAt,
      (due) => due !== undefined,
    );
    await cluster.pass(100);
  }
  await cluster.pass(100_000);
  expect(noticed.sort()).toEqual(["m at o", "n at o", "o at m", "o at n"]);
});

describe("the connection", () => {
  test("may go from one isolate to another", async () => {
    const { of, machine, pass, taken } = create();
    const { port } = machine("m");
    of("m.a").post("one", "n.b");
    await pass();
    // For a moment both have it: what is carried twice is heard once.
    of("m.b").wide.connect(port);
    of("m.a").post("two", "n.b");
    of("n.b").post("two", "m.a");
    await pass();
    of("m.a").wide.connect(undefined);
    of("m.a").post("three", "n.b");
    of("n.b").post("three", "m.a");
    await pass();
    const told = ["one", "two", "three"].map((message) => ["m.a", message]);
    const heard = ["two", "three"].map((message) => ["n.b", message]);
    expect(taken()).toEqual({ "n.b": told, "m.a": heard });
  });

  test("is known to every isolate, and its loss", async () => {
    const { of, machine, pass } = create();
    const states = () => ["m.a", "m.b", "o.a"].map((id) => of(id).wide.machines.connected);
    await pass(1_000);
    expect(states()).toEqual([true, true, true]);
    machine("m").place.cut();
    await pass(10);
    expect(states()).toEqual([false, false, true]);
    machine("m").place.heal();
    await pass(10);
    expect(states()).toEqual([true, true, true]);
    // Nobody has it any more.
    of("m.a").wide.connect(undefined);
    await pass(3_500);
    expect(states()).toEqual([false, false, true]);
  });

  test("loses what is said while it is away, and no more than that", async () => {
    const { of, machine, pass, taken } = create();
    machine("m").place.cut();
    of("m.b").post("lost", "n.b");
    await pass();
    machine("m").place.heal();
    of("m.b").post("heard", "n.b");
    await pass();
    expect(taken()).toEqual({ "n.b": [["m.b", "heard"]] });
  });
});
