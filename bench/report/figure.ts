/** Numbers and tables for a reader. */

/** Three digits and no more: nothing here is known better. @returns a dash for what is not there */
export function printNumber(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return "–";
  if (Math.abs(value) >= 1_000) return Number(value.toPrecision(3)).toLocaleString("en");
  return String(Number(value.toPrecision(value < 1 ? 2 : 3)));
}

/** A Markdown table; numbers stand to the right. */
export function printTable(
  head: readonly string[],
  rows: readonly (readonly (string | number | undefined)[])[],
): string {
  const cells = rows.map((row) =>
    row.map((cell) => (typeof cell === "string" ? cell : printNumber(cell))),
  );
  const isText = head.map((_, i) => rows.every((row) => typeof row[i] === "string"));
  const lines = [head, isText.map((text) => (text ? "---" : "---:")), ...cells];
  return lines.map((line) => `| ${line.join(" | ")} |`).join("\n");
}
