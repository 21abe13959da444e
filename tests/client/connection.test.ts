/** What depends on time: a hand-held clock, and sockets that do as they are told. */

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createFeed, type Feed, type FeedStatus } from "../../lib/client/feed.ts";
import type { FeedOptions, Socket, SocketEvent } from "../../lib/client/options.ts";

class FakeSocket extends EventTarget implements Socket {
  static made: FakeSocket[] = [];
  closed = false;

  constructor() {
    super();
    FakeSocket.made.push(this);
  }
  override addEventListener(type: string, listener: (event: SocketEvent) => void): void {
    super.addEventListener(type, (event) => listener(event as SocketEvent)); // made below
  }
  send(): void {}
  close(): void {
    this.closed = true;
  }
  /** Something happens to it. */
  meet(type: string, fields: Omit<SocketEvent, "type"> = {}): void {
    this.dispatchEvent(Object.assign(new Event(type), fields));
  }
  /** It opens, and the relay answers. */
  answer(): void {
    this.meet("open");
    this.meet("message", { data: '{"type":"pong"}' });
  }
}

beforeEach(() => {
  FakeSocket.made = [];
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function start(options: FeedOptions = {}): { feed: Feed; states: FeedStatus[] } {
  const feed = createFeed("http://relay", {
    transport: "websocket",
    WebSocket: FakeSocket,
    random: () => 0.5,
    ...options,
  });
  const states: FeedStatus[] = [];
  feed.onStatus((status) => states.push(status));
  return { feed, states };
}

/** Lets all that waits for nothing but its turn happen. */
async function settle(): Promise<void> {
  await vi.advanceTimersByTimeAsync(0);
}

async function newest(count: number): Promise<FakeSocket> {
  await settle();
  expect(FakeSocket.made).toHaveLength(count);
  return FakeSocket.made[count - 1]!;
}

describe("between attempts", () => {
  test("the wait doubles, and is short again only after a connection that lasted", async () => {
    const { feed } = start();
    feed.topic("a").on(() => {});
    const waits: number[] = [];
    async function lose(count: number, lastedMs: number): Promise<void> {
      const socket = await newest(count);
      socket.answer();
      await vi.advanceTimersByTimeAsync(lastedMs);
      socket.meet("close", { code: 1006 });
      waits.push((feed.status.retryAt ?? 0) - Date.now());
      await vi.advanceTimersByTimeAsync(waits.at(-1)!);
    }
    await lose(1, 0);
    await lose(2, 0);
    await lose(3, 9_000);
    await lose(4, 10_000);
    await lose(5, 0);
    expect(waits).toEqual([250, 500, 1_000, 250, 500]);
    feed.close();
  });

  test("a network that is back cuts the wait short, but not the one the relay asked for", async () => {
    const network = new EventTarget();
    vi.stubGlobal("addEventListener", network.addEventListener.bind(network));
    vi.stubGlobal("removeEventListener", network.removeEventListener.bind(network));
    const { feed } = start({ backoff: { minMs: 20_000 } });
    feed.topic("a").on(() => {});
    (await newest(1)).meet("close", { code: 1006 });
    network.dispatchEvent(new Event("online"));
    const second = await newest(2);
    network.dispatchEvent(new Event("online"));
    await newest(2);
    second.answer();
    second.meet("message", { data: '{"type":"drain","retryMs":5000}' });
    network.dispatchEvent(new Event("online"));
    await newest(2);
    feed.close();
  });

  test("no listener is left behind when the feed is closed", async () => {
    const { feed } = start();
    feed.topic("a").on(() => {});
    (await newest(1)).meet("close", { code: 1006 });
    expect(feed.status.state).toBe("waiting");
    feed.close();
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("a connection without topics", () => {
  test("is kept for the next topic for five seconds, then closed", async () => {
    const { feed, states } = start();
    const stop = feed.topic("a").on(() => {});
    const socket = await newest(1);
    socket.answer();
    stop();
    await vi.advanceTimersByTimeAsync(4_999);
    expect(socket.closed).toBe(false);
    const again = feed.topic("b").on(() => {});
    await vi.advanceTimersByTimeAsync(10_000);
    expect(socket.closed).toBe(false);
    again();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(socket.closed).toBe(true);
    expect(states.at(-1)).toEqual({ state: "connecting" });
    expect(vi.getTimerCount()).toBe(0);
    feed.topic("a").on(() => {});
    await newest(2);
    feed.close();
  });

  test("that is lost is not made again", async () => {
    const { feed } = start();
    const stop = feed.topic("a").on(() => {});
    const socket = await newest(1);
    socket.answer();
    stop();
    await settle();
    socket.meet("close", { code: 1006 });
    await vi.advanceTimersByTimeAsync(60_000);
    await newest(1);
    expect(feed.status.state).toBe("connecting");
  });

  test("is not made for who leaves in the same moment", async () => {
    const { feed } = start();
    feed.topic("a").on(() => {})();
    await newest(0);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("silence", () => {
  test("of 35 seconds ends a connection, and a heartbeat breaks it", async () => {
    const { feed } = start();
    feed.topic("a").on(() => {});
    const socket = await newest(1);
    socket.answer();
    await vi.advanceTimersByTimeAsync(34_000);
    socket.meet("message", { data: '{"type":"heartbeat"}' });
    await vi.advanceTimersByTimeAsync(34_999);
    expect(feed.status.state).toBe("open");
    await vi.advanceTimersByTimeAsync(1);
    expect(feed.status.state).toBe("waiting");
    expect(socket.closed).toBe(true);
    feed.close();
  });

  test("of 2.5 seconds ends the first attempt where there is another transport", async () => {
    let streams = 0;
    const { feed } = start({
      transport: "auto",
      fetch() {
        streams++;
        return new Promise(() => {});
      },
    });
    feed.topic("a").on(() => {});
    const socket = await newest(1);
    socket.meet("open");
    await vi.advanceTimersByTimeAsync(2_499);
    expect([socket.closed, streams]).toEqual([false, 0]);
    await vi.advanceTimersByTimeAsync(1);
    expect([socket.closed, streams]).toEqual([true, 1]);
    expect(feed.status).toEqual({ state: "connecting", transport: "sse" });
    feed.close();
  });

  test("while a token is fetched does not count as that of the relay", async () => {
    const { feed } = start({
      transport: "auto",
      accessToken: () => new Promise((resolve) => setTimeout(resolve, 60_000, "s3cret")),
    });
    feed.topic("a").on(() => {});
    await vi.advanceTimersByTimeAsync(59_999);
    expect(feed.status).toEqual({ state: "connecting", transport: "websocket" });
    await vi.advanceTimersByTimeAsync(1);
    await newest(1);
    feed.close();
  });
});
