/** The goals that a run can be held against, and how far it is from them. */

import { TRANSPORTS, type Transport } from "../load.ts";
import type { Samples } from "../sample.ts";
import { HUB } from "../subjects/hub.ts";
import { SENDER } from "../subjects/sender.ts";
import { printTable } from "./figure.ts";

/** The relay that the goals are about; of the other runtimes, only the memory. */
const RELAY = "keryx-bun";

/** What must not depend on something may change by as much as a run cannot tell from nothing. */
const UNCHANGED = 1.2;

/** One line to be held against a limit. */
interface Goal {
  readonly what: string;
  /** `undefined` when the run has not measured it. */
  readonly value: number | undefined;
  readonly limit: number | undefined;
  /** Whether the limit is the least it may be, not the most. */
  readonly isFloor?: true;
}

/** A Markdown table of the goals that were measured. */
export function printGoals(samples: Samples): string {
  const rows = GOALS.flatMap((goals, i) =>
    goals(samples).flatMap(({ what, value, limit, isFloor = false }) => {
      if (value === undefined || limit === undefined) return [];
      const isMet = isFloor ? value >= limit : value <= limit;
      const verdict = isMet ? "met" : "**missed**";
      return [[String(i + 1), what, value, isFloor ? "≥" : "≤", limit, verdict]];
    }),
  );
  return printTable(["goal", "", "measured", "", "limit", ""], rows);
}

const GOALS: readonly ((samples: Samples) => readonly Goal[])[] = [
  (samples) =>
    deliveries(samples).map(({ where, transport, figure }) => ({
      what: `${where}: CPU for a delivery, over C`,
      value: figure("oneRatio"),
      limit: transport === "sse" ? 1.35 : 1.25,
    })),
  (samples) => [
    ...deliveries(samples).map(({ where, figure }) => ({
      what: `${where}: deliveries for a core's time, ten a tick, over C joined`,
      value: over(1, figure("tenRatio")),
      limit: 0.8,
      isFloor: true as const,
    })),
    ...countsOf(samples).flatMap((subscribers) => overHub(samples, subscribers)),
  ],
  (samples) => [
    ...deliveries(samples).map(({ where, figure }) => {
      const walkMs = figure("walkMs");
      const limit = walkMs === undefined ? undefined : 1.4 * walkMs + 2;
      return { what: `${where}: p99 when half busy, ms`, value: figure("halfP99"), limit };
    }),
    {
      what: "added to the direct hub when there is little to do, p99, ms",
      value: addedMs(samples),
      limit: 2,
    },
    {
      what: "two isolates on two cores: p99 of a walk, over that of one",
      value: over(walkMs(samples, `${RELAY}-x2`), walkMs(samples, RELAY)),
      limit: 0.6,
    },
  ],
  (samples) =>
    (["ws", "sse"] as const).flatMap((transport) => {
      const kb = (subject: string) =>
        samples.median({ measure: "idle", subject, transport }, "idleKb");
      const what = (subject: string) => `${subject}, ${transport}: KiB for an idle client`;
      const bare = [["keryx-deno", "deno-bare"] as const, ["keryx-node", "node-ws"] as const];
      return [
        { what: what(RELAY), value: kb(RELAY), limit: transport === "ws" ? 6 : 8 },
        ...bare.map(([relay, runtime]) => {
          return { what: what(relay), value: kb(relay), limit: times(1.3, kb(runtime)) };
        }),
      ];
    }),
  (samples) =>
    (["ws", "sse"] as const).flatMap((transport) => {
      const cell = { subject: RELAY, transport };
      const storm = (figure: string) => samples.median({ ...cell, measure: "storm" }, figure);
      const value = samples.median({ ...cell, measure: "idle" }, "connects");
      return [
        { what: `${transport}: clients accepted a second`, value, limit: 3_000, isFloor: true },
        { what: `${transport}: all back after a storm, ms`, value: storm("backMs"), limit: 10_000 },
        { what: `${transport}: p99 of who stayed, ms`, value: storm("p99"), limit: 1_000 },
      ];
    }),
  (samples) => [
    {
      what: "1,000 to 10,000 subscribers: growth of a publication's cost, over C",
      value: over(
        growth(samples, RELAY, { variable: "subscribers", from: 1_000, to: 10_000 }),
        growth(samples, SENDER, { variable: "subscribers", from: 1_000, to: 10_000 }),
      ),
      limit: UNCHANGED,
    },
    ...["topics", "unwatched", "history"].map((variable) => ({
      what: `1 to 10,000 ${variable}: growth of a publication's cost`,
      value: growth(samples, RELAY, { variable, from: 1, to: 10_000 }),
      limit: UNCHANGED,
    })),
  ],
  (samples) => {
    const cell = { measure: "upstream", subject: RELAY, transport: "ws" } as const;
    const [what, limit] = ["20,000 pushes a second: share of a core", 1];
    return [
      { what, value: samples.median(cell, "share"), limit },
      {
        what: "a push read and routed, over JSON.parse of it",
        value: samples.median(cell, "decodeRatio"),
        limit: 1.5,
      },
    ];
  },
];

