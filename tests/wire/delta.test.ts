import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createSimulator } from "../../app/demo/simulator.ts";
import { checksum as clientChecksum, createBases, patchText } from "../../lib/client/delta.ts";
import type { Delta } from "../../lib/client/message.ts";
import { decode } from "../../lib/client/message.ts";
import type { Publication } from "../../lib/topic/publication.ts";
import { checksum, printDelta, printWhole } from "../../lib/wire/delta.ts";
import { printData, printPublication } from "../../lib/wire/message.ts";
import { diff, type Patch } from "../../lib/wire/patch.ts";
import { jsonText } from "../support/json.ts";
import { createPublication } from "../support/publication.ts";

/** Any UTF-16 there is, halves of pairs included. */
const units = fc
  .array(fc.oneof(fc.nat(0xffff), fc.constantFrom(0xd83d, 0xde00, 0x61)), { maxLength: 80 })
  .map((codes) => String.fromCharCode(...codes));

const emoji = fc
  .array(fc.constantFrom("😀", "😁", "💶", "é", "a"), { maxLength: 40 })
  .map((parts) => parts.join(""));

const fate = fc.constantFrom("stays", "stays", "stays", "stays", "goes", "comes", "doubles");

/** A text, and another that was made of its pieces: some have gone, come, doubled, or all have moved. */
const related = fc
  .tuple(
    fc.array(fc.tuple(fc.oneof(jsonText, units, emoji, fc.string({ minLength: 20 })), fate), {
      maxLength: 20,
    }),
    fc.oneof(fc.constant(0), fc.nat(20)),
  )
  .map(([plan, moved]) => {
    const base = plan.filter(([, fate]) => fate !== "comes").map(([piece]) => piece);
    const text = plan.flatMap(([piece, fate]) => {
      return fate === "goes" ? [] : fate === "doubles" ? [piece, piece] : piece;
    });
    return {
      base: base.join(""),
      text: [...text.slice(moved), ...text.slice(0, moved)].join(""),
    };
  });

/** Two texts that may or may not have to do with each other. */
const pair = fc.oneof(
  related,
  fc.record({ base: units, text: units }),
  fc.record({ base: jsonText, text: jsonText }),
);

function overWire(patch: Patch): Patch {
  return JSON.parse(JSON.stringify(patch));
}

function insertions(patch: Patch): string[] {
  return patch.filter((piece) => typeof piece === "string");
}

describe("a patch", () => {
  test("makes the text of its base, whatever they are", () => {
    let found = 0;
    fc.assert(
      fc.property(pair, ({ base, text }) => {
        const patch = diff(base, text);
        if (!patch) return;
        found++;
        expect(patchText(base, overWire(patch))).toBe(text);
      }),
      { numRuns: 2_000 },
    );
    expect(found).toBeGreaterThan(200);
  });

  test("never cuts a surrogate pair", () => {
    fc.assert(
      fc.property(fc.tuple(emoji, emoji, emoji, emoji), ([a, b, c, d]) => {
        const patch = diff(`[${a}${b}${c}]`.repeat(3), `[${a}${d}${c}]`.repeat(3)) ?? [];
        for (const text of insertions(patch)) expect(text).not.toMatch(/\p{Surrogate}/u);
      }),
      { numRuns: 500 },
    );
  });

  const market = '{"id":"1x2","home":{"price":2.35},"draw":{"price":3.1},"away":{"price":3.05}}';

  test.each<[string, string, Patch]>([
    ["is empty where nothing changed", market, []],
    ["writes over what changed", market.replace("2.35", "2.37"), [31, "7"]],
    ["goes back where something came", market.replace("3.1}", "3.15}"), [53, -1, "5"]],
    ["passes over what has gone", market.replace("2.35", "2"), [29, 3, ""]],
  ])("%s", (_, text, patch) => {
    expect(diff(market, text)).toEqual(patch);
    expect(patchText(market, patch)).toBe(text);
  });

  test("follows rows that have moved, at the cost of the row that came", () => {
    const rows = Array.from({ length: 40 }, (_, i) => `{"id":${i},"text":"Corner ${i * 37}"}`);
    const goal = '{"id":40,"text":"Goal"}';
    const base = rows.join();
    for (const text of [
      [...rows.slice(1), goal].join(),
      [goal, ...rows.slice(0, -1)].join(),
      [...rows.slice(20), ...rows.slice(0, 20)].join(),
    ]) {
      const patch = diff(base, text);
      expect(patchText(base, patch ?? [])).toBe(text);
      expect(JSON.stringify(patch).length).toBeLessThan(120);
    }
  });

  test("is not made where the text itself is shorter, or nothing is alike", () => {
    const noise = (seed: number) =>
      Array.from({ length: 20_000 }, (_, i) => ((i * seed) % 65_521).toString(36)).join();
    expect(diff("", "{}")).toBeUndefined();
    expect(diff(market, "[1]")).toBeUndefined();
    expect(diff(noise(7_919), noise(104_729))).toBeUndefined();
  });
});

