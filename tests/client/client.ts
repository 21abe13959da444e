/** The feed under test, and waiting for what it says. */

import { type Mock, onTestFinished, vi } from "vitest";
import { WebSocket } from "ws";
import { createFeed, type Feed, type FeedStatus, type Update } from "../../lib/client/feed.ts";
import type { ServerMessage } from "../../lib/client/message.ts";
import type { FeedOptions } from "../../lib/client/options.ts";
import { createQueue } from "./queue.ts";
import type { Peer } from "./relay.ts";

/** A feed that reconnects at once and ends with the test. */
export function startFeed(url: string, options: FeedOptions = {}): Feed {
  const feed = createFeed(url, {
    WebSocket, // Node 20 has none of its own
    memory: createMemory(),
    backoff: { minMs: 1, maxMs: 1 },
    random: () => 0,
    ...options,
  });
  onTestFinished(() => feed.close());
  return feed;
}

/** Catches what is reported until the test is over. To be called before anything that reports. */
export function catchReports(): Mock {
  const report = vi.spyOn(console, "error").mockImplementation(() => {});
  onTestFinished(() => report.mockRestore()); // runs last, since it is made first
  return report;
}

/** A storage with these entries. */
export function createMemory(entries: Record<string, string> = {}) {
  return {
    entries,
    getItem: (key: string) => entries[key] ?? null,
    setItem(key: string, value: string) {
      entries[key] = value;
    },
  };
}

/** The updates of a topic, one at a time. */
export function listen<T = unknown>(feed: Feed, name: string) {
  const updates = createQueue<Update<T>>();
  const stop = feed.topic<T>(name).on((update) => updates.push(update));
  return { next: updates.next, stop };
}

/** Waits for a status in this state. */
export function reach(feed: Feed, state: FeedStatus["state"]): Promise<FeedStatus> {
  if (feed.status.state === state) return Promise.resolve(feed.status);
  return new Promise((resolve) => {
    const stop = feed.onStatus((status) => {
      if (status.state !== state) return;
      stop();
      resolve(status);
    });
  });
}

/** A publication of `topic`; without `sequence` as behind a reset. */
export function item(topic: string, data: unknown, sequence?: number): ServerMessage {
  const message = { type: "publication", topic, event: "OddsChanged", data } as const;
  return sequence === undefined ? message : { ...message, position: `x:${sequence}` };
}

/** A whole opening of `topic` with this state. */
export function opening(topic: string, sequence: number, ...latest: unknown[]): ServerMessage[] {
  return [
    { type: "reset", topic, reason: "new" },
    ...latest.map((data) => item(topic, data)),
    { type: "subscribed", topic, position: `x:${sequence}`, recovered: false, state: "live" },
  ];
}

/** The end of an opening that recovered. */
export function recovered(topic: string, sequence: number): ServerMessage {
  return { type: "subscribed", topic, position: `x:${sequence}`, recovered: true, state: "live" };
}

/** Answers the peer's ping and opens the topics of its next request with empty states. */
export async function serve(peer: Peer, ...topics: string[]): Promise<unknown> {
  await peer.answer();
  const request = await peer.next();
  for (const topic of topics) peer.send(...opening(topic, 0));
  return request;
}
