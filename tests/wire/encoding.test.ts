import { expect, test } from "vitest";
import { acceptsGzip } from "../../lib/wire/encoding.ts";

test.each([
  "gzip",
  "gzip, deflate, br, zstd", // browsers
  "deflate,GZIP",
  "x-gzip",
  "*",
  "br;q=1.0, gzip;q=0.8, *;q=0.1",
  "gzip;q=0.001",
  "identity;q=0.5, gzip",
  "identity, gzip",
  " gzip ; q = 1 ",
  "identity;q=0, *;q=0.5",
])("gzip is wanted by who accepts %j", (header) => {
  expect(acceptsGzip(header)).toBe(true);
});

test.each([
  undefined,
  "",
  "identity",
  "br, zstd",
  "gzip;q=0",
  "gzip;q=0.000, *",
  "*;q=0",
  "identity, gzip;q=0.5",
  "gzip;q=x",
  "gzip;q=2",
  "gzip;q=",
  "gzipped",
])("gzip is not wanted by who accepts %j", (header) => {
  expect(acceptsGzip(header)).toBe(false);
});
