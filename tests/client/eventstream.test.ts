import { describe, expect, test } from "vitest";
import { item, listen, opening, reach, recovered, startFeed } from "./client.ts";
import { createQueue } from "./queue.ts";
import { type Stream, startRelay } from "./relay.ts";

const a = "match/1";
const b = "match/2";

async function connect() {
  const relay = await startRelay();
  const feed = startFeed(relay.url, { transport: "sse" });
  const topic = listen(feed, a);
  const stream = await relay.nextStream();
  stream.open();
  stream.send(...opening(a, 0));
  await topic.next();
  await topic.next();
  return { relay, feed, topic, stream };
}

function query({ url }: Stream): string {
  return decodeURIComponent(url.search);
}

describe("over an event stream", () => {
  test("the messages are those of a socket", async () => {
    const relay = await startRelay();
    const feed = startFeed(`${relay.url}/eu`, {
      transport: "sse",
      headers: () => ({ "X-Tenant": "7" }),
      accessToken: () => "s3cret",
    });
    const first = listen(feed, a);
    listen(feed, b);
    const stream = await relay.nextStream();
    expect(stream.url.pathname).toBe("/eu/sse");
    expect(query(stream)).toBe("?topic=match/1&topic=match/2&envelope=true");
    expect(stream.headers).toMatchObject({
      accept: "text/event-stream",
      authorization: "Bearer s3cret",
      "x-tenant": "7",
    });
    stream.open();
    stream.send(...opening(a, 5, 1), item(a, 2, 6));
    expect(await first.next()).toMatchObject({ type: "reset", latest: [{ data: 1 }] });
    expect(await first.next()).toMatchObject({ type: "state", state: "live" });
    expect(await first.next()).toMatchObject({ type: "publication", data: 2, position: "x:6" });
    expect(feed.status).toEqual({ state: "open", transport: "sse" });
  });

  test("a lost stream is resumed, and not before the relay said", async () => {
    const { relay, feed, topic, stream } = await connect();
    stream.send(item(a, 1, 1));
    await topic.next();
    const waiting = reach(feed, "waiting");
    stream.end();
    expect((await waiting).error).toBe("The event stream ended");
    expect(await topic.next()).toMatchObject({ type: "state", state: "stale" });
    const again = await relay.nextStream();
    expect(query(again)).toBe("?topic=match/1&since=x:1&envelope=true");
    again.open("retry: 40\n\n");
    again.send(item(a, 2, 2), recovered(a, 2));
    expect(await topic.next()).toMatchObject({ type: "publication", data: 2 });
    expect(await topic.next()).toMatchObject({ type: "recovered" });
    const ended = Date.now();
    again.end();
    await relay.nextStream();
    expect(Date.now()).toBeGreaterThanOrEqual(ended + 39); // timers may be a millisecond early
  });

  test("a change of topics opens it anew, once, and each topic resumes", async () => {
    const { relay, feed, topic, stream } = await connect();
    const second = listen(feed, b);
    listen(feed, "match/3");
    await stream.gone;
    const next = await relay.nextStream();
    expect(query(next)).toBe(
      "?topic=match/1&topic=match/2&topic=match/3&since=x:0&since=&since=&envelope=true",
    );
    next.open();
    next.send(recovered(a, 0), ...opening(b, 0));
    expect(await topic.next()).toMatchObject({ type: "recovered" }); // it was never stale
    await second.next();
    second.stop();
    const last = await relay.nextStream();
    expect(query(last)).toBe("?topic=match/1&topic=match/3&since=x:0&since=&envelope=true");
    expect(relay.seen).toHaveLength(3);
    expect(feed.status.state).toBe("open");
  });

  test("each topic has its rate", async () => {
    const relay = await startRelay();
    const feed = startFeed(relay.url, { transport: "sse" });
    listen(feed, a);
    feed.topic(b, { rate: 2.5 }).on(() => {});
    expect(query(await relay.nextStream())).toBe(
      "?topic=match/1&topic=match/2&rate=&rate=2.5&envelope=true",
    );
  });

  test("what was half sent is forgotten when it is opened anew", async () => {
    const { relay, feed, topic, stream } = await connect();
    stream.send({ type: "reset", topic: a, reason: "break" }, item(a, 1), item(b, 0, 1));
    stream.send({ type: "stale", topic: a });
    await topic.next(); // so the half reset is here
    listen(feed, b);
    const next = await relay.nextStream();
    next.open();
    next.send(item(a, 2, 1), recovered(a, 1));
    expect(await topic.next()).toMatchObject({ type: "publication", data: 2 });
  });

  test("a topic that ends by itself does not disturb the others", async () => {
    const relay = await startRelay();
    const feed = startFeed(relay.url, { transport: "sse" });
    const first = listen(feed, a);
    const second = listen(feed, b);
    const stream = await relay.nextStream();
    stream.open();
    stream.send(...opening(a, 0), { type: "unsubscribed", topic: b, reason: "ended" });
    expect(await second.next()).toMatchObject({ type: "end", reason: "ended" });
    await first.next();
    await first.next();
    stream.send(item(a, 1, 1));
    expect(await first.next()).toMatchObject({ type: "publication" });
    expect(relay.seen).toEqual(["/sse"]);
  });

  test("a drain is left at once, and the next stream is opened when it said", async () => {
    const { relay, feed, stream } = await connect();
    const waiting = reach(feed, "waiting");
    const before = Date.now();
    stream.send({ type: "drain", retryMs: 40 });
    await stream.gone;
    expect((await waiting).retryAt).toBeGreaterThanOrEqual(before + 40);
    await relay.nextStream();
  });

  test("comments and events of somebody else are ignored", async () => {
    const { topic, stream } = await connect();
    stream.write(": heartbeat\n\nevent: keepalive\ndata: {}\n\n");
    stream.write("event: keepalive\ndata: of a proxy\n\n");
    stream.send(item(a, 1, 1));
    expect(await topic.next()).toMatchObject({ data: 1 });
  });

  test("nonsense ends the stream, and the next one is resumed", async () => {
    const { relay, feed, stream } = await connect();
    const waiting = reach(feed, "waiting");
    stream.write("data: nonsense\n\n");
    expect((await waiting).error).toContain("SyntaxError");
    await stream.gone;
    expect(query(await relay.nextStream())).toBe("?topic=match/1&since=x:0&envelope=true");
  });
});

