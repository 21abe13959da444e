import { expect, test } from "vitest";
import { createManualClock } from "../../lib/clock.ts";
import { createGroup } from "../../lib/feed/group.ts";
import type { LineListener } from "../../lib/feed/line.ts";
import { createOwner } from "../../lib/feed/owner.ts";
import { BEAT_MS } from "../../lib/feed/server.ts";
import { findTopic } from "../../lib/feed/spec.ts";
import { silentLog } from "../../lib/log.ts";
import { createStats } from "../../lib/stats.ts";
import { createHistoryBudget } from "../../lib/topic/budget.ts";
import { createFakeBus } from "../support/fake-bus.ts";
import { createFakeSource } from "../support/fake-source.ts";
import { createHubSpec } from "../support/hub-spec.ts";

/** Two isolates that have a feed, of which the first owns it; its streams begin as they are asked for. */
function setUp() {
  const spec = createHubSpec({
    "ticker/{sport}": { stream: { method: "Ticker", args: ["{sport}"] } },
  });
  const clock = createManualClock();
  const stats = createStats();
  const bus = createFakeBus(clock.soon);
  const budget = createHistoryBudget(1_000_000);
  const random = () => 0.5;
  const told: string[] = [];
  const listener: LineListener = {
    published: (_, { sequence }) => void told.push(`published ${sequence}`),
    stalled: () => void told.push("stalled"),
    reset: (_, reason, late) => void told.push(late ? `late reset ${reason}` : `reset ${reason}`),
    ended: (_, reason) => void told.push(reason),
    changed() {},
  };
  const members = ["owner", "replica"].map((id) => {
    const group = createGroup({ bus: bus.join(id), budget, maxCalls: 1, clock, stats });
    const member = group.join<string>(spec, "json", (table, sequence) =>
      createOwner(spec, table, {
        createSource(listener) {
          const source = createFakeSource(listener);
          const { join } = source;
          source.join = (topic) => {
            join(topic);
            source.accept(topic.name);
          };
          return source;
        },
        sequence,
        clock,
        random,
        stats,
        log: silentLog,
      }),
    );
    group.appoint({ owner: "owner", isolates: ["owner", "replica"] });
    return member;
  });
  const line = members[1]?.connect(listener);
  clock.advance(BEAT_MS);
  return {
    told,
    clock,
    want(name: string) {
      const declared = findTopic(spec, name);
      if (declared) line?.want(name, declared);
    },
  };
}

test("a stream that goes live as it is asked for does so once for who has asked", () => {
  const { told, clock, want } = setUp();
  want("ticker/tennis");
  clock.settle();
  expect(told).toEqual(["reset new"]);
});
