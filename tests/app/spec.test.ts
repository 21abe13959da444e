import { describe, expect, test } from "vitest";
import { ConfigError, type ConfigInput, parseConfig } from "../../app/config.ts";
import { compileHubs } from "../../app/spec.ts";

type HubInput = ConfigInput["hubs"][string];
type Topics = NonNullable<HubInput["topics"]>;

function compile(topics: Topics, hub: Partial<HubInput> = {}, config: Partial<ConfigInput> = {}) {
  const parsed = parseConfig({
    ...config,
    hubs: { "/h": { origin: "https://origin.test/h", topics, ...hub } },
  });
  const spec = compileHubs(parsed).get("/h");
  if (!spec) throw new Error("It was declared");
  return spec;
}

const join = { method: "Join", args: ["{id}"] };

test("a hub is compiled as it was declared", () => {
  const spec = compile(
    {
      "match/{id}": {
        params: { id: { type: "integer", min: 1 } },
        join,
        leave: { method: "Leave", args: ["{id}", true] },
        events: { Odds: "match/{0.matchId}" },
        key: { Odds: "{0.marketId}" },
        snapshot: { method: "Get", args: ["{id}"] },
        snapshotTtlMs: 7,
        history: { size: 500, ttlMs: 8 },
        maxKeys: 9,
        lingerMs: 10,
      },
      "ticker/{sport}": {
        stream: { method: "Ticker", args: ["{sport}"] },
        key: { Ticker: "{0.id}" },
      },
    },
    {
      calls: {
        GetMatch: { share: true, ttlMs: 250 },
        PlaceBet: "private",
        Reset: "deny",
        "*": "deny",
      },
      privateLane: "lazy",
    },
    { limits: { topics: 5 }, openTimeoutMs: 6 },
  );
  expect(spec).toMatchObject({
    path: "/h",
    sharedCalls: new Map([["getmatch", 250]]),
    undeclared: "deny",
    privateLane: "lazy",
    maxTopics: 5,
    openTimeoutMs: 6,
  });
  expect(spec.methods.get("placebet")).toBe("private");
  expect(spec.methods.get("reset")).toBe("deny");
  expect(spec.events.get("Odds")?.([{ matchId: 42 }])).toBe("match/42");
  expect(spec.keys.get("Odds")?.([{ marketId: "1x2" }])).toBe("1x2");
  expect(spec.keys.get("Ticker")?.([{ id: 3 }])).toBe("3");
  const [match, ticker] = spec.topics;
  expect(match).toMatchObject({
    snapshotTtlMs: 7,
    history: { size: 500, ttlMs: 8 },
    maxKeys: 9,
    lingerMs: 10,
    stream: undefined,
  });
  expect(match?.template.match("match/42")).toEqual({ parameters: { id: 42 } });
  expect(match?.template.match("match/0")).toEqual({ forbidden: "id" });
  expect(match?.leave?.print({ id: 42 })).toEqual([42, true]);
  expect(ticker?.stream?.match("ticker", ["tennis"])).toEqual({ sport: "tennis" });
  expect(ticker?.join).toBeUndefined();
});

test("methods that nobody mentions are private", () => {
  expect(compile({}).undeclared).toBe("private");
});

test("a parameter that nobody describes is a word", () => {
  const [topic] = compile({ "news/{city}": { events: { News: "news/{0}" } } }).topics;
  expect(topic?.template.match("news/new-york")).toEqual({ parameters: { city: "new-york" } });
  expect(topic?.template.match("news/new:york")).toEqual({ forbidden: "city" });
  expect(topic?.template.match(`news/${"x".repeat(65)}`)).toEqual({ forbidden: "city" });
});

test("a pattern is of the whole value, whatever it looks like", () => {
  const [topic] = compile({
    "ticker/{sport}": {
      params: { sport: { type: "string", pattern: "tennis|golf" } },
      stream: { method: "Ticker", args: ["{sport}"] },
    },
  }).topics;
  expect(topic?.template.match("ticker/golf")).toEqual({ parameters: { sport: "golf" } });
  for (const sport of ["golfing", "mini-golf", "tennis-golf"]) {
    expect(topic?.template.match(`ticker/${sport}`)).toEqual({ forbidden: "sport" });
  }
});

describe("a contradiction is refused, and its place named:", () => {
  const events = { Odds: "match/{0}" };
  const stream = { method: "Ticker", args: ["{id}"] };

  test.each<[why: string, topic: string, topics: Topics]>([
    ["it needs events, or a stream", "a", { a: {} }],
    ["a stream has neither join nor events", "a/{id}", { "a/{id}": { stream, join } }],
    ["a stream has neither join nor events", "a/{id}", { "a/{id}": { stream, events } }],
    ["leave without join", "a/{id}", { "a/{id}": { events, leave: join } }],
    ['"{x}" does not stand in its name', "a", { a: { events, params: { x: "integer" } } }],
    ['event "Odds" belongs to another topic already', "b", { a: { events }, b: { events } }],
    ['key of "Score", which is not an event of it', "a", { a: { events, key: { Score: "{0}" } } }],
    ['has no parameter "id"', "a", { a: { events, join } }],
    ['has no parameter "id"', "a", { a: { events, snapshot: join } }],
    ['"{id}" must begin with an index', "a", { a: { events: { Odds: "match/{id}" } } }],
    ['"{id}" must begin with an index', "a", { a: { events, key: { Odds: "{id}" } } }],
    ['segment "x{id}" is not a name', "a/x{id}", { "a/x{id}": { events } }],
    ['parameter "id" stands twice', "{id}/{id}", { "{id}/{id}": { events } }],
    ['segment "a b" is not a name', "a b", { "a b": { events } }],
    [
      "Invalid regular expression",
      "a/{id}",
      { "a/{id}": { events, params: { id: { type: "string", pattern: "(" } } } },
    ],
    [
      'it and "match/{id}" can be the same name',
      "match/live",
      { "match/{id}": { events }, "match/live": { events: { Live: "match/live" } } },
    ],
    [
      'it and "{sport}/1" can be the same name',
      "match/{id}",
      { "{sport}/1": { events }, "match/{id}": { events: { Live: "match/{0}" } } },
    ],
  ])("%s (%s)", (why, topic, topics) => {
    expect(() => compile(topics)).toThrow(ConfigError);
    expect(() => compile(topics)).toThrow(`Invalid configuration:\n  hubs./h.topics.${topic}: `);
    expect(() => compile(topics)).toThrow(why);
  });

  test("two hubs cannot declare the same name, which would be two things on one socket", () => {
    const origin = "https://origin.test/h";
    const topics = { "match/{id}": { events } };
    const config = parseConfig({ hubs: { "/a": { origin, topics }, "/b": { origin, topics } } });
    expect(() => compileHubs(config)).toThrow("hubs./b.topics.match/{id}: ");
  });

  test("names of other lengths or words are others", () => {
    const spec = compile({
      "match/{id}": { events },
      "match/{id}/odds": { events: { A: "match/{0}/odds" } },
      "board/{id}": { events: { B: "board/{0}" } },
    });
    expect(spec.topics).toHaveLength(3);
  });
});
