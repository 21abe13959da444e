import { ask } from "./http.ts";

/**
 * One of a relay's metrics, its series added up.
 * @throws Error when there is none of this name
 */
export async function readMetric(url: string, name: string): Promise<number> {
  const { text } = await ask(url, "/metrics");
  const series = [...text.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (.+)$`, "gm"))];
  if (series.length === 0) throw new Error(`No metric ${name}`);
  return series.reduce((sum, [, value]) => sum + Number(value), 0);
}
