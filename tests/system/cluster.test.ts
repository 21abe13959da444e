/**
 * Three relays that are one, on a real nats-server and in front of the .NET origin: killed, cut off
 * and frozen one after the other. After each, what every client was told is held against the numbers
 * that the origin gave: each publication once and in order, or a reset that is said.
 */

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ConfigInput } from "../../app/config.ts";
import { demoConfig } from "../../app/demo/config.ts";
import type { MatchState } from "../../app/demo/contract.ts";
import { buildOrigin, findDotnet } from "../support/dotnet.ts";
import { eventually } from "../support/eventually.ts";
import { ask } from "../support/http.ts";
import { readMetric } from "../support/metrics.ts";
import { findNats, type Gate, type Nats, openGate } from "../support/nats.ts";
import { declareWith } from "../support/needs.ts";
import { dotnetOrigin, type Origin } from "../support/origins.ts";
import { findRuntime, type Runtime } from "../support/runtimes.ts";
import { killAll } from "../support/spawn.ts";
import { type SpawnedRelay, startRelay } from "../support/spawned-relay.ts";
import { type SequenceOf, sequencesFrom, type Viewer, watch } from "./tree/viewer.ts";

const MATCH = 7;
const TOPIC = `match/${MATCH}`;
const SECRET = "the same on all machines";
/** Of each kind, at each relay. */
const VIEWERS = 5;
/** Pause between two publications of a steady run. */
const EVERY_MS = 20;
/** For what takes a busy machine a while. */
const PATIENCE_MS = 30_000;
/** Longer than a lease, and than it takes to be told stale: 2 of them. */
const OUTAGE_MS = 6_000;

declareWith("nats-server", findNats(), (nats) => {
  declareWith(".NET", findDotnet(), (dotnet) => {
    declareWith("bun", findRuntime("bun"), (bun) => {
      afterAll(killAll);
      const start = async () => ({
        nats: await nats.start(),
        origin: await dotnetOrigin(await buildOrigin(dotnet))(),
      });
      describe("three relays on Bun", () => declareCluster([bun, bun, bun], start));
      declareWith("deno", findRuntime("deno"), (deno) => {
        declareWith("node", findRuntime("node"), (node) => {
          describe("relays on Bun, Deno and Node", () => declareCluster([bun, deno, node], start));
        });
      });
    });
  });
});

/** A relay with its way to NATS, and those who watch it. */
interface Machine {
  readonly runtime: Runtime;
  readonly gate: Gate;
  relay: SpawnedRelay;
  viewers: Viewer[];
}

