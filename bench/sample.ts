/** What a run of the bench brings forth: figures of cells, some of them several times. */

import type { Transport } from "./load.ts";

export const MEASURES = [
  "delivery",
  "sustained",
  "idle",
  "sweep",
  "upstream",
  "storm",
  "light",
  "spread",
] as const;
export type MeasureName = (typeof MEASURES)[number];

/** What is measured, apart from its repetitions. */
export interface Cell {
  readonly measure: MeasureName;
  readonly subject: string;
  readonly transport: Transport;
  readonly subscribers: number;
  /** What a sweep changes, such as `topics`, and to what. */
  readonly variable?: string;
  readonly value?: number;
}

/** Figures of one cell by name; each measure says what its own mean. */
export type Figures = Readonly<Record<string, number>>;

export interface Sample extends Cell {
  readonly round: number;
  readonly figures: Figures;
  /** What did not arrive as it should, or why there are no figures. Empty when all went well. */
  readonly trouble: string;
}

/** Samples, and what they say together. */
export interface Samples {
  add(sample: Sample): void;
  readonly all: readonly Sample[];
  /** The samples that fit, in the order in which they came. */
  find(wanted: Partial<Cell>): readonly Sample[];
  /** Median of a figure over the samples that fit; `undefined` when none has it. */
  median(wanted: Partial<Cell>, figure: string): number | undefined;
}

export function createSamples(): Samples {
  const all: Sample[] = [];
  const find = (wanted: Partial<Cell>) =>
    all.filter((sample) =>
      Object.entries(wanted).every(([key, value]) => sample[key as keyof Cell] === value),
    );
  return {
    add: (sample) => void all.push(sample),
    all,
    find,
    median: (wanted, figure) =>
      median(find(wanted).flatMap(({ figures }) => figures[figure] ?? [])),
  };
}

/** @returns the mean of the middle two when there is an even number, `undefined` of none */
export function median(values: readonly number[]): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle];
  if (upper === undefined || sorted.length % 2 === 1) return upper;
  return ((sorted[middle - 1] as number) + upper) / 2; // there are two at least
}
