/**
 * Where the time of a delivery goes: kernel, runtime, ours. Publishes through the relay for some
 * seconds and watches it with perf, where there is one, and with the runtime's own profiler.
 * `bun bench/profile.ts --help`.
 */

import { execFileSync, spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { messageOf } from "../lib/errors.ts";
import { eventually } from "../tests/support/eventually.ts";
import { findRuntime } from "../tests/support/runtimes.ts";
import { TRANSPORTS } from "./load.ts";
import { checkMachine, parseCores, RUNTIMES, version } from "./machine.ts";
import { buildNative } from "./native.ts";
import { listOf, numberOf } from "./options.ts";
import { pace, warmUp } from "./pace.ts";
import { printTable } from "./report/figure.ts";
import { withFlags } from "./script.ts";
import { openStage, type Stage } from "./stage.ts";
import { keryx } from "./subjects/keryx.ts";

const HELP = `Shows where the relay's time goes while it publishes.

  bun bench/profile.ts [flags]   or Node 24

  --runtime bun|deno|node        default bun
  --transport ws|sse|json|messagepack
                                 default ws
  --subscribers N                default 1000
  --per N                        publications a tick, default 1
  --seconds S                    default 5
  --cores 0,1                    of the relay, and of clients and publisher
`;

/** Rows of each table. */
const ROWS = 25;

/** Profilers look every ms. */
const MAX_SAMPLE_US = 2_000;

const ROOT = new URL("../", import.meta.url).href;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      help: { type: "boolean", short: "h" },
      runtime: { type: "string", default: "bun" },
      transport: { type: "string", default: "ws" },
      subscribers: { type: "string", default: "1000" },
      per: { type: "string", default: "1" },
      seconds: { type: "string", default: "5" },
      cores: { type: "string", default: "0,1" },
    },
  });
  if (values.help) return void process.stdout.write(HELP);
  const [name = "bun"] = listOf("runtime", values.runtime, RUNTIMES);
  const [transport = "ws"] = listOf("transport", values.transport, TRANSPORTS);
  const subscribers = numberOf("subscribers", values.subscribers, { min: 1, max: 19_000 });
  const per = numberOf("per", values.per, { min: 1, max: 1_000 });
  const seconds = numberOf("seconds", values.seconds, { min: 1, max: 600 });
  const cores = parseCores(values.cores);
  const runtime = findRuntime(name);
  if ("missing" in runtime) throw new Error(`Cannot run on ${name}: ${runtime.missing}`);

  checkMachine();
  buildNative();
  await using owned = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "keryx-profile-"));
  owned.defer(() => rm(folder, { recursive: true }));
  const profiled = withFlags(runtime, "--cpu-prof", `--cpu-prof-dir=${folder}`);
  const begin = performance.now();
  await using stage = await openStage(keryx(profiled), { transport, cores });
  await stage.connect({ count: subscribers });
  await warmUp(stage, { subscribers, per });
  const recording = recordPerf(stage, join(folder, "perf.data"), seconds);
  const fromMs = performance.now() - begin;
  const { cpuUs, serverShare } = await stage.observe(pace({ subscribers, per, seconds }));
  const toMs = performance.now() - begin;
  console.log(`${cpuUs.toFixed(2)} µs a delivery, ${(100 * serverShare).toFixed(0)} % of a core\n`);
  const recorded = await recording;
  if (recorded) printPerf(recorded);
  else console.log("There is no perf: what the kernel does is not shown\n");
  await printProfile(stage, { folder, fromMs, toMs });
}

/** @returns the file with the recording, or `undefined` without perf */
async function recordPerf(
  stage: Stage,
  file: string,
  seconds: number,
): Promise<string | undefined> {
  if (version("perf", "--version") === "not found") return undefined;
  const pids = stage.pids.join(",");
  const args = ["record", "-q", "-F", "999", "-o", file, "-p", pids, "--", "sleep", `${seconds}`];
  const child = spawn("perf", args, { stdio: "inherit" });
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return code === 0 ? file : undefined;
}

/** By program or library, where compiled JavaScript has none, and by function. */
function printPerf(file: string): void {
  for (const sort of ["dso", "dso,symbol"]) {
    const args = ["report", "-i", file, "--stdio", "-q", "--no-children", "--sort", sort];
    const text = execFileSync("perf", args, {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    const lines = text
      .split("\n")
      .filter((line) => line.trim() !== "")
      .map((line) => line.replace(/\s+-\s+-\s*$/, ""));
    console.log(`perf, by ${sort}\n${lines.slice(0, ROWS).join("\n")}\n`);
  }
}

/** A profile as V8 and JavaScriptCore write it, as far as it is read. */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: {
      readonly functionName: string;
      readonly url: string;
      readonly lineNumber: number;
    };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/**
 * Functions by the time that was spent in themselves, between two moments since the relay's start.
 * It writes the profile when it ends.
 */
async function printProfile(
  stage: Stage,
  options: { readonly folder: string; readonly fromMs: number; readonly toMs: number },
): Promise<void> {
  const { folder, fromMs, toMs } = options;
  for (const pid of stage.pids) process.kill(pid, "SIGTERM");
  const read = async () => {
    const name = (await readdir(folder)).find((one) => one.endsWith(".cpuprofile")) ?? "";
    return JSON.parse(await readFile(join(folder, name), "utf8")) as CpuProfile;
  };
  const { nodes, samples, timeDeltas } = await eventually(read, () => true);
  const selves = new Map<number, number>();
  let elapsedMs = 0;
  for (const [i, id] of samples.entries()) {
    const us = timeDeltas[i] ?? 0;
    elapsedMs += us / 1000;
    if (elapsedMs < fromMs || elapsedMs > toMs) continue;
    // JavaScriptCore takes no samples of an idle program, and leaves a gap.
    selves.set(id, (selves.get(id) ?? 0) + Math.min(us, MAX_SAMPLE_US));
  }
  const times = new Map<string, number>();
  for (const { id, callFrame } of nodes) {
    const { functionName, url, lineNumber } = callFrame;
    if (functionName === "(idle)") continue;
    const place = url.replace(ROOT, "").replace(ROOT.slice("file://".length), "");
    const what = `${functionName || "(anonymous)"} ${place}${place ? `:${lineNumber + 1}` : ""}`;
    times.set(what, (times.get(what) ?? 0) + (selves.get(id) ?? 0));
  }
  const total = [...times.values()].reduce((sum, us) => sum + us, 0);
  const rows = [...times]
    .sort(([, a], [, b]) => b - a)
    .slice(0, ROWS)
    .map(([what, us]) => [what, us / 1000, (100 * us) / total]);
  console.log(printTable(["the runtime's profile", "ms", "%"], rows));
}

try {
  await main();
} catch (error) {
  console.error(messageOf(error));
  if (error instanceof Error && error.cause) console.error(messageOf(error.cause));
  process.exitCode = 1;
}
process.exit();
