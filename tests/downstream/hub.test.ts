import { describe, expect, test } from "vitest";
import { createManualClock } from "../../lib/clock.ts";
import {
  createHubReceiver,
  type HubConnection,
  type HubTransport,
  type Serving,
} from "../../lib/downstream/hub.ts";
import { PROTOCOLS } from "../../lib/downstream/hub-format.ts";
import type { Frame } from "../../lib/socket.ts";
import { createWheel } from "../../lib/wheel.ts";
import type { HubMessage, Raw } from "../../lib/wire/hub.ts";
import { createSink } from "../support/sink.ts";
import { turn } from "../support/turn.ts";

const RS = "\u001e";
const HANDSHAKE = `{"protocol":"json","version":1}${RS}`;
const PING = `{"type":6}${RS}`;
const CLOSED_WITH_ERROR = `{"type":7,"error":"Connection closed with an error.","allowReconnect":true}${RS}`;

function setUp({
  kind = "websocket",
  prepare,
}: Pick<Serving, "prepare"> & { readonly kind?: HubTransport["kind"] } = {}) {
  const clock = createManualClock(1_700_000_000_000);
  const sink = createSink();
  let isClosed = false;
  let connection: HubConnection<Raw> | undefined;
  /** What the handler was told, in order. */
  const told: (HubMessage<Raw> | "closed" | "abandoned")[] = [];
  const receiver = createHubReceiver(
    {
      transport: {
        kind,
        sink,
        wrap: (messages) => messages,
        close() {
          isClosed = true;
        },
      },
      serving: {
        prepare: (protocol) => prepare?.(protocol),
        abandon: () => told.push("abandoned"),
        open(opened) {
          connection = opened;
          return { onMessage: (message) => told.push(message), onClose: () => told.push("closed") };
        },
      },
    },
    {
      protocols: Object.values(PROTOCOLS),
      wheel: createWheel(clock, { random: () => 0.999_999 }),
      now: clock.now,
      limits: {
        handshakeTimeoutMs: 15_000,
        keepAliveMs: 15_000,
        clientTimeoutMs: 30_000,
        messageBytes: 32_768,
      },
    },
  );
  return {
    clock,
    sink,
    receiver,
    told,
    get connection() {
      if (!connection) throw new Error("It is not open");
      return connection;
    },
    get isClosed() {
      return isClosed;
    },
    receive: (chunk: Frame) => receiver.receive(chunk),
    /** Everything that was sent since the last time. */
    sent: () => sink.take().join(""),
  };
}

/** After a handshake, which has been taken. */
function open() {
  const hub = setUp();
  hub.receive(HANDSHAKE);
  hub.sent();
  return hub;
}

const invocation = (id: string) =>
  `{"type":1,"invocationId":"${id}","target":"Echo","arguments":[1]}${RS}`;
const echo = (invocationId: string) => ({
  type: "invocation",
  invocationId,
  target: "Echo",
  arguments: "[1]",
  values: [1],
});

