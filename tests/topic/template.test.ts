import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  compileCall,
  compileTopic,
  compileValue,
  isTopicName,
  type Parameter,
} from "../../lib/topic/template.ts";

const integer: Parameter = { type: "integer", min: 1, max: 1000 };
const word: Parameter = { type: "string", pattern: /^[A-Za-z0-9._~-]+$/, maxLength: 8 };

describe("a topic's name", () => {
  test.each(["a", "match/42", "A-Z/a.b_c~d:e", "...", "a..b", "x".repeat(128)])(
    "may be %s",
    (name) => {
      expect(isTopicName(name)).toBe(true);
    },
  );

  test.each([
    ...["", "/", "/a", "a/", "a//b", ".", "..", "a/.", "a/../b", "x".repeat(129)],
    ...["a b", "a\n", "é", "a%2e", "a?b", "a#b", "a{b}", "a\u0000", "a\\b", "a,b"],
  ])("may not be %j", (name) => {
    expect(isTopicName(name)).toBe(false);
  });
});

describe("a topic template", () => {
  const template = compileTopic("match/{id}/odds/{market}", { id: integer, market: word });

  test("reads the values out of a name", () => {
    expect(template.match("match/42/odds/a.b")).toEqual({
      parameters: { id: 42, market: "a.b" },
    });
    expect(template.names).toEqual(["id", "market"]);
  });

  test("does not know names of another shape", () => {
    for (const name of ["match/42", "match/42/odds/a/b", "Match/42/odds/a", "match/42/odd/a"]) {
      expect(template.match(name)).toBeUndefined();
    }
  });

  test("says which value is forbidden", () => {
    expect(template.match("match/1001/odds/a")).toEqual({ forbidden: "id" });
    expect(template.match("match/1/odds/x!")).toEqual({ forbidden: "market" });
  });

  test("finds in a name what it printed", () => {
    const values = fc.record({
      id: fc.integer({ min: 1, max: 1000 }),
      market: fc
        .stringMatching(/^[A-Za-z0-9._~-]{1,8}$/)
        .filter((text) => text !== "." && text !== ".."),
    });
    fc.assert(
      fc.property(values, (parameters) => {
        const name = template.print(parameters);
        expect(isTopicName(name)).toBe(true);
        expect(template.match(name)).toEqual({ parameters });
      }),
    );
  });

  test.each(["1", "42", "1000"])("takes the integer %s", (text) => {
    const { match } = compileTopic("{id}", { id: integer });
    expect(match(text)).toEqual({ parameters: { id: Number(text) } });
  });

  // A topic has one name: else a client could have the origin join it under many.
  test.each([
    ...["0", "1001", "-1", "042", "+42", "42.0", "4e1", "0x2a", " 42", "42 ", "", "x", "NaN"],
    ...["Infinity", "1_0", "４２", "99999999999999999999"],
  ])("does not take %j for an integer from 1 to 1000", (text) => {
    const { match } = compileTopic("{id}", { id: integer });
    expect(match(text)).toEqual({ forbidden: "id" });
  });

  test("takes no integer that a number cannot hold", () => {
    const { match } = compileTopic("{id}", {
      id: { type: "integer", min: -Infinity, max: Infinity },
    });
    expect(match("9007199254740991")).toEqual({ parameters: { id: Number.MAX_SAFE_INTEGER } });
    expect(match("9007199254740993")).toEqual({ forbidden: "id" });
    expect(match("-0")).toEqual({ forbidden: "id" });
    expect(match("-9007199254740991")).toEqual({ parameters: { id: Number.MIN_SAFE_INTEGER } });
  });

  test.each(["", "x".repeat(9), "a b", "é", "..", ".", "a:b"])(
    "does not take the text %j",
    (text) => {
      const { match } = compileTopic("{name}", { name: word });
      expect(match(text)).toEqual({ forbidden: "name" });
    },
  );

  test("a pattern cannot allow what a topic's name forbids", () => {
    const { match } = compileTopic("{name}", {
      name: { type: "string", pattern: /^.*$/s, maxLength: 128 },
    });
    for (const text of ["", "..", "a b", "a%2fb", "é"]) {
      expect(match(text)).toEqual({ forbidden: "name" });
    }
  });

  test.each([
    ["match/{id}", {}, 'parameter "id" is not declared'],
    ["{id}/{id}", { id: integer }, 'parameter "id" stands twice'],
    ["match/x{id}", { id: integer }, 'segment "x{id}" is not a name'],
    ["match//{id}", { id: integer }, 'segment "" is not a name'],
    ["match/../{id}", { id: integer }, 'segment ".." is not a name'],
    ["a b", {}, 'segment "a b" is not a name'],
    ["", {}, 'segment "" is not a name'],
  ])("%j is none", (text, parameters, reason) => {
    expect(() => compileTopic(text, parameters)).toThrow(
      new TypeError(`Cannot compile topic "${text}": ${reason}`),
    );
  });
});

