import { describe, expect, onTestFinished, test } from "vitest";
import { createManualClock, type ManualClock } from "../../lib/clock.ts";
import { silentLog } from "../../lib/log.ts";
import { createStats, type Stats } from "../../lib/stats.ts";
import {
  type Connection,
  type ConnectionEnd,
  type ConnectionOptions,
  openConnection,
} from "../../lib/upstream/connection.ts";
import { jsonProtocol } from "../../lib/wire/json.ts";
import { createScriptedHub, never, type ScriptedHub } from "../support/scripted-hub.ts";
import { turn } from "../support/turn.ts";

const RS = "\u001e";

interface Setting {
  readonly hub: ScriptedHub;
  readonly clock: ManualClock;
  readonly stats: Stats;
  readonly stop: AbortController;
  /** What the connection has told, in order. */
  readonly told: unknown[];
  readonly ends: ConnectionEnd[];
  /** Connections that are or were live. */
  readonly lives: Connection<string>[];
  open(options?: Partial<ConnectionOptions<string>>): Promise<void>;
}

function setUp(): Setting {
  const hub = createScriptedHub();
  const clock = createManualClock(1_700_000_000_000);
  const stats = createStats();
  const stop = new AbortController();
  const told: unknown[] = [];
  const ends: ConnectionEnd[] = [];
  const lives: Connection<string>[] = [];
  onTestFinished(() => stop.abort());
  return {
    hub,
    clock,
    stats,
    stop,
    told,
    ends,
    lives,
    open: (options) =>
      openConnection({
        url: "http://origin.test/hub",
        protocol: jsonProtocol,
        fetch: hub.fetch,
        dial: hub.dial,
        clock,
        stats,
        log: silentLog,
        headers: {},
        accessToken: async () => undefined,
        handshakeTimeoutMs: 15_000,
        keepAliveMs: 15_000,
        serverTimeoutMs: 30_000,
        maxMessageBytes: 1_000,
        signal: stop.signal,
        onLive: (connection) => lives.push(connection),
        onHeard() {},
        onMessage: (message) => told.push(message),
        onClose: (end) => ends.push(end),
        ...options,
      }),
  };
}

/** A connection that is live; its first ping has been taken. */
async function openLive(options?: Partial<ConnectionOptions<string>>) {
  const setting = setUp();
  const opening = setting.open(options);
  await turn();
  setting.hub.peer.shake();
  await opening;
  return { ...setting, peer: setting.hub.peer, connection: setting.lives[0]! };
}

