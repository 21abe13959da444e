import fc from "fast-check";
import { expect, test } from "vitest";
import { createLatest } from "../../lib/topic/latest.ts";
import { createPublication } from "../support/publication.ts";

test("the newest of each key is kept, of as many keys as there may be", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 4 }),
      fc.array(fc.constantFrom("a", "b", "c", "d", "e", "f"), { maxLength: 40, size: "max" }),
      fc.nat(40),
      (maxKeys, keys, after) => {
        const latest = createLatest(maxKeys);
        const all = keys.map((key, i) => createPublication({ key, sequence: i + 1 }));
        for (const publication of all) latest.put(publication);
        const newest = all.filter(
          ({ key, sequence }) =>
            !all.some((other) => other.key === key && other.sequence > sequence),
        );
        expect(latest.after(-1)).toEqual(newest.slice(-maxKeys));
        expect(latest.after(after)).toEqual(
          newest.slice(-maxKeys).filter(({ sequence }) => sequence > after),
        );
      },
    ),
  );
});
