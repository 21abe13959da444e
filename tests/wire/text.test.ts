import fc from "fast-check";
import { expect, test } from "vitest";
import { members } from "../../lib/wire/text.ts";
import { jsonText, objectText, stringText } from "../support/json.ts";

test("each member is found with its text to the byte, the last one of equal names", () => {
  const name = fc.oneof(fc.constantFrom('"a"', '"\\u0061"'), stringText);
  const objects = fc
    .array(fc.tuple(name, jsonText), { maxLength: 5 })
    .chain((pairs) => fc.tuple(fc.constant(pairs), objectText(pairs)));
  fc.assert(
    fc.property(objects, ([pairs, object]) => {
      const expected = new Map(pairs.map(([name, value]) => [JSON.parse(name), value]));
      expect(members(`\n ${object}\t`)).toEqual(expected);
    }),
    { numRuns: 1000 },
  );
});

test("numbers are not looked at, nor brackets in strings", () => {
  const object = '{"a":1e400, "b" : [ "]}" , {"c":"\\"}"} ],"d":-0.10,"e":123456789012345678901}';
  expect([...members(object)]).toEqual([
    ["a", "1e400"],
    ["b", '[ "]}" , {"c":"\\"}"} ]'],
    ["d", "-0.10"],
    ["e", "123456789012345678901"],
  ]);
});
