/** A real browser, without a window. */

import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";
import type { Missing } from "./runtimes.ts";

export interface Chromium {
  readonly path: string;
}

export function findChromium(): Chromium | Missing {
  const path = process.env.KERYX_CHROMIUM || "/usr/bin/chromium";
  return existsSync(path) ? { path } : { missing: `there is no ${path}, set KERYX_CHROMIUM` };
}

/** Starts it with a profile of its own; `close` ends it. */
export function launchChromium({ path }: Chromium): Promise<Browser> {
  return chromium.launch({
    executablePath: path,
    args: [
      "--no-sandbox", // which root must not have
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}
