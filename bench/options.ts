/** The command line. */

import { parseArgs } from "node:util";
import type { RuntimeName } from "../tests/support/runtimes.ts";
import { TRANSPORTS, type Transport } from "./load.ts";
import { type Cores, parseCores, RUNTIMES } from "./machine.ts";
import { MEASURES, type MeasureName } from "./sample.ts";

export const PEERS = ["bun-publish", "node-ws", "deno-bare", "nchan", "pushpin", "hub"] as const;
export type Peer = (typeof PEERS)[number];

export interface Options {
  readonly transports: readonly Transport[];
  readonly runtimes: readonly RuntimeName[];
  readonly peers: readonly Peer[];
  readonly measures: readonly MeasureName[];
  readonly subscribers: readonly number[];
  /** Times that each measure is repeated, where that is not its own affair. */
  readonly repeats: number | undefined;
  /** Whether the runtimes but the first are measured as much as it is. */
  readonly full: boolean;
  /** Length of an observation. */
  readonly seconds: number;
  /** What has not begun by then is left out. */
  readonly minutes: number;
  readonly cores: Cores;
  /** Folder of the results. */
  readonly out: string;
}

export const HELP = `Measures the relay, the control and its peers, side by side.

  bun bench/run.ts [flags]       or Node 24

  --quick                        two minutes: 1,000 subscribers, Bun, once
  --full                         an hour and a half: Deno, Node and what is bare on them in everything
  --only ws,sse,json,messagepack transports; json and messagepack are SignalR over WebSocket
  --runtimes bun,deno,node       of the relay; none for none
  --peers ${PEERS.join(",")}
                                 none for none; the C sender is always there
  --measures ${MEASURES.join(",")}
  --subscribers 1000,10000
  --repeats N                    of everything; by default 3 of delivery, 1 of the rest
  --seconds S                    of each observation, default 1
  --minutes M                    at most, default 30, of --full 90
  --cores 0,1                    of the server, and of clients and publisher
  --out FOLDER                   default dist/bench
`;

/** @throws {TypeError | RangeError} that names the flag */
export function parseOptions(args: readonly string[]): Options | "help" {
  const { values } = parseArgs({
    args: [...args],
    options: {
      help: { type: "boolean", short: "h" },
      quick: { type: "boolean" },
      full: { type: "boolean" },
      only: { type: "string" },
      runtimes: { type: "string" },
      peers: { type: "string" },
      measures: { type: "string" },
      subscribers: { type: "string" },
      repeats: { type: "string" },
      seconds: { type: "string" },
      minutes: { type: "string" },
      cores: { type: "string" },
      out: { type: "string" },
    },
  });
  if (values.help) return "help";
  const quick = values.quick === true;
  return {
    transports: listOf("only", values.only, TRANSPORTS),
    runtimes: listOf("runtimes", values.runtimes ?? (quick ? "bun" : undefined), RUNTIMES),
    peers: listOf("peers", values.peers, PEERS),
    measures: listOf("measures", values.measures ?? (quick ? "delivery" : undefined), MEASURES),
    subscribers: (values.subscribers ?? (quick ? "1000" : "1000,10000"))
      .split(",")
      .map((text) => numberOf("subscribers", text, { min: 1, max: 19_000 })),
    repeats: values.repeats
      ? numberOf("repeats", values.repeats, { min: 1, max: 100 })
      : quick
        ? 1
        : undefined,
    full: values.full === true,
    seconds: numberOf("seconds", values.seconds ?? (quick ? "0.5" : "1"), { min: 0.1, max: 60 }),
    minutes: numberOf("minutes", values.minutes ?? (values.full ? "90" : "30"), {
      min: 1,
      max: 600,
    }),
    cores: parseCores(values.cores ?? "0,1"),
    out: values.out ?? "dist/bench",
  };
}

/** All by default, and nothing of `none`. @throws {TypeError} that names the flag */
export function listOf<T extends string>(
  flag: string,
  text: string | undefined,
  known: readonly T[],
): readonly T[] {
  if (text === undefined) return known;
  if (text === "none") return [];
  return text.split(",").map((name) => {
    const found = known.find((one) => one === name);
    if (found === undefined) {
      throw new TypeError(`Invalid --${flag}: "${name}" is none of ${known.join(", ")}`);
    }
    return found;
  });
}

/** @throws {RangeError} that names the flag */
export function numberOf(
  flag: string,
  text: string,
  { min, max }: { readonly min: number; readonly max: number },
): number {
  const number = Number(text);
  if (number >= min && number <= max) return number;
  throw new RangeError(`Invalid --${flag}: "${text}" is not a number from ${min} to ${max}`);
}
