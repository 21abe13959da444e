import type { Update } from "../../lib/client/feed.ts";
import type { Announcement, TickerItem } from "../demo/contract.ts";
import { DASH } from "./figure.ts";
import { perFrame } from "./frame.ts";
import { slot, stamp, write } from "./slot.ts";

/** How many lines of a ticker stay, newest first: both tickers fit beside the board on a laptop. */
const LINES = 5;

/**
 * Shows the newest lines of a sport; the returned function takes the updates of its topic. Lines are
 * numbered without holes, so they outlive a reset: where some are missing, the page says so.
 */
export function createTicker(root: HTMLElement): (update: Update) => void {
  const list = slot(root, "lines");
  const nodes = new Map<TickerItem, HTMLElement>();
  let items: readonly TickerItem[] = [];

  const draw = perFrame(() => {
    for (const [item, node] of nodes) {
      if (items.includes(item)) continue;
      node.remove();
      nodes.delete(item);
    }
    // Oldest first, each before all others: what is there already stays where it is.
    for (const [index, item] of [...items.entries()].reverse()) {
      if (nodes.has(item)) continue;
      const node = createLine(item);
      const before = items[index + 1];
      node.classList.toggle("gap", before !== undefined && before.id !== item.id - 1);
      nodes.set(item, node);
      list.prepend(node);
    }
  });

  return (update) => {
    for (const item of dataOf(update, "Ticker")) {
      if (isTickerItem(item)) items = add(items, item);
    }
    draw();
  };
}

/** A number that does not rise is the line we have, or the origin counts anew. */
function add(items: readonly TickerItem[], item: TickerItem): readonly TickerItem[] {
  const newest = items[0];
  if (newest?.id === item.id && newest.text === item.text) return items;
  if (newest !== undefined && item.id <= newest.id) return [item];
  return [item, ...items].slice(0, LINES);
}

/** Shows the newest announcement; the returned function takes the updates of the topic. */
export function createHerald(root: HTMLElement): (update: Update) => void {
  const text = slot(root, "text");
  return (update) => {
    const data = dataOf(update, "Announcement").at(-1);
    if (isAnnouncement(data)) write(text, data.text);
    else if (update.type === "reset") write(text, DASH);
  };
}

/** The data of all publications of an event that an update carries, oldest first. */
function dataOf(update: Update, event: string): readonly unknown[] {
  const publications =
    update.type === "publication" ? [update] : update.type === "reset" ? update.latest : [];
  return publications.filter((each) => each.event === event).map((each) => each.data);
}

function createLine(item: TickerItem): HTMLElement {
  const line = stamp("line");
  line.dataset.kind = item.kind;
  write(slot(line, "kind"), item.kind);
  // A score is not to be broken at its dash.
  write(slot(line, "text"), item.text.replace(/(\d)–(?=\d)/g, "$1\u2060–\u2060"));
  return line;
}

function isTickerItem(value: unknown): value is TickerItem {
  return isNumbered(value) && "kind" in value && typeof value.kind === "string";
}

function isAnnouncement(value: unknown): value is Announcement {
  return isNumbered(value);
}

function isNumbered(value: unknown): value is { id: number; text: string } {
  return (
    typeof value === "object" &&
    value !== null &&
    "id" in value &&
    typeof value.id === "number" &&
    "text" in value &&
    typeof value.text === "string"
  );
}
