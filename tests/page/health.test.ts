import { expect, test } from "vitest";
import { describe, type TopicStatus } from "../../app/page/health.ts";

const NOW = 1_700_000_000_000;
const at = (topics: readonly TopicStatus[], heardAt?: number) => ({ topics, heardAt, now: NOW });

test("all topics live is live, over the transport in use", () => {
  const health = describe({ state: "open", transport: "sse" }, at([{ state: "live" }]));
  expect(health).toEqual({ state: "live", word: "Live", detail: "over SSE", notice: "" });
});

test("one stale topic makes the board stale, for as long as the origin is silent", () => {
  const topics: TopicStatus[] = [
    { state: "live" },
    { state: "stale", lastMessageAt: NOW - 20_000 },
    { state: "stale", lastMessageAt: NOW - 4_200 },
  ];
  const health = describe({ state: "open", transport: "websocket" }, at(topics));
  expect(health).toMatchObject({ state: "stale", word: "Stale", detail: "4 s" });
  expect(health.notice).toContain("some prices may be old");
});

test("a stale topic of unknown age is stale without one", () => {
  const health = describe({ state: "open", transport: "sse" }, at([{ state: "stale" }]));
  expect(health).toMatchObject({ state: "stale", detail: "" });
});

test("waiting counts whole seconds down to the next attempt", () => {
  const status = { state: "waiting", retryAt: NOW + 2_001 } as const;
  expect(describe(status, at([])).detail).toBe("retry in 3 s");
});

test("a page that never heard anything has nothing to warn of", () => {
  expect(describe({ state: "connecting" }, at([{ state: "connecting" }])).notice).toBe("");
  expect(describe({ state: "connecting" }, at([], NOW)).notice).toContain("Prices are as of");
});

test("a topic that ended does not make the others doubtful", () => {
  const status = { state: "open", transport: "sse" } as const;
  expect(describe(status, at([{ state: "live" }, { state: "closed" }])).state).toBe("live");
  expect(describe(status, at([{ state: "closed" }])).state).toBe("closed");
});
