import { describe, expect, onTestFinished, test, vi } from "vitest";
import { createMemory, listen, opening, reach, serve, startFeed } from "./client.ts";
import { type ScriptedRelay, startRelay } from "./relay.ts";

const a = "match/1";
const DAY_MS = 86_400_000;

function remember(relay: ScriptedRelay, value: string) {
  return createMemory({ [`keryx ${relay.url}/`]: value });
}

describe("without a word about the transport", () => {
  test("a WebSocket is used, and remembered", async () => {
    const relay = await startRelay();
    const memory = createMemory();
    const feed = startFeed(relay.url, { memory });
    const topic = listen(feed, a);
    await serve(await relay.nextPeer(), a);
    await topic.next();
    expect(relay.seen).toEqual(["/ws"]);
    expect(memory.entries).toEqual({
      [`keryx ${relay.url}/`]: expect.stringMatching(/^websocket \d+$/),
    });
  });

  test("a stream is used when the upgrade is refused, and remembered", async () => {
    const relay = await startRelay("refuse");
    const memory = createMemory();
    const feed = startFeed(relay.url, { memory });
    const topic = listen(feed, a);
    const stream = await relay.nextStream();
    stream.open();
    stream.send(...opening(a, 0));
    expect(await topic.next()).toMatchObject({ type: "reset" });
    expect(relay.seen).toEqual(["/ws", "/sse"]);
    expect(memory.entries).toEqual({
      [`keryx ${relay.url}/`]: expect.stringMatching(/^sse \d+$/),
    });
  });

  test("a stream is used when the upgrade is not answered", async () => {
    const relay = await startRelay("ignore");
    const feed = startFeed(relay.url, { openTimeoutMs: 30 });
    listen(feed, a);
    (await relay.nextStream()).open();
    expect(await reach(feed, "open")).toEqual({ state: "open", transport: "sse" });
  });

  test("a stream is used when the socket opens and nothing comes through", async () => {
    const relay = await startRelay();
    const feed = startFeed(relay.url, { openTimeoutMs: 30 });
    listen(feed, a);
    const peer = await relay.nextPeer();
    await relay.nextStream();
    await peer.gone;
  });

  test("a stream is used when the runtime has no WebSocket", async () => {
    vi.stubGlobal("WebSocket", undefined);
    const relay = await startRelay();
    const feed = startFeed(relay.url, { WebSocket: undefined });
    vi.unstubAllGlobals();
    listen(feed, a);
    await relay.nextStream();
  });

  test("a stream that worked within the day is used again, with its day unchanged", async () => {
    const relay = await startRelay();
    const value = `sse ${Date.now() - DAY_MS / 2}`;
    const memory = remember(relay, value);
    const feed = startFeed(relay.url, { memory });
    listen(feed, a);
    const stream = await relay.nextStream();
    stream.open();
    await reach(feed, "open");
    expect(relay.seen).toEqual(["/sse"]);
    expect(Object.values(memory.entries)).toEqual([value]);
    stream.end();
    await relay.nextStream();
    expect(relay.seen).toEqual(["/sse", "/sse"]);
  });

  test("a WebSocket is tried again after a day", async () => {
    const relay = await startRelay();
    const feed = startFeed(relay.url, { memory: remember(relay, `sse ${Date.now() - DAY_MS}`) });
    listen(feed, a);
    await relay.nextPeer();
    expect(relay.seen).toEqual(["/ws"]);
  });

  test("a WebSocket is tried again after a stream over which the day has ended", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    onTestFinished(() => void vi.useRealTimers());
    const relay = await startRelay();
    const feed = startFeed(relay.url, { memory: remember(relay, `sse ${Date.now()}`) });
    listen(feed, a);
    const stream = await relay.nextStream();
    stream.open();
    await reach(feed, "open");
    vi.setSystemTime(Date.now() + DAY_MS);
    stream.end();
    await relay.nextPeer();
  });

  test("a WebSocket is tried again when the stream fails", async () => {
    const relay = await startRelay();
    const feed = startFeed(relay.url, { memory: remember(relay, `sse ${Date.now()}`) });
    listen(feed, a);
    (await relay.nextStream()).refuse(502, "Bad gateway");
    await relay.nextPeer();
  });

  test("a stream that is refused by the relay is no reason to remember it", async () => {
    const relay = await startRelay("refuse");
    const memory = createMemory();
    const feed = startFeed(relay.url, { memory });
    const topic = listen(feed, a);
    (await relay.nextStream()).refuse(403, { error: { code: "rejected", message: "No" } });
    expect(await topic.next()).toMatchObject({ type: "end" });
    expect(memory.entries).toEqual({});
  });

  test("a WebSocket that worked is tried three times before a stream", async () => {
    const relay = await startRelay();
    const feed = startFeed(relay.url);
    const topic = listen(feed, a);
    const peer = await relay.nextPeer();
    await serve(peer, a);
    await topic.next();
    relay.upgrades = "refuse";
    peer.close(1012);
    await relay.nextStream();
    expect(relay.seen).toEqual(["/ws", "/ws", "/ws", "/ws", "/sse"]);
  });

  test("a storage that throws is done without", async () => {
    const relay = await startRelay("refuse");
    const deny = () => {
      throw new Error("SecurityError");
    };
    const feed = startFeed(relay.url, { memory: { getItem: deny, setItem: deny } });
    listen(feed, a);
    const stream = await relay.nextStream();
    stream.open();
    await reach(feed, "open");
    stream.end();
    await relay.nextStream();
    expect(relay.seen).toEqual(["/ws", "/sse", "/sse"]);
  });
});
