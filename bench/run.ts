/**
 * The bench: everything in one go, into a table, its figures as JSON, and a plot.
 * `bun bench/run.ts --help` lists what can be chosen.
 */

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { messageOf } from "../lib/errors.ts";
import { checkMachine, describeMachine } from "./machine.ts";
import { buildNative } from "./native.ts";
import { HELP, type Options, parseOptions } from "./options.ts";
import { type Plan, plan, type Task } from "./plan.ts";
import { createReferences, type References } from "./reference.ts";
import { plot } from "./report/plot.ts";
import { table } from "./report/table.ts";
import { createSamples, type Samples } from "./sample.ts";
import { processTree } from "./usage.ts";

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options === "help") return void process.stdout.write(HELP);
  checkMachine();
  buildNative();
  const planned = plan(options);
  for (const { name, missing } of planned.missing) console.log(`without ${name}: ${missing}`);
  const runs = planned.tasks.reduce((sum, { repeats }) => sum + repeats, 0);
  console.log(`${runs} measurements, ${options.minutes} minutes at most`);
  const samples = createSamples();
  const begin = new Date();
  const skipped = await measure(planned, options, samples);
  const report = {
    begin: begin.toISOString(),
    minutes: Math.round((Date.now() - begin.getTime()) / 6_000) / 10,
    machine: describeMachine(),
    missing: planned.missing,
    skipped,
  };
  await mkdir(options.out, { recursive: true });
  const write = (name: string, text: string) => writeFile(join(options.out, name), text);
  await write("results.json", `${JSON.stringify({ ...report, samples: samples.all }, null, 2)}\n`);
  await write("results.md", table(samples, report));
  await write("results.svg", plot(samples));
  console.log(`results.md, results.json and results.svg are in ${options.out}`);
}

/** Does everything once, then again what is repeated. @returns how many tasks there was no time for */
async function measure({ tasks }: Plan, options: Options, samples: Samples): Promise<number> {
  await using references = createReferences(options.cores);
  const deadline = performance.now() + options.minutes * 60_000;
  const rounds = Math.max(0, ...tasks.map(({ repeats }) => repeats));
  let skipped = 0;
  for (let round = 0; round < rounds; round++) {
    for (const task of tasks) {
      if (round >= task.repeats) continue;
      if (performance.now() > deadline) skipped++;
      else await perform(task, { round, options, references, samples });
    }
  }
  return skipped;
}

/** Does one task; what goes wrong with it is a result, too. */
async function perform(
  { cell, run }: Task,
  given: {
    readonly round: number;
    readonly options: Options;
    readonly references: References;
    readonly samples: Samples;
  },
): Promise<void> {
  const { round, options, references, samples } = given;
  const { cores, seconds } = options;
  const { measure, subject, transport, subscribers, variable, value } = cell;
  const what = variable === undefined ? `${subscribers}` : `${variable} ${value}`;
  process.stdout.write(`${measure} ${subject} ${transport} ${what}: `);
  try {
    const measured = await run({ transport, subscribers, cores, references, seconds });
    samples.add({ ...cell, round, ...measured });
    const figures = Object.entries(measured.figures).map(
      ([name, figure]) => `${name} ${Number(figure.toPrecision(3))}`,
    );
    console.log([...figures, measured.trouble].filter(Boolean).join(", "));
  } catch (error) {
    const trouble = messageOf(error).split("\n", 1)[0] ?? "";
    samples.add({ ...cell, round, figures: {}, trouble });
    console.log(trouble);
  }
}

/** Whoever stops the bench wants nothing of it to go on. */
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    for (const pid of processTree(process.pid).slice(1)) {
      try {
        process.kill(pid);
      } catch {
        // it has ended meanwhile, with its parent
      }
    }
    process.exit(130);
  });
}

try {
  await main();
} catch (error) {
  console.error(messageOf(error));
  if (error instanceof Error && error.cause) console.error(messageOf(error.cause));
  process.exitCode = 1;
}
process.exit();
