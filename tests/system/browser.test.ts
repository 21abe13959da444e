/** The board in a browser: straight at the relay, behind proxies, and through outages. */

import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { test as base, describe, expect, onTestFinished } from "vitest";
import { demoConfig } from "../../app/demo/config.ts";
import { MATCH_COUNT } from "../../app/demo/contract.ts";
import { bytes, count, percent } from "../../app/page/figure.ts";
import { parse, total } from "../../app/page/metrics.ts";
import { findChromium, launchChromium } from "../support/chromium.ts";
import { eventually } from "../support/eventually.ts";
import { ask } from "../support/http.ts";
import { readMetric } from "../support/metrics.ts";
import { declareWith } from "../support/needs.ts";
import { findNginx } from "../support/nginx.ts";
import { embeddedOrigin, type Origin } from "../support/origins.ts";
import { findRuntime, type Runtime } from "../support/runtimes.ts";
import { killAll } from "../support/spawn.ts";
import { type SpawnedRelay, startRelay, startWith, withConfig } from "../support/spawned-relay.ts";

/** From a navigation to a live board, whatever is in between, ms. */
const PATIENCE_MS = 5_000;
/** Prices of a match: three of the result, over and under, three of the next goal. */
const PRICES = 8;
/** How far back the strip's rates look, ms. */
const RATE_MS = 5_000;
const DESK = { width: 1440, height: 900 };
const PHONE = { width: 380, height: 800 };

