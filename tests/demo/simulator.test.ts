import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  MATCH_COUNT,
  type MatchState,
  type OddsChanged,
  type ScoreChanged,
  SPORTS,
  type TickerItem,
} from "../../app/demo/contract.ts";
import { CLUBS } from "../../app/demo/league.ts";
import {
  createSimulator,
  MAX_STEP_MS,
  type Simulator,
  type SimulatorEvent,
} from "../../app/demo/simulator.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const ids = Array.from({ length: MATCH_COUNT }, (_, index) => index + 1);
const seed = fc.integer({ min: 0, max: 0xffff_ffff });

function states(simulator: Simulator): MatchState[] {
  return ids.map((id) => simulator.match(id));
}

/** What a watcher of the pushes knows who began with `state`. */
function replay(state: MatchState, events: readonly SimulatorEvent[]): MatchState {
  for (const event of events) {
    if (event.type === "score" && event.data.matchId === state.matchId) {
      const { reason: _, ...score } = event.data;
      state = { ...state, ...score };
    }
    if (event.type === "odds" && event.data.matchId === state.matchId) {
      const { matchId: _, ...market } = event.data;
      const markets = state.markets.map((old) => (old.marketId === market.marketId ? market : old));
      state = { ...state, markets };
    }
  }
  return state;
}

describe("a seed", () => {
  test("gives the same match-day again", () => {
    fc.assert(
      fc.property(seed, (seed) => {
        const [a, b] = [createSimulator({ seed }), createSimulator({ seed })];
        expect(a.advance(10 * MINUTE)).toEqual(b.advance(10 * MINUTE));
        expect(states(a)).toEqual(states(b));
      }),
      { numRuns: 5 },
    );
  });

  test("gives another match-day than another seed", () => {
    const [a, b] = [createSimulator({ seed: 1 }), createSimulator({ seed: 2 })];
    expect(states(a)).not.toEqual(states(b));
  });
});

describe("time", () => {
  test("may be cut into any steps", () => {
    const step = fc.oneof(
      fc.integer({ min: 0, max: 2500 }),
      fc.integer({ min: 0, max: 20 * MINUTE }),
    );
    fc.assert(
      fc.property(seed, fc.array(step, { maxLength: 20 }), (seed, steps) => {
        const cut = createSimulator({ seed });
        const whole = createSimulator({ seed });
        const events = steps.flatMap((ms) => cut.advance(ms));
        expect(events).toEqual(whole.advance(steps.reduce((a, b) => a + b, 0)));
        expect(states(cut)).toEqual(states(whole));
      }),
      { numRuns: 10 },
    );
  });

  test("is told by each event, in order and within the step", () => {
    const simulator = createSimulator({ seed: 3 });
    simulator.advance(1234);
    let last = 1000;
    for (const { atMs } of simulator.advance(HOUR)) {
      expect(atMs).toBeGreaterThanOrEqual(last);
      last = atMs;
    }
    expect(last).toBeLessThanOrEqual(HOUR + 1234);
  });

  test.each([-1, 0.5, Number.NaN, MAX_STEP_MS + 1])("does not pass by %d ms", (ms) => {
    expect(() => createSimulator({ seed: 1 }).advance(ms)).toThrow(RangeError);
  });
});

describe("the board", () => {
  test("is alive at once: most matches in play, at many minutes, with goals", () => {
    fc.assert(
      fc.property(seed, (seed) => {
        const board = states(createSimulator({ seed }));
        const playing = board.filter(({ phase }) => phase.endsWith("-half"));
        expect(playing.length).toBeGreaterThanOrEqual(14);
        expect(new Set(playing.map(({ minute }) => minute)).size).toBeGreaterThanOrEqual(12);
        const goals = board.reduce((sum, { home, away }) => sum + home.goals + away.goals, 0);
        expect(goals).toBeGreaterThanOrEqual(8);
        expect(goals).toBeLessThanOrEqual(70);
      }),
      { numRuns: 10 },
    );
  });

  test("stays so for a day, and shows no club twice", () => {
    const simulator = createSimulator({ seed: 4 });
    for (let hour = 0; hour < 24; hour++) {
      simulator.advance(HOUR);
      const board = states(simulator);
      expect(board.filter(({ phase }) => phase.endsWith("-half")).length).toBeGreaterThan(10);
      const clubs = board.flatMap(({ home, away }) => [home.name, away.name]);
      expect(new Set(clubs).size).toBe(2 * MATCH_COUNT);
    }
  });

  test("has a match for each id of the contract and no other", () => {
    const simulator = createSimulator({ seed: 1 });
    for (const id of ids) expect(simulator.match(id).matchId).toBe(id);
    for (const id of [0, MATCH_COUNT + 1, 1.5]) {
      expect(() => simulator.match(id)).toThrow(RangeError);
    }
  });

  test("pairs clubs of the match's league", () => {
    for (const { league, home, away } of states(createSimulator({ seed: 5 }))) {
      expect(CLUBS[league]).toContain(home.name);
      expect(CLUBS[league]).toContain(away.name);
    }
  });
});

