/**
 * A cluster under all that may happen to it: machines are cut off, frozen and killed, the origin goes
 * away and the log forgets, clients are cut and come back to another machine. What each client knows
 * must follow from what it was told, and be true in the end.
 */

import fc from "fast-check";
import { expect, test } from "vitest";
import { createManualClock } from "../../lib/clock.ts";
import { wsFormat } from "../../lib/downstream/ws.ts";
import { createFakeCluster } from "../support/fake-cluster.ts";
import { createHubSpec } from "../support/hub-spec.ts";
import {
  type Client,
  createFakeOrigin,
  createMachine,
  LEASE_MS,
  type Machine,
} from "../support/machine.ts";
import { createReader, type Reader, type View } from "../support/reader.ts";

const TOPICS = ["plain/1", "plain/2", "whole/1", "short/1"];
const KEYS = ["x", "y", "z"];
const MACHINES = 3;
const CLIENTS = 4;
const EVENTS: Readonly<Record<string, string>> = { plain: "Plain", whole: "Whole", short: "Short" };

const RUNS = Number(process.env.KERYX_RUNS ?? 150);

test("no client is ever told an untruth, and in the end all know all", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(stepArbitrary(), { minLength: 5, maxLength: 60 }),
      fc.integer({ min: 1, max: 1_000_000 }),
      async (steps, seed) => run(steps, seed),
    ),
    { numRuns: RUNS, ...(process.env.KERYX_SEED ? { seed: Number(process.env.KERYX_SEED) } : {}) },
  );
}, 600_000);

type Step =
  | { readonly do: "push"; readonly topic: number; readonly key: number }
  | { readonly do: "pass"; readonly ms: number }
  | { readonly do: "cut" | "heal" | "freeze" | "thaw" | "crash" | "stop"; readonly machine: number }
  | { readonly do: "lag"; readonly machine: number; readonly ms: number }
  | { readonly do: "origin" | "forget" }
  | { readonly do: "drop" | "come"; readonly client: number; readonly machine: number };

function stepArbitrary(): fc.Arbitrary<Step> {
  const machine = fc.nat(MACHINES - 1);
  const push = fc.record({
    do: fc.constant("push" as const),
    topic: fc.nat(TOPICS.length - 1),
    key: fc.nat(KEYS.length - 1),
  });
  return fc.oneof(
    { weight: 10, arbitrary: push },
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant("pass" as const),
        ms: fc.constantFrom(1, 2, 3, 5, 20, 200, 1_000, 2_000, 4_000, 7_000),
      }),
    },
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constantFrom("cut", "heal", "heal", "freeze", "thaw", "thaw", "crash", "stop"),
        machine,
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant("lag" as const),
        machine,
        ms: fc.constantFrom(0, 3, 50, 600),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("origin", "forget") }) },
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constantFrom("drop", "come", "come"),
        client: fc.nat(CLIENTS - 1),
        machine,
      }),
    },
  );
}

interface Watcher {
  readonly reader: Reader;
  readonly topics: readonly string[];
  connection: { readonly client: Client; readonly machine: Machine } | undefined;
}