describe("a call template", () => {
  const parameters = { id: integer, market: word };
  const topic = compileTopic("match/{id}/{market}", parameters);
  const call = compileCall(
    { method: "Join", args: ["{market}", { deep: [1] }, "{id}"] },
    topic,
    parameters,
  );

  test("writes a topic's values as the origin takes them", () => {
    expect(call.print({ id: 42, market: "a" })).toEqual(["a", { deep: [1] }, 42]);
  });

  test("finds them in a client's own call, whatever the case of its method", () => {
    for (const method of ["Join", "join", "JOIN"]) {
      expect(call.match(method, ["a", { deep: [1] }, 42])).toEqual({ id: 42, market: "a" });
    }
  });

  test.each([
    ["Leave", ["a", { deep: [1] }, 42]],
    ["Join", ["a", { deep: [1] }]],
    ["Join", ["a", { deep: [1] }, 42, null]],
    ["Join", ["a", { deep: [2] }, 42]],
    ["Join", ["a", { deep: [1] }, "42"]],
    ["Join", ["a", { deep: [1] }, 42.5]],
    ["Join", ["a", { deep: [1] }, 0]],
    ["Join", [7, { deep: [1] }, 42]],
    ["Join", ["a/b", { deep: [1] }, 42]],
    ["Join", [null, { deep: [1] }, 42]],
  ])("%s%j is another", (method, args) => {
    expect(call.match(method, args)).toBeUndefined();
  });

  test("is found in no call when it does not say every value", () => {
    const partial = compileCall({ method: "Join", args: ["{id}"] }, topic, parameters);
    expect(partial.match("Join", [42])).toBeUndefined();
    expect(partial.print({ id: 42, market: "a" })).toEqual([42]);
  });

  test("names parameters of its topic only", () => {
    expect(() => compileCall({ method: "Join", args: ["{x}"] }, topic, parameters)).toThrow(
      new TypeError('Cannot compile call "Join": topic "match/{id}/{market}" has no parameter "x"'),
    );
  });
});

describe("a value template", () => {
  const push = [{ matchId: 42, Odds: [{ price: "2.10" }], live: true, none: null }, "tennis"];

  test.each([
    ["match/{0.matchId}", "match/42"],
    ["{0.matchId}", "42"],
    ["{1}", "tennis"],
    ["{1}/{0.live}", "tennis/true"],
    ["{0.odds.0.Price}", "2.10"],
    ["announcements", "announcements"],
    ["", ""],
  ])("%s is %s", (text, value) => {
    expect(compileValue(text)(push)).toBe(value);
  });

  test("ignores case, as MessagePack writes the same object in another", () => {
    const template = compileValue("match/{0.matchId}");
    expect(template([{ MatchId: 7 }])).toBe("match/7");
    expect(template([{ MATCHID: 8 }])).toBe("match/8");
    expect(template([{ MatchId: 7, matchId: 9 }])).toBe("match/9");
  });

  test.each(["{0.other}", "{0}", "{0.none}", "{0.Odds}", "{2}", "{0.matchId.x}", "{1.x}"])(
    "%s is nothing when the value is not there, or is not one",
    (text) => {
      expect(compileValue(text)(push)).toBeUndefined();
      expect(compileValue(`match/${text}`)(push)).toBeUndefined();
    },
  );

  test("sees nothing that an object only inherits", () => {
    expect(compileValue("{0.constructor.name}")([{}])).toBeUndefined();
    expect(compileValue("{0.__proto__.x}")([JSON.parse('{"__proto__":{"x":1}}')])).toBe("1");
    expect(compileValue("{0.toString}")([{}])).toBeUndefined();
  });

  test("gives a text or nothing, whatever a push holds", () => {
    const template = compileValue("x/{0.a}/{0.0}/{1}");
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), (values) => {
        expect(["string", "undefined"]).toContain(typeof template(values));
      }),
    );
  });

  test("a path begins with an index", () => {
    expect(() => compileValue("match/{matchId}")).toThrow(
      new TypeError(
        'Cannot compile template "match/{matchId}": "{matchId}" must begin with an index',
      ),
    );
  });
});