describe("a stream that is refused", () => {
  test("ends the topic that is named, and opens with the others", async () => {
    const relay = await startRelay();
    const feed = startFeed(relay.url, { transport: "sse" });
    listen(feed, a);
    const bad = listen(feed, "nonsense");
    const error = { code: "unknown_topic", message: "No such", topic: "nonsense" };
    (await relay.nextStream()).refuse(404, { error });
    expect(await bad.next()).toMatchObject({ type: "end", reason: "rejected", error: "No such" });
    expect(query(await relay.nextStream())).toBe("?topic=match/1&envelope=true");
  });

  test("ends all topics when none is named", async () => {
    const relay = await startRelay();
    const feed = startFeed(relay.url, { transport: "sse" });
    const first = listen(feed, a);
    const second = listen(feed, b);
    (await relay.nextStream()).refuse(403, {
      error: { code: "rejected", message: "Members only" },
    });
    expect(await first.next()).toMatchObject({ type: "end", error: "Members only" });
    expect(await second.next()).toMatchObject({ type: "end", error: "Members only" });
  });

  test("for want of room is asked for again after Retry-After", async () => {
    const relay = await startRelay();
    const feed = startFeed(relay.url, { transport: "sse" });
    const waiting = reach(feed, "waiting");
    const before = Date.now();
    listen(feed, a);
    const error = { code: "overloaded", message: "Full" };
    (await relay.nextStream()).refuse(503, { error }, { "Retry-After": "120" });
    const status = await waiting;
    expect(status.error).toBe("Full");
    expect(status.retryAt).toBeGreaterThanOrEqual(before + 120_000);
    expect(status.retryAt).toBeLessThan(before + 130_000);
  });

  test("with a date to come back is asked for again then, but within the hour", async () => {
    const relay = await startRelay();
    const feed = startFeed(relay.url, { transport: "sse" });
    const waiting = reach(feed, "waiting");
    listen(feed, a);
    const date = new Date(Date.now() + 1e9).toUTCString();
    (await relay.nextStream()).refuse(429, "slow down", { "Retry-After": date });
    const wait = ((await waiting).retryAt ?? 0) - Date.now();
    expect(wait).toBeGreaterThan(3_500_000);
    expect(wait).toBeLessThanOrEqual(3_600_000);
  });

  test("by some proxy is asked for again", async () => {
    const relay = await startRelay();
    const feed = startFeed(relay.url, { transport: "sse" });
    const errors = createQueue<string | undefined>();
    feed.onStatus(({ state, error }) => state === "waiting" && errors.push(error));
    listen(feed, a);
    (await relay.nextStream()).refuse(404, "<h1>Not found</h1>");
    expect(await errors.next()).toBe("The relay answered 404");
    const page = await relay.nextStream();
    page.refuse(200, "<h1>Welcome</h1>", { "Content-Type": "text/html" });
    expect(await errors.next()).toBe("The relay answered 200");
    await relay.nextStream();
  });

  test("before it is sent, when it would have too many topics", async () => {
    const relay = await startRelay();
    const feed = startFeed(relay.url, { transport: "sse" });
    for (let n = 0; n < 100; n++) listen(feed, `match/${n}`);
    const last = listen(feed, "match/100");
    expect(await last.next()).toMatchObject({ type: "end", reason: "rejected" });
    expect((await relay.nextStream()).url.searchParams.getAll("topic")).toHaveLength(100);
  });
});
