/** The plan as lines, for a terminal. */

import { printUsage, readDemand } from "./demand.ts";
import { type Demand, type Plan, plan, type Traffic } from "./plan.ts";

/**
 * Answers the command line behind `--plan`.
 * @throws {ConfigError} which names the option
 */
export function answerPlan(args: readonly string[]): string {
  if (args.includes("--help")) return printUsage();
  const demand = readDemand(args);
  return printPlan(demand, plan(demand));
}

export function printPlan(demand: Demand, plan: Plan): string {
  const { clients, topics, topicsPerClient, publications, bytes, reserve } = demand;
  const { machine, machines, isolates, bandwidth, origin, nats } = plan;
  const spread = (bits: number) => `${rate(bits)}, ${rate(bits / machines)} a machine`;
  const gzip = plan.gzipCores > 0 ? `, for ${few(plan.gzipCores, "core")} more` : "";
  const lines = [
    [
      "clients",
      `${count(clients)}, each with ${count(topicsPerClient)} of ${count(topics)} topics`,
    ],
    ["publications", `${count(publications)}/s of ${count(bytes)} bytes`],
    ["deliveries", `${count(plan.deliveries)}/s, ${count(plan.updates)}/s a client`],
    ["writes", `${count(plan.writes)}/s, which keep ${few(plan.busyCores, "core")} busy`],
    ["isolates", `${count(isolates)}, one a core, with ${count(100 * reserve)} % in reserve`],
    ["machines", `${count(machines)}, for their ${plan.limit}: ${printMachine(demand)}`],
    [
      "a machine",
      `${count(machine.clients)} clients, ${few(machine.isolates, "isolate")}, ${size(machine.memoryBytes)}`,
    ],
    ["bandwidth", spread(bandwidth.whole)],
    ["  deltas", spread(bandwidth.deltas)],
    ["  and gzip", spread(bandwidth.compressed) + gzip],
    ["origin", `${few(origin.connections, "connection")}, ${rate(origin.bits)}`],
    ["NATS", nats ? printTraffic(nats) : "not needed"],
    ["last client", `${time(plan.walk)} behind the first of its isolate`],
    ["all cut", `all back in ${time(plan.comeback)}`],
  ] as const;
  return lines.map(([name, text]) => `${name.padEnd(14)}${text}`).join("\n");
}

function printMachine({ cores, memory, network }: Demand): string {
  return `${few(cores, "core")}, ${count(memory)} GiB, ${count(network)} Gb/s`;
}

function printTraffic({ messagesIn, messagesOut, bitsIn, bitsOut, storedBytes }: Traffic): string {
  const into = `${count(messagesIn)}/s in, ${rate(bitsIn)}`;
  return `${into}; ${count(messagesOut)}/s out, ${rate(bitsOut)}; ${size(storedBytes)} kept`;
}

function rate(bits: number): string {
  return bits >= 1e9 ? `${count(bits / 1e9)} Gb/s` : `${count(bits / 1e6)} Mb/s`;
}

function size(bytes: number): string {
  return bytes >= 2 ** 30 ? `${count(bytes / 2 ** 30)} GiB` : `${count(bytes / 2 ** 20)} MiB`;
}

function time(seconds: number): string {
  return seconds >= 1 ? `${count(seconds)} s` : `${count(seconds * 1e3)} ms`;
}

function few(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/** Two digits of what is small, all digits of what is not. */
function count(value: number): string {
  if (value < 10) return String(Number(value.toPrecision(2)));
  return value.toLocaleString("en", { maximumFractionDigits: 0 });
}
