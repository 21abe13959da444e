/** The demo board at `/`: its files as they are in the repository, types taken out on the way. */

import { Hono } from "hono";
import type { Host } from "../host.ts";

const ROOT = new URL("../../", import.meta.url);

/** What a browser may fetch: the page, the client library, and the demo's contract. */
const SERVED = /^\/(app\/page|lib\/client)\/[a-z0-9-]+\.(ts|css|svg)$|^\/app\/demo\/contract\.ts$/;

const TYPES: Readonly<Record<string, string>> = {
  ts: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
};

const SECURITY = {
  "content-security-policy": "default-src 'self'; object-src 'none'; base-uri 'none'",
  "x-content-type-options": "nosniff",
  "cache-control": "no-cache",
};

export function pageRoutes(host: Pick<Host, "readFile" | "stripTypes">): Hono {
  return new Hono()
    .get("/", async (c) =>
      c.html(await host.readFile(new URL("app/page/index.html", ROOT)), 200, SECURITY),
    )
    .get("/:path{.+}", async (c, next) => {
      const { path } = c.req;
      if (!SERVED.test(path)) return next();
      const source = await host.readFile(new URL(path.slice(1), ROOT));
      const extension = path.slice(path.lastIndexOf(".") + 1);
      return c.body(extension === "ts" ? host.stripTypes(source) : source, 200, {
        ...SECURITY,
        "content-type": TYPES[extension] ?? "text/plain",
      });
    });
}