declareWith("chromium", findChromium(), (chromium) => {
  declareWith("bun", findRuntime("bun"), (runtime) => {
    const test = base
      .extend("chromium", { scope: "file" }, () => chromium)
      .extend("browser", { scope: "file" }, async ({ chromium }, { onCleanup }) => {
        const browser = await launchChromium(chromium);
        onCleanup(async () => {
          await browser.close();
          await killAll();
        });
        return browser;
      })
      // As a developer starts it: twenty matches are played behind it.
      .extend("relay", { scope: "file" }, ({ browser: _ }) => startWith(runtime, {}, "--dev"));

    describe("straight at the relay", () => {
      test("the board is live over WebSocket, and its prices move", async ({ browser, relay }) => {
        const { page, complaints, connections } = await openPage(browser);
        await page.goto(relay.url);
        await live(page, "over WebSocket");
        await expectMoving(page);
        expect(connections).toEqual(["/ws"]);
        expect(complaints).toEqual([]);
      });

      test("the strip shows what the relay's metrics say", async ({ browser, relay }) => {
        const { page, complaints } = await openPage(browser);
        const readings = recordMetrics(page);
        await page.goto(relay.url);
        await live(page);
        // A reading is shown a frame after it has come.
        const { shown, expected } = await eventually(
          async () => ({ shown: await readStrip(page), expected: stripOf(readings) }),
          ({ shown, expected }) =>
            readings.length > 3 && String(shown.figures) === String(expected.figures),
        );
        for (const [index, rate] of expected.rates.entries()) {
          expect(rate).toBeGreaterThan(1);
          expect(shown.rates[index]).toBeGreaterThan(rate * 0.8);
          expect(shown.rates[index]).toBeLessThan(rate * 1.2);
        }
        expect(shown.figures).toContain("for 1 client");
        expect(await readMetric(relay.url, "keryx_clients")).toBe(1);
        expect(await readMetric(relay.url, "keryx_upstream_connections")).toBe(1);
        expect(complaints).toEqual([]);
      });

      test("a transport that is chosen is the one that is used", async ({ browser, relay }) => {
        const { page, complaints, connections } = await openPage(browser);
        await page.goto(`${relay.url}/?transport=sse`);
        await live(page, "over SSE");
        await expectMoving(page);
        await page.getByLabel("WebSocket").check();
        await live(page, "over WebSocket");
        await expectMoving(page);
        expect(new URL(page.url()).search).toBe("?transport=websocket");
        await page.getByLabel("SSE").check();
        await live(page, "over SSE");
        await page.reload();
        await live(page, "over SSE");
        expect(connections).toEqual(["/sse", "/ws", "/sse", "/sse"]);
        expect(complaints).toEqual([]);
      });

      test("it fits a phone and a desk, in the light and in the dark", async ({
        browser,
        relay,
      }) => {
        const pictures = await mkdtemp(join(tmpdir(), "keryx-board-"));
        onTestFinished(async ({ task }) => {
          if (task.result?.state === "fail") console.error(`Pictures of it are in ${pictures}`);
          else await rm(pictures, { recursive: true });
        });
        const { page, complaints } = await openPage(browser);
        await page.emulateMedia({ colorScheme: "dark" });
        await page.setViewportSize(PHONE);
        await page.goto(relay.url);
        await live(page);
        await page.screenshot({ path: join(pictures, "phone-dark.png") });
        expect(await page.evaluate(readBrightness)).toBeLessThan(0.1);
        await page.emulateMedia({ colorScheme: "light" });
        await page.setViewportSize(DESK);
        await page.screenshot({ path: join(pictures, "desk-light.png") });
        expect(await page.evaluate(readBrightness)).toBeGreaterThan(0.9);
        // What is in between, too: at 1,200 px there were once no team names.
        for (let { width } = PHONE; width <= DESK.width; width += 53) {
          await page.setViewportSize({ width, height: 900 });
          expect(await page.evaluate(findMisfits), `at ${width} px`).toEqual([]);
        }
        await page.getByRole("button", { name: "Switch to the dark theme" }).click();
        expect(await page.evaluate(readBrightness)).toBeLessThan(0.1);
        await page.reload();
        expect(await page.evaluate(readBrightness)).toBeLessThan(0.1);
        expect(complaints).toEqual([]);
      });
    });

    declareWith("nginx", findNginx(), (nginx) => {
      describe("behind nginx", () => {
        test("that passes upgrades, the board is live over WebSocket", async ({
          browser,
          relay,
        }) => {
          const url = await nginx.start(`
            location / {
              proxy_pass ${relay.url};
              proxy_http_version 1.1;
              proxy_set_header Upgrade $http_upgrade;
              proxy_set_header Connection upgrade;
            }`);
          const { page, complaints, connections } = await openPage(browser);
          await page.goto(url);
          await live(page, "over WebSocket");
          await expectMoving(page);
          expect(connections).toEqual(["/ws"]);
          expect(complaints).toEqual([]);
        });

        test("as it is by default, the board is soon live over SSE, and sooner the next time", async ({
          browser,
        }) => {
          // HTTP/1.0 to the relay, no upgrades, answers buffered: the origin is quiet, so that nothing
          // gets through because more comes behind it.
          const origin = await embeddedOrigin(runtime)();
          const relay = await startInFrontOf(runtime, origin);
          const url = await nginx.start(`location / { proxy_pass ${relay.url}; }`);
          const { page, complaints, connections } = await openPage(browser);
          await page.goto(url);
          expect(await live(page, "over SSE")).toBeLessThan(PATIENCE_MS);
          await expectMoving(page, () => origin.publish(1, 5));
          expect(connections).toEqual(["/ws", "/sse"]);
          expect(complaints).toEqual([expect.stringMatching(/^WebSocket .* failed: .* 400$/)]);

          connections.length = 0;
          complaints.length = 0;
          await page.reload();
          expect(await live(page, "over SSE")).toBeLessThan(PATIENCE_MS);
          await expectMoving(page, () => origin.publish(1, 5));
          expect(connections).toEqual(["/sse"]);
          expect(complaints).toEqual([]);
        });

        test("that swallows upgrades, the board is soon live over SSE, and sooner the next time", async ({
          browser,
          relay,
        }) => {
          let swallowed = 0;
          const hole = createTcpServer((socket) => {
            swallowed++;
            socket.on("error", () => {}).resume();
          });
          const url = await nginx.start(`
            proxy_http_version 1.1;
            location / {
              proxy_pass ${relay.url};
              proxy_set_header Connection "";
            }
            location = /ws {
              proxy_pass http://127.0.0.1:${await listen(hole)};
              proxy_set_header Upgrade $http_upgrade;
              proxy_set_header Connection upgrade;
            }`);
          const { page, complaints, connections } = await openPage(browser);
          await page.goto(url);
          expect(await live(page, "over SSE")).toBeLessThan(PATIENCE_MS);
          await expectMoving(page);
          expect(connections).toEqual(["/ws", "/sse"]);
          expect(complaints).toEqual([expect.stringMatching(/^WebSocket .* is closed before/)]);

          connections.length = 0;
          await page.reload();
          expect(await live(page, "over SSE")).toBeLessThan(PATIENCE_MS);
          expect(connections).toEqual(["/sse"]);
          expect(swallowed).toBe(1);
        });
      });
    });

    describe("while something is away", () => {
      test("the origin: the board is stale and says for how long, then live by itself", async ({
        browser,
      }) => {
        let origin = await embeddedOrigin(runtime)();
        const relay = await startInFrontOf(runtime, origin);
        const { page, complaints, connections } = await openPage(browser);
        await page.goto(relay.url);
        await live(page, "over WebSocket");
        await expectMoving(page, () => origin.publish(1, 5));

        await origin.program.kill();
        const stale = page.locator("#health[data-state=stale]");
        const readAge = async () => Number(/(\d+) s$/.exec(await stale.innerText())?.[1]);
        const age = await eventually(readAge, Number.isInteger);
        await eventually(readAge, (later) => later > age);
        expect(await page.locator(".match[data-state=stale]").count()).toBe(MATCH_COUNT);
        expect(await page.locator("#notice").innerText()).toMatch(
          /^The origin is silent for \d+ s: all prices may be old/,
        );

        origin = await origin.restart();
        endWithTest(origin);
        await live(page, "over WebSocket");
        await page.locator("#notice").waitFor({ state: "hidden" });
        await expectMoving(page, () => origin.publish(1, 5));
        expect(connections).toEqual(["/ws"]);
        expect(complaints).toEqual([]);
      });

      test("the relay: the board counts down to its next attempt, then is live by itself", async ({
        browser,
      }) => {
        const origin = await embeddedOrigin(runtime)();
        const relay = await startInFrontOf(runtime, origin);
        const { page } = await openPage(browser);
        await page.addInitScript(() => {
          Math.random = () => 0.9; // waits of 0.45 s, 0.9 s, 1.8 s, 3.6 s …
        });
        await page.goto(relay.url);
        await live(page);

        await relay.program.kill();
        const waiting = page.locator("#health[data-state=waiting]");
        await waiting.filter({ hasText: "retry in 2 s" }).waitFor();
        await waiting.filter({ hasText: "retry in 1 s" }).waitFor();
        expect(await page.locator("#notice").innerText()).toMatch(
          /^No connection to Keryx. Prices are as of \d\d:\d\d:\d\d\.$/,
        );

        await startInFrontOf(runtime, origin, new URL(relay.url).port);
        await live(page);
        await page.locator("#notice").waitFor({ state: "hidden" });
        await expectMoving(page, () => origin.publish(1, 5));
      });
    });

    test("only pages of an allowed origin can connect", async ({ browser }) => {
      const port = await listen(createServer((_, response) => response.end("<!doctype html>")));
      const origin = await embeddedOrigin(runtime)();
      const relay = await startRelay(runtime, {
        ...demoConfig(origin.hub),
        origins: [`http://friend.localhost:${port}`],
      });
      endWithTest(origin, relay);
      const { page } = await openPage(browser);

      await page.goto(`http://friend.localhost:${port}/`);
      expect(await page.evaluate(connect, relay.url)).toEqual(["socket open", "stream open"]);
      await page.goto(`http://foreign.localhost:${port}/`);
      const before = await readMetric(relay.url, "keryx_refusals_total");
      expect(await page.evaluate(connect, relay.url)).toEqual(["socket refused", "stream refused"]);
      expect(await readMetric(relay.url, "keryx_refusals_total")).toBe(before + 1);
      // There is no board to be had without --dev.
      expect((await ask(relay.url, "/")).status).toBe(404);
    });
  });
});

