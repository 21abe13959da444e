/** JSON text as nobody would write it and everybody may: odd spaces, escapes, numbers, repeated names. */

import fc from "fast-check";

const space = fc.constantFrom("", "", "", " ", "\n", "\t\r\n ");

const number = fc.oneof(
  fc.constantFrom("0", "-0", "1.0", "1e400", "-1E-7", "9007199254740993", "1".repeat(30)),
  fc.integer().map(String),
);

/** The inside of a JSON string. */
const characters = fc
  .array(
    fc.oneof(
      fc.constantFrom('\\"', "\\\\", "\\/", "\\n", "\\u001E", "\\uD83D\\uDE00", "\\ud800"),
      fc.constantFrom("{", "}", "[", "]", ",", ":", "'", "é", "😀", "\u2028", "\u007f"),
      fc.string({ maxLength: 3 }).map((text) => JSON.stringify(text).slice(1, -1)),
    ),
    { maxLength: 6 },
  )
  .map((parts) => parts.join(""));

/** A JSON string. */
export const stringText: fc.Arbitrary<string> = characters.map((text) => `"${text}"`);

const word = fc.constantFrom("null", "true", "false");

const texts = fc.letrec<{ any: string; array: string; object: string }>((tie) => ({
  any: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    word,
    number,
    stringText,
    tie("array"),
    tie("object"),
  ),
  array: fc
    .tuple(space, fc.array(spaced(tie("any")), { maxLength: 4 }))
    .map(([empty, items]) => `[${items.length === 0 ? empty : items.join(",")}]`),
  object: fc
    .array(fc.tuple(fc.oneof(fc.constant('"a"'), stringText), tie("any")), { maxLength: 4 })
    .chain(objectText),
}));

function spaced(text: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc.tuple(space, text, space).map((parts) => parts.join(""));
}

/** Any JSON value, no space around it. */
export const jsonText: fc.Arbitrary<string> = texts.any;

/** A JSON array, no space around it. */
export const arrayText: fc.Arbitrary<string> = texts.array;

/** An object with these members, each a name and a value as JSON text, in this order. */
export function objectText(
  members: readonly (readonly [name: string, value: string])[],
): fc.Arbitrary<string> {
  const inside = members.map(([name, value]) =>
    fc
      .tuple(spaced(fc.constant(name)), spaced(fc.constant(value)))
      .map(([name, value]) => `${name}:${value}`),
  );
  return fc
    .tuple(space, fc.tuple(...inside))
    .map(([empty, all]) => `{${all.length === 0 ? empty : all.join(",")}}`);
}
