import { expect, test } from "vitest";
import { age, bytes, count, DASH, percent } from "../../app/page/figure.ts";

test.each([
  [undefined, DASH],
  [0, "0"],
  [7.46, "7.5"],
  [96.4, "96"],
  [119_808, "119,808"],
  [1_204_000, "1.204M"],
])("a count of %s is %s", (value, text) => {
  expect(count(value)).toBe(text);
});

test.each([
  [undefined, DASH],
  [0, "0 B"],
  [999, "999 B"],
  [1_000, "1.00 kB"],
  [9_994, "9.99 kB"],
  [9_996, "10.0 kB"],
  [99_960, "100 kB"],
  [999_499, "999 kB"],
  [999_501, "1.00 MB"],
  [1_240_000_000, "1.24 GB"],
])("%s bytes are %s", (value, text) => {
  expect(bytes(value)).toBe(text);
});

test("only the whole is 100 %", () => {
  expect(percent(0.99999)).toBe("99.9 %");
  expect(percent(1)).toBe("100 %");
  expect(percent(Number.NaN)).toBe(DASH);
});

test.each([
  [-5, "0 s"],
  [99_999, "99 s"],
  [100_000, "1 min"],
  [6_000_000, "1 h"],
])("an age of %s ms is %s", (ms, text) => {
  expect(age(ms)).toBe(text);
});