describe("the handshake", () => {
  test.each([
    '{"protocol":"json","version":1}',
    '{"protocol":"json","version":-1}',
    '{"protocol":"json","version":0}',
    '{"protocol":"json","version":2}',
    '{"protocol":"JSON","version":1}',
    '{"protocol":"xml","protocol":"json","version":1}',
    '{"protocol":"json","version":1}x',
  ])("%s is accepted", (record) => {
    const hub = setUp();
    hub.receive(record + RS);
    expect(hub.sent()).toBe(`{}${RS}`);
    expect(hub.isClosed).toBe(false);
    expect(hub.connection.protocol.name).toBe("json");
  });

  test.each([
    [
      '{"protocol":"json","version":3}',
      "The server does not support version 3 of the 'json' protocol.",
    ],
    ['{"protocol":"xml","version":1}', "The protocol 'xml' is not supported."],
    ['{"protocol":"","version":1}', "The protocol '' is not supported."],
    ...[
      ...["", "{}", "[]", "garbage", '{"type":6}', '{"version":1}', '{"protocol":"json"}'],
      ...['{"protocol":"json","version":"1"}', '\ufeff{"protocol":"json","version":1}'],
    ].map((record) => [record, "An unexpected error occurred during connection handshake."]),
  ])("%j is refused: %s", (record, error) => {
    for (const frame of [record + RS, new TextEncoder().encode(record + RS)]) {
      const hub = setUp();
      hub.receive(frame);
      expect(hub.sent()).toBe(`{"error":"${error}"}${RS}`);
      expect(hub.isClosed).toBe(true);
      expect(hub.told).toEqual(["abandoned"]);
      hub.receive(HANDSHAKE);
      hub.clock.advance(60_000);
      expect(hub.sent()).toBe("");
    }
  });

  test("of MessagePack is answered in JSON, in a binary frame", () => {
    const hub = setUp();
    hub.receive(`{"protocol":"messagepack","version":1}${RS}`);
    expect(hub.sink.frames[0]).toEqual(new TextEncoder().encode(`{}${RS}`));
    expect(hub.connection.protocol.name).toBe("messagepack");
  });

  test("of MessagePack is refused where there is only text", () => {
    const hub = setUp({ kind: "sse" });
    hub.receive(`{"protocol":"messagepack","version":1}${RS}`);
    expect(hub.sent()).toBe(
      `{"error":"Cannot use the 'messagepack' protocol on the current transport. The transport does not support 'Binary' transfer format."}${RS}`,
    );
  });

  test("may be as large as a message, to the byte", () => {
    const request = (bytes: number) => {
      const head = '{"protocol":"json","version":1,"x":"';
      return `${head}${"x".repeat(bytes - head.length - 3)}"}${RS}`;
    };
    const fits = setUp();
    fits.receive(request(32_768));
    expect(fits.sent()).toBe(`{}${RS}`);
    const large = setUp();
    large.receive(request(32_769));
    expect(large.sent()).toBe(`{"error":"Handshake was canceled."}${RS}`);
    expect(large.isClosed).toBe(true);
  });

  test("must come in time", () => {
    const hub = setUp();
    hub.receive('{"protocol":"json"');
    hub.clock.advance(14_900);
    expect(hub.sent()).toBe("");
    hub.clock.advance(200);
    expect(hub.sent()).toBe(`{"error":"Handshake was canceled."}${RS}`);
    expect(hub.isClosed).toBe(true);
  });

  test("may have messages behind it in its frame, and come in pieces", () => {
    const hub = setUp();
    for (const byte of new TextEncoder().encode(HANDSHAKE)) hub.receive(Uint8Array.of(byte));
    hub.receive(invocation("1"));
    const other = setUp();
    other.receive(HANDSHAKE + invocation("1"));
    for (const { told } of [hub, other]) expect(told).toEqual([echo("1")]);
  });

  test("twice is an error", () => {
    const hub = setUp();
    hub.receive(HANDSHAKE + HANDSHAKE);
    expect(hub.sent()).toBe(`{}${RS}${CLOSED_WITH_ERROR}`);
    expect(hub.isClosed).toBe(true);
  });
});

describe("a handshake that something has to be prepared for", () => {
  test("is answered when it is ready, and then what came behind it is read", async () => {
    let ready = () => {};
    const prepared = new Promise<void>((resolve) => {
      ready = resolve;
    });
    const hub = setUp({ prepare: () => prepared });
    hub.receive(HANDSHAKE + invocation("1"));
    hub.receive(invocation("2"));
    await turn();
    expect(hub.sent()).toBe("");
    ready();
    await turn();
    expect(hub.sent()).toBe(`{}${RS}`);
    expect(hub.told).toEqual([echo("1"), echo("2")]);
  });

  test("is refused when it cannot be", async () => {
    const hub = setUp({ prepare: () => Promise.reject(new Error("The origin is away")) });
    hub.receive(HANDSHAKE);
    await turn();
    expect(hub.sent()).toBe(`{"error":"The origin is away"}${RS}`);
    expect(hub.told).toEqual(["abandoned"]);
  });

  test("is abandoned when the client goes, or waits too long", async () => {
    for (const end of ["gone", "late"]) {
      let ready = () => {};
      const prepared = new Promise<void>((resolve) => {
        ready = resolve;
      });
      const hub = setUp({ prepare: () => prepared });
      hub.receive(HANDSHAKE);
      if (end === "gone") hub.receiver.gone();
      else hub.clock.advance(15_100);
      expect(hub.told).toEqual(["abandoned"]);
      ready();
      await turn();
      expect(hub.sent()).toBe(end === "gone" ? "" : `{"error":"Handshake was canceled."}${RS}`);
      expect(hub.told).toEqual(["abandoned"]);
    }
  });

  test("keeps no more of what comes meanwhile than is fair", async () => {
    const hub = setUp({ prepare: () => new Promise(() => {}) });
    hub.receive(HANDSHAKE);
    for (let i = 0; i < 100; i++) hub.receive("x".repeat(1_000));
    expect(hub.isClosed).toBe(true);
  });
});

