import { expect, test } from "vitest";
import { channelOf } from "../../lib/bus/bus.ts";
import { createGather } from "../../lib/bus/gather.ts";
import { createManualClock } from "../../lib/clock.ts";
import { createFakeBus } from "../support/fake-bus.ts";
import { turn } from "../support/turn.ts";

function create() {
  const clock = createManualClock();
  const bus = createFakeBus(clock.soon);
  let asked = 0;
  /** What answers wait for. */
  const gate = { opened: Promise.resolve() };
  const [ask] = ["a", "b", "c"].map((id) =>
    createGather<string>(channelOf(bus.join(id), "test"), {
      async answer() {
        const answer = `${id}${++asked}`;
        await gate.opened;
        if (id === "c") throw new Error("It has nothing to say");
        return answer;
      },
      timeoutMs: 500,
      clock,
    }),
  );
  if (!ask) throw new Error("It was made above");
  return {
    clock,
    bus,
    gate,
    ask,
    asked: () => asked,
    async settle() {
      for (let i = 0; i < 4; i++) {
        clock.settle();
        await turn();
      }
    },
  };
}

test("who is asked answers", async () => {
  const { ask, settle } = create();
  const answers = ask(["b"]);
  await settle();
  expect(await answers).toEqual(new Map([["b", "b1"]]));
});

test("nobody is waited for when nobody is asked", async () => {
  const { ask } = create();
  expect(await ask([])).toEqual(new Map());
  expect(await ask([])).toEqual(new Map());
});

test("who does not answer in time is left out", async () => {
  const { ask, bus, clock, settle } = create();
  bus.isLost = (from) => from === "b";
  const answers = ask(["b", "c", "gone"]);
  await settle();
  clock.advance(500);
  expect(await answers).toEqual(new Map());
});

test("an answer that comes late is none to a later question", async () => {
  const { ask, gate, clock, settle } = create();
  let open = () => {};
  gate.opened = new Promise((resolve) => {
    open = resolve;
  });
  const early = ask(["b"]);
  await settle();
  clock.advance(500);
  expect(await early).toEqual(new Map());
  const late = ask(["b"]);
  open();
  await settle();
  expect(await late).toEqual(new Map([["b", "b3"]])); // b1 and c2 were to the first
});

test("all who ask at one time share the answers", async () => {
  const { ask, asked, settle } = create();
  const both = Promise.all([ask(["b"]), ask(["b"])]);
  await settle();
  const [one, other] = await both;
  expect(one).toBe(other);
  expect(asked()).toBe(2); // one of b, one of c
});
