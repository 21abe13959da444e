/** The results as Markdown. */

import type { Transport } from "../load.ts";
import type { Cell, MeasureName, Samples } from "../sample.ts";
import type { MissingSubject } from "../subject.ts";
import { JOINED_SENDER, SENDER } from "../subjects/sender.ts";
import { printNumber, printTable } from "./figure.ts";
import { printGoals } from "./goals.ts";

/** What there is to know of a run beside its figures. */
export interface About {
  /** ISO 8601. */
  readonly begin: string;
  readonly minutes: number;
  readonly machine: readonly string[];
  readonly missing: readonly MissingSubject[];
  /** Tasks that there was no time for. */
  readonly skipped: number;
}

export function table(samples: Samples, about: About): string {
  const sections = [
    head(about, samples.all.filter(({ trouble }) => trouble !== "").length),
    section("Goals", printGoals(samples), ""),
    ...countsOf(samples, "delivery").map((count) => delivery(samples, count)),
    ...countsOf(samples, "sustained").map((count) => sustained(samples, count)),
    plain(samples, "idle", "Clients that get nothing", ["connects", "idleKb"]),
    sweeps(samples),
    plain(samples, "upstream", "20,000 pushes a second from the origin, 1,000 topics", [
      "pushUs",
      "share",
      "decodeRatio",
    ]),
    plain(samples, "storm", "15,000 clients lose their connection at once", ["backMs", "p99"]),
    plain(samples, "light", "50 publications a second to 100 clients", ["p50", "p99", "p999"]),
    plain(samples, "spread", "4 publications a second to 10,000 clients", ["p50", "p99", "p999"]),
    troubles(samples),
  ];
  return `${sections.filter(Boolean).join("\n\n")}\n`;
}

function head({ begin, minutes, machine, missing, skipped }: About, troubled: number): string {
  const facts = [
    `begun ${begin}, ${minutes} minutes`,
    ...machine,
    ...missing.map((one) => `without ${one.name}: ${one.missing}`),
    ...(skipped > 0 ? [`${skipped} measurements had no time left`] : []),
    ...(troubled > 0 ? [`**${troubled} measurements were troubled**: see the end`] : []),
  ];
  return `# Bench\n\n${facts.map((fact) => `- ${fact}`).join("\n")}`;
}

function delivery(samples: Samples, subscribers: number): string {
  const figures = [
    ["bytes", "bytes"],
    ["oneUs", "one a tick, µs"],
    ["oneRatio", "× C"],
    ["tenUs", "ten a tick, µs"],
    ["tenRatio", "× C joined"],
    ["tenOverOne", "× C"],
    ["halfP50", "p50, ms"],
    ["halfP99", "p99"],
    ["halfP999", "p99.9"],
    ["halfRate", "at deliveries/s"],
    ["connects", "connects/s"],
    ["idleKb", "KiB idle"],
    ["loadShare", "clients' core"],
  ] as const;
  const rows = cellsOf(samples, { measure: "delivery", subscribers }).map((cell) => [
    cell.subject,
    cell.transport,
    ...figures.map(([figure]) => samples.median(cell, figure)),
  ]);
  return section(
    `A delivery, ${printNumber(subscribers)} subscribers`,
    printTable(["", "", ...figures.map(([, title]) => title)], rows),
    "CPU time of the server for each delivery; latencies at the rate at which it is half busy.",
  );
}

function sustained(samples: Samples, subscribers: number): string {
  const cells = cellsOf(samples, { measure: "sustained", subscribers });
  const rows = cells.map((cell) => {
    const transport = family(cell.transport);
    const control = (subject: string, figure: string) =>
      samples.median({ ...cell, subject, transport }, figure) ?? Number.NaN;
    const one = samples.median(cell, "oneSustained") ?? Number.NaN;
    const ten = samples.median(cell, "tenSustained") ?? Number.NaN;
    return [
      cell.subject,
      cell.transport,
      one,
      one / control(SENDER, "oneSustained"),
      ten,
      ten / control(JOINED_SENDER, "tenSustained"),
      ten / control(SENDER, "oneSustained"),
      samples.median(cell, "tenLoad"),
    ];
  });
  return section(
    `Sustained, ${printNumber(subscribers)} subscribers`,
    printTable(
      ["", "", "one a tick, /s", "× C", "ten a tick, /s", "× C joined", "× C", "clients' core"],
      rows,
    ),
    "Deliveries a second on one core, with p99 below 1 s and nothing lost.",
  );
}

/** A measure whose figures need no more than their names. */
function plain(
  samples: Samples,
  measure: MeasureName,
  title: string,
  figures: readonly string[],
): string {
  const rows = cellsOf(samples, { measure }).map((cell) => [
    cell.subject,
    cell.transport,
    cell.subscribers,
    ...figures.map((figure) => samples.median(cell, figure)),
  ]);
  return section(title, printTable(["", "", "clients", ...figures], rows), "");
}

function sweeps(samples: Samples): string {
  const cells = cellsOf(samples, { measure: "sweep" });
  const values = [...new Set(cells.map(({ value = 0 }) => value))].sort((a, b) => a - b);
  const swept = new Map(
    cells.map(({ subject, variable = "" }) => [`${variable}, ${subject}`, { subject, variable }]),
  );
  const rows = [...swept].map(([name, cell]) => [
    name,
    ...values.map((value) => samples.median({ measure: "sweep", ...cell, value }, "publicationUs")),
  ]);
  return section(
    "CPU time for a publication, µs",
    printTable(["", ...values.map((value) => printNumber(value))], rows),
    "",
  );
}

function troubles(samples: Samples): string {
  const lines = samples.all
    .filter(({ trouble }) => trouble !== "")
    .map(({ measure, subject, transport, subscribers, round, trouble }) =>
      [
        `- ${measure} ${subject} ${transport} ${subscribers}`,
        `round ${round + 1}: ${trouble}`,
      ].join(", "),
    );
  return lines.length > 0 ? `## Troubles\n\n${lines.join("\n")}` : "";
}

/** Empty when the table has no rows. */
function section(title: string, rows: string, text: string): string {
  if (rows.split("\n").length < 3) return "";
  return [`## ${title}`, text, rows].filter(Boolean).join("\n\n");
}

export function countsOf(samples: Samples, measure: MeasureName): readonly number[] {
  return [...new Set(samples.find({ measure }).map(({ subscribers }) => subscribers))];
}

/** The cells that fit, without their repetitions. */
export function cellsOf(samples: Samples, wanted: Partial<Cell>): readonly Cell[] {
  const cells = samples.find(wanted).map(({ round, figures, trouble, ...cell }) => cell);
  return [...new Map(cells.map((cell) => [JSON.stringify(cell), cell])).values()];
}

/** SignalR goes over WebSocket, and so does its control. */
function family(transport: Transport): "ws" | "sse" {
  return transport === "sse" ? "sse" : "ws";
}
