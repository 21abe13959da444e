import { describe, expect, test } from "vitest";
import { createManualClock, type ManualClock } from "../../lib/clock.ts";
import {
  createSessions,
  Overload,
  type Session,
  type Sessions,
  type Transport,
} from "../../lib/downstream/sessions.ts";

interface Setting {
  readonly sessions: Sessions;
  readonly clock: ManualClock;
}

function setUp({
  maxConnections = 1_000_000,
  connectsPerSecond = 0,
  random = Math.random,
}: Partial<Parameters<typeof createSessions>[0]> = {}): Setting {
  const clock = createManualClock(1_700_000_000_000);
  const sessions = createSessions({ maxConnections, connectsPerSecond, clock, random });
  return { sessions, clock };
}

function createSession(transport: Transport, drain: (retryMs: number) => void = () => {}): Session {
  return { transport, drain };
}

/** Those who were sent away, by the number they came in as. */
interface Left {
  readonly numbers: number[];
  readonly waits: number[];
  /** One more comes, and is there until it is sent away. */
  enter(): Session;
}

function crowd({ sessions }: Setting, count: number): Left {
  const numbers: number[] = [];
  const waits: number[] = [];
  let entered = 0;
  const enter = () => {
    const number = entered++;
    const session = createSession("sse", (retryMs) => {
      numbers.push(number);
      waits.push(retryMs);
      sessions.remove(session);
    });
    sessions.add(session);
    return session;
  };
  for (let i = 0; i < count; i++) enter();
  return { numbers, waits, enter };
}

/** What a newcomer is told, or `undefined` when it is let in. */
function admit({ sessions }: Setting): Overload | undefined {
  try {
    sessions.admit();
    return undefined;
  } catch (error) {
    if (error instanceof Overload) return error;
    throw error;
  }
}

test("sessions are counted by transport, and each leaves once", () => {
  const { sessions } = setUp();
  const [a, b] = [createSession("sse"), createSession("websocket")];
  for (const session of [a, b]) sessions.add(session);
  expect([sessions.size, sessions.count("sse"), sessions.count("signalr-sse")]).toEqual([2, 1, 0]);
  sessions.remove(a);
  sessions.remove(a);
  expect([sessions.size, sessions.count("sse"), sessions.count("websocket")]).toEqual([1, 0, 1]);
});

describe("a newcomer", () => {
  test("is not taken when there are as many as may be, until one has left", () => {
    const setting = setUp({ maxConnections: 2 });
    const { sessions } = setting;
    const session = createSession("sse");
    sessions.add(session);
    expect([sessions.full, admit(setting)]).toEqual([false, undefined]);
    sessions.add(createSession("sse"));
    expect(sessions.full).toBe(true);
    expect(admit(setting)).toMatchObject({
      code: "overloaded",
      message: expect.stringContaining("No more"),
    });
    expect(() => sessions.assertRoom()).toThrow(Overload);
    sessions.remove(session);
    expect([sessions.full, admit(setting)]).toEqual([false, undefined]);
    expect(sessions.refused).toEqual({ draining: 0, full: 2, rate: 0 });
  });

  test("is not taken when too many came within a second, and others are not concerned", () => {
    const setting = setUp({ connectsPerSecond: 5 });
    const { sessions, clock } = setting;
    const all = Array.from({ length: 8 }, () => admit(setting)?.message);
    const text = expect.stringMatching(/Too many .* connecting/);
    expect(all).toEqual([...Array.from({ length: 5 }), text, text, text]);
    expect(sessions.full).toBe(false);
    expect(() => sessions.assertRoom()).not.toThrow();
    clock.advance(200);
    expect([admit(setting), admit(setting)?.code]).toEqual([undefined, "overloaded"]);
    expect(sessions.refused).toEqual({ draining: 0, full: 0, rate: 4 });
  });

  test("that found no room does not use up the second's worth", () => {
    const setting = setUp({ maxConnections: 1, connectsPerSecond: 1 });
    const session = createSession("sse");
    setting.sessions.add(session);
    for (let i = 0; i < 10; i++) admit(setting);
    setting.sessions.remove(session);
    expect(admit(setting)).toBeUndefined();
  });

  test("that is too much is told to come back in 1 to 5 s, not all at once", () => {
    const setting = setUp({ connectsPerSecond: 1 });
    admit(setting);
    const waits = Array.from({ length: 1_000 }, () => admit(setting)?.retryMs ?? 0);
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(1_000);
    expect(Math.max(...waits)).toBeLessThanOrEqual(5_000);
    expect(new Set(waits).size).toBeGreaterThan(500);
  });

  test("is told to come back when all will have gone, in whole seconds", () => {
    const setting = setUp();
    const { sessions, clock } = setting;
    crowd(setting, 5_000);
    void sessions.drain(3_500);
    expect(sessions.full).toBe(true);
    const waits = [0, 499, 1, 1_000, 1_999, 1, 10_000].map((ms) => {
      clock.advance(ms);
      return admit(setting)?.retryMs;
    });
    expect(waits).toEqual([4_000, 4_000, 3_000, 2_000, 1_000, 1_000, 1_000]);
    expect(admit(setting)?.message).toContain("going away");
    expect(sessions.refused).toEqual({ draining: 8, full: 0, rate: 0 });
  });
});