const argument = fc.oneof(
  jsonText,
  fc
    .record({ id: fc.nat(9), price: fc.double(), text: fc.string({ unit: "binary" }) })
    .map((value) => JSON.stringify({ name: "Over/under 2.5, of the whole match", ...value })),
);

/** Publications of three keys, each with what the feed knows to be before it. */
const history = fc.array(fc.tuple(fc.constantFrom("a", "b", "c"), argument), {
  maxLength: 20,
  size: "max",
});

function publish(steps: readonly (readonly [key: string, argument: string])[]): Publication[] {
  const latest = new Map<string, Publication>();
  return steps.map(([key, argument], i) => {
    const publication = createPublication({
      sequence: i + 1,
      raw: `[${argument}]`,
      argumentCount: 1,
      key: `Changed ${key}`,
      previous: latest.get(key),
    });
    latest.set(key, publication);
    return publication;
  });
}

describe("a delta", () => {
  test("is an array of topic, position, base, checksum and patch", () => {
    const [, second] = publish([
      ["a", '{"id":7,"name":"Over/under 2.5","price":1.85}'],
      ["a", '{"id":7,"name":"Over/under 2.5","price":1.87}'],
    ]);
    expect(printDelta(second!)).toBe('["a","x:2",1,3394860855,[43,"7"]]');
  });

  test("is the whole where there is none before, or it would not be shorter", () => {
    const [first, second, third] = publish([
      ["a", "[1]"],
      ["a", "[2]"],
      ["b", '"b"'],
    ]);
    const at = '"topic":"a","position":"x:1","key":"Changed a"';
    expect(printDelta(first!)).toBe(`{"type":"publication",${at},"event":"Changed","data":[1]}`);
    expect(printDelta(third!)).toBe(printWhole(third!, "x:3"));
    const raw = `["${"x".repeat(200)}"]`;
    const other = { ...second!, previous: { sequence: 1, raw, argumentCount: 1 } };
    expect(printDelta(other)).toBe(printWhole(second!, "x:2"));
    // Within a delta, quotes are escaped once more.
    const [, quoted] = publish([
      ["a", '"He said nothing for once"'],
      ["a", `"He said nothing for once${'\\"'.repeat(60)}"`],
    ]);
    expect(diff('"He said nothing for once"', printData(quoted!))).toBeDefined();
    expect(printDelta(quoted!)).toBe(printWhole(quoted!, "x:2"));
  });

  test("is named by its sequence behind a reset", () => {
    const [first] = publish([["a", "1"]]);
    expect(printWhole(first!)).toBe(
      '{"type":"publication","topic":"a","sequence":1,"key":"Changed a","event":"Changed","data":1}',
    );
  });

  test("gives the client the very text that the origin wrote", () => {
    let deltas = 0;
    fc.assert(
      fc.property(history, fc.nat(20), (steps, opening) => {
        const bases = createBases();
        for (const publication of publish(steps)) {
          const isOpening = publication.sequence <= opening;
          const line = isOpening ? printWhole(publication) : printDelta(publication);
          expect(line).not.toContain("\n");
          const item = read(line, bases);
          // What came whole is told by its message itself.
          if (item !== "whole") {
            deltas++;
            expect(item).toMatchObject({ event: "Changed", position: publication.position });
            expect(item?.data).toEqual(JSON.parse(printData(publication)));
          }
        }
      }),
      { numRuns: 500 },
    );
    expect(deltas).toBeGreaterThan(100);
  });

  test("against a base that is missing or another is noticed, or comes out right all the same", () => {
    fc.assert(
      fc.property(argument, argument, pair, fc.boolean(), (a, b, { base, text }, isMissing) => {
        const [first, second] = publish([
          ["a", a],
          ["a", b],
        ]) as [Publication, Publication];
        const data = printData(second);
        const bases = createBases();
        const other = { ...first, raw: `[${JSON.stringify(`${base}${text}`)}]` };
        if (!isMissing) read(printWhole(other), bases);
        const patch = diff(printData(first), data) ?? [];
        const item = bases.apply(["a", "x:2", 1, checksum(data), patch]);
        if (item) expect(item.data).toEqual(JSON.parse(data));
      }),
      { numRuns: 500 },
    );
  });

  test("that is garbage never throws", () => {
    const bases = createBases();
    read(printWhole(createPublication({ raw: '["abc"]', argumentCount: 1 })), bases);
    const piece = fc.oneof(fc.jsonValue(), fc.integer(), fc.string());
    const patch = fc.oneof(fc.array(piece), fc.jsonValue());
    fc.assert(
      fc.property(patch, fc.oneof(fc.jsonValue(), fc.nat()), (patch, check) => {
        const delta = ["a", "x:2", 1, check, patch] as unknown as Delta; // that is the question
        expect(bases.apply(delta)).toBeUndefined();
      }),
      { numRuns: 1_000 },
    );
  });
});

