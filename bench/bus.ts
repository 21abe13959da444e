/**
 * What the bus of a process costs: `node bench/bus.ts`, or with names of runtimes behind it.
 *
 * Relays of 1, 2 and 4 isolates in front of the demo's hub. First every isolate has the topic and
 * nobody watches: the CPU time of a publication, less that of one isolate, is what the bus costs.
 * Then with clients: how much later a publication is with those of another isolate than the owner's.
 * Printed as Markdown.
 */

import { demoConfig } from "../app/demo/config.ts";
import { enter, type Kind } from "../tests/support/crowd.ts";
import { eventually } from "../tests/support/eventually.ts";
import { readSeries, type Series } from "../tests/support/metrics.ts";
import { embeddedOrigin, type Origin } from "../tests/support/origins.ts";
import { findRuntime, type Runtime, type RuntimeName } from "../tests/support/runtimes.ts";
import { killAll } from "../tests/support/spawn.ts";
import { type SpawnedRelay, startRelay } from "../tests/support/spawned-relay.ts";
import { printTable } from "./report/figure.ts";
import { cpuMs } from "./usage.ts";

const MATCH = 7;
const ISOLATES = [1, 2, 4] as const;
const RUNTIMES: readonly RuntimeName[] = ["bun", "deno", "node"];
/** Ticks of one observation. */
const TICKS = 1_500;
const WARM_UP = 1_000;
/** How long the slowest isolate may be behind, ms. */
const SETTLE_MS = 500;
const TEN = 10;
/** With so many of them each isolate has some. */
const CLIENTS = 200;
/** Publications whose way is timed. */
const TIMED = 200;
/** Between two of them, ms. */
const PAUSE_MS = 5;

const HEAD = [
  "",
  "isolates",
  "CPU, one a tick, µs",
  "ten a tick, µs",
  "bus, one, µs",
  "ten, µs",
  "lost",
  "dwell, owner, ms",
  "others, ms",
  "share of the bus",
];

interface Figures {
  readonly oneUs: number;
  readonly tenUs: number;
  /** Messages of the owner that a receiver has lost, and made good for. */
  readonly lost: number;
  /** Mean dwell time in the owner's isolate, and in the others, ms. */
  readonly ownerMs: number;
  readonly otherMs: number;
}

const names = process.argv.slice(2);
const rows: (string | number)[][] = [];
for (const name of RUNTIMES.filter((name) => names.length === 0 || names.includes(name))) {
  const runtime = findRuntime(name);
  if ("missing" in runtime) {
    console.error(`without ${name}: ${runtime.missing}`);
    continue;
  }
  let alone: Figures | undefined;
  for (const isolates of ISOLATES) {
    const figures = await measure(runtime, isolates);
    const { oneUs, tenUs, lost, ownerMs, otherMs } = figures;
    alone ??= figures;
    const bus = [oneUs - alone.oneUs, tenUs - alone.tenUs];
    const share = (otherMs - ownerMs) / otherMs;
    rows.push([name, isolates, oneUs, tenUs, ...bus, lost, ownerMs, otherMs, share]);
    console.error(`${name}, ${isolates} isolates: done`);
  }
}
console.log(printTable(HEAD, rows));

async function measure(runtime: Runtime, isolates: number): Promise<Figures> {
  try {
    const origin = await embeddedOrigin(runtime)();
    const relay = await startRelay(runtime, configuration(origin, isolates));
    const leave = await fill(relay, isolates);
    leave();
    const pid = relay.program.pid;
    await eventually(
      () => readSeries(relay.url, "keryx_clients"),
      (clients) => sum(clients) === 0,
    );
    await publish(origin, WARM_UP, 1);
    const oneUs = await timed(pid, { origin, perTick: 1 });
    const tenUs = await timed(pid, { origin, perTick: TEN });
    const lost = sum(await readSeries(relay.url, "keryx_lost_batches_total"));

    const before = await readDwell(relay.url);
    const leaveAgain = await fill(relay, isolates);
    for (let i = 0; i < TIMED; i++) {
      await publish(origin, 1, 1);
      await pause(PAUSE_MS);
    }
    const after = await readDwell(relay.url);
    leaveAgain();
    const owner = await ownerOf(relay.url);
    const means = [...after].map(([isolate, { sum, count }]) => {
      const { sum: sumBefore = 0, count: countBefore = 0 } = before.get(isolate) ?? {};
      return { isolate, ms: (1_000 * (sum - sumBefore)) / (count - countBefore) };
    });
    const others = means.filter(({ isolate }) => isolate !== owner);
    return {
      oneUs,
      tenUs,
      lost,
      ownerMs: means.find(({ isolate }) => isolate === owner)?.ms ?? Number.NaN,
      otherMs: others.reduce((sum, { ms }) => sum + ms, 0) / others.length,
    };
  } finally {
    await killAll();
  }
}

function configuration(origin: Origin, workers: number) {
  const { hubs, ...config } = demoConfig(origin.hub);
  const [path = "", hub] = Object.entries(hubs)[0] ?? [];
  const match = { ...hub?.topics?.["match/{id}"], lingerMs: 600_000 };
  const topics = { "match/{id}": match };
  return {
    ...config,
    workers,
    hubs: { [path]: { origin: origin.hub, topics, privateLane: "lazy" as const } },
  };
}

/** Has clients in every isolate. @returns sends them away */
async function fill({ url }: SpawnedRelay, isolates: number): Promise<() => void> {
  const kind: Kind = "ws";
  const leaves = Array.from({ length: CLIENTS }, () =>
    enter(kind, url, MATCH, { hear() {}, end() {} }),
  );
  await eventually(
    () => readSeries(url, "keryx_clients"),
    (clients) => {
      const taken = clients.filter(({ value }) => value > 0).length;
      return sum(clients) === CLIENTS && taken === isolates;
    },
  );
  await eventually(
    () => readSeries(url, "keryx_topics"),
    (topics) => sum(topics) === isolates,
  );
  return () => {
    for (const leave of leaves) leave();
  };
}

async function publish(origin: Origin, ticks: number, perTick: number): Promise<void> {
  for (let i = 0; i < ticks; i++) await origin.publish(MATCH, perTick);
}

/** @returns CPU time for each publication, µs */
async function timed(
  pid: number,
  { origin, perTick }: { readonly origin: Origin; readonly perTick: number },
): Promise<number> {
  const before = cpuMs([pid]);
  await publish(origin, TICKS, perTick);
  await pause(SETTLE_MS);
  return (1_000 * (cpuMs([pid]) - before)) / (TICKS * perTick);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** By isolate; `""` where there is one. Seconds. */
async function readDwell(url: string): Promise<Map<string, { sum: number; count: number }>> {
  const counts = await readSeries(url, "keryx_edge_dwell_seconds_count");
  const sums = await readSeries(url, "keryx_edge_dwell_seconds_sum");
  return new Map(
    counts.map(({ labels: { isolate = "" }, value }) => {
      const own = sums.find(({ labels }) => (labels.isolate ?? "") === isolate);
      return [isolate, { sum: own?.value ?? 0, count: value }];
    }),
  );
}

async function ownerOf(url: string): Promise<string | undefined> {
  const series = await readSeries(url, "keryx_upstream_connections");
  return series.find(({ value }) => value > 0)?.labels.isolate ?? "";
}

function sum(series: readonly Series[]): number {
  return series.reduce((total, { value }) => total + value, 0);
}
