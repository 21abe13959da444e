import { expect, test } from "vitest";
import { isAllowedOrigin } from "../../app/origin.ts";

const RELAY = "http://relay.test:8787/ws";

test.each([
  ["http://relay.test:8787", "its own origin"],
  ["https://relay.test:8787", "its own, behind a proxy that ends TLS"],
  ["https://shop.test", "one that was named"],
  ["http://localhost:5173", "any port of one that was named so"],
  ["http://localhost", "also none"],
])("%s may connect: %s", (origin) => {
  expect(isAllowedOrigin(origin, RELAY, ["https://shop.test", "http://localhost:*"])).toBe(true);
});

test.each([
  ["http://relay.test", "another port"],
  ["http://relay.test:8788", "another port"],
  ["http://evil.test", "nobody named it"],
  ["http://shop.test", "another scheme than was named"],
  ["https://shop.test:444", "another port than was named"],
  ["https://shop.test.evil.test", "it only begins like one"],
  ["https://evil-shop.test", "it only ends like one"],
  ["https://localhost:5173", "another scheme"],
  ["http://localhost.evil.test:5173", "it only begins like one"],
  ["http://localhost:5173.evil.test", "its port is none"],
  ["null", "a sandboxed page has no origin"],
  ["", "nor has nothing"],
])("%s may not: %s", (origin) => {
  expect(isAllowedOrigin(origin, RELAY, ["https://shop.test", "http://localhost:*"])).toBe(false);
});

test("nobody else may, where nobody was named", () => {
  expect(isAllowedOrigin("https://shop.test", RELAY, [])).toBe(false);
});