describe("pushes", () => {
  const simulator = createSimulator({ seed: 2026 });
  const before = states(simulator);
  const events = simulator.advance(6 * HOUR);
  const after = states(simulator);
  const pushes = (id: number): (OddsChanged | ScoreChanged)[] =>
    events.flatMap(({ type, data }) =>
      (type === "odds" || type === "score") && data.matchId === id ? [data] : [],
    );

  test("leave whoever replays them with the state that the match has", () => {
    expect(before.map((state) => replay(state, events))).toEqual(after);
    const early = createSimulator({ seed: 2026 });
    const some = early.advance(17 * MINUTE);
    expect(before.map((state) => replay(state, some))).toEqual(states(early));
  });

  test("never take a goal, a card or a minute back before the next fixture", () => {
    for (const state of before) {
      let last: MatchState | ScoreChanged = state;
      for (const push of pushes(state.matchId)) {
        if (!("reason" in push)) continue;
        if (push.phase === "scheduled") {
          expect(last.phase).toBe("full-time");
          expect([push.minute, push.home.goals, push.away.goals]).toEqual([0, 0, 0]);
          expect(push.home.name).not.toBe(last.home.name);
        } else {
          expect(push.minute).toBeGreaterThanOrEqual(last.minute);
          for (const side of ["home", "away"] as const) {
            expect(push[side].name).toBe(last[side].name);
            for (const count of ["goals", "yellow", "red"] as const) {
              expect(push[side][count]).toBeGreaterThanOrEqual(last[side][count]);
            }
          }
        }
        last = push;
      }
    }
  });

  test("follow the phases of a match, with 45 and 90 at the whistles", () => {
    const next = {
      scheduled: "first-half",
      "first-half": "half-time",
      "half-time": "second-half",
      "second-half": "full-time",
      "full-time": "scheduled",
    };
    const minute = {
      scheduled: 0,
      "first-half": 0,
      "half-time": 45,
      "second-half": 45,
      "full-time": 90,
    };
    for (const state of before) {
      let { phase } = state;
      for (const push of pushes(state.matchId)) {
        if (!("reason" in push)) continue;
        if (push.reason === "phase") {
          expect(push.phase).toBe(next[phase]);
          expect(push.minute).toBe(minute[push.phase]);
        } else {
          expect(push.phase).toBe(phase);
        }
        phase = push.phase;
      }
    }
  });

  test("change by what their reason says, and by one goal or card at a time", () => {
    for (const state of before) {
      let last: MatchState | ScoreChanged = state;
      for (const push of pushes(state.matchId)) {
        if (!("reason" in push)) continue;
        const gained = (count: "goals" | "yellow" | "red"): number =>
          push.home[count] + push.away[count] - last.home[count] - last.away[count];
        if (push.reason === "goal") expect(gained("goals")).toBe(1);
        if (push.reason === "card") expect(gained("yellow") + gained("red")).toBe(1);
        if (push.reason === "minute") expect(push.minute).toBe(last.minute + 1);
        last = push;
      }
    }
  });

  test("of a suspended market carry its last name and prices, of an open one new ones", () => {
    for (const state of before) {
      const markets = new Map(state.markets.map((market) => [market.marketId, market]));
      for (const push of pushes(state.matchId)) {
        if ("reason" in push) continue;
        const { matchId: _, ...market } = push;
        const last = markets.get(market.marketId)!;
        if (market.suspended) expect(market).toEqual({ ...last, suspended: true });
        else expect(market).not.toEqual(last);
        markets.set(market.marketId, market);
      }
    }
  });

  test("of a goal find the markets suspended, and a burst follows", () => {
    const bursts: number[] = [];
    for (const [index, event] of events.entries()) {
      if (event.type !== "score" || event.data.reason !== "goal") continue;
      if (event.data.minute > 85 || event.atMs > 5 * HOUR) continue;
      const { matchId } = event.data;
      const known = replay(before[matchId - 1]!, events.slice(0, index));
      expect(known.markets.every((market) => market.suspended)).toBe(true);
      const within = events.slice(index).filter(({ type, atMs, data }) => {
        return type === "odds" && data.matchId === matchId && atMs < event.atMs + 2 * MINUTE;
      });
      bursts.push(within.length);
    }
    expect(bursts.length).toBeGreaterThan(50);
    bursts.sort((a, b) => a - b);
    expect(bursts[Math.floor(bursts.length / 2)]).toBeGreaterThan(15);
  });

  test("leave all markets suspended at full-time and open with the next fixture", () => {
    for (const state of after) {
      const open = state.markets.filter((market) => !market.suspended).length;
      if (state.phase === "full-time") expect(open).toBe(0);
      if (state.phase === "scheduled") expect(open).toBe(state.markets.length);
    }
  });

  test("come one to four times a minute from most matches in play", () => {
    const perMinute = new Map<string, number>();
    for (const { type, atMs, data } of events) {
      if (type !== "odds" && type !== "score") continue;
      const key = `${data.matchId} ${Math.floor(atMs / MINUTE)}`;
      perMinute.set(key, (perMinute.get(key) ?? 0) + 1);
    }
    const counts = [...perMinute.values()].sort((a, b) => a - b);
    expect(counts[Math.floor(counts.length * 0.5)]).toBeLessThanOrEqual(4);
    expect(counts[Math.floor(counts.length * 0.98)]).toBeGreaterThan(12);
  });
});

