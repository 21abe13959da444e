import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createTokens, type Tokens } from "../../lib/downstream/token.ts";

const secret = "a secret of the tests";
const random = (length: number) => new Uint8Array(length).fill(0xfb);

function create(options: Partial<Parameters<typeof createTokens>[0]> = {}): Tokens {
  return createTokens({ secret, owner: "k3v9x2ma", now: () => 1_700_000_000_000, ...options });
}

const text = (maxLength: number, minLength = 0) =>
  fc.string({ unit: "binary", minLength, maxLength }).filter((text) => text.length <= maxLength);

const connection = fc.record(
  { stateful: fc.boolean(), origin: text(512) },
  { requiredKeys: ["stateful"] },
);

describe("a token", () => {
  test("carries what it was issued for", async () => {
    await fc.assert(
      fc.asyncProperty(
        connection,
        text(16, 1),
        fc.nat(2 ** 48 - 1),
        fc.uint8Array({ minLength: 16, maxLength: 64 }),
        async (connection, owner, issuedAt, secret) => {
          const tokens = create({ secret, owner, now: () => issuedAt });
          const token = await tokens.issue(connection);
          expect(token).toMatch(/^[\w-]{1,2230}$/);
          const id = expect.stringMatching(/^[\w-]{22}$/);
          expect(await tokens.read(token)).toEqual({ owner, issuedAt, id, ...connection });
        },
      ),
      { numRuns: 300 },
    );
  });

  test("is laid out as it says", async () => {
    const tokens = create({ random });
    const token = await tokens.issue({ stateful: true, origin: "théia" });
    const bytes = Buffer.from(token, "base64url");
    const body =
      "03018bcfe56800fbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfb08" +
      Buffer.from("k3v9x2mathéia").toString("hex");
    expect(bytes.subarray(0, -16).toString("hex")).toBe(body);
    expect(bytes.length).toBe(body.length / 2 + 16);
    expect(await tokens.read(token)).toEqual({
      owner: "k3v9x2ma",
      issuedAt: 1_700_000_000_000,
      id: "-_v7-_v7-_v7-_v7-_v7-w",
      stateful: true,
      origin: "théia",
    });
  });

  test("has 64 characters for an isolate with an id of 8", async () => {
    expect(await create().issue({ stateful: false })).toHaveLength(64);
  });

  test("has room for the longest owner and origin there can be", async () => {
    const widest = { owner: "鍵".repeat(32), origin: "鍵".repeat(512) };
    const tokens = create({ owner: widest.owner });
    const token = await tokens.issue({ stateful: true, origin: widest.origin });
    expect(token).toHaveLength(2230);
    expect(await tokens.read(token)).toMatchObject(widest);
  });

  test("gives opaque text back as it was, a byte order mark too", async () => {
    const tokens = create({ owner: "\ufeffk" });
    for (const origin of ["", "\ufeff", "\ufeffx", "\0"]) {
      const token = await tokens.issue({ stateful: false, origin });
      expect(await tokens.read(token)).toMatchObject({ owner: "\ufeffk", origin });
    }
  });

  test("has an id that no other one has", async () => {
    const tokens = create();
    const issued = await Promise.all(
      Array.from({ length: 1000 }, () => tokens.issue({ stateful: false })),
    );
    const read = await Promise.all(issued.map(tokens.read));
    expect(new Set(read.map((token) => token?.id)).size).toBe(1000);
  });

  test("is read by whoever has the secret, so nothing is kept for it", async () => {
    const token = await create({ owner: "a" }).issue({ stateful: false });
    const bytes = new TextEncoder().encode(secret);
    expect(await create({ owner: "b", secret: bytes }).read(token)).toMatchObject({ owner: "a" });
  });
});

describe("what is refused", () => {
  test("a token of which any one character is another", async () => {
    const tokens = create();
    // Three lengths, so that the last character has 0, 2 and 4 unused bits.
    for (const origin of ["", "x", "xy"]) {
      const token = await tokens.issue({ stateful: false, origin });
      const flipped = [...token].flatMap((character, at) =>
        ["A", "B", "E", "Q", "w", "-", "_", "=", " "]
          .filter((other) => other !== character)
          .map((other) => token.slice(0, at) + other + token.slice(at + 1)),
      );
      const last = token.charCodeAt(token.length - 1);
      for (const next of [last - 1, last + 1]) {
        flipped.push(token.slice(0, -1) + String.fromCharCode(next));
      }
      const read = await Promise.all(flipped.map(tokens.read));
      expect(read.filter((token) => token !== undefined)).toEqual([]);
      expect(await tokens.read(token)).toBeDefined();
    }
  });

  test("a token that was cut, or went on, or was dressed up", async () => {
    const tokens = create();
    const token = await tokens.issue({ stateful: true });
    const others = [
      `${token}A`,
      `A${token}`,
      `${token}=`,
      `${token}====`,
      ` ${token}`,
      `${token}\n`,
    ];
    for (let length = 0; length < token.length; length++) others.push(token.slice(0, length));
    for (const other of others) expect(await tokens.read(other)).toBeUndefined();
  });

  test("a token of another secret", async () => {
    const token = await create().issue({ stateful: false });
    expect(await create({ secret: `${secret}.` }).read(token)).toBeUndefined();
  });

  test("a signature that is right in no more than its half", async () => {
    const tokens = create();
    const bytes = Buffer.from(await tokens.issue({ stateful: false }), "base64url");
    for (const at of [1, 9]) {
      const forged = Buffer.from(bytes);
      forged[bytes.length - at] = (bytes[bytes.length - at] as number) ^ 1;
      expect(await tokens.read(forged.toString("base64url"))).toBeUndefined();
    }
  });

  test("garbage, without a throw", async () => {
    const tokens = create();
    const garbage = fc.oneof(
      fc.string({ unit: "binary", maxLength: 3000 }),
      fc.stringMatching(/^[\w-]{0,300}$/),
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString("base64url")),
    );
    await fc.assert(
      fc.asyncProperty(garbage, async (text) => {
        expect(await tokens.read(text)).toBeUndefined();
      }),
      { numRuns: 500 },
    );
    expect(await tokens.read("A".repeat(1_000_000))).toBeUndefined();
  });

  test("a secret, an owner or an origin of a wrong length", async () => {
    expect(() => create({ secret: "fifteen bytes.." })).toThrow(RangeError);
    expect(() => create({ secret: new Uint8Array(0) })).toThrow(RangeError);
    expect(() => create({ owner: "" })).toThrow(RangeError);
    expect(() => create({ owner: "x".repeat(33) })).toThrow(RangeError);
    const origin = "x".repeat(513);
    await expect(create().issue({ stateful: false, origin })).rejects.toThrow(RangeError);
  });
});
