import { expect, test } from "vitest";
import { bareOf, dressAll } from "../../lib/feed/message.ts";
import { createPublication } from "../support/publication.ts";

/** Publications of keys from sequence 1 on, and the bases that the owner gave them. */
function basesOf(publications: readonly (readonly [key: string, base?: number])[]) {
  const image = {
    name: "a",
    publications: publications.map(([key, base], i) => ({
      ...bareOf(createPublication({ sequence: i + 1, key })),
      base,
    })),
    state: "live",
    floor: 0,
    brokenAt: -1,
    accepted: true,
    joinResult: undefined,
    snapshot: undefined,
  } as const;
  return dressAll(image, "k3v9x2ma").map(({ previous }) => previous?.sequence);
}

test("the publications of an image have the bases that they had", () => {
  expect(basesOf([["x"], ["y"], ["x", 1], ["y", 2], ["x", 3]])).toEqual([
    undefined,
    undefined,
    1,
    2,
    3,
  ]);
});

test("but not what the owner did not give them, nor what is not there", () => {
  expect(basesOf([["x"], ["x"], ["y", 0], ["x", 1]])).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});