describe("messages", () => {
  test("are handed on in order, whatever the frames they come in", () => {
    const hub = open();
    const stream = new TextEncoder().encode(invocation("1") + PING + invocation("é"));
    for (const byte of stream) hub.receive(Uint8Array.of(byte));
    hub.receive(invocation("3"));
    expect(hub.told).toEqual([echo("1"), echo("é"), echo("3")]);
  });

  test("to the client are framed", () => {
    const hub = open();
    hub.connection.send({ type: "completion", invocationId: "1", result: "2.10" });
    expect(hub.sent()).toBe(`{"type":3,"invocationId":"1","result":2.10}${RS}`);
  });

  test.each([
    ...["", "[]", "null", "garbage", "{}", '{"type":1,"arguments":[]}', '{"type":99}'],
    ...['{"type":2,"invocationId":"1"}', '{"type":3,"invocationId":"1","error":"a","result":1}'],
    ...['{"type":1,"invocationId":null,"target":"a","arguments":[]}', HANDSHAKE.slice(0, -1)],
    `{"type":1,"target":"a","arguments":[${"[".repeat(63)}${"]".repeat(63)}]}`,
    `{"type":1,"target":"a","arguments":[${"[".repeat(15_000)}${"]".repeat(15_000)}]}`,
  ])("such as %j end the connection, not the relay", (record) => {
    const hub = open();
    hub.receive(invocation("1") + record + RS + invocation("2"));
    expect(hub.told).toEqual([echo("1"), "closed"]);
    expect(hub.sent()).toBe(CLOSED_WITH_ERROR);
    expect(hub.isClosed).toBe(true);
  });

  test("may be nested as deep as ASP.NET Core allows", () => {
    const hub = open();
    hub.receive(`{"type":1,"target":"a","arguments":[${"[".repeat(62)}${"]".repeat(62)}]}${RS}`);
    expect(hub.told).toHaveLength(1);
  });

  test("of more than the limit end the connection", () => {
    const message = (bytes: number) => {
      const head = '{"type":1,"target":"a","arguments":["';
      return `${head}${"x".repeat(bytes - head.length - 4)}"]}${RS}`;
    };
    const hub = open();
    hub.receive(message(32_768));
    expect(hub.told).toHaveLength(1);
    hub.receive(message(32_769));
    expect(hub.sent()).toBe(CLOSED_WITH_ERROR);
  });

  test("any number may come in one frame", () => {
    const hub = open();
    hub.receive(PING.repeat(100_000));
    expect(hub.sent()).toBe("");
    expect(hub.isClosed).toBe(false);
  });
});

describe("time", () => {
  test("brings a ping every keep-alive, whatever else is sent", () => {
    const hub = open();
    for (let i = 0; i < 4; i++) {
      hub.connection.send({ type: "completion", invocationId: "1" });
      hub.sent();
      hub.clock.advance(15_000);
      expect(hub.sent()).toBe(PING);
    }
  });

  test("ends a client that has pinged and then is silent", () => {
    const hub = open();
    hub.clock.advance(100_000);
    expect(hub.isClosed).toBe(false);
    hub.receive(PING);
    hub.clock.advance(29_000);
    hub.receive(invocation("1"));
    hub.clock.advance(29_900);
    expect(hub.isClosed).toBe(false);
    hub.sent();
    hub.clock.advance(300);
    expect(hub.sent()).toBe(CLOSED_WITH_ERROR);
    expect(hub.told).toEqual([echo("1"), "closed"]);
    expect(hub.isClosed).toBe(true);
  });

  test("brings no ping to long polling", () => {
    const hub = setUp({ kind: "polling" });
    hub.receive(HANDSHAKE);
    hub.clock.advance(100_000);
    expect(hub.sent()).toBe(`{}${RS}`);
  });
});

describe("the end", () => {
  test.each(['{"type":7}', '{"type":7,"error":"x","allowReconnect":true}'])(
    "by the client's %s is answered, and nothing behind it is read",
    (close) => {
      const hub = open();
      hub.receive(close + RS + invocation("1"));
      hub.receive(invocation("2"));
      expect(hub.sent()).toBe(`{"type":7}${RS}`);
      expect(hub.told).toEqual(["closed"]);
      expect(hub.isClosed).toBe(true);
    },
  );

  test("by the relay says whether to come back", () => {
    const hub = open();
    hub.receiver.close({ allowReconnect: true });
    hub.receiver.close({});
    expect(hub.sent()).toBe(`{"type":7,"allowReconnect":true}${RS}`);
    expect(hub.told).toEqual(["closed"]);
    expect(hub.isClosed).toBe(true);
  });

  test.each([
    ["of the relay", (hub: ReturnType<typeof open>) => hub.receiver.close({})],
    ["of the client", (hub: ReturnType<typeof open>) => hub.receiver.gone()],
  ])("%s is the end: what is answered later is not sent", (_, end) => {
    const hub = open();
    end(hub);
    hub.sent();
    hub.connection.send({ type: "completion", invocationId: "1" });
    hub.connection.pass(PING, false);
    hub.connection.close({});
    expect(hub.sent()).toBe("");
  });

  test("before the handshake is without a word", () => {
    const hub = setUp();
    hub.receiver.close({ allowReconnect: true });
    expect(hub.sent()).toBe("");
    expect(hub.isClosed).toBe(true);
  });

  test("may be without a word after it too", () => {
    const hub = open();
    hub.connection.cut();
    expect(hub.sent()).toBe("");
    expect(hub.told).toEqual(["closed"]);
    expect(hub.isClosed).toBe(true);
  });

  test("by a client that has gone is told once, and its timers with it", () => {
    const hub = open();
    hub.receive(PING);
    hub.receiver.gone();
    hub.receiver.gone();
    hub.receive(invocation("1"));
    hub.clock.advance(100_000);
    expect(hub.told).toEqual(["closed"]);
    expect(hub.sent()).toBe("");
    expect(hub.isClosed).toBe(false);
  });
});
