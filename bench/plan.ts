/** What is to be measured, in order: cells, each with how it is done. */

import {
  findRuntime,
  type Missing,
  type Runtime,
  type RuntimeName,
} from "../tests/support/runtimes.ts";
import type { Transport } from "./load.ts";
import { type Measured, type MeasureOptions, measureDelivery } from "./measures/delivery.ts";
import { measureIdle } from "./measures/idle.ts";
import { measureLatency } from "./measures/latency.ts";
import { measureStorm } from "./measures/storm.ts";
import { measureSustained } from "./measures/sustained.ts";
import { measureSweep, SWEEP_VALUES, SWEEPS, type Sweep, WATCHING } from "./measures/sweep.ts";
import { measureUpstream } from "./measures/upstream.ts";
import type { Options, Peer } from "./options.ts";
import type { Cell, MeasureName } from "./sample.ts";
import type { MissingSubject, Subject } from "./subject.ts";
import { bareSubject } from "./subjects/bare.ts";
import { HUB, hub, keryxBeforeHub } from "./subjects/hub.ts";
import { keryx } from "./subjects/keryx.ts";
import { nchan } from "./subjects/nchan.ts";
import { pushpin } from "./subjects/pushpin.ts";
import { joinedSender, sender } from "./subjects/sender.ts";

export interface Task {
  readonly cell: Cell;
  /** Times that it is done. */
  readonly repeats: number;
  run(options: MeasureOptions): Promise<Measured>;
}

export interface Plan {
  readonly tasks: readonly Task[];
  /** What was asked for and cannot be had on this machine. */
  readonly missing: readonly MissingSubject[];
}

/** Of these the median counts. */
const REPEATS: Readonly<Partial<Record<MeasureName, number>>> = { delivery: 3, spread: 3 };

/** As many as one process may have descriptors for, with room for its own. */
const MANY = 15_000;
const FEW = 1_000;
const WIDE = 10_000;

/** Peers that are there for the other runtimes' sake. */
const SIDE: readonly string[] = ["deno-bare", "node-ws"];

/** The control speaks the first, next to all the others. */
const FAMILIES: readonly (readonly ["ws" | "sse", readonly Transport[]])[] = [
  ["ws", ["ws", "json", "messagepack"]],
  ["sse", ["sse"]],
];

export function plan(options: Options): Plan {
  const subjects = findSubjects(options);
  const given = { ...options, ...subjects };
  const all = [
    ...options.subscribers.flatMap((count) => compare(given, "delivery", count)),
    ...options.subscribers.flatMap((count) => compare(given, "sustained", count)),
    ...compare(given, "idle", MANY),
    ...SWEEPS.flatMap((name) => sweep(given, name)),
    ...upstream(given),
    ...storms(given),
    ...light(given),
    ...spread(given),
  ];
  const tasks = all
    .filter(({ cell }) => options.measures.includes(cell.measure))
    .map((task) => ({
      ...task,
      repeats: options.repeats ?? REPEATS[task.cell.measure] ?? 1,
    }));
  return { tasks, missing: subjects.missing };
}

interface Given extends Omit<Options, "peers">, Subjects {}

type OwnTask = Omit<Task, "repeats">;

/** All subjects that have a transport and can take so many, after the control of that family. */
function compare(
  given: Given,
  measure: "delivery" | "sustained" | "idle",
  subscribers: number,
): readonly OwnTask[] {
  const { transports, relays, peers } = given;
  const run = { delivery: measureDelivery, sustained: measureSustained, idle: measureIdle }[
    measure
  ];
  const isMuch = measure === "sustained" || (measure === "delivery" && subscribers > FEW);
  const task = (subject: Subject, transport: Transport): OwnTask => ({
    cell: { measure, subject: subject.name, transport, subscribers },
    run: (options) => run(subject, options),
  });
  return FAMILIES.flatMap(([control, family]) => {
    const wanted = only(transports, family);
    if (wanted.length === 0) return [];
    const subjects = [...relays.map(({ subject }) => subject), ...peers].filter(
      (subject) =>
        subscribers <= (subject.maxSubscribers ?? subscribers) &&
        !(isMuch && isSide(given, subject)),
    );
    return [
      ...[sender, joinedSender].map((subject) => task(subject, control)),
      ...wanted.flatMap((transport) =>
        subjects
          .filter((subject) => subject.transports.includes(transport))
          .map((subject) => task(subject, transport)),
      ),
    ];
  });
}

