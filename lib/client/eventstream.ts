/**
 * The Server-Sent Events transport, read with `fetch`: `EventSource` cannot send headers nor show
 * the text of a refusal.
 *
 * @see PROTOCOL.md, section 4
 */

import { decode, MAX_TOPICS, type Refusal } from "./message.ts";
import { createParser } from "./parse.ts";
import type { Link, LinkEnd, LinkHost } from "./transport.ts";

/**
 * Opens `{base}/sse`. The topics of a stream cannot change, so with each change it is opened anew,
 * every topic resuming from its position. The old stream goes first: positions have no order, so what
 * two streams said could not be told apart.
 */
export function dialEventStream(host: LinkHost): Link {
  const { topics, settings } = host;
  /** Names of the stream. */
  const held = new Set<string>();
  let controller: AbortController | undefined;
  let requests = 0;

  function sync(): void {
    // Without topics there is no stream; the feed closes a link that stays so.
    if (topics.size === 0) return;
    const isDue = [...topics.values()].some((topic) => topic.due);
    if (!isDue && [...held].every((name) => topics.has(name))) return;
    controller?.abort();
    controller = new AbortController();
    const { signal } = controller;
    void run(signal);
  }

  async function run(signal: AbortSignal): Promise<void> {
    const end = await read(signal).catch((error): LinkEnd => ({ error: String(error) }));
    if (!end || signal.aborted) return;
    controller?.abort();
    host.onEnd(end);
  }

  /** Reads one stream to its end. Gives undefined when another one has taken its place. */
  async function read(signal: AbortSignal): Promise<LinkEnd | undefined> {
    // Copies, since who is told of an end may subscribe again there and then.
    const asked = [...topics.values()];
    for (const topic of asked.splice(MAX_TOPICS)) {
      topic.end("rejected", `An event stream carries at most ${MAX_TOPICS} topics`);
    }
    held.clear();
    for (const topic of asked) {
      held.add(topic.name);
      topic.cut();
      topic.ask(++requests);
    }
    const url = new URL("sse", settings.base);
    url.search = settings.base.search;
    for (const { name } of asked) url.searchParams.append("topic", name);
    for (const field of ["since", "rate"] as const) {
      if (!asked.some((topic) => topic[field])) continue;
      for (const topic of asked) url.searchParams.append(field, `${topic[field] ?? ""}`);
    }
    url.searchParams.set("envelope", "true");

    const headers = new Headers(await settings.headers?.());
    const token = await settings.accessToken?.();
    if (token) headers.set("Authorization", `Bearer ${token}`);
    headers.set("Accept", "text/event-stream");
    if (signal.aborted) return undefined;
    host.onDial();
    const response = await settings.fetch(url.href, { headers, signal, cache: "no-store" });
    if (signal.aborted) return undefined;
    const type = response.headers.get("Content-Type") ?? "";
    if (response.status !== 200 || !type.startsWith("text/event-stream") || !response.body) {
      return refuse(response, signal);
    }

    let retryMs: number | undefined;
    const parser = createParser({
      onEvent({ event, data }) {
        // With an envelope, events have no names; a named one was put in by somebody else.
        if (signal.aborted || event) return;
        const message = decode(data);
        if (message.type === "unsubscribed") held.delete(message.topic);
        host.onMessage(message);
      },
      onRetry(ms) {
        retryMs = ms;
      },
    });
    const decoder = new TextDecoder();
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (signal.aborted) return undefined;
      if (done) return { error: "The event stream ended", notBeforeMs: retryMs };
      host.onHeard();
      parser.feed(decoder.decode(value, { stream: true }));
    }
  }

  /** What follows from an answer that is not a stream. */
  async function refuse(response: Response, signal: AbortSignal): Promise<LinkEnd | undefined> {
    const text = await response.text();
    if (signal.aborted) return undefined;
    const refusal = readRefusal(text);
    if (!refusal || response.status < 400 || response.status > 499) {
      return {
        error: refusal?.message ?? `The relay answered ${response.status}`,
        notBeforeMs: readRetryAfter(response.headers.get("Retry-After")),
      };
    }
    // Not counted as heard: that the relay can refuse does not show that streams get through.
    const culprit = topics.get(refusal.topic ?? "");
    for (const topic of culprit ? [culprit] : [...topics.values()]) {
      topic.end("rejected", refusal.message);
    }
    // What is left of the topics is asked for without them, by the sync that this makes necessary.
    return undefined;
  }

  return { sync, close: () => controller?.abort() };
}

/** Reads the body of a refusal; undefined when it is not one of a relay, but of some proxy. */
function readRefusal(text: string): Refusal | undefined {
  try {
    const { error } = JSON.parse(text) as { error?: Partial<Refusal> }; // checked in the next line
    if (typeof error?.code !== "string" || typeof error.message !== "string") return undefined;
    return error as Refusal; // its two fields that must be there are
  } catch {
    return undefined; // not JSON, so not a relay's
  }
}

/** Reads `Retry-After`, which is in seconds or a date, as milliseconds from now. */
function readRetryAfter(value: string | null): number | undefined {
  if (value === null) return undefined;
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return ms > 0 ? ms : undefined;
}