/** Numbers of subscribers for which a delivery was measured. */
function countsOf(samples: Samples): readonly number[] {
  return [...new Set(samples.find({ measure: "delivery" }).map((sample) => sample.subscribers))];
}

/** Each transport and number of subscribers. */
function deliveries(samples: Samples): readonly {
  readonly where: string;
  readonly transport: Transport;
  figure(name: string): number | undefined;
}[] {
  return countsOf(samples).flatMap((subscribers) =>
    TRANSPORTS.map((transport) => {
      const cell = { measure: "delivery", subject: RELAY, transport, subscribers } as const;
      return {
        where: `${transport}, ${subscribers}`,
        transport,
        figure: (name: string) => samples.median(cell, name),
      };
    }),
  );
}

function overHub(samples: Samples, subscribers: number): readonly Goal[] {
  const tenUs = (subject: string) =>
    samples.median({ measure: "delivery", subject, transport: "json", subscribers }, "tenUs");
  const most = (subject: string) => {
    const cell = { measure: "sustained", subject, transport: "json", subscribers } as const;
    const rates = ["oneSustained", "tenSustained"].flatMap(
      (figure) => samples.median(cell, figure) ?? [],
    );
    return rates.length > 0 ? Math.max(...rates) : undefined;
  };
  const ratio = over(tenUs(HUB), tenUs(RELAY));
  const where = `json, ${subscribers}`;
  return [
    { what: `${where}: CPU of the direct hub over ours`, value: ratio, limit: 5, isFloor: true },
    {
      what: `${where}: most that is sustained, over the direct hub`,
      value: over(most(RELAY), most(HUB)),
      limit: 3,
      isFloor: true,
    },
  ];
}

function addedMs(samples: Samples): number | undefined {
  const p99 = (subject: string) => samples.median({ measure: "light", subject }, "p99");
  const [behind, direct] = [p99(`${RELAY}-${HUB}`), p99(HUB)];
  return behind === undefined || direct === undefined ? undefined : behind - direct;
}

function walkMs(samples: Samples, subject: string): number | undefined {
  return samples.median({ measure: "spread", subject }, "p99");
}

/** How many times as much a publication costs at the end of a sweep. */
function growth(
  samples: Samples,
  subject: string,
  { variable, from, to }: { readonly variable: string; readonly from: number; readonly to: number },
): number | undefined {
  const cost = (value: number) =>
    samples.median({ measure: "sweep", subject, variable, value }, "publicationUs");
  return over(cost(to), cost(from));
}

function over(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? undefined : one / other;
}

function times(factor: number, value: number | undefined): number | undefined {
  return value === undefined ? undefined : factor * value;
}
