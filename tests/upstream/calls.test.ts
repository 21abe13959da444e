import { describe, expect, test } from "vitest";
import { createManualClock } from "../../lib/clock.ts";
import { HubError } from "../../lib/errors.ts";
import { createCalls } from "../../lib/upstream/calls.ts";
import { turn } from "../support/turn.ts";

function setUp({ maxEntries = 10, keepMs = 60_000 } = {}) {
  const clock = createManualClock(1_000);
  /** What the origin was asked, in order. */
  const asked: { call: string; answer(raw: string): void; refuse(error: Error): void }[] = [];
  let sequence = 7;
  const calls = createCalls<string>({
    invoke: (method, args) =>
      new Promise((answer, refuse) => {
        asked.push({ call: `${method}${JSON.stringify(args)}`, answer, refuse });
      }),
    sequence: () => sequence,
    clock,
    maxEntries,
    keepMs,
  });
  return {
    clock,
    asked,
    ...calls,
    /** The feed goes on to another publication. */
    pass: () => sequence++,
    /** Answers the nth question. */
    async answer(n: number, raw: string) {
      asked[n]?.answer(raw);
      await turn();
    },
  };
}

describe("identical calls", () => {
  test("in flight are one", async () => {
    const { ask, asked, answer } = setUp();
    const answers = [
      ask("GetMatch", [42], 100),
      ask("getmatch", [42], 100),
      ask("GETMATCH", [42], 1),
    ];
    expect(asked.map(({ call }) => call)).toEqual(["GetMatch[42]"]);
    await answer(0, '{"score":[1,0]}');
    for (const given of await Promise.all(answers)) {
      expect(given).toEqual({ raw: '{"score":[1,0]}', sequence: 7, time: 1_000 });
    }
  });

  test("are one as long as the answer is fresh enough for who asks", async () => {
    const { ask, asked, answer, clock } = setUp();
    const first = ask("GetMatch", [42], 100);
    await answer(0, "1");
    clock.advance(99);
    expect(await ask("GetMatch", [42], 100)).toEqual(await first);
    void ask("GetMatch", [42], 50);
    expect(asked).toHaveLength(2);
  });

  test("with other arguments are others", () => {
    const { ask, asked } = setUp();
    for (const args of [[42], ["42"], [42, null], [], [[42]]]) void ask("GetMatch", args, 100);
    void ask("GetOdds", [42], 100);
    expect(asked).toHaveLength(6);
  });
});

describe("an answer", () => {
  test("says when it was asked for, not when it came", async () => {
    const { ask, answer, clock, pass } = setUp();
    const given = ask("GetMatch", [42], 100);
    clock.advance(30);
    pass();
    await answer(0, "1");
    expect(await given).toEqual({ raw: "1", sequence: 7, time: 1_000 });
  });

  test("is asked for in any case at an age of 0, and serves those who come after", async () => {
    const { ask, asked, answer } = setUp();
    void ask("GetMatch", [42], 100);
    await answer(0, "1");
    const anew = ask("GetMatch", [42], 0);
    const after = ask("GetMatch", [42], 100);
    expect(asked).toHaveLength(2);
    await answer(1, "2");
    expect([await anew, await after]).toMatchObject([{ raw: "2" }, { raw: "2" }]);
  });

  test("that is overtaken by a newer one does not take its place", async () => {
    const { ask, asked, answer } = setUp();
    const old = ask("GetMatch", [42], 0);
    void ask("GetMatch", [42], 0);
    await answer(1, "new");
    await answer(0, "old");
    expect(await old).toMatchObject({ raw: "old" });
    expect(await ask("GetMatch", [42], 100)).toMatchObject({ raw: "new" });
    expect(asked).toHaveLength(2);
  });
});

describe("an error", () => {
  test("is shared by those who waited, and not kept", async () => {
    const { ask, asked } = setUp();
    const answers = [ask("GetMatch", [42], 100), ask("GetMatch", [42], 100)];
    const error = new HubError("No such match");
    asked[0]?.refuse(error);
    for (const answer of answers) await expect(answer).rejects.toBe(error);
    void ask("GetMatch", [42], 100);
    expect(asked).toHaveLength(2);
  });

  test("of an older call does not take away a newer one", async () => {
    const { ask, asked } = setUp();
    const old = ask("GetMatch", [42], 0);
    void ask("GetMatch", [42], 0);
    asked[0]?.refuse(new HubError("No such match"));
    await expect(old).rejects.toThrow(HubError);
    void ask("GetMatch", [42], 100);
    expect(asked).toHaveLength(2);
  });
});

test("answers are forgotten when they are too many, the one asked for longest ago first", async () => {
  const { ask, asked } = setUp({ maxEntries: 2 });
  void ask("Get", [1], 100);
  void ask("Get", [2], 100);
  void ask("Get", [1], 0);
  void ask("Get", [3], 100);
  void ask("Get", [1], 100);
  expect(asked.map(({ call }) => call)).toEqual(["Get[1]", "Get[2]", "Get[1]", "Get[3]"]);
  void ask("Get", [2], 100);
  expect(asked).toHaveLength(5);
});

test("an answer that is too old for anybody is forgotten with the next call", async () => {
  const { ask, asked, answer, clock } = setUp({ keepMs: 100 });
  void ask("Get", [1], 100);
  await answer(0, "1");
  clock.advance(100);
  void ask("Get", [2], 100);
  void ask("Get", [1], 1_000);
  expect(asked).toHaveLength(3);
});

test("all answers can be forgotten", async () => {
  const { ask, asked, answer, clear } = setUp();
  void ask("Get", [1], 100);
  await answer(0, "1");
  void ask("Get", [2], 100);
  clear();
  void ask("Get", [1], 100);
  void ask("Get", [2], 100);
  expect(asked).toHaveLength(4);
});
