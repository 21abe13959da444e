/** Numbers as the strip writes them. What is unknown is a dash. */

export const DASH = "–";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat("en", {
  notation: "compact",
  maximumSignificantDigits: 4,
});

/** `7.5`, `1,248`, `119,808`, `1.204M`. */
export function count(value: number | undefined): string {
  if (value === undefined) return DASH;
  if (value >= 1_000_000) return compact.format(value);
  return (value < 10 ? tenths : whole).format(value);
}

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"] as const;

/** `512 B`, `1.24 GB`: decimal units, three digits. */
export function bytes(value: number | undefined): string {
  if (value === undefined) return DASH;
  // 999.5 and up would round to 1000 of the smaller unit.
  const power = value < 999.5 ? 0 : Math.floor(Math.log10(value * 1.0005) / 3);
  const index = Math.min(power, UNITS.length - 1);
  const scaled = value / 1000 ** index;
  const digits = index === 0 || scaled >= 99.95 ? 0 : scaled >= 9.995 ? 1 : 2;
  return `${scaled.toFixed(digits)} ${UNITS[index]}`;
}

/** A part of one as `98.9 %`. Only the whole is 100 %. */
export function percent(part: number | undefined): string {
  if (part === undefined || !Number.isFinite(part)) return DASH;
  return `${tenths.format(Math.floor(part * 1000) / 10)} %`;
}

/** A length of time in milliseconds as `4 s`, `3 min` or `2 h`. */
export function age(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 100) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 100 ? `${minutes} min` : `${Math.floor(minutes / 60)} h`;
}
