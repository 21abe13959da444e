/** The demo board: one feed, twenty matches, two tickers, and what the relay says of itself. */

import { createFeed, type Feed, type Update } from "../../lib/client/feed.ts";
import { MATCH_COUNT, SPORTS } from "../demo/contract.ts";
import { createBoard } from "./board.ts";
import { createHealth, describe, type TopicStatus } from "./health.ts";
import { find } from "./slot.ts";
import { startStrip } from "./strip.ts";
import { themeButton } from "./theme.ts";
import { createHerald, createTicker } from "./ticker.ts";
import { createTransport, type Transport } from "./transport.ts";

/** A countdown in seconds that is drawn oftener never skips one. */
const CLOCK_MS = 250;

const board = createBoard(find(document, "#board", HTMLElement), MATCH_COUNT);
const herald = createHerald(find(document, "#announcements", HTMLElement));
const health = createHealth(
  find(document, "#health", HTMLElement),
  find(document, "#notice", HTMLElement),
);
const transports = createTransport(find(document, "#transport", HTMLElement), open);

const takers = new Map<string, (update: Update) => void>();
for (let id = 1; id <= MATCH_COUNT; id++) {
  takers.set(`match/${id}`, (update) => board.take(id, update));
}
for (const sport of SPORTS) {
  const root = find(document, `[data-ticker="${sport}"]`, HTMLElement);
  takers.set(`ticker/${sport}`, createTicker(root));
}
takers.set("announcements", herald);

const topics = new Map<string, TopicStatus>();
let heardAt: number | undefined;
let feed: Feed | undefined;
let session = new AbortController();

function open(transport: Transport): void {
  // First nobody listens any more: the end of the old feed is not the end of the board.
  session.abort();
  feed?.close();
  session = new AbortController();
  const { signal } = session;
  topics.clear();
  feed = createFeed(location.origin, { transport });
  feed.onStatus(tell, { signal });
  for (const [name, take] of takers) {
    topics.set(name, { state: "connecting" });
    const listener = (update: Update): void => {
      note(name, update);
      take(update);
    };
    feed.topic(name).on(listener, { signal });
  }
  tell();
}

function note(name: string, update: Update): void {
  if (update.type === "publication" || update.type === "reset") heardAt = Date.now();
  if (update.type === "state") topics.set(name, update);
  if (update.type === "end") topics.set(name, { state: "closed" });
}

function tell(): void {
  if (feed === undefined) return;
  transports.mark(feed.status.state === "open" ? feed.status.transport : undefined);
  health(describe(feed.status, { topics: topics.values(), heardAt, now: Date.now() }));
}

setInterval(tell, CLOCK_MS);
open(transports.chosen);
startStrip(find(document, "#strip", HTMLElement), new URL("/metrics", location.origin));
themeButton(find(document, "#theme", HTMLButtonElement));

for (const place of document.querySelectorAll("[data-origin]")) place.textContent = location.origin;
