/** The results as one picture: what a delivery costs, and what the cost of a publication grows with. */

import type { Samples } from "../sample.ts";
import { JOINED_SENDER } from "../subjects/sender.ts";
import { printNumber } from "./figure.ts";
import { createLogScale, element, escapeText, type LogScale } from "./svg.ts";
import { cellsOf, countsOf } from "./table.ts";

const WIDTH = 860;
const LEFT = 190;
const RIGHT = 60;
const BAR = 10;
const ROW = 28;
const HEAD = 62;
const GAP = 24;
const LINES_HEIGHT = 300;

const INK = "#222";
const FAINT = "#ddd";
const COLORS = ["#b0562f", "#2f6fb0", "#3f8f4f", "#8a5fb0", "#888"] as const;
/** Of one and of ten publications a tick. */
const [ONE_COLOR, TEN_COLOR] = COLORS;

export function plot(samples: Samples): string {
  const panels: string[] = [];
  let height = GAP;
  const place = (panel: { readonly markup: string; readonly height: number } | undefined) => {
    if (!panel) return;
    panels.push(element("g", { transform: `translate(0 ${height})` }, panel.markup));
    height += panel.height + GAP;
  };
  for (const subscribers of countsOf(samples, "delivery")) place(bars(samples, subscribers));
  place(lines(samples));
  const size = { width: WIDTH, height, viewBox: `0 0 ${WIDTH} ${height}` };
  return `${element(
    "svg",
    { xmlns: "http://www.w3.org/2000/svg", ...size, "font-family": "sans-serif", "font-size": 12 },
    element("title", {}, "What a delivery costs"),
    element("rect", { width: "100%", height: "100%", fill: "#fff" }),
    ...panels,
  )}\n`;
}

/** CPU time of a delivery over that of the C sender with one send for each. */
function bars(samples: Samples, subscribers: number) {
  const rows = cellsOf(samples, { measure: "delivery", subscribers }).flatMap((cell) => {
    // What joins has no cost of one that would differ from the other control's.
    const one = cell.subject === JOINED_SENDER ? undefined : samples.median(cell, "oneRatio");
    const ten = samples.median(cell, "tenOverOne");
    if (one === undefined && ten === undefined) return [];
    return [{ name: `${cell.subject} ${cell.transport}`, one, ten }];
  });
  if (rows.length === 0) return undefined;
  const all = rows.flatMap(({ one, ten }) => [one ?? 1, ten ?? 1]);
  const scale = createLogScale(
    [Math.min(0.05, ...all), Math.max(2, ...all)],
    [LEFT, WIDTH - RIGHT],
  );
  const bottom = HEAD + rows.length * ROW;
  const markup = rows.map(({ name, one, ten }, i) => {
    const y = HEAD + i * ROW;
    return [
      text(name, { x: LEFT - 8, y: y + 16, "text-anchor": "end" }),
      bar(scale, one, y + 2, ONE_COLOR),
      bar(scale, ten, y + 2 + BAR, TEN_COLOR),
    ].join("");
  });
  return {
    height: bottom + 16,
    markup: [
      title(`CPU time for a delivery, ${printNumber(subscribers)} subscribers, as a multiple of C`),
      legend([
        ["one publication a tick", ONE_COLOR],
        ["ten a tick", TEN_COLOR],
      ]),
      grid(scale, { top: HEAD, bottom }),
      ...markup,
      element("line", { x1: scale(1), x2: scale(1), y1: HEAD, y2: bottom, stroke: INK }),
    ].join(""),
  };
}

/** From the left edge, as a bar on a logarithmic scale has no other beginning. */
function bar(scale: LogScale, value: number | undefined, y: number, fill: string): string {
  if (value === undefined) return "";
  const end = scale(value);
  return [
    element("rect", { x: LEFT, y, width: Math.max(1, end - LEFT), height: BAR - 1, fill }),
    text(printNumber(value), { x: end + 4, y: y + BAR - 1, "font-size": 10 }),
  ].join("");
}

