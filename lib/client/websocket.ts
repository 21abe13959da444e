/**
 * The WebSocket transport.
 *
 * @see PROTOCOL.md, sections 3 and 7
 */

import { backoff } from "./backoff.ts";
import { type ClientMessage, decode, type ErrorMessage, MAX_TOPICS } from "./message.ts";
import type { Socket } from "./options.ts";
import type { Topic } from "./topic.ts";
import type { Link, LinkEnd, LinkHost } from "./transport.ts";

/** Opens `{base}/ws`. */
export function dialWebSocket(host: LinkHost): Link {
  const { topics, settings } = host;
  /** Names the relay was asked for and not yet asked to leave. */
  const held = new Set<string>();
  let socket: Socket | undefined;
  let open = false;
  let done = false;
  let requests = 0;
  let overloads = 0;
  let pause: ReturnType<typeof setTimeout> | undefined;
  let complaint: string | undefined;

  async function dial(): Promise<void> {
    const url = new URL("ws", settings.base);
    url.search = settings.base.search;
    url.protocol = url.protocol.replace("http", "ws");
    const token = await settings.accessToken?.();
    if (token) url.searchParams.set("access_token", token);
    if (done) return;
    if (!settings.WebSocket) throw new Error("Cannot use WebSocket: this runtime has none");
    host.onDial();
    socket = new settings.WebSocket(url.href);
    socket.addEventListener("open", () => {
      if (done) return;
      open = true;
      // Some proxies accept a socket and pass nothing on. The first topic may take seconds to open,
      // so the proof of life is asked for by itself.
      send({ type: "ping" });
      sync();
    });
    socket.addEventListener("message", ({ data }) => {
      if (done) return;
      host.onHeard();
      try {
        for (const line of String(data).split("\n")) if (line && !done) receive(line);
      } catch (error) {
        end({ error: String(error) });
      }
    });
    socket.addEventListener("error", () => {
      // Says nothing of its own, and a close follows; unheard, it would end a process with ws.
    });
    socket.addEventListener("close", ({ code = 1006, reason }) => {
      const error = complaint ?? (reason || `WebSocket closed with code ${code}`);
      end({ error, fatal: code >= 4000 && code < 4500 });
    });
  }

  function end(why: LinkEnd): void {
    if (done) return;
    close();
    host.onEnd(why);
  }

  function close(): void {
    done = true;
    clearTimeout(pause);
    socket?.close(1000);
  }

  function send(message: ClientMessage): void {
    socket?.send(JSON.stringify(message));
  }

  function sync(): void {
    if (!open || done) return;
    for (const name of held) {
      if (topics.has(name)) continue;
      held.delete(name);
      // One message each: it is refused whole when one of its topics has just ended by itself.
      send({ type: "unsubscribe", topics: [name] });
    }
    const due = [...topics.values()].filter((topic) => topic.due);
    for (let at = 0; at < due.length; at += MAX_TOPICS) subscribe(due.slice(at, at + MAX_TOPICS));
  }

  function subscribe(batch: readonly Topic[]): void {
    const id = ++requests;
    send({
      type: "subscribe",
      id,
      topics: batch.map(({ name, since, rate }) => ({ topic: name, since, rate })),
    });
    for (const topic of batch) {
      topic.ask(id);
      held.add(topic.name);
    }
  }

  function receive(line: string): void {
    const message = decode(line);
    switch (message.type) {
      case "error":
        refuse(message);
        return;
      case "subscribed":
        // Its listeners left while it was being opened; the request to leave came too early.
        if (!topics.has(message.topic)) send({ type: "unsubscribe", topics: [message.topic] });
        break;
      case "unsubscribed": {
        held.delete(message.topic);
        const topic = topics.get(message.topic);
        if (message.reason !== "requested" || !topic) break;
        // Left and wanted again at once. A request under way comes behind this answer and holds.
        held.add(message.topic);
        if (topic.request === undefined) subscribe([topic]);
      }
    }
    host.onMessage(message);
  }

  /** A `subscribe` is refused whole, so those that were not to blame are asked for again. */
  function refuse({ id, code, message, topic: culprit }: ErrorMessage): void {
    if (code === "invalid_message") complaint = message; // a close follows, which says less
    const asked = [...topics.values()].filter(({ request }) => request === id);
    if (id === undefined || asked.length === 0) return;
    if (code === "overloaded" || code === "unavailable") {
      for (const topic of asked) topic.cut();
      clearTimeout(pause);
      pause = setTimeout(sync, backoff(overloads++, settings.backoff));
      return;
    }
    const blamed = asked.length === 1 ? asked : asked.filter(({ name }) => name === culprit);
    for (const topic of blamed) {
      held.delete(topic.name);
      topic.end("rejected", message);
    }
    const rest = asked.filter((topic) => !blamed.includes(topic));
    if (blamed.length > 0) {
      if (rest.length > 0) subscribe(rest);
    } else for (const topic of rest) subscribe([topic]);
  }

  dial().catch((error) => end({ error: String(error) }));
  return { sync, close };
}