describe("the goals", () => {
  test("are as many as the intensities promise", () => {
    const simulator = createSimulator({ seed: 99 });
    let [goals, matches] = [0, 0];
    for (const { type, data } of simulator.advance(MAX_STEP_MS)) {
      if (type !== "score") continue;
      if (data.reason === "goal") goals++;
      if (data.phase === "full-time") matches++;
    }
    expect(matches).toBeGreaterThan(200);
    expect(goals / matches).toBeGreaterThan(2.2);
    expect(goals / matches).toBeLessThan(3.4);
  });
});

describe("tickers and announcements", () => {
  const events = createSimulator({ seed: 8 }).advance(8 * HOUR);
  const lines = events.flatMap((event) => (event.type === "ticker" ? [event.data] : []));

  test.each(SPORTS)("number the lines of %s one by one", (sport) => {
    const ids = lines.filter((line) => line.sport === sport).map((line) => line.id);
    expect(ids.length).toBeGreaterThan(100);
    expect(ids).toEqual(ids.map((_, index) => ids[0]! + index));
  });

  test("come now and then, and never the same text twice in a row", () => {
    const told = events.flatMap((event) => (event.type === "announcement" ? [event.data] : []));
    expect(told.length).toBeGreaterThan(8 * 6);
    for (const [index, { id, text }] of told.slice(1).entries()) {
      expect(id).toBe(told[index]!.id + 1);
      expect(text).not.toBe(told[index]!.text);
    }
  });

  test("tell of each goal behind its push", () => {
    const goals = (item: TickerItem): boolean => item.sport === "football" && item.kind === "goal";
    const pushed = events.filter(({ type, data }) => type === "score" && data.reason === "goal");
    expect(lines.filter(goals).length).toBe(pushed.length);
    for (const [index, event] of events.entries()) {
      if (event.type !== "ticker" || !goals(event.data)) continue;
      const previous = events[index - 1]!;
      expect(previous.type === "score" && previous.data.reason).toBe("goal");
    }
  });
});