/** Cost of a publication along each sweep. */
function lines(samples: Samples) {
  const cells = cellsOf(samples, { measure: "sweep" });
  const series = new Map<string, [value: number, us: number][]>();
  for (const { subject, variable = "", value = 0 } of cells) {
    const us = samples.median({ measure: "sweep", subject, variable, value }, "publicationUs");
    const name = `${variable}, ${subject}`;
    if (us !== undefined) series.set(name, [...(series.get(name) ?? []), [value, us]]);
  }
  const points = [...series.values()].flat();
  if (points.length === 0) return undefined;
  const xs = points.map(([value]) => value);
  const ys = points.map(([, us]) => us);
  const bottom = HEAD + LINES_HEIGHT;
  const x = createLogScale([Math.min(...xs), Math.max(2, ...xs)], [LEFT, WIDTH - 3 * RIGHT]);
  const y = createLogScale([Math.min(...ys) / 1.2, Math.max(...ys) * 1.2], [bottom, HEAD]);
  const named = spread([...series.values()].map((line) => y(line.at(-1)?.[1] ?? 1)));
  const drawn = [...series].map(([name, line], i) => {
    const color = COLORS[i % COLORS.length] ?? INK;
    const path = line.map(([value, us]) => `${x(value).toFixed(1)},${y(us).toFixed(1)}`);
    const [lastX] = line.at(-1) ?? [1];
    return [
      element("polyline", {
        points: path.join(" "),
        fill: "none",
        stroke: color,
        "stroke-width": 2,
      }),
      text(name, { x: x(lastX) + 6, y: (named[i] ?? 0) + 4, fill: color }),
    ].join("");
  });
  const levels = y.ticks.map((tick) =>
    [
      element("line", { x1: LEFT, x2: WIDTH - 3 * RIGHT, y1: y(tick), y2: y(tick), stroke: FAINT }),
      text(printNumber(tick), { x: LEFT - 8, y: y(tick) + 4, "text-anchor": "end" }),
    ].join(""),
  );
  return {
    height: bottom + 16,
    markup: [
      title("CPU time for a publication, µs, against what is swept"),
      grid(x, { top: HEAD, bottom, ticks: [...new Set(xs)] }),
      ...levels,
      ...drawn,
    ].join(""),
  };
}

/** Moves names apart that would lie on one another. @param ys heights; @returns them, in that order */
function spread(ys: readonly number[]): readonly number[] {
  const moved = [...ys];
  const upward = ys.map((_, i) => i).sort((a, b) => (ys[b] ?? 0) - (ys[a] ?? 0));
  let last = Number.POSITIVE_INFINITY;
  for (const i of upward) {
    last = Math.min(ys[i] ?? 0, last - 14);
    moved[i] = last;
  }
  return moved;
}

function title(words: string): string {
  return text(words, { x: 16, y: 14, "font-size": 15, "font-weight": "bold" });
}

function legend(entries: readonly (readonly [string, string])[]): string {
  return entries
    .map(([name, fill], i) => {
      const x = LEFT + i * 190;
      const key = element("rect", { x, y: 26, width: 10, height: 10, fill });
      return key + text(name, { x: x + 16, y: 35 });
    })
    .join("");
}

/** Upright lines, with their values above. */
function grid(
  scale: LogScale,
  { top, bottom, ticks = scale.ticks }: { top: number; bottom: number; ticks?: readonly number[] },
): string {
  return ticks
    .map((tick) => {
      const x = scale(tick);
      const line = element("line", { x1: x, x2: x, y1: top, y2: bottom, stroke: FAINT });
      return line + text(printNumber(tick), { x, y: top - 6, "text-anchor": "middle" });
    })
    .join("");
}

function text(words: string, attributes: Readonly<Record<string, string | number>>): string {
  return element("text", { fill: INK, ...attributes }, escapeText(words));
}