describe("opening", () => {
  test("negotiates, connects, shakes hands and pings", async () => {
    const { hub, open, stats } = setUp();
    const opening = open({
      url: "https://origin.test/hub?tenant=7",
      headers: { "x-relay": "keryx" },
      accessToken: async () => "s3cret",
    });
    await turn();
    const [request] = hub.negotiations;
    expect(request?.method).toBe("POST");
    expect(request?.url).toBe("https://origin.test/hub/negotiate?tenant=7&negotiateVersion=1");
    expect(request?.headers.get("x-relay")).toBe("keryx");
    expect(request?.headers.get("authorization")).toBe("Bearer s3cret");
    expect(hub.peer.url.href).toBe("wss://origin.test/hub?tenant=7&id=token-1");
    expect(hub.peer.headers).toEqual({ "x-relay": "keryx", authorization: "Bearer s3cret" });
    expect(hub.peer.take()).toEqual([{ protocol: "json", version: 1 }]);
    expect(stats.upstreamConnections).toBe(0);
    hub.peer.send({});
    await opening;
    expect(hub.peer.take()).toEqual([{ type: 6 }]);
    expect(stats).toMatchObject({ upstreamConnections: 1, upstreamConnects: 1 });
  });

  test("takes the id for the token of a server that knows none", async () => {
    const { hub, open } = setUp();
    hub.negotiate = () => ({
      connectionId: "the id",
      availableTransports: [{ transport: "WebSockets", transferFormats: ["Text"] }],
    });
    void open().catch(() => {});
    await turn();
    expect(hub.peer.url.searchParams.get("id")).toBe("the id");
  });

  test("without a token sends none", async () => {
    const { hub, open } = setUp();
    void open({ url: "http://origin.test/hub/" }).catch(() => {});
    await turn();
    expect(hub.negotiations[0]?.url).toBe("http://origin.test/hub/negotiate?negotiateVersion=1");
    expect(hub.negotiations[0]?.headers.has("authorization")).toBe(false);
    expect(hub.peer.url.protocol).toBe("ws:");
    expect(hub.peer.headers).toEqual({});
  });

  test("follows a redirect, with the token that it brings", async () => {
    const { hub, open } = setUp();
    const connection = hub.negotiate;
    hub.negotiate = (request) =>
      request.url.startsWith("http://origin.test")
        ? { url: "https://other.test/hub?asrs=1", accessToken: "theirs" }
        : connection(request);
    void open({ accessToken: async () => "ours" }).catch(() => {});
    await turn();
    expect(hub.negotiations[1]?.url).toBe(
      "https://other.test/hub/negotiate?asrs=1&negotiateVersion=1",
    );
    expect(hub.negotiations[1]?.headers.get("authorization")).toBe("Bearer theirs");
    expect(hub.peer.url.href).toBe("wss://other.test/hub?asrs=1&id=token-2");
    expect(hub.peer.headers).toEqual({ authorization: "Bearer theirs" });
  });

  test("follows no more than 100 redirects", async () => {
    const { hub, open } = setUp();
    hub.negotiate = () => ({ url: "/again" });
    await expect(open()).rejects.toThrow("Cannot negotiate: Negotiate redirection limit exceeded.");
    expect(hub.negotiations).toHaveLength(101);
    expect(hub.peers).toHaveLength(0);
  });

  test.each([
    [{ error: "The hub is closed." }, "Cannot negotiate: The hub is closed."],
    [
      new Response("", { status: 401 }),
      "Cannot negotiate: http://origin.test/hub/negotiate answered 401",
    ],
    [
      new Response("<html>", { status: 200 }),
      "Cannot negotiate: Cannot read the negotiate response: it is not JSON",
    ],
    [
      {
        connectionId: "id",
        availableTransports: [{ transport: "LongPolling", transferFormats: [] }],
      },
      "Cannot negotiate: The origin does not offer WebSockets",
    ],
  ])("fails with a negotiation that brings %j", async (answer, message) => {
    const { hub, open } = setUp();
    hub.negotiate = () => answer;
    await expect(open()).rejects.toThrow(new Error(message));
    expect(hub.peers).toHaveLength(0);
  });

  test("fails when the origin cannot be reached", async () => {
    const { hub, open } = setUp();
    hub.negotiate = () => Promise.reject(new TypeError("fetch failed"));
    await expect(open()).rejects.toThrow("Cannot negotiate: fetch failed");
  });

  test("fails when the socket cannot be opened", async () => {
    const { hub, open, ends } = setUp();
    hub.connect = () => Promise.reject(new Error("answered 404"));
    await expect(open()).rejects.toThrow("Cannot connect: answered 404");
    expect(ends).toEqual([]);
  });

  test.each([
    [
      '{"error":"The protocol \'json\' is not supported."}',
      "The protocol 'json' is not supported.",
    ],
    ['{"type":6}', "Expected a handshake response from the server."],
    ["x", "Error reading JSON."],
  ])("fails with %s for a handshake reply, and closes", async (reply, message) => {
    const { hub, open, ends, stats } = setUp();
    const opening = open();
    await turn();
    hub.peer.send(reply);
    await expect(opening).rejects.toThrow(message);
    expect(hub.peer.closed).toBe(1000);
    expect(ends).toEqual([]);
    expect(stats.upstreamConnections).toBe(0);
  });

  test("fails when the socket closes before the handshake is answered", async () => {
    const { hub, open, ends } = setUp();
    const opening = open();
    await turn();
    hub.peer.close(1011, "boom");
    await expect(opening).rejects.toThrow("Cannot handshake: connection closed (1011 boom)");
    expect(ends).toEqual([]);
  });

  test("fails with a handshake reply that does not end", async () => {
    const { hub, open } = setUp();
    const opening = open();
    await turn();
    hub.peer.sendFrame(" ".repeat(1_001));
    await expect(opening).rejects.toThrow(
      "Cannot handshake: The handshake is larger than 1000 bytes",
    );
  });
});

