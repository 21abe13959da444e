/** A whole relay between a fake source and clients that note what they are sent. */

import { createManualClock, type ManualClock } from "../../lib/clock.ts";
import { createFanout, type FanoutLimits } from "../../lib/fanout/fanout.ts";
import type { Format } from "../../lib/fanout/format.ts";
import { createFeed, type Feed } from "../../lib/feed/feed.ts";
import { createGroup } from "../../lib/feed/group.ts";
import type { LineListener } from "../../lib/feed/line.ts";
import { type CreateEngine, createMember, type Member } from "../../lib/feed/member.ts";
import { createOwner } from "../../lib/feed/owner.ts";
import type { HubSpec } from "../../lib/feed/spec.ts";
import { silentLog } from "../../lib/log.ts";
import { createRelay, type Relay } from "../../lib/relay.ts";
import { createStats, type Stats } from "../../lib/stats.ts";
import type { Request, Subscriptions } from "../../lib/subscriptions.ts";
import { createHistoryBudget } from "../../lib/topic/budget.ts";
import { createFakeBus, type FakeBus } from "./fake-bus.ts";
import { createFakeSource, type FakeSource } from "./fake-source.ts";
import { createHubSpec } from "./hub-spec.ts";
import { createLimits } from "./limits.ts";
import { lineFormat } from "./line.ts";
import { createSink, type FakeSink } from "./sink.ts";
import { turn } from "./turn.ts";

/** Listens to a line for nothing but to have it. */
const nobody: LineListener = {
  published() {},
  stalled() {},
  reset() {},
  ended() {},
  changed() {},
};

export interface TestRelay {
  readonly clock: ManualClock;
  readonly stats: Stats;
  readonly relay: Relay;
  readonly feed: Feed<string>;
  readonly source: FakeSource;
  /** Between the owner's isolate and the clients', if they are two. */
  readonly bus: FakeBus;
  /** A client's connection. */
  connect(options?: Partial<ClientOptions>): TestClient;
  /** Lets everything happen that waits for promises or the end of the tick. */
  settle(): Promise<void>;
}

export interface ClientOptions {
  readonly format: Format;
  readonly maxTopics: number;
  onSlow(): void;
}

export interface TestClient {
  readonly subscriptions: Subscriptions;
  /** Opens topics, each from where it is said. */
  open(...requests: readonly (string | Request)[]): void;
  readonly sink: FakeSink;
  /** What was sent since the last time, a message a line. */
  lines(): string[];
  /** Topics that were ended for it. */
  readonly ended: readonly string[];
}

/** @param options of the hub and of the relay's configuration; the origin is there from the beginning */
export function createTestRelay(
  topics: Parameters<typeof createHubSpec>[0],
  options: Parameters<typeof createHubSpec>[1] & {
    readonly queue?: Partial<FanoutLimits>;
    readonly historyBytes?: number;
    readonly onDemand?: boolean;
    /** Whether the clients' isolate has a replica of the feed, which another one owns. */
    readonly isReplica?: boolean;
  } = {},
): TestRelay {
  const {
    queue,
    historyBytes = 1_000_000,
    onDemand = false,
    isReplica = false,
    ...declared
  } = options;
  const spec = createHubSpec(topics, declared);
  const clock = createManualClock(1_700_000_000_000);
  const stats = createStats();
  const fanout = createFanout({ clock, stats, limits: createLimits(queue) });
  const budget = createHistoryBudget(historyBytes);
  const bus = createFakeBus(clock.soon);
  const sources: FakeSource[] = [];
  const random = () => 0.5;

  const relay = createRelay({
    fanout,
    createHubs(onEnded) {
      const create = <R extends string | Uint8Array>(spec: HubSpec, isJson: boolean) => {
        const createEngine: CreateEngine<R> = (table, sequence) =>
          createOwner(spec, table, {
            createSource(listener) {
              // What the tests push is JSON; the other feed is there, and nobody speaks to it.
              const source = createFakeSource(listener as never);
              if (isJson) sources.push(source);
              return source as never;
            },
            onDemand: onDemand || !isJson,
            sequence,
            clock,
            random,
            stats,
            log: silentLog,
          });
        const { connect } = isJson && isReplica ? replicate() : createMember(createEngine, budget);

        /** The owner's isolate, and this one's part in the feed. */
        function replicate(): Member<R> {
          const [own, other] = ["owner", "replica"].map((id) => {
            const options = { bus: bus.join(id), budget, maxCalls: 100, clock, stats };
            const group = createGroup(options);
            const member = group.join(spec, "json", createEngine);
            group.appoint({ owner: "owner", isolates: ["owner", "replica"] });
            return member;
          });
          if (!own || !other) throw new Error("They were made above");
          own.connect(nobody).start();
          return other;
        }

        return createFeed(spec, { createLine: connect, onEnded, fanout, clock, stats });
      };
      return [
        { spec, json: create<string>(spec, true), messagepack: create<Uint8Array>(spec, false) },
      ];
    },
  });
  const [source] = sources;
  const [hub] = relay.hubs.values();
  if (!source || !hub) throw new Error("They were made above");
  source.connect();

  return {
    clock,
    stats,
    relay,
    feed: hub.json,
    source,
    bus,
    connect({ format = lineFormat, maxTopics = 100, onSlow = () => {} } = {}) {
      const sink = createSink();
      const ended: string[] = [];
      const subscriptions = relay.subscriptions({
        sink,
        format,
        maxTopics,
        onSlow,
        onEnded: (topic) => ended.push(topic),
      });
      return {
        subscriptions,
        open(...requests) {
          subscriptions.open(
            requests.map((one) => (typeof one === "string" ? { topic: one } : one)),
          );
        },
        sink,
        lines: () => sink.take().flatMap((frame) => frame.split("\n")),
        ended,
      };
    },
    async settle() {
      await turn();
      clock.settle();
    },
  };
}
