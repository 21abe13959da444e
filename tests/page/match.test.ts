import { expect, test } from "vitest";
import type { MatchState, OddsChanged, ScoreChanged } from "../../app/demo/contract.ts";
import { fold, UNKNOWN } from "../../app/page/match.ts";
import type { Update } from "../../lib/client/update.ts";

const team = (name: string, goals = 0) => ({ name, goals, yellow: 0, red: 0 });
const market = (price: number) => ({
  marketId: "over-under" as const,
  name: "Over/under 2.5",
  suspended: false,
  selections: [{ id: "over", name: "Over 2.5", price }],
});
const snapshot: MatchState = {
  matchId: 4,
  league: "Ostrel Liga",
  phase: "first-half",
  minute: 12,
  home: team("Tisovar"),
  away: team("Karpolin"),
  markets: [market(1.8)],
};
const odds: OddsChanged = { matchId: 4, ...market(1.9) };
const score: ScoreChanged = {
  matchId: 4,
  phase: "first-half",
  minute: 13,
  home: team("Tisovar", 1),
  away: team("Karpolin"),
  reason: "goal",
};

const publication = (event: string, data: unknown): Update => ({
  type: "publication",
  topic: "match/4",
  event,
  data,
});
const reset = (more: Partial<Extract<Update, { type: "reset" }>>): Update => ({
  type: "reset",
  topic: "match/4",
  reason: "new",
  latest: [],
  position: "a:1",
  ...more,
});

test("a reset is its snapshot with the newest publications over it", () => {
  const view = fold(UNKNOWN, reset({ snapshot, latest: [{ event: "OddsChanged", data: odds }] }));
  expect(view).toEqual({ league: "Ostrel Liga", score: snapshot, markets: { "over-under": odds } });
});

test("a reset forgets what was known", () => {
  const known = fold(UNKNOWN, reset({ snapshot }));
  expect(fold(known, reset({}))).toEqual(UNKNOWN);
});

test("a publication replaces its market or the score, and nothing else", () => {
  const known = fold(UNKNOWN, reset({ snapshot }));
  const after = fold(
    fold(known, publication("OddsChanged", odds)),
    publication("ScoreChanged", score),
  );
  expect(after).toEqual({ league: "Ostrel Liga", score, markets: { "over-under": odds } });
});

test.each([
  ["an unknown event", publication("Weather", { rain: true })],
  ["odds that are none", publication("OddsChanged", { marketId: "1x2", selections: [{}] })],
  [
    "a phase that the page does not know",
    publication("ScoreChanged", { ...score, phase: "extra" }),
  ],
  ["no data", publication("ScoreChanged", null)],
])("%s changes nothing", (_, update) => {
  const known = fold(UNKNOWN, reset({ snapshot }));
  expect(fold(known, update)).toBe(known);
});
