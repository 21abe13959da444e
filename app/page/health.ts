import type { FeedStatus, StateUpdate } from "../../lib/client/feed.ts";
import { age } from "./figure.ts";
import { slot, write } from "./slot.ts";

/** What the page knows of one topic. */
export type TopicStatus = Pick<StateUpdate, "state" | "lastMessageAt">;

/** The connection in words. */
export interface Health {
  readonly state: "connecting" | "live" | "stale" | "waiting" | "closed";
  readonly word: string;
  readonly detail: string;
  /** What a reader of the prices should know; empty when all is well. */
  readonly notice: string;
}

/**
 * Puts the state of the connection and of its topics into one. Pure.
 *
 * @param heardAt when this page last got anything, Unix milliseconds; undefined when it never did
 */
export function describe(
  status: FeedStatus,
  at: { topics: Iterable<TopicStatus>; heardAt: number | undefined; now: number },
): Health {
  // A page that never heard anything shows no prices, so there is nothing to warn of.
  const asOf = at.heardAt === undefined ? "" : `Prices are as of ${time(at.heardAt)}.`;
  const away = asOf && `No connection to Keryx. ${asOf}`;
  switch (status.state) {
    case "connecting":
      return { state: "connecting", word: "Connecting", detail: "", notice: away };
    case "waiting": {
      const seconds = Math.max(0, Math.ceil(((status.retryAt ?? at.now) - at.now) / 1000));
      const detail = status.retryAt === undefined ? "" : `retry in ${seconds} s`;
      return { state: "waiting", word: "Waiting", detail, notice: away };
    }
    case "closed":
      return { state: "closed", word: "Closed", detail: "", notice: away };
    case "open":
      return whileOpen(status, at.topics, at.now);
  }
}

function whileOpen(status: FeedStatus, topics: Iterable<TopicStatus>, now: number): Health {
  // A topic that has ended says nothing of the others: its row tells.
  const all = [...topics].filter((topic) => topic.state !== "closed");
  if (all.length === 0) return { state: "closed", word: "Ended", detail: "", notice: "" };
  const stale = all.filter((topic) => topic.state === "stale");
  if (stale.length > 0) {
    const heard = stale.flatMap(({ lastMessageAt }) => lastMessageAt ?? []);
    const since = heard.length === 0 ? "" : age(now - Math.max(...heard));
    const origin = `The origin is silent${since === "" ? "" : ` for ${since}`}`;
    const which = stale.length === all.length ? "all prices may be old" : "some prices may be old";
    return {
      state: "stale",
      word: "Stale",
      detail: since,
      notice: `${origin}: ${which}. Keryx holds the connection and goes live again by itself.`,
    };
  }
  if (all.some((topic) => topic.state === "connecting")) {
    return { state: "connecting", word: "Opening", detail: "", notice: "" };
  }
  return { state: "live", word: "Live", detail: over(status.transport), notice: "" };
}

function over(transport: FeedStatus["transport"]): string {
  if (transport === undefined) return "";
  return transport === "websocket" ? "over WebSocket" : "over SSE";
}

function time(ms: number): string {
  return new Date(ms).toLocaleTimeString("en-GB");
}

/**
 * Writes a health into the header and the notice under the board.
 *
 * @param root the `#health` of `index.html`; `notice` its `#notice`
 */
export function createHealth(root: HTMLElement, notice: HTMLElement): (health: Health) => void {
  const word = slot(root, "word");
  const detail = slot(root, "detail");
  return (health) => {
    if (root.dataset.state !== health.state) root.dataset.state = health.state;
    write(word, health.word);
    write(detail, health.detail);
    write(notice, health.notice);
    notice.hidden = health.notice === "";
    document.body.classList.toggle("doubtful", health.notice !== "");
  };
}
