import { expect, test } from "vitest";
import { createManualClock } from "../../lib/clock.ts";
import { decode, type Images } from "../../lib/cluster/message.ts";
import { nameFeed } from "../../lib/cluster/names.ts";
import { createTerm } from "../../lib/cluster/term.ts";
import { createWriter } from "../../lib/cluster/writer.ts";
import { createOwner } from "../../lib/feed/owner.ts";
import { silentLog } from "../../lib/log.ts";
import { createStats } from "../../lib/stats.ts";
import { createHistoryBudget } from "../../lib/topic/budget.ts";
import { createFakeSource, type FakeSource } from "../support/fake-source.ts";
import { createHubSpec } from "../support/hub-spec.ts";
import { turn } from "../support/turn.ts";

test("an owner tells nobody what the log has not got yet", async () => {
  const { term, source, writes } = create();
  const told = listen(term.answer({ type: "want", from: "b", names: ["odds/1"] }));
  await turn();
  expect(told.value).toBeDefined(); // nothing has been written yet
  source.connect();
  source.accept("odds/1");
  source.push("Odds", 1, 2);
  const next = listen(term.answer({ type: "want", from: "c", names: ["odds/1"] }));
  await turn();
  expect(next.value).toBeUndefined();
  for (const { resolve } of writes) resolve();
  await turn();
  const { asOf, images } = decode<Images>(next.value ?? new Uint8Array());
  expect({ asOf, count: images[0]?.publications.length }).toEqual({ asOf: 3, count: 1 });
});

test("an owner that is none any more knows it at once, and tells nobody anything", async () => {
  const { term, source, writes, lost } = create();
  await term.answer({ type: "want", from: "b", names: ["odds/1"] });
  source.connect();
  source.accept("odds/1");
  const told = listen(term.answer({ type: "want", from: "c", names: ["odds/1"] }));
  writes[0]?.reject(new Error("The newest entry is another"));
  await turn();
  expect(told).toEqual({ isOver: true, value: undefined });
  expect(lost).toEqual([new Error("The newest entry is another")]);
});

/** What has come of a promise. */
function listen(answer: Promise<Uint8Array | undefined>) {
  const told: { isOver: boolean; value: Uint8Array | undefined } = {
    isOver: false,
    value: undefined,
  };
  void answer.then((value) => Object.assign(told, { isOver: true, value }));
  return told;
}

function create() {
  const clock = createManualClock();
  const spec = createHubSpec({
    "odds/{id}": { events: { Odds: "odds/{0}" }, join: { method: "Join", args: ["{id}"] } },
  });
  const lost: unknown[] = [];
  /** Entries that wait for the log's answer. */
  const writes: { resolve(): void; reject(error: Error): void }[] = [];
  const log = {
    life: "1",
    last: 1,
    first: 1,
    append: () => new Promise<void>((resolve, reject) => void writes.push({ resolve, reject })),
    read: () => () => {},
  };
  const writer = createWriter(log, {
    after: 1,
    storedAt: 0,
    maxBytes: 1_000,
    clock,
    onLost: (error) => void lost.push(error),
  });
  let source: FakeSource | undefined;
  const term = createTerm<string>(spec, {
    id: "a",
    epoch: "term",
    names: nameFeed("test", "/hub", "json"),
    writer,
    createOwn: (table, sequence) =>
      createOwner<string>(spec, table, {
        createSource(listener) {
          source = createFakeSource(listener);
          return source;
        },
        sequence,
        clock,
        random: Math.random,
        stats: createStats(),
        log: silentLog,
      }),
    onDemand: false,
    budget: createHistoryBudget(1_000),
    clock,
  });
  if (!source) throw new Error("It was made above");
  return { term, source, writes, lost };
}
