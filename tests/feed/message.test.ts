import { expect, test } from "vitest";
import { bareOf, dressAll } from "../../lib/feed/message.ts";
import { createPublication } from "../support/publication.ts";

const SNAPSHOT = { raw: "{}", sequence: 3, time: 0 };

/** Publications of keys, from sequence 1 on, each with the sequence of the one before of its key. */
function previousOf(keys: readonly string[], snapshot?: typeof SNAPSHOT) {
  const publications = keys.map((key, i) => bareOf(createPublication({ sequence: i + 1, key })));
  const image = {
    name: "a",
    publications,
    state: "live",
    floor: 0,
    brokenAt: -1,
    accepted: true,
    joinResult: undefined,
    snapshot,
  } as const;
  return dressAll(image, "k3v9x2ma").map(({ previous }) => previous?.sequence);
}

test("the publications of an image know the one before of their key", () => {
  expect(previousOf(["x", "y", "x", "y", "x"])).toEqual([undefined, undefined, 1, 2, 3]);
});

test("but not one for which newcomers are given the snapshot", () => {
  expect(previousOf(["x", "y", "x", "y", "x", "x"], SNAPSHOT)).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
    undefined,
    5,
  ]);
});
