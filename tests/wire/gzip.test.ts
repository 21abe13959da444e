import { crc32, gunzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { deflate } from "../../lib/wire/deflate.ts";
import {
  add,
  addendOf,
  HEAD,
  printFiller,
  printStored,
  printTail,
  type Sum,
} from "../../lib/wire/gzip.ts";

const NONE = new Uint8Array(0);

const anything: fc.Arbitrary<Uint8Array> = fc.uint8Array({ maxLength: 300 });

/** A whole stream of these, each in a block as it comes. */
function stream(parts: readonly Uint8Array[]): Uint8Array {
  const sum: Sum = { crc: 0, size: 0 };
  const blocks = parts.map((part, i) => {
    add(sum, addendOf(part));
    return i % 2 === 0 ? printStored(part) : deflate(part, NONE);
  });
  return Buffer.concat([HEAD, ...blocks, printTail(sum)]);
}

describe("a stream", () => {
  test("is what gunzip takes, checksum and size included", () => {
    fc.assert(
      fc.property(fc.array(anything, { maxLength: 8 }), (parts) => {
        expect(gunzipSync(stream(parts)).equals(Buffer.concat(parts))).toBe(true);
      }),
    );
  });

  test("is the same with filler in it", () => {
    const part = new Uint8Array(100).fill(1);
    const sum: Sum = { crc: 0, size: 0 };
    add(sum, addendOf(part));
    const filled = [HEAD, printFiller(256), printStored(part), printFiller(1), printTail(sum)];
    expect(new Uint8Array(gunzipSync(Buffer.concat(filled)))).toEqual(part);
  });

  test("has the checksum of all its parts together", () => {
    fc.assert(
      fc.property(fc.array(anything, { maxLength: 8 }), (parts) => {
        const sum: Sum = { crc: 0, size: 0 };
        for (const part of parts) add(sum, addendOf(part));
        const whole = Buffer.concat(parts);
        expect(sum).toEqual({ crc: crc32(whole), size: whole.length });
      }),
    );
  });

  test("of more than 4 GiB goes on counting", () => {
    const size = 2 ** 32 + 5;
    const tail = printTail({ crc: 0x01020304, size });
    expect([...tail]).toEqual([3, 0, 4, 3, 2, 1, 5, 0, 0, 0]);
  });
});

describe("stored bytes", () => {
  test("stand behind their length and its complement", () => {
    expect([...printStored(Uint8Array.of(7, 8, 9))]).toEqual([0, 3, 0, 0xfc, 0xff, 7, 8, 9]);
    expect([...printStored(NONE)]).toEqual([0, 0, 0, 0xff, 0xff]);
  });

  test("go in several blocks when they are many", () => {
    const many = new Uint8Array(200_000).map((_, i) => i >> 3);
    const sum: Sum = { crc: 0, size: 0 };
    add(sum, addendOf(many));
    const whole = Buffer.concat([HEAD, printStored(many), printTail(sum)]);
    expect(gunzipSync(whole).equals(many)).toBe(true);
  });
});

test("filler is as large as it is asked for, up to a block", () => {
  expect(printFiller(256)).toHaveLength(260);
  expect(printFiller(5)).toHaveLength(5);
});