describe("when the relay leaves", () => {
  test("clients are sent away evenly over the time", () => {
    const setting = setUp();
    const left = crowd(setting, 4_000);
    let over = false;
    void setting.sessions.drain(4_000).then(() => {
      over = true;
    });
    expect(left.numbers).toHaveLength(0);
    for (let ms = 25; ms <= 4_000; ms += 25) {
      setting.clock.advance(25);
      expect(left.numbers).toHaveLength(ms);
      expect(setting.sessions.size).toBe(4_000 - ms);
    }
    expect(over).toBe(false); // it is told at the end of this turn
  });

  test("they go in a random order, each once", () => {
    const setting = setUp();
    const left = crowd(setting, 1_000);
    void setting.sessions.drain(1_000);
    setting.clock.advance(1_000);
    const inOrder = Array.from({ length: 1_000 }, (_, number) => number);
    expect(left.numbers.toSorted((a, b) => a - b)).toEqual(inOrder);
    // Of the first half that came, about a half is among the first half that went.
    const early = left.numbers.slice(0, 500).filter((number) => number < 500).length;
    expect(early).toBeGreaterThan(150);
    expect(early).toBeLessThan(350);
  });

  test("each is told to come back within a second", () => {
    const setting = setUp();
    const left = crowd(setting, 1_000);
    void setting.sessions.drain(600_000);
    setting.clock.advance(2_000);
    expect(left.waits).toHaveLength(1_000);
    expect(Math.min(...left.waits)).toBeLessThan(100);
    expect(Math.max(...left.waits)).toBeGreaterThan(900);
    expect(Math.max(...left.waits)).toBeLessThanOrEqual(1_000);
  });

  test("a few do not take the whole time", async () => {
    const setting = setUp();
    const left = crowd(setting, 50);
    const over = setting.sessions.drain(4_000);
    setting.clock.advance(75);
    expect(left.numbers).toHaveLength(37 + 1);
    setting.clock.advance(25);
    expect(left.numbers).toHaveLength(50);
    await over;
  });

  test("nobody has to wait when there is no time, or nobody", async () => {
    const setting = setUp();
    const left = crowd(setting, 50);
    const over = setting.sessions.drain(0);
    expect(left.numbers).toHaveLength(50);
    await over;
    await setUp().sessions.drain(4_000);
  });

  test("who goes by itself is not sent away", async () => {
    const setting = setUp();
    const left = crowd(setting, 99);
    const own = left.enter();
    const over = setting.sessions.drain(4_000);
    setting.sessions.remove(own);
    setting.clock.advance(200);
    await over;
    expect(left.numbers.toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 99 }, (_, number) => number),
    );
  });

  test("who was let in before and comes only now is sent away, too", async () => {
    const setting = setUp();
    const left = crowd(setting, 1_000);
    const over = setting.sessions.drain(1_000);
    setting.clock.advance(500);
    left.enter();
    expect(left.numbers).not.toContain(1_000);
    setting.clock.advance(500);
    await over;
    expect(left.numbers).toContain(1_000);
    left.enter();
    setting.clock.advance(25);
    expect(left.numbers).toContain(1_001);
    expect(setting.sessions.size).toBe(0);
  });
});