describe("a step that takes too long", () => {
  test.each<[what: string, step: string, Partial<ConnectionOptions<string>>]>([
    ["an access token", "negotiate", { accessToken: () => new Promise(() => {}) }],
    ["a negotiation", "negotiate", { fetch: (_, init) => never(init?.signal) }],
    ["a connection", "connect", { dial: (_, { signal }) => never(signal) }],
    ["a handshake", "handshake", {}],
  ])("to give %s is given up", async (_, step, options) => {
    const { hub, clock, open } = setUp();
    let error: unknown;
    open(options).catch((thrown: unknown) => {
      error = thrown;
    });
    await turn();
    clock.advance(14_999);
    await turn();
    expect(error).toBeUndefined();
    clock.advance(1);
    await turn();
    expect(error).toEqual(new Error(`Cannot ${step}: Timed out after 15000 ms`));
    for (const peer of hub.peers) expect(peer.closed).toBe(1000);
  });

  test("has a time of its own for each step", async () => {
    const { hub, clock, open } = setUp();
    let goOn = () => {};
    const wait = () =>
      new Promise<void>((resolve) => {
        goOn = resolve;
      });
    const answer = hub.negotiate;
    hub.negotiate = async (request) => {
      await wait();
      return answer(request);
    };
    hub.connect = wait;
    const opening = open();
    for (let step = 0; step < 2; step++) {
      await turn();
      clock.advance(14_000);
      goOn();
    }
    await turn();
    clock.advance(14_000);
    hub.peer.shake();
    await opening;
    clock.advance(29_000);
    expect(hub.peer.closed).toBeUndefined();
  });

  test("is given up at once when nobody wants the connection any more", async () => {
    const { hub, open, stop, ends } = setUp();
    const opening = open();
    await turn();
    stop.abort(new Error("The relay stops"));
    await expect(opening).rejects.toThrow("Cannot handshake: The relay stops");
    expect(hub.peer.closed).toBe(1000);
    await expect(open()).rejects.toThrow("The relay stops");
    expect(hub.negotiations).toHaveLength(1);
    expect(ends).toEqual([]);
  });
});

describe("messages", () => {
  const push = { type: 1, target: "Odds", arguments: [1] };
  const invocation = { type: "invocation", target: "Odds", arguments: "[1]", values: [1] };

  test("may come in the frame of the handshake reply", async () => {
    const { hub, open, told } = setUp();
    const opening = open();
    await turn();
    hub.peer.send({}, push, { type: 3, invocationId: "1" });
    await opening;
    expect(told).toEqual([invocation, { type: "completion", invocationId: "1" }]);
  });

  test("and the handshake reply may come in any pieces", async () => {
    const { hub, open, told } = setUp();
    const opening = open();
    await turn();
    for (const byte of Buffer.from(`{}${RS}${JSON.stringify(push)}${RS}`)) {
      hub.peer.sendFrame(Uint8Array.of(byte));
    }
    await opening;
    expect(told).toEqual([invocation]);
  });

  test("that cannot be read are skipped and counted", async () => {
    const { peer, told, stats, ends } = await openLive();
    peer.send("x", '{"type":1}', '{"type":99}', push);
    expect(told).toEqual([invocation]);
    expect(stats.malformedMessages).toBe(3);
    expect(ends).toEqual([]);
  });

  test("of more than the limit end the connection", async () => {
    const { peer, ends, stats } = await openLive();
    peer.sendFrame("x".repeat(1_001));
    expect(ends).toMatchObject([{ refused: false }]);
    expect(ends[0]?.reason).toMatch(/maximum message size of 1000B/);
    expect(peer.closed).toBe(1000);
    expect(stats).toMatchObject({ malformedMessages: 1, upstreamConnections: 0 });
  });

  test("are sent as they are, and not once it has ended", async () => {
    const { connection, peer } = await openLive();
    connection.send({ type: "cancelInvocation", invocationId: "1" });
    expect(peer.take()).toEqual([{ type: 5, invocationId: "1" }]);
    connection.close();
    expect(peer.take()).toEqual([{ type: 7 }]);
    connection.send({ type: "ping" });
    expect(peer.take()).toEqual([]);
  });

  test("are counted", async () => {
    const { connection, peer, stats } = await openLive();
    const sent = stats.upstreamSentBytes;
    peer.send({ type: 6 }, push);
    connection.send({ type: "ping" });
    expect(stats.upstreamMessages).toBe(2);
    expect(stats.upstreamReceivedBytes).toBe(
      `{}${RS}{"type":6}${RS}${JSON.stringify(push)}${RS}`.length,
    );
    expect(stats.upstreamSentBytes - sent).toBe(`{"type":6}${RS}`.length);
  });
});

