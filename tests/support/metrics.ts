import { ask } from "./http.ts";

/** One series of a metric. */
export interface Series {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/**
 * One of a relay's metrics, its series added up.
 * @param labels of the series that count; all of them do unless told
 * @throws Error when there is none
 */
export async function readMetric(
  url: string,
  name: string,
  labels: Series["labels"] = {},
): Promise<number> {
  const series = (await readSeries(url, name)).filter((one) =>
    Object.entries(labels).every(([label, value]) => one.labels[label] === value),
  );
  if (series.length === 0) throw new Error(`No metric ${name} ${JSON.stringify(labels)}`);
  return series.reduce((sum, { value }) => sum + value, 0);
}

/** The series of one of a relay's metrics; none when there is no such. */
export async function readSeries(url: string, name: string): Promise<Series[]> {
  const { text } = await ask(url, "/metrics");
  const lines = text.matchAll(new RegExp(`^${name}(?:\\{(.*)\\})? (.+)$`, "gm"));
  return [...lines].map(([, labels = "", value]) => ({
    labels: Object.fromEntries(
      [...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, name = "", text = ""]) => [name, text]),
    ),
    value: Number(value),
  }));
}
