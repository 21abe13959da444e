/** Reads as much of the Prometheus text format as the strip needs. */

/** One sample: `name{label="value"} 12`. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/**
 * Every line of an exposition that is a sample; comments, and lines that are none, are passed over.
 *
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
 */
export function parse(text: string): Sample[] {
  const samples: Sample[] = [];
  for (const line of text.split("\n")) {
    const match = SAMPLE.exec(line);
    if (!match) continue;
    const [, name = "", labels = "", value = ""] = match;
    samples.push({ name, labels: parseLabels(labels), value: parseValue(value) });
  }
  return samples;
}

/** Sum over all label sets of a name; undefined when there is no such sample. */
export function total(samples: readonly Sample[], name: string): number | undefined {
  let sum: number | undefined;
  for (const sample of samples) {
    if (sample.name === name && Number.isFinite(sample.value)) sum = (sum ?? 0) + sample.value;
  }
  return sum;
}

// Inside braces a quoted value may hold anything, a closing brace and escaped quotes included.
const SAMPLE =
  /^([a-zA-Z_:][\w:]*)\s*(?:\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\})?\s*(\S+)(?:\s+-?\d+)?\s*$/;
const LABEL = /([a-zA-Z_]\w*)\s*=\s*"((?:[^"\\]|\\.)*)"/g;

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const [, name = "", value = ""] of text.matchAll(LABEL)) {
    labels[name] = value.replace(/\\(.)/g, (_, char: string) => (char === "n" ? "\n" : char));
  }
  return labels;
}

function parseValue(text: string): number {
  if (text === "+Inf") return Infinity;
  if (text === "-Inf") return -Infinity;
  return Number(text);
}
