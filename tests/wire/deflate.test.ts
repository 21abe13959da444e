import { inflateRawSync, constants as zlib } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { deflate, MAX_WINDOW_BYTES } from "../../lib/wire/deflate.ts";

const NONE = new Uint8Array(0);

const bytes = (text: string) => new TextEncoder().encode(text);

/** What a reader makes of a block, who has the window before it. */
function inflate(block: Uint8Array, window: Uint8Array = NONE): Buffer {
  const dictionary = window.length > 0 ? { dictionary: window } : {};
  const options = { finishFlush: zlib.Z_SYNC_FLUSH, ...dictionary };
  return inflateRawSync(block, options);
}

/** Texts that repeat themselves in part, as JSON does, and some that hardly do. */
const pieces: fc.Arbitrary<Uint8Array> = fc
  .array(
    fc.oneof(
      fc.constantFrom('{"price":1.5}', '"marketId":"1x2",', "aaaaaaaa", "é", "\n\n"),
      fc.string({ unit: "binary", maxLength: 6 }),
    ),
    { maxLength: 60 },
  )
  .map((parts) => bytes(parts.join("")));

const anything: fc.Arbitrary<Uint8Array> = fc.oneof(pieces, fc.uint8Array({ maxLength: 600 }));

describe("a text", () => {
  test("is read as it was, by who has its window", () => {
    fc.assert(
      fc.property(anything, anything, (text, window) => {
        expect(inflate(deflate(text, window), window).equals(text)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  test("of any size is read as it was", () => {
    const sizes = [
      0, 1, 2, 3, 4, 257, 258, 259, 260, 32_767, 32_768, 32_769, 65_535, 65_536, 200_000,
    ];
    for (const size of sizes) {
      const same = new Uint8Array(size).fill(97);
      const rising = same.map((_, i) => i * i);
      for (const text of [same, rising]) {
        expect(inflate(deflate(text, NONE)).equals(text)).toBe(true);
        const window = rising.subarray(-MAX_WINDOW_BYTES);
        expect(inflate(deflate(text, window), window).equals(text)).toBe(true);
      }
    }
  });

  test("may refer to the whole window, and not beyond", () => {
    let state = 1;
    const window = new Uint8Array(MAX_WINDOW_BYTES).map(() => {
      state = Math.imul(state, 1_664_525) + 1_013_904_223; // so that nothing in it comes twice
      return state >>> 24;
    });
    for (const from of [0, 1, 100, MAX_WINDOW_BYTES - 200]) {
      const text = window.slice(from, from + 200);
      expect(inflate(deflate(text, window), window).equals(text)).toBe(true);
    }
    expect(deflate(window.slice(0, 200), window).length).toBeLessThan(20);
    const late = Uint8Array.from([...new Uint8Array(9_000), ...window.subarray(0, 200)]);
    expect(inflate(deflate(late, window), window).equals(late)).toBe(true);
  });

  test("takes a tenth of its bytes behind one that is like it", () => {
    const odds = (price: number) =>
      bytes(
        `event: OddsChanged\nid: k3v9x2ma:${price}\ndata: {"matchId":7,"marketId":"1x2","name":"Match result","suspended":false,"selections":[{"id":"home","name":"Ostrel United","price":${price / 100}},{"id":"away","name":"Cassaly Town","price":3.15}]}\n\n`,
      );
    const text = odds(184);
    expect(deflate(text, odds(191)).length).toBeLessThan(text.length / 10);
  });

  test("grows by five bytes at most when nothing in it repeats", () => {
    const text = new Uint8Array(256).map((_, i) => i);
    expect(deflate(text, NONE)).toHaveLength(261);
  });

  test("is written in the fixed code, up to a whole byte", () => {
    // "a" as 10010001; 11 more from 1 back as 0001001, extra bit 0, and 00000; end of block as
    // 0000000; then an empty stored block.
    const block = [0x4a, 0x44, 0x02, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff];
    expect([...deflate(bytes("a".repeat(12)), NONE)]).toEqual(block);
    // 258 more, the most that there is, as 11000101.
    const longest = [0x4a, 0x1c, 0x05, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff];
    expect([...deflate(bytes("a".repeat(259)), NONE)]).toEqual(longest);
  });

  test("does not depend on what was written before it", () => {
    const text = bytes('{"a":1,"b":[1,2,3]}');
    const window = bytes('{"a":2,"b":[3,2,1]}');
    const first = deflate(text, window);
    deflate(new Uint8Array(30_000).fill(7), new Uint8Array(30_000).fill(9));
    expect(deflate(text, window)).toEqual(first);
  });
});
