import fc from "fast-check";
import { expect, test } from "vitest";
import { lineFormat } from "../support/line.ts";
import { createTestRelay } from "../support/test-relay.ts";

const TOPIC = {
  "match/{id}": { events: { Odds: "match/{0}" }, key: { Odds: "{1}" } },
} as const;

/** A publication of a key, or time that passes, ms. */
const step = fc.oneof(fc.constantFrom("a", "b", "c"), fc.integer({ min: 1, max: 300 }));

test("a rate is kept, what is newest of each key comes within its period, and the last one too", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60, size: "max" }), async (steps) => {
      const { clock, source, connect, settle } = createTestRelay(TOPIC);
      const capped = connect();
      capped.open({ topic: "match/1", rate: 4 });
      source.accept("match/1", "null");
      await settle();
      capped.lines();
      const sentAt: number[] = [];
      const shown: Record<string, number> = {};
      const newest: Record<string, { number: number; at: number }> = {};
      const read = () => {
        for (const line of capped.lines()) {
          const [, key, number] = /"(\w)",(\d+)\]/.exec(line) ?? [];
          if (key === undefined) continue;
          expect(shown[key] ?? 0).toBeLessThan(Number(number));
          shown[key] = Number(number);
          if (sentAt.at(-1) !== clock.now()) sentAt.push(clock.now());
        }
        for (const [key, { number, at }] of Object.entries(newest)) {
          if (clock.now() >= at + 250) expect(shown[key]).toBeGreaterThanOrEqual(number);
        }
      };
      for (const [i, step] of [...steps, 250].entries()) {
        if (typeof step === "string") {
          source.push("Odds", 1, step, i + 1);
          newest[step] = { number: i + 1, at: newest[step]?.at ?? clock.now() };
          clock.settle();
          read();
        } else {
          for (let ms = 0; ms < step; ms++) {
            clock.advance(1);
            read();
          }
        }
        for (const [key, { number }] of Object.entries(newest)) {
          if (shown[key] === number) delete newest[key];
        }
      }
      expect(newest).toEqual({});
      for (const [i, at] of sentAt.entries()) {
        if (i > 0) expect(at - (sentAt[i - 1] ?? 0)).toBeGreaterThanOrEqual(250);
      }
    }),
  );
});

test("subscribers at one rate are sent the same bytes, whenever they came", async () => {
  const { clock, source, connect, settle } = createTestRelay(TOPIC);
  const clients = [connect(), connect(), connect()];
  for (const client of clients) {
    client.open({ topic: "match/1", rate: 2 });
    source.accept("match/1", "null");
    await settle();
    clock.advance(50);
    source.push("Odds", 1, "a", clock.now());
    clock.advance(50);
  }
  clock.advance(500);
  for (const client of clients) client.lines();
  source.push("Odds", 1, "a", 1);
  source.push("Odds", 1, "a", 2);
  clock.advance(500);
  const frames = clients.map(({ sink }) => sink.frames);
  expect(frames[0]).toHaveLength(1);
  for (const frame of frames) expect(frame[0]).toBe(frames[0]?.[0]);
});

test("a client without states is left behind and brought up, too", async () => {
  const { clock, source, connect, settle } = createTestRelay({
    "match/{id}": { ...TOPIC["match/{id}"], slow: "conflate" },
  });
  const client = connect({ format: { ...lineFormat, name: "bare", stateful: false } });
  client.subscriptions.follow("match/1");
  source.accept("match/1", "null");
  await settle();
  client.lines();
  client.sink.bufferedBytes = 100_000;
  source.push("Odds", 1, "a", 1);
  clock.settle();
  client.lines(); // what showed that it does not keep up
  for (const number of [2, 3, 4]) source.push("Odds", 1, "a", number);
  source.push("Odds", 1, "b", 5);
  clock.advance(1_000);
  expect(client.lines()).toEqual([]);
  client.sink.bufferedBytes = 0;
  clock.advance(100);
  expect(client.lines()).toEqual(['match/1 Odds[1,"a",4] @5', 'match/1 Odds[1,"b",5] @6']);
  source.push("Odds", 1, "b", 6);
  clock.settle();
  expect(client.lines()).toEqual(['match/1 Odds[1,"b",6] @7']);
});