function declareCluster(
  runtimes: readonly Runtime[],
  start: () => Promise<{ nats: Nats; origin: Origin }>,
): void {
  let nats: Nats;
  let origin: Origin;
  let sequenceOf: SequenceOf;
  const machines: Machine[] = [];
  const everybody = () => machines.flatMap(({ viewers }) => viewers);

  beforeAll(async () => {
    ({ nats, origin } = await start());
    for (const runtime of runtimes) {
      const gate = await openGate(nats.port);
      machines.push({ runtime, gate, relay: await startMachine(runtime, gate), viewers: [] });
    }
    const [first] = machines as [Machine];
    const { text } = await ask(first.relay.url, `/topics/${TOPIC}`);
    const { snapshot } = JSON.parse(text) as { snapshot: MatchState };
    sequenceOf = sequencesFrom(snapshot);
  });
  afterAll(async () => {
    for (const viewer of everybody()) viewer.close();
    await Promise.all(machines.map(({ relay }) => relay.program.kill()));
    await Promise.all(machines.map(({ gate }) => gate.end()));
    await origin?.program.kill();
    await nats?.end();
  });

  function startMachine(runtime: Runtime, gate: Gate): Promise<SpawnedRelay> {
    const config: ConfigInput = {
      ...demoConfig(origin.hub),
      drainMs: 0,
      upstream: { backoffMinMs: 50, backoffMaxMs: 500 },
      cluster: { nats: gate.url },
      secret: SECRET,
    };
    return startRelay(runtime, config);
  }

  /** Lets as many watch each relay as should. */
  async function fill(): Promise<void> {
    for (const machine of machines) {
      machine.viewers = machine.viewers.filter(({ isOpen }) => isOpen);
      for (let i = machine.viewers.length; i < 2 * VIEWERS; i++) {
        const kind = i % 2 === 0 ? "sse" : "ws";
        machine.viewers.push(await watch(kind, machine.relay.url, TOPIC, sequenceOf));
      }
    }
  }

  async function ownerOf(candidates: readonly Machine[] = machines): Promise<Machine> {
    const owners = async () => {
      const found: Machine[] = [];
      for (const machine of candidates) {
        const connections = await readMetric(machine.relay.url, "keryx_upstream_connections");
        if (connections > 0) found.push(machine);
      }
      return found;
    };
    const [owner] = await eventually(owners, ({ length }) => length === 1, PATIENCE_MS);
    return owner as Machine; // there is one
  }

  /** All are live and know what the origin published last, and nobody was told an untruth. */
  async function settle(publisher: Publisher): Promise<void> {
    await eventually(
      () => everybody().filter(({ state, isOpen }) => isOpen && state !== "live").length,
      (count) => count === 0,
      PATIENCE_MS,
    );
    const liveAt = publisher.last();
    await eventually(publisher.last, (last) => last >= liveAt + 20, PATIENCE_MS);
    await agree(await publisher.stop());
    await eventually(
      () => origin.stats(),
      ({ connections }) => connections === 1,
      PATIENCE_MS,
    );
  }

  async function agree(last: number): Promise<void> {
    const open = everybody().filter(({ isOpen }) => isOpen);
    expect(open.length).toBeGreaterThan(0);
    const behind = () => open.filter(({ known }) => known !== last).length;
    await eventually(behind, (count) => count === 0, PATIENCE_MS);
    expect(everybody().flatMap(({ faults }) => faults)).toEqual([]);
  }

  test("give a client what it missed where nobody has watched the topic before", async () => {
    const [one, other] = machines as [Machine, Machine];
    const before = await watch("ws", one.relay.url, TOPIC, sequenceOf);
    before.close();
    await origin.publish(MATCH, 10);
    const after = await watch("sse", other.relay.url, TOPIC, sequenceOf, before);
    await eventually(
      () => after.heard,
      (heard) => heard === 10,
    );
    expect([after.recovered, after.faults]).toEqual([true, []]);
    after.close();
  });

  test("are one connection and one join, and tell all the same", async () => {
    await fill();
    const { first, last } = await origin.publish(MATCH, 100);
    await agree(last);
    for (const { heard } of everybody()) expect(heard).toBe(last - first + 1);
    const { connections, connectionsTotal, joins } = await origin.stats();
    expect([connections, connectionsTotal, joins[MATCH]]).toEqual([1, 1, 1]);
  });

  test("give a client that comes back to another one what it missed, without a reset", async () => {
    const moved: [before: Viewer, to: Machine][] = machines.map((from, i) => [
      from.viewers.pop() as Viewer,
      machines[(i + 1) % machines.length] as Machine,
    ]);
    for (const [before] of moved) before.close();
    const { last } = await origin.publish(MATCH, 20);
    await agree(last);
    for (const [before, to] of moved) {
      const viewer = await watch("sse", to.relay.url, TOPIC, sequenceOf, before);
      expect([viewer.recovered, viewer.heard, viewer.known]).toEqual([true, 20, last]);
      to.viewers.push(viewer);
    }
    await agree(last);
  });

  test("go on when the owner is killed: a break for the others' clients, and nothing worse", async () => {
    await fill();
    const publisher = publishSteadily(origin);
    const owner = await ownerOf();
    const others = machines.filter((machine) => machine !== owner);
    const before = others.flatMap(({ viewers }) => viewers.map(({ resets }) => resets.length));
    await eventually(publisher.last, (last) => last > 20);
    const killedAt = performance.now();
    await owner.relay.program.kill();
    const areReset = () =>
      others
        .flatMap(({ viewers }) => viewers)
        .every(({ resets, state }, i) => resets.length > (before[i] ?? 0) && state === "live");
    await eventually(areReset, Boolean, PATIENCE_MS);
    console.log(
      `live again ${Math.round(performance.now() - killedAt)} ms after the owner's death`,
    );
    for (const { viewers } of others) {
      expect(viewers.filter(({ isOpen }) => !isOpen)).toEqual([]);
      for (const { resets } of viewers) expect(["break", "epoch"]).toContain(resets.at(-1));
    }
    owner.relay = await startMachine(owner.runtime, owner.gate);
    await fill();
    await settle(publisher);
  });

  test("stay with their clients while NATS is killed, and go on when it is back", async () => {
    const publisher = publishSteadily(origin);
    await nats.kill();
    await pause(OUTAGE_MS);
    expect(everybody().filter(({ state, isOpen }) => state !== "stale" || !isOpen)).toEqual([]);
    for (const { relay } of machines) expect((await ask(relay.url, "/readyz")).status).toBe(503);
    await nats.restart();
    await settle(publisher);
    expect(everybody().filter(({ isOpen }) => !isOpen)).toEqual([]);
  });

  for (const role of ["a follower", "the owner"] as const) {
    test(`say stale where ${role} is cut off from NATS, and the others go on`, async () => {
      const publisher = publishSteadily(origin);
      const owner = await ownerOf();
      const cut = role === "the owner" ? owner : machines.find((machine) => machine !== owner);
      if (!cut) throw new Error("There are three");
      cut.gate.block();
      const areStale = () => cut.viewers.every(({ state }) => state === "stale");
      await eventually(areStale, Boolean, PATIENCE_MS);
      await ownerOf(machines.filter((machine) => role === "a follower" || machine !== cut));
      const others = machines.filter((machine) => machine !== cut);
      const seenAt = publisher.last();
      const know = () =>
        others.flatMap(({ viewers }) => viewers).every(({ known }) => known > seenAt);
      await eventually(know, Boolean, PATIENCE_MS);
      cut.gate.open();
      await settle(publisher);
      expect(everybody().filter(({ isOpen }) => !isOpen)).toEqual([]);
    });
  }

  test("hear nothing of an owner that was frozen beyond its lease, and wakes as a follower", async () => {
    const publisher = publishSteadily(origin);
    const owner = await ownerOf();
    const others = machines.filter((machine) => machine !== owner);
    process.kill(owner.relay.program.pid, "SIGSTOP");
    try {
      await ownerOf(others);
      const seenAt = publisher.last();
      const know = () =>
        others.flatMap(({ viewers }) => viewers).every(({ known }) => known > seenAt);
      await eventually(know, Boolean, PATIENCE_MS);
    } finally {
      process.kill(owner.relay.program.pid, "SIGCONT");
    }
    await settle(publisher);
    expect(await ownerOf()).not.toBe(owner);
    expect(await readMetric(owner.relay.url, "keryx_upstream_connections")).toBe(0);
    expect((await ask(owner.relay.url, "/readyz")).status).toBe(200);
  });

  test("tell what goes through the log", async () => {
    const owner = await ownerOf();
    const log = { log: "keryx__2fhubs_2flive_json" };
    const read = (machine: Machine, name: string) =>
      readMetric(machine.relay.url, `keryx_log_entries_${name}`, log);
    const before = await read(owner, "written_total");
    const { last } = await origin.publish(MATCH, 50);
    await agree(last);
    expect(await read(owner, "written_total")).toBeGreaterThanOrEqual(before + 50);
    for (const machine of machines) {
      expect(await readMetric(machine.relay.url, "keryx_nats_connections")).toBe(1);
      // Once more after each time that it was cut off.
      expect(await readMetric(machine.relay.url, "keryx_nats_connects_total")).toBeGreaterThan(1);
      expect(await read(machine, "read_total")).toBeGreaterThanOrEqual(50);
      await eventually(
        () => read(machine, "behind"),
        (count) => count === 0,
      );
    }
  });

  test("hand over at once when the owner is stopped", async () => {
    const publisher = publishSteadily(origin);
    const owner = await ownerOf();
    const others = machines.filter((machine) => machine !== owner);
    await owner.relay.program.stop();
    await ownerOf(others);
    await settle(publisher);
  });
}

interface Publisher {
  /** Sequence of the newest. */
  last(): number;
  /** @returns the last one ever */
  stop(): Promise<number>;
}

function publishSteadily(origin: Origin): Publisher {
  let last = 0;
  let isStopped = false;
  const work = (async () => {
    while (!isStopped) {
      last = (await origin.publish(MATCH, 1)).last;
      await pause(EVERY_MS);
    }
    return last;
  })();
  work.catch(() => {}); // told by stop
  return {
    last: () => last,
    stop() {
      isStopped = true;
      return work;
    },
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