describe("a quiet connection", () => {
  test("is pinged so often that the origin hears something within the keep-alive time", async () => {
    const { clock, peer } = await openLive({ serverTimeoutMs: 10_000_000 });
    let silenceMs = 0;
    let pings = 0;
    for (let ms = 0; ms < 150_000; ms += 500) {
      clock.advance(500);
      silenceMs += 500;
      expect(silenceMs).toBeLessThanOrEqual(15_000);
      const records = peer.take();
      if (records.length > 0) silenceMs = 0;
      pings += records.length;
    }
    expect(pings).toBeLessThanOrEqual(11);
  });

  test("is not pinged while something else is sent", async () => {
    const { clock, connection, peer } = await openLive({ serverTimeoutMs: 10_000_000 });
    for (let ms = 0; ms < 100_000; ms += 5_000) {
      connection.send({ type: "cancelInvocation", invocationId: "1" });
      clock.advance(5_000);
    }
    expect(peer.take()).not.toContainEqual({ type: 6 });
  });

  test("is dead when nothing came for the server's time, be it a ping or a part of a message", async () => {
    const { clock, peer, ends } = await openLive();
    for (const frame of [`{"type":6}${RS}`, '{"type"']) {
      clock.advance(29_000);
      peer.sendFrame(frame);
    }
    clock.advance(29_000);
    expect(ends).toEqual([]);
    clock.advance(1_000);
    expect(ends).toMatchObject([
      { reason: "nothing came from the origin for 30000 ms", refused: false },
    ]);
    expect(peer.closed).toBe(1000);
  });

  test("says each time that something was heard", async () => {
    let heard = 0;
    const { peer } = await openLive({ onHeard: () => heard++ });
    const before = heard;
    peer.send({ type: 6 });
    peer.sendFrame("{");
    expect(heard - before).toBe(2);
  });
});

describe("the end", () => {
  test.each([
    [{ type: 7 }, { reason: "closed by the origin", refused: true }],
    [
      { type: 7, error: "No" },
      { reason: "No", refused: true },
    ],
    [
      { type: 7, allowReconnect: false },
      { reason: "closed by the origin", refused: true },
    ],
    [
      { type: 7, error: "Soon", allowReconnect: true },
      { reason: "Soon", refused: false },
    ],
  ])("by %j says whether to come back", async (close, end) => {
    const { peer, ends, told } = await openLive();
    peer.send(close, { type: 1, target: "Late", arguments: [] });
    expect(ends).toMatchObject([end]);
    expect(told).toEqual([]);
    expect(peer.closed).toBe(1000);
  });

  test("by the socket is told once", async () => {
    const { peer, ends, stats, connection } = await openLive();
    peer.close(1006);
    expect(ends).toMatchObject([{ reason: "connection closed (1006)", refused: false }]);
    connection.close();
    peer.close(1006);
    expect(ends).toHaveLength(1);
    expect(stats).toMatchObject({ upstreamConnections: 0, upstreamConnects: 1 });
  });

  test.each(["close", "signal"])("by its owner's %s says goodbye", async (how) => {
    const { peer, ends, connection, stop, clock } = await openLive();
    if (how === "close") connection.close();
    else stop.abort();
    expect(peer.take()).toEqual([{ type: 7 }]);
    expect(peer.closed).toBe(1000);
    expect(ends).toMatchObject([{ reason: "closed by the relay", refused: false }]);
    clock.advance(100_000);
    expect(ends).toHaveLength(1);
  });
});