/** What a client makes of a line. */
function read(line: string, bases: ReturnType<typeof createBases>) {
  const message = decode(line);
  if (message.type === "delta") return bases.apply(message.delta);
  if (message.type === "publication") bases.keep(message);
  return "whole" as const;
}

test("relay and client mean the same by a checksum", () => {
  expect(checksum("")).toBe(0x811c9dc5);
  expect(checksum("a")).toBe(0xe40c292c);
  expect(checksum("foobar")).toBe(0xbf9cf968);
  fc.assert(fc.property(units, (text) => clientChecksum(text) === checksum(text)));
});

describe("ten minutes of a match-day", () => {
  const simulator = createSimulator({ seed: 1 });
  const odds = new Map<string, Publication>();
  const states = new Map<string, Publication>();
  const sizes = { odds: { delta: 0, raw: 0 }, states: { delta: 0, raw: 0 } };
  let sequence = 1_000_000; // as that of a feed which has run for some time

  function note(kind: "odds" | "states", topic: string, key: string, value: unknown): void {
    const latest = kind === "odds" ? odds : states;
    const event = kind === "odds" ? "OddsChanged" : "MatchChanged";
    const publication = createPublication({
      topic,
      sequence: ++sequence,
      position: `k3v9x2ma:${sequence}`,
      event,
      raw: JSON.stringify([value]),
      argumentCount: 1,
      key: `${event} ${key}`,
      previous: latest.get(topic + key),
    });
    latest.set(topic + key, publication);
    if (!publication.previous) return;
    sizes[kind].delta += Buffer.byteLength(printDelta(publication));
    sizes[kind].raw += Buffer.byteLength(printPublication(publication, publication.position));
  }

  for (let second = 0; second < 600; second++) {
    for (const event of simulator.advance(1_000)) {
      if (event.type === "odds") {
        const { matchId, marketId } = event.data;
        note("odds", `match/${matchId}`, marketId, { ...event.data, sequence });
        note("states", `state/${matchId}`, "", simulator.match(matchId));
      }
    }
  }

  test("takes less than 30 % when it is sent as changes of odds", () => {
    expect(sizes.odds.raw).toBeGreaterThan(50_000);
    expect(sizes.odds.delta / sizes.odds.raw).toBeLessThan(0.3);
  });

  test("takes less than 10 % when it is sent as whole states", () => {
    expect(sizes.states.delta / sizes.states.raw).toBeLessThan(0.1);
  });
});
