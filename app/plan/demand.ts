/** The command line of `npm run plan`: `--clients 600k --share ws=50,sse=50`. */

import { ConfigError } from "../config.ts";
import {
  type Demand,
  MEASURED,
  RUNTIMES,
  type Runtime,
  TRANSPORTS,
  type Transport,
} from "./plan.ts";

interface Option {
  readonly fallback: number;
  readonly min: number;
  readonly max: number;
  /** Whether it must be a whole number. */
  readonly whole?: true;
  readonly text: string;
}

type NumberName = Exclude<keyof Demand, "share" | "runtime">;

const OPTIONS: Readonly<Record<NumberName, Option>> = {
  clients: { fallback: 600_000, min: 1, max: 1e9, whole: true, text: "clients" },
  publications: { fallback: 4_000, min: 0.001, max: 1e7, text: "publications/s of all topics" },
  topics: { fallback: 2_000, min: 1, max: 1e7, whole: true, text: "topics that are watched" },
  bytes: { fallback: 250, min: 1, max: 16_777_216, text: "bytes of a publication's arguments" },
  topicsPerClient: { fallback: 3, min: 1, max: 10_000, text: "topics that one client watches" },
  joined: { fallback: 2, min: 1, max: 10_000, text: "publications in one write, on average" },
  reserve: { fallback: 0.5, min: 0, max: 0.9, text: "part that is to stay free" },
  cores: { fallback: 8, min: 1, max: 1_024, whole: true, text: "cores of a machine" },
  memory: { fallback: 32, min: 0.25, max: 65_536, text: "memory of a machine, GiB" },
  network: { fallback: 10, min: 0.1, max: 1_000, text: "network of a machine, Gb/s" },
  history: { fallback: 120, min: 0, max: 86_400, text: "how far back recovery reaches, s" },
  send: { fallback: MEASURED.sendMicros, min: 0.1, max: 100, text: "a send by a C program, µs" },
};

const SHARE = "ws=50,sse=40,signalr=10";
const RUNTIME: Runtime = "bun";

/** All options, for a terminal. */
export function printUsage(): string {
  const option = (name: string, text: string) => `  --${dashed(name).padEnd(20)}${text}`;
  return [
    "Reckons what a number of clients needs: docs/scale.md. Numbers may end with k or M.",
    "",
    ...Object.entries(OPTIONS).map(([name, { fallback, text, ...range }]) =>
      option(name, `${text}; ${printRange(range)}, default ${print(fallback)}`),
    ),
    option("share", `clients by transport, percent, of ${TRANSPORTS.join(", ")}; default ${SHARE}`),
    option("runtime", `${RUNTIMES.join(", ")}; default ${RUNTIME}`),
  ].join("\n");
}

/**
 * Reads options, each with its value behind it or behind an equals sign.
 * @throws {ConfigError} which names the option
 */
export function readDemand(args: readonly string[]): Demand {
  const given = readOptions(args);
  const numbers = Object.fromEntries(
    Object.entries(OPTIONS).map(([name, option]) => {
      const flag = `--${dashed(name)}`;
      const text = given.get(flag);
      return [name, text === undefined ? option.fallback : readNumber(flag, text, option)];
    }),
  ) as Record<NumberName, number>; // OPTIONS has each of them
  const { topics, topicsPerClient } = numbers;
  if (topicsPerClient > topics) {
    const text = `${topicsPerClient} is more than --topics, ${topics}`;
    throw new ConfigError(`Invalid --topics-per-client: ${text}`);
  }
  return {
    ...numbers,
    runtime: readRuntime(given.get("--runtime") ?? RUNTIME),
    share: readShare(given.get("--share") ?? SHARE),
  };
}

const FLAGS: ReadonlySet<string> = new Set(
  [...Object.keys(OPTIONS), "share", "runtime"].map((name) => `--${dashed(name)}`),
);

/** `topicsPerClient` as an option is written. */
function dashed(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function readOptions(args: readonly string[]): ReadonlyMap<string, string> {
  const words = args.flatMap((arg) => {
    const [, flag, value] = /^(--[^=]+)=(.*)$/.exec(arg) ?? [];
    return flag === undefined || value === undefined ? [arg] : [flag, value];
  });
  const given = new Map<string, string>();
  for (let i = 0; i < words.length; i += 2) {
    const [flag = "", value = ""] = words.slice(i);
    if (!FLAGS.has(flag)) throw new ConfigError(`Unknown option "${flag}"`);
    if (value === "" || FLAGS.has(value)) throw new ConfigError(`Invalid ${flag}: it has no value`);
    if (given.has(flag)) throw new ConfigError(`Invalid ${flag}: it is there twice`);
    given.set(flag, value);
  }
  return given;
}

const FACTORS: Readonly<Record<string, number>> = { "": 1, k: 1e3, m: 1e6 };

function readNumber(flag: string, text: string, option: Option): number {
  const [, digits, suffix = ""] = /^(\d[\d_,]*(?:\.\d+)?)([km]?)$/i.exec(text) ?? [];
  const factor = FACTORS[suffix.toLowerCase()] ?? 1;
  const value = Number(digits?.replace(/[_,]/g, "")) * factor;
  const { min, max, whole } = option;
  if (value >= min && value <= max && (!whole || Number.isInteger(value))) return value;
  throw new ConfigError(`Invalid ${flag}: "${text}" is not ${printRange(option)}`);
}

function printRange({ min, max, whole }: Pick<Option, "min" | "max" | "whole">): string {
  return `a ${whole ? "whole " : ""}number from ${print(min)} to ${print(max)}`;
}

function print(value: number): string {
  return value.toLocaleString("en", { maximumFractionDigits: 3 });
}

function readRuntime(text: string): Runtime {
  const runtime = RUNTIMES.find((known) => known === text);
  if (runtime) return runtime;
  throw new ConfigError(`Invalid --runtime: "${text}" is not one of ${RUNTIMES.join(", ")}`);
}

/** Percents that make 100; who is not there has none. */
function readShare(text: string): Readonly<Record<Transport, number>> {
  const share = { ws: 0, sse: 0, signalr: 0, messagepack: 0 };
  for (const part of text.split(",")) {
    const [, name, percent] = /^(\w+)=(\d+(?:\.\d+)?)$/.exec(part) ?? [];
    const transport = TRANSPORTS.find((known) => known === name);
    if (!transport) {
      const form = `a transport with its percent, such as ${TRANSPORTS.join("=25,")}=25`;
      throw new ConfigError(`Invalid --share: "${part}" is not ${form}`);
    }
    share[transport] += Number(percent) / 100;
  }
  const percents = 100 * Object.values(share).reduce((sum, part) => sum + part, 0);
  if (Math.abs(percents - 100) < 1e-6) return share;
  throw new ConfigError(`Invalid --share: "${text}" makes ${print(percents)}, not 100`);
}