/** A page with a profile of its own, which ends with the test. */
async function openPage(browser: Browser): Promise<{
  readonly page: Page;
  /** What the console has of errors and warnings; violations of the content security policy are some. */
  readonly complaints: string[];
  /** Paths of the connections that were made for the feed. */
  readonly connections: string[];
}> {
  const context = await browser.newContext({ viewport: DESK });
  onTestFinished(() => context.close());
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
  });
  const connections: string[] = [];
  const note = (url: string): void => {
    const { pathname } = new URL(url);
    if (pathname === "/ws" || pathname === "/sse") connections.push(pathname);
  };
  page.on("websocket", (socket) => note(socket.url()));
  page.on("request", (request) => note(request.url()));
  return { page, complaints, connections };
}

/**
 * Waits until the board is live and every match is complete.
 * @param how the transport, as the page says it
 * @returns how long after the navigation the board was live, ms
 */
async function live(page: Page, how = ""): Promise<number> {
  await page.locator("#health[data-state=live]", { hasText: how }).waitFor();
  const ms = await page.evaluate(() => performance.now());
  await eventually(
    async () => ({
      teams: await page.locator(".match[data-state=live] .team").allInnerTexts(),
      prices: await readPrices(page),
    }),
    ({ teams, prices }) =>
      teams.length === MATCH_COUNT * 2 &&
      teams.every((name) => name !== "") &&
      prices.length === MATCH_COUNT * PRICES &&
      prices.every((price) => Number(price) >= 1.01),
  );
  return ms;
}

function readPrices(page: Page): Promise<string[]> {
  return page.locator(".price dd").allInnerTexts();
}

/** Waits for prices that change after `act`, and are marked for it. */
async function expectMoving(page: Page, act?: () => Promise<unknown>): Promise<void> {
  const before = String(await readPrices(page));
  await act?.();
  await eventually(
    () => readPrices(page),
    (prices) => String(prices) !== before,
  );
  await page.locator(".price[data-arrow]").first().waitFor();
}

interface Reading {
  readonly text: string;
  readonly atMs: number;
}

