import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { TickerLine } from "../../app/demo/match.ts";
import { createRandom, type Random } from "../../app/demo/random.ts";
import { Court } from "../../app/demo/tennis.ts";

/** Plays points won by `a` or `b`, one every ten seconds; players a, b, c are drawn in turn. */
function play(points: string): TickerLine[] {
  const lines: TickerLine[] = [];
  let played = 0;
  const random: Random = {
    next: () => 0.5,
    integer: () => 10,
    chance: () => points[played++] === "a",
    pick: (list) => list[0]!,
  };
  const court = new Court({ players: ["a", "b"], random, emit: (line) => lines.push(line) }, 0);
  for (let second = 1; played < points.length; second++) court.step(second);
  return lines;
}

function texts(points: string): string[] {
  return play(points).map(({ text }) => text.replace("a – b: ", ""));
}

const game = { a: "aaaa", b: "bbbb" };

describe("a court", () => {
  test("counts 15, 30, 40, game", () => {
    expect(texts("abaaa")).toEqual(["15–0", "15–15", "30–15", "40–15", "game a, 1–0"]);
  });

  test("wants two points more at deuce", () => {
    expect(texts("aaabbbabbb").slice(5)).toEqual([
      "deuce",
      "advantage a",
      "deuce",
      "advantage b",
      "game b, 0–1",
    ]);
  });

  test("wants two games more for a set", () => {
    const fiveAll = (game.a + game.b).repeat(5);
    expect(texts(fiveAll + game.a).at(-1)).toBe("game a, 6–5");
    expect(texts(fiveAll + game.a + game.a).at(-1)).toBe("set a, 7–5");
    expect(texts(game.b.repeat(6)).at(-1)).toBe("set b, 0–6");
  });

  test("plays a tie-break to seven, and two more, at six all", () => {
    const sixAll = (game.a + game.b).repeat(6);
    expect(texts(`${sixAll}aaaaaa`).at(-1)).toBe("tie-break 6–0");
    expect(texts(`${sixAll}aaaaaaa`).at(-1)).toBe("set a, 7–6");
    expect(texts(`${sixAll}${"ab".repeat(6)}a`).at(-1)).toBe("tie-break 7–6");
    expect(texts(`${sixAll}${"ab".repeat(6)}aa`).at(-1)).toBe("set a, 7–6");
  });

  test("ends a match with the second set of one player, and starts another", () => {
    const [a, b] = [game.a.repeat(6), game.b.repeat(6)];
    const lines = play(`${a}${b}${a}b`);
    expect(lines.at(-2)).toEqual({
      sport: "tennis",
      kind: "set",
      text: "a – b: game, set and match a, 6–0 0–6 6–0",
    });
    expect(lines.at(-1)!.text).toBe("a – b: 0–15");
  });

  test("never lets anybody play against himself", () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const players = ["p", "q", "r"];
        const court = new Court(
          {
            players,
            random: createRandom(seed),
            emit: ({ text }) => expect(text).not.toMatch(/^(.) – \1:/),
          },
          0,
        );
        for (let second = 1; second < 20_000; second++) court.step(second);
      }),
      { numRuns: 20 },
    );
  });
});