async function run(steps: readonly Step[], seed: number): Promise<void> {
  const clock = createManualClock(1_700_000_000_000);
  const cluster = createFakeCluster(clock);
  const truth = new Map(TOPICS.map((topic): [string, View] => [topic, { number: 0, values: {} }]));
  const origin = createFakeOrigin((call) => {
    const view = truth.get(call === "Get[1]" ? "whole/1" : "") as View;
    return JSON.stringify(view);
  });
  clock.every(5, origin.act);
  const spec = createSpec();
  let lives = 0;
  const machines: Machine[] = [];
  const random = createRandom(seed);
  const add = (i: number) => {
    machines[i] = createMachine(`m${++lives}`, spec, { cluster, clock, origin, random });
  };
  for (let i = 0; i < MACHINES; i++) add(i);

  /** What is being read: publications have a number of their own, and some have a position. */
  let reading: { readonly data?: readonly [string, string, number]; readonly position?: string } =
    {};

  /** What has to be read now by who knows all up to a number: nothing between the two may be left out. */
  function next(topic: string, number: number): number | undefined {
    const place = reading.position && Number(reading.position.split(":")[1]);
    let before = 0;
    for (const { number: at, event } of cluster.written) {
      if (!("name" in event) || event.name !== topic) continue;
      if (event.type === "reset") before = 0;
      if (event.type !== "published") continue;
      const [, , own] = JSON.parse(String(event.publication.raw)) as [string, string, number];
      if (own === reading.data?.[2]) {
        if (place !== undefined && place !== at)
          throw new Error(`${own} is at ${at}, not ${place}`);
        return before > number ? before : own;
      }
      before = own;
    }
    return undefined;
  }

  const watchers = Array.from({ length: CLIENTS }, (_, i): Watcher => {
    const isStream = i % 2 === 0;
    return {
      reader: createReader(next, { isStream }),
      topics: i < 2 ? TOPICS : TOPICS.slice(i - 2, i),
      connection: undefined,
    };
  });

  function listen(): void {
    for (const { connection, reader } of watchers) {
      for (const line of connection?.client.lines() ?? []) {
        reading = JSON.parse(line);
        reader.read(line);
      }
    }
  }

  function drop(watcher: Watcher): void {
    listen();
    watcher.connection?.client.close();
    watcher.connection = undefined;
    watcher.reader.cut();
  }

  function come(watcher: Watcher, machine: Machine): void {
    drop(watcher);
    const client = machine.connect(wsFormat);
    watcher.connection = { client, machine };
    client.open(...watcher.reader.ask(watcher.topics));
  }

  function push(topic: string, key: string): void {
    const view = truth.get(topic) as View;
    view.number++;
    view.values[key] = view.number;
    origin.push(topic, EVENTS[topic.split("/")[0] as string] as string, topic, key, view.number);
  }

  for (const step of steps) {
    const machine = "machine" in step ? (machines[step.machine] as Machine) : undefined;
    switch (step.do) {
      case "push":
        push(TOPICS[step.topic] as string, KEYS[step.key] as string);
        break;
      case "pass":
        await cluster.pass(step.ms);
        break;
      case "lag":
        machine?.lag(step.ms);
        break;
      case "origin":
        origin.isAway = !origin.isAway;
        break;
      case "forget":
        cluster.maxPerSubject = cluster.maxPerSubject === 2 ? 1_000 : 2;
        break;
      case "crash":
      case "stop": {
        for (const watcher of watchers) if (watcher.connection?.machine === machine) drop(watcher);
        if (step.do === "stop") {
          machine?.thaw();
          void machine?.relay.stop();
          await cluster.pass(20);
        }
        machine?.crash();
        add(step.machine);
        break;
      }
      case "drop":
        drop(watchers[step.client] as Watcher);
        break;
      case "come":
        come(watchers[step.client] as Watcher, machine as Machine);
        break;
      default:
        machine?.[step.do]();
    }
    listen();
  }

  origin.isAway = false;
  for (const machine of machines) {
    machine.heal();
    machine.thaw();
    machine.lag(0);
  }
  await cluster.pass(8 * LEASE_MS);
  listen();
  for (const [i, watcher] of watchers.entries()) {
    if (!watcher.connection) come(watcher, machines[i % MACHINES] as Machine);
  }
  await cluster.pass(2 * LEASE_MS);
  for (const topic of TOPICS) for (const key of KEYS) push(topic, key);
  await cluster.pass(100);
  listen();
  expect(origin.sources.size).toBe(1);
  for (const { reader, topics } of watchers) {
    for (const topic of topics) {
      const { state, number, values } = reader.view(topic);
      expect({ topic, state, number, values }).toEqual({
        topic,
        state: "live",
        ...truth.get(topic),
      });
    }
  }
}

function createSpec() {
  const common = {
    params: { id: "integer" as const },
    join: { method: "Join", args: ["{id}"] },
    lingerMs: 1_000,
  };
  return createHubSpec(
    {
      "plain/{id}": {
        ...common,
        events: { Plain: "{0}" },
        key: { Plain: "{1}" },
        history: { size: 8 },
      },
      "whole/{id}": {
        ...common,
        events: { Whole: "{0}" },
        key: { Whole: "{1}" },
        history: { size: 8 },
        snapshot: { method: "Get", args: ["{id}"] },
        snapshotTtlMs: 1_000,
      },
      "short/{id}": {
        ...common,
        events: { Short: "{0}" },
        key: { Short: "{1}" },
        history: { size: 2 },
      },
    },
    { openTimeoutMs: 500 },
  );
}

/** mulberry32. */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