/** Keeps every answer that the page gets from `/metrics`. */
function recordMetrics(page: Page): readonly Reading[] {
  const readings: Reading[] = [];
  page.on("response", (response) => {
    if (new URL(response.url()).pathname !== "/metrics") return;
    const atMs = Date.now();
    response.text().then(
      (text) => readings.push({ text, atMs }),
      () => {}, // the page was closed meanwhile
    );
  });
  return readings;
}

interface Strip {
  /** What follows from the newest reading alone. */
  readonly figures: readonly string[];
  /** Messages in and out per second: they depend on when each reading came. */
  readonly rates: readonly number[];
}

async function readStrip(page: Page): Promise<Strip> {
  const texts = await page.locator("#strip [data-slot]").allInnerTexts();
  const [clients, kinds, upstream, share, rateIn, soFarIn, rateOut, soFarOut, saved, part] = texts;
  return {
    figures: [clients, kinds, upstream, share, soFarIn, soFarOut, saved, part].map(String),
    rates: [rateIn, rateOut].map((text) => Number(text?.replace(",", ""))),
  };
}

/** What the strip is to show after these readings. */
function stripOf(readings: readonly Reading[]): Strip {
  const last = readings.at(-1);
  const first = readings.find(({ atMs }) => last !== undefined && last.atMs - atMs <= RATE_MS);
  if (first === undefined || last === undefined) return { figures: [], rates: [] };
  const read = (name: string, { text } = last) => total(parse(text), `keryx_${name}`) ?? Number.NaN;
  const clients = count(read("clients"));
  const sent = read("sent_bytes_total");
  const saved = Math.max(0, sent - read("upstream_received_bytes_total"));
  const messages = ["upstream_messages_total", "deliveries_total"];
  return {
    figures: [
      clients,
      `${clients} WS`,
      count(read("upstream_connections")),
      `for ${clients} client`,
      ...messages.map((name) => `${count(read(name))} so far`),
      bytes(saved),
      saved > 0 ? `${percent(saved / sent)} of sent` : "",
    ],
    rates: messages.map(
      (name) => ((read(name) - read(name, first)) * 1000) / (last.atMs - first.atMs),
    ),
  };
}

/** In the page: what sticks out to the right, names squeezed out, and a state that is cut short. */
function findMisfits(): string[] {
  const { scrollWidth, clientWidth } = document.documentElement;
  const misfits = scrollWidth > clientWidth ? [`${scrollWidth} px of page`] : [];
  for (const element of document.querySelectorAll("body *")) {
    const { right, width } = element.getBoundingClientRect();
    const isCut = element.matches("#health *") && element.scrollWidth > element.clientWidth;
    const isUnreadable = isCut || (element.matches(".team") && width < 40);
    if (right > clientWidth + 1 || isUnreadable) misfits.push(element.outerHTML.slice(0, 120));
  }
  return misfits;
}

/** In the page: how bright its ground is, from 0 to 1. */
function readBrightness(): number {
  const [red = 0, green = 0, blue = 0] =
    getComputedStyle(document.body)
      .backgroundColor.match(/[\d.]+/g)
      ?.map(Number) ?? [];
  return (red + green + blue) / 3 / 255;
}

/** In a page: tries to connect to a relay in both ways. */
async function connect(relay: string): Promise<string[]> {
  const socket = new WebSocket(`${relay.replace("http", "ws")}/ws`);
  const opened = await new Promise<boolean>((resolve) => {
    socket.onopen = () => resolve(true);
    socket.onerror = () => resolve(false);
  });
  socket.close();
  const stream = new AbortController();
  const answered = await fetch(`${relay}/sse?topic=match/1`, { signal: stream.signal }).then(
    (response) => response.ok,
    () => false,
  );
  stream.abort();
  return [`socket ${opened ? "open" : "refused"}`, `stream ${answered ? "open" : "refused"}`];
}

/** A board in front of an origin that pushes only what a test says; both end with the test. */
async function startInFrontOf(runtime: Runtime, origin: Origin, PORT = "0"): Promise<SpawnedRelay> {
  const config = {
    ...demoConfig(origin.hub),
    upstream: { backoffMinMs: 50, backoffMaxMs: 200 },
  };
  const relay = await withConfig(JSON.stringify(config), (KERYX_CONFIG) =>
    startWith(runtime, { KERYX_CONFIG, PORT }, "--dev"),
  );
  endWithTest(origin, relay);
  return relay;
}

function endWithTest(...started: readonly Pick<Origin, "program">[]): void {
  onTestFinished(async () => {
    await Promise.all(started.map(({ program }) => program.kill()));
  });
}

/** Listens until the test ends. @returns the port, on the loopback */
async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => new Promise<void>((resolve) => server.close(() => resolve())));
  return (server.address() as AddressInfo).port; // of a TCP server, never a string
}
