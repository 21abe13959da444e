import { test } from "vitest";
import type { Missing } from "./runtimes.ts";

/**
 * Declares tests that need something of this machine. Where it is missing, one test in their place
 * says so by name: it is skipped, and fails in CI, where everything has to be there.
 */
export function declareWith<T extends object>(
  name: string,
  found: T | Missing,
  declare: (found: T) => void,
): void {
  if (!("missing" in found)) return declare(found);
  const text = `${name} is not available: ${found.missing}`;
  test.runIf(process.env.CI)(text, () => {
    throw new Error(text);
  });
}
