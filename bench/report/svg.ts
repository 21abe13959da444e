/** SVG as text. */

/** An element. Children are markup; text goes through {@link escapeText} first. */
export function element(
  name: string,
  attributes: Readonly<Record<string, string | number>>,
  ...children: readonly string[]
): string {
  const head = Object.entries(attributes).map(([key, value]) => ` ${key}="${print(value)}"`);
  return `<${name}${head.join("")}>${children.join("")}</${name}>`;
}

export function escapeText(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}

/** Coordinates need no more than a tenth of a pixel. */
function print(value: string | number): string {
  return typeof value === "number" ? String(Math.round(value * 10) / 10) : escapeText(value);
}

/** Maps values to coordinates, equal ratios to equal distances. */
export interface LogScale {
  (value: number): number;
  /** 1, 2 and 5 of each power of ten within. */
  readonly ticks: readonly number[];
}

/** @param domain lowest and highest value, above 0; @param range where they are drawn */
export function createLogScale(
  domain: readonly [number, number],
  range: readonly [number, number],
): LogScale {
  const [low, high] = domain.map(Math.log) as [number, number]; // as many as there were
  const [from, to] = range;
  const scale = (value: number) => from + ((Math.log(value) - low) / (high - low)) * (to - from);
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(domain[0])); 10 ** power <= domain[1]; power++) {
    for (const digit of [1, 2, 5]) {
      const tick = digit * 10 ** power;
      if (tick >= domain[0] * 0.999 && tick <= domain[1] * 1.001) ticks.push(tick);
    }
  }
  return Object.assign(scale, { ticks });
}