/** What there is time for in a full run only, but for its memory and with few subscribers. */
function isSide({ full, relays }: Given, { name }: Subject): boolean {
  if (full) return false;
  return SIDE.includes(name) || relays.slice(1).some(({ subject }) => subject.name === name);
}

/** Of the first relay, next to the control where that can do the same. */
function sweep({ relays: [relay], transports: [transport] }: Given, name: Sweep): OwnTask[] {
  if (!relay || !transport) return [];
  return SWEEP_VALUES.flatMap((value) => {
    const subject =
      name === "history" ? keryx(relay.runtime, { historySize: value }) : relay.subject;
    const subscribers = name === "subscribers" ? value : WATCHING;
    return (name === "subscribers" ? [sender, subject] : [subject])
      .filter(({ transports }) => transports.includes(transport))
      .map((swept) => ({
        cell: {
          measure: "sweep",
          subject: swept.name,
          transport,
          subscribers,
          variable: name,
          value,
        },
        run: (options) => measureSweep(swept, { sweep: name, value }, options),
      }));
  });
}

function upstream({ relays, transports }: Given): readonly OwnTask[] {
  return relays.flatMap(({ subject, runtime }) =>
    only(transports, ["ws", "messagepack"]).map((transport) => ({
      cell: { measure: "upstream", subject: subject.name, transport, subscribers: WATCHING },
      run: (options) => measureUpstream(subject, runtime, options),
    })),
  );
}

function storms(given: Given): readonly OwnTask[] {
  return given.relays
    .filter(({ subject }) => !isSide(given, subject))
    .flatMap(({ subject }) =>
      only(given.transports, ["ws", "sse"]).map((transport) => ({
        cell: { measure: "storm", subject: subject.name, transport, subscribers: MANY },
        run: (options) => measureStorm(subject, options),
      })),
    );
}

/** The direct hub, and the first relay in front of it. */
function light({ relays: [relay], peers, transports }: Given): readonly OwnTask[] {
  const direct = peers.find(({ name }) => name === HUB);
  if (!relay || !direct || !transports.includes("json")) return [];
  return [direct, keryxBeforeHub(relay.runtime)].map((subject) => ({
    cell: { measure: "light", subject: subject.name, transport: "json", subscribers: WATCHING },
    run: (options) => measureLatency(subject, 50, options),
  }));
}

/** The first relay with one isolate, and with one for each core. */
function spread({ relays: [relay], transports: [transport] }: Given): readonly OwnTask[] {
  if (!relay || !transport) return [];
  return [relay.subject, keryx(relay.runtime, { workers: 2 })].map((subject) => ({
    cell: { measure: "spread", subject: subject.name, transport, subscribers: WIDE },
    run: (options) => measureLatency(subject, 4, options),
  }));
}

function only(transports: readonly Transport[], wanted: readonly Transport[]): Transport[] {
  return transports.filter((transport) => wanted.includes(transport));
}

interface Relay {
  readonly runtime: Runtime;
  readonly subject: Subject;
}

interface Subjects {
  readonly relays: readonly Relay[];
  readonly missing: readonly MissingSubject[];
  readonly peers: readonly Subject[];
}

function findSubjects(options: Options): Subjects {
  const relays: Relay[] = [];
  const peers: Subject[] = [];
  const missing: MissingSubject[] = [];
  for (const name of options.runtimes) {
    const runtime = findRuntime(name);
    if ("missing" in runtime) missing.push({ ...runtime, name: `keryx-${name}` });
    else relays.push({ runtime, subject: keryx(runtime) });
  }
  for (const name of options.peers) {
    const subject = PEER[name]();
    if ("missing" in subject) missing.push({ ...subject, name });
    else peers.push(subject);
  }
  return { relays, peers, missing };
}

const PEER: Readonly<Record<Peer, () => Subject | Missing>> = {
  "bun-publish": () => bare("bun"),
  "node-ws": () => bare("node"),
  "deno-bare": () => bare("deno"),
  nchan,
  pushpin,
  hub,
};

function bare(name: RuntimeName): Subject | Missing {
  const runtime = findRuntime(name);
  return "missing" in runtime ? runtime : bareSubject(runtime);
}
