import { describe, expect, test } from "vitest";
import { createRandom } from "../../app/demo/random.ts";
import { cutPacked, printPacked } from "../support/packed.ts";
import { type Attempt, createIsolates, type Isolates } from "./isolates.ts";

const RS = "\u001e";
const HANDSHAKE = `{"protocol":"json","version":1}${RS}`;
const STATEFUL = `{"protocol":"json","version":2}${RS}`;
const call = (id: number) =>
  `${JSON.stringify({ type: 1, invocationId: `${id}`, target: "Echo", arguments: [id] })}${RS}`;
const result = (id: number) => `{"type":3,"invocationId":"${id}","result":${id}}${RS}`;

const EVENTS = { headers: { accept: "text/event-stream" } };
const NO_CONNECTION = "No Connection with that ID";

/** An event stream as far as it has come. */
function printEvents(records: readonly string[]): string {
  return `:\r\n${records.map((record) => `data: ${record}\r\n\r\n`).join("")}`;
}

/** The text of an event stream as it comes. */
function readEvents(response: Response) {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let seen = "";
  return {
    async until(text: string): Promise<string> {
      while (!seen.includes(text)) {
        const next = await reader?.read();
        if (!next || next.done) throw new Error(`The stream has ended before ${text}: ${seen}`);
        seen += next.value;
      }
      return seen;
    },
    cancel: () => reader?.cancel(),
  };
}

/** Status, text and headers of an answer. */
async function show(response: Response) {
  return {
    status: response.status,
    body: await response.text(),
    headers: Object.fromEntries(response.headers),
  };
}

/** A connection that polls: opened at an isolate, its handshake done. */
async function poll(isolates: Isolates, token: string, at: string): Promise<void> {
  expect((await isolates.request(at, "GET", token)).status).toBe(200);
  await isolates.request(at, "POST", token, { body: HANDSHAKE });
  expect(await (await isolates.request(at, "GET", token)).text()).toBe(`{}${RS}`);
}

describe("requests that each reach another isolate", () => {
  test("are one connection over Server-Sent Events", async () => {
    const isolates = createIsolates(["a", "b", "c"]);
    const token = isolates.negotiate("a");
    const stream = await isolates.request("b", "GET", token, EVENTS);
    expect(stream.headers.get("content-type")).toBe("text/event-stream");
    const events = readEvents(stream);
    for (const [isolate, body] of [
      ["c", HANDSHAKE],
      ["a", call(1)],
      ["b", call(2)],
      ["c", call(3)],
    ] as const) {
      const answer = await isolates.request(isolate, "POST", token, { body });
      expect(await show(answer)).toMatchObject({ status: 200, body: "" });
    }
    await events.until(result(3));
    isolates.push("b", "hello");
    const push = `{"type":1,"target":"Push","arguments":["hello"]}${RS}`;
    const records = [`{}${RS}`, result(1), result(2), result(3), push];
    expect(await events.until("hello")).toBe(printEvents(records));
    expect(isolates.opened).toEqual(["b sse"]);
    await events.cancel();
    expect(isolates.opened).toEqual([]);
    const late = await isolates.request("c", "POST", token, { body: call(4) });
    expect(await show(late)).toMatchObject({ status: 404, body: NO_CONNECTION });
  });

  test("are one connection over long polling", async () => {
    const isolates = createIsolates(["a", "b", "c"]);
    const token = isolates.negotiate("a");
    expect((await isolates.request("b", "GET", token)).status).toBe(200);
    await isolates.request("c", "POST", token, { body: HANDSHAKE });
    expect(await (await isolates.request("a", "GET", token)).text()).toBe(`{}${RS}`);
    const waiting = isolates.request("c", "GET", token);
    await isolates.pass(20_000);
    await isolates.request("a", "POST", token, { body: call(1) });
    expect(await show(await waiting)).toEqual({
      status: 200,
      body: result(1),
      headers: {
        "content-type": "application/octet-stream",
        "cache-control": "no-cache, no-store",
        expires: "Thu, 01 Jan 1970 00:00:00 GMT",
        pragma: "no-cache",
      },
    });
    const last = isolates.request("a", "GET", token);
    await isolates.pass(1_000);
    expect((await isolates.request("c", "DELETE", token)).status).toBe(202);
    expect(await (await last).text()).toBe(`{"type":7,"allowReconnect":true}${RS}`);
    const late = isolates.request("c", "GET", token);
    await isolates.pass(3_000);
    expect((await late).status).toBe(404);
    expect(isolates.opened).toEqual([]);
  });

  test("are one connection in MessagePack", async () => {
    const isolates = createIsolates(["a", "b", "c"]);
    const token = isolates.negotiate("a");
    await isolates.request("b", "GET", token);
    const body = new Uint8Array(printPacked([1, {}, "1", "Echo", [[1, "two"]], []]));
    await isolates.request("c", "POST", token, {
      body: `{"protocol":"messagepack","version":1}${RS}`,
    });
    await isolates.request("c", "POST", token, { body });
    const answer = await isolates.request("a", "GET", token);
    const bytes = Buffer.from(await answer.arrayBuffer());
    expect(bytes.subarray(0, 3).toString()).toBe(`{}${RS}`);
    const [completion] = cutPacked(bytes.subarray(3));
    expect(completion).toEqual(Buffer.from(printPacked([3, {}, "1", 3, [1, "two"]]).subarray(1)));
  });

  test("find a WebSocket where it came in", async () => {
    const isolates = createIsolates(["a", "b", "c"]);
    const token = isolates.negotiate("a");
    const { status, socket, handler } = await isolates.open("b", token);
    expect(status).toBe(101);
    handler.message(HANDSHAKE);
    handler.message(call(1));
    expect(socket.take().join("")).toBe(`{}${RS}${result(1)}`);
    expect(isolates.opened).toEqual(["b websocket"]);
  });

  test("bring along what was posted before the transport was asked for", async () => {
    const isolates = createIsolates(["a", "b", "c"]);
    const token = isolates.negotiate("a");
    expect((await isolates.request("c", "POST", token, { body: HANDSHAKE })).status).toBe(200);
    expect((await isolates.request("a", "POST", token, { body: call(1) })).status).toBe(200);
    expect((await isolates.request("c", "POST", token, { body: call(2) })).status).toBe(200);
    const events = readEvents(await isolates.request("b", "GET", token, EVENTS));
    expect(await events.until(result(2))).toBe(printEvents([`{}${RS}`, result(1), result(2)]));
    // Where it was is remembered at c, and not true any more.
    expect((await isolates.request("c", "POST", token, { body: call(3) })).status).toBe(200);
    await events.until(result(3));
  });

  test("wait at an isolate that does not know yet that the connection is its own", async () => {
    const isolates = createIsolates(["a", "b", "c"]);
    const token = isolates.negotiate("a");
    isolates.bus.isLost = (from, to) => from === "a" && to === "b";
    const opening = isolates.request("b", "GET", token, EVENTS);
    await isolates.pass(100);
    const posted = isolates.request("c", "POST", token, { body: HANDSHAKE });
    await isolates.pass(500);
    isolates.bus.isLost = () => false;
    await isolates.pass(1_000);
    expect((await posted).status).toBe(200);
    expect(await readEvents(await opening).until(RS)).toContain("{}");
  });

  test("wait for a post that is still coming in", async () => {
    const isolates = createIsolates(["a", "b"]);
    const token = isolates.negotiate("a");
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const writer = writable.getWriter();
    const posted = isolates.request("a", "POST", token, { body: readable, duplex: "half" });
    void writer.write(new TextEncoder().encode(HANDSHAKE.slice(0, 10)));
    const opening = isolates.request("b", "GET", token, EVENTS);
    await isolates.pass(4_000);
    void writer.write(new TextEncoder().encode(HANDSHAKE.slice(10)));
    void writer.close();
    expect((await posted).status).toBe(200);
    expect(await readEvents(await opening).until(RS)).toContain(`data: {}${RS}`);
  });

  test("find their connection long after its home has forgotten whom it gave it to", async () => {
    const isolates = createIsolates(["a", "b", "c"]);
    const token = isolates.negotiate("a");
    const events = readEvents(await isolates.request("b", "GET", token, EVENTS));
    await isolates.request("b", "POST", token, { body: HANDSHAKE });
    await isolates.pass(60_000);
    for (const [i, isolate] of ["a", "c"].entries()) {
      const answer = await isolates.request(isolate, "POST", token, { body: call(i) });
      expect(answer.status).toBe(200);
      await events.until(result(i));
    }
  });

  test("lose nothing on a bus that does", async () => {
    const isolates = createIsolates(["a", "b", "c"]);
    const random = createRandom(3);
    isolates.bus.isLost = () => random.next() < 0.2;
    const names = ["a", "b", "c"];
    for (let round = 0; round < 10; round++) {
      const token = isolates.negotiate(random.pick(names));
      const work = (async () => {
        const at = () => random.pick(names);
        const statuses = [(await isolates.request(at(), "GET", token)).status];
        await isolates.request(at(), "POST", token, { body: HANDSHAKE });
        let seen = "";
        for (let id = 0; id < 5; id++) {
          const polled = isolates.request(at(), "GET", token);
          const posted = isolates.request(at(), "POST", token, { body: call(id) });
          statuses.push((await polled).status, (await posted).status);
          seen += await (await polled).text();
        }
        while (!seen.includes(result(4))) {
          seen += await (await isolates.request(at(), "GET", token)).text();
        }
        expect(new Set(statuses)).toEqual(new Set([200]));
        expect(seen).toBe(`{}${RS}${[0, 1, 2, 3, 4].map(result).join("")}`);
        return "done";
      })();
      let outcome: unknown;
      work.then(
        (value) => {
          outcome = value;
        },
        (error) => {
          outcome = error;
        },
      );
      for (let i = 0; i < 200 && outcome === undefined; i++) await isolates.pass(250);
      expect(outcome).toBe("done");
    }
  });
});

describe("a token", () => {
  test("opens one connection, whoever is asked at the same time", async () => {
    const isolates = createIsolates(["a", "b", "c"]);
    const token = isolates.negotiate("a");
    const answers = await Promise.all(
      ["b", "b", "c", "c", "b"].map((isolate) => isolates.request(isolate, "GET", token, EVENTS)),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409, 409, 409, 409]);
    expect(isolates.opened).toHaveLength(1);
    await isolates.request("c", "POST", token, { body: HANDSHAKE });
    await isolates.pass(20_000);
    expect((await isolates.request("b", "POST", token, { body: call(1) })).status).toBe(200);
    const other = isolates.negotiate("a");
    const all = await Promise.all(
      ["c", "a", "b"].map((isolate) => isolates.request(isolate, "GET", other, EVENTS)),
    );
    expect(all.map(({ status }) => status).sort()).toEqual([200, 409, 409]);
    expect(isolates.opened).toHaveLength(2);
  });

  test("that was used is of no use anywhere", async () => {
    const isolates = createIsolates(["a", "b", "c"]);
    const token = isolates.negotiate("a");
    await readEvents(await isolates.request("b", "GET", token, EVENTS)).cancel();
    for (const isolate of ["a", "b", "c"]) {
      const answer = await isolates.request(isolate, "GET", token, EVENTS);
      expect(await show(answer)).toMatchObject({ status: 404, body: NO_CONNECTION });
    }
  });

  test("that is too old is of no use, after everybody was asked", async () => {
    const isolates = createIsolates(["a", "b"]);
    const token = isolates.negotiate("a");
    await isolates.pass(16_000);
    for (const isolate of ["a", "b"]) {
      const answer = isolates.request(isolate, "GET", token);
      await isolates.pass(3_000);
      expect(await show(await answer)).toMatchObject({ status: 404, body: NO_CONNECTION });
    }
  });

  test("cannot be used where there is no room", async () => {
    const isolates = createIsolates(["a", "b"], { connections: 1 });
    await isolates.request("b", "GET", isolates.negotiate("b"), EVENTS);
    const answer = await isolates.request("b", "GET", isolates.negotiate("a"), EVENTS);
    expect(answer.status).toBe(503);
  });
});

describe("an answer from elsewhere is the one that is given where the connection is", () => {
  type Ask = readonly [method: string, init: RequestInit];
  const asks: readonly (readonly [kind: string, ...ask: Ask])[] = [
    ["sse", "GET", EVENTS],
    ["sse", "GET", {}],
    ["sse", "DELETE", {}],
    ["polling", "GET", EVENTS],
    ["websocket", "POST", { body: "x" }],
    ["websocket", "GET", {}],
    ["websocket", "DELETE", {}],
  ];
  test.for(asks)("%s: %s %j", async ([kind, method, init]) => {
    const isolates = createIsolates(["a", "b"]);
    const token = isolates.negotiate("a");
    if (kind === "websocket") await isolates.open("b", token);
    else await isolates.request("b", "GET", token, kind === "sse" ? EVENTS : {});
    const there = await show(await isolates.request("b", method, token, init));
    expect(there.status).toBeGreaterThanOrEqual(400);
    expect(await show(await isolates.request("a", method, token, init))).toEqual(there);
  });

  test("a second WebSocket", async () => {
    const isolates = createIsolates(["a", "b"]);
    const token = isolates.negotiate("a");
    await isolates.open("b", token);
    expect((await isolates.open("a", token)).status).toBe(409);
    const events = isolates.negotiate("a");
    await isolates.request("b", "GET", events, EVENTS);
    expect((await isolates.open("a", events)).status).toBe(400);
  });
});

describe("a poll at another isolate", () => {
  test("takes the place of one that waits, wherever that is", async () => {
    const isolates = createIsolates(["a", "b", "c"]);
    const token = isolates.negotiate("a");
    await poll(isolates, token, "b");
    const polls: Promise<Response>[] = [];
    for (const isolate of ["a", "c", "b", "a"]) {
      polls.push(isolates.request(isolate, "GET", token));
      await isolates.pass(500);
    }
    isolates.push("b", 1);
    expect((await Promise.all(polls)).map(({ status }) => status)).toEqual([204, 204, 204, 200]);
    expect(await (await polls[3])?.text()).toContain('"Push"');
  });

  test("leaves its data when its client has gone", async () => {
    const isolates = createIsolates(["a", "b", "c"]);
    const token = isolates.negotiate("a");
    await poll(isolates, token, "b");
    const controller = new AbortController();
    const lost = isolates.request("c", "GET", token, { signal: controller.signal });
    await isolates.pass(500);
    controller.abort();
    expect((await lost).status).toBe(499);
    await isolates.pass();
    isolates.push("b", 1);
    expect(await (await isolates.request("a", "GET", token)).text()).toContain('"Push"');
  });

  test("is answered without data after the time of a poll", async () => {
    const isolates = createIsolates(["a", "b"]);
    const token = isolates.negotiate("a");
    await poll(isolates, token, "b");
    const waiting = isolates.request("a", "GET", token);
    await isolates.pass(91_000);
    expect(await show(await waiting)).toMatchObject({
      status: 200,
      body: "",
      headers: { "content-type": "text/plain", pragma: "no-cache" },
    });
  });
});

describe("a body that is posted elsewhere", () => {
  test("is passed on in pieces", async () => {
    const isolates = createIsolates(["a", "b"]);
    const token = isolates.negotiate("a");
    await poll(isolates, token, "b");
    const text = "x".repeat(300_000);
    const message = JSON.stringify({
      type: 1,
      invocationId: "1",
      target: "Echo",
      arguments: [text],
    });
    const bytes = new TextEncoder().encode(message + RS);
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (let at = 0; at < bytes.length; at += 100_000) {
          controller.enqueue(bytes.slice(at, at + 100_000));
        }
        controller.close();
      },
    });
    const answer = await isolates.request("a", "POST", token, { body, duplex: "half" });
    expect(answer.status).toBe(200);
    const polled = await (await isolates.request("a", "GET", token)).text();
    expect(polled).toBe(`{"type":3,"invocationId":"1","result":"${text}"}${RS}`);
  });

  test("counts as far as it came when it breaks off", async () => {
    const isolates = createIsolates(["a", "b"]);
    const token = isolates.negotiate("a");
    await poll(isolates, token, "b");
    let pulls = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (pulls++ > 0) return controller.error(new Error("Reset"));
        controller.enqueue(new TextEncoder().encode(call(1)));
      },
    });
    const answer = await isolates.request("a", "POST", token, { body, duplex: "half" });
    expect(await show(answer)).toMatchObject({ status: 400, body: "" });
    expect(await (await isolates.request("a", "GET", token)).text()).toBe(result(1));
    await isolates.request("a", "POST", token, { body: call(2) });
    expect(await (await isolates.request("a", "GET", token)).text()).toBe(result(2));
  });
});

describe("when an isolate has died", () => {
  const silence = (isolates: Isolates, dead: string) => {
    isolates.bus.isLost = (from, to) => from === dead || to === dead;
  };

  test("what it has negotiated cannot be opened elsewhere", async () => {
    const isolates = createIsolates(["a", "b"]);
    const token = isolates.negotiate("a");
    silence(isolates, "a");
    const answer = isolates.request("b", "GET", token, EVENTS);
    await isolates.pass(3_000);
    expect(await show(await answer)).toMatchObject({ status: 404, body: NO_CONNECTION });
  });

  test("what it has negotiated and others have opened is found", async () => {
    const isolates = createIsolates(["a", "b", "c"]);
    const token = isolates.negotiate("a");
    const events = readEvents(await isolates.request("b", "GET", token, EVENTS));
    silence(isolates, "a");
    const answer = await isolates.request("c", "POST", token, { body: HANDSHAKE });
    expect(answer.status).toBe(200);
    expect(await events.until(RS)).toContain("{}");
  });

  test("its connections are no more, for those who know them too", async () => {
    const isolates = createIsolates(["a", "b", "c"]);
    const token = isolates.negotiate("a");
    await isolates.request("b", "GET", token, EVENTS);
    await isolates.request("c", "POST", token, { body: HANDSHAKE });
    silence(isolates, "b");
    for (let i = 0; i < 2; i++) {
      const answer = isolates.request("c", "POST", token, { body: call(1) });
      await isolates.pass(6_000);
      expect((await answer).status).toBe(404);
    }
  });

  test("one that was only busy is waited for", async () => {
    const isolates = createIsolates(["a", "b", "c"]);
    const token = isolates.negotiate("a");
    await isolates.request("b", "GET", token, EVENTS);
    silence(isolates, "b");
    const answer = isolates.request("c", "POST", token, { body: HANDSHAKE });
    await isolates.pass(1_500);
    isolates.bus.isLost = () => false;
    await isolates.pass(500);
    expect((await answer).status).toBe(200);
  });
});

describe("of several machines", () => {
  /** Counts messages by the isolate that hears them. */
  function count(isolates: Isolates): () => Record<string, number> {
    let heard: Record<string, number> = {};
    isolates.bus.isLost = (_, to) => {
      heard[to] = (heard[to] ?? 0) + 1;
      return false;
    };
    return () => {
      const before = heard;
      heard = {};
      return before;
    };
  }

  test("the home's alone is asked where a connection is, however old it is", async () => {
    const isolates = createIsolates(["m.a", "m.b", "n.c", "o.d"]);
    const heard = count(isolates);
    const token = isolates.negotiate("m.a");
    const events = readEvents(await isolates.request("n.c", "GET", token, EVENTS));
    await isolates.request("m.b", "POST", token, { body: HANDSHAKE });
    expect(heard()).not.toHaveProperty("o.d");
    await isolates.pass(60_000);
    heard();
    const answer = await isolates.request("o.d", "POST", token, { body: call(1) });
    expect(answer.status).toBe(200);
    await events.until(result(1));
    expect(Object.keys(heard()).sort()).toEqual(["m.a", "m.b", "n.c", "o.d"]);
    // Where it is known, nobody else is asked.
    await isolates.request("o.d", "POST", token, { body: call(2) });
    expect(Object.keys(heard()).sort()).toEqual(["n.c", "o.d"]);
  });

  test("all are asked when the home's has gone", async () => {
    const isolates = createIsolates(["m.a", "n.b", "o.c"]);
    const token = isolates.negotiate("m.a");
    const events = readEvents(await isolates.request("n.b", "GET", token, EVENTS));
    isolates.bus.isLost = (from, to) => from === "m.a" || to === "m.a";
    const answer = isolates.request("o.c", "POST", token, { body: HANDSHAKE });
    await isolates.pass(300); // not after all of the time that it may take
    expect((await answer).status).toBe(200);
    expect(await events.until(RS)).toContain("{}");
  });

  test("all are asked by a poll, too, once its token cannot be claimed any more", async () => {
    const isolates = createIsolates(["m.a", "n.b", "o.c"]);
    const token = isolates.negotiate("m.a");
    await poll(isolates, token, "n.b");
    const waiting = isolates.request("n.b", "GET", token);
    await isolates.pass(16_000);
    await isolates.request("n.b", "POST", token, { body: call(1) });
    expect(await (await waiting).text()).toBe(result(1));
    isolates.bus.isLost = (from, to) => from === "m.a" || to === "m.a";
    const polled = isolates.request("o.c", "GET", token);
    await isolates.pass(300);
    await isolates.request("n.b", "POST", token, { body: call(2) });
    expect(await (await polled).text()).toBe(result(2));
  });

  test("one that has gone has taken its connections along", async () => {
    const isolates = createIsolates(["m.a", "n.b", "o.c"]);
    const token = isolates.negotiate("m.a");
    await isolates.request("n.b", "GET", token, EVENTS);
    isolates.bus.isLost = (from, to) => from === "n.b" || to === "n.b";
    const answer = isolates.request("o.c", "POST", token, { body: HANDSHAKE });
    await isolates.pass(3_000);
    expect(await show(await answer)).toMatchObject({ status: 404, body: NO_CONNECTION });
  });

  test("one that is cut off does not say that there is no such connection", async () => {
    const isolates = createIsolates(["m.a", "n.b"]);
    const token = isolates.negotiate("m.a");
    const events = readEvents(await isolates.request("n.b", "GET", token, EVENTS));
    isolates.bus.isConnected = false;
    for (const token of [
      isolates.negotiate("m.a"),
      isolates.negotiate("m.a", { stateful: true }),
    ]) {
      const answer = isolates.request("n.b", "GET", token);
      await isolates.pass(3_000);
      expect((await answer).status).toBe(503);
    }
    const answer = isolates.request("m.a", "POST", token, { body: HANDSHAKE });
    await isolates.pass(3_000);
    expect((await answer).status).toBe(503);
    isolates.bus.isConnected = true;
    await isolates.request("m.a", "POST", token, { body: HANDSHAKE });
    expect(await events.until(RS)).toContain("{}");
  });

  test("one that is cut off opens WebSockets all the same, unless they may be old ones", async () => {
    const isolates = createIsolates(["m.a", "n.b"]);
    isolates.bus.isConnected = false;
    const { status, socket, handler } = await isolates.open("n.b", isolates.negotiate("m.a"));
    expect(status).toBe(101);
    handler.message(HANDSHAKE);
    handler.message(call(1));
    expect(socket.take().join("")).toBe(`{}${RS}${result(1)}`);
    const stateful = isolates.open("n.b", isolates.negotiate("m.a", { stateful: true }));
    await isolates.pass(3_000);
    expect((await stateful).status).toBe(503);
  });
});

describe("a stateful client that comes back to another isolate", () => {
  /** Connected at b, one call answered. */
  async function connect(isolates: Isolates) {
    const token = isolates.negotiate("a", { stateful: true });
    const first = await isolates.open("b", token);
    first.handler.message(STATEFUL);
    first.handler.message(call(1));
    expect(first.socket.take().join("")).toBe(`{}${RS}${result(1)}`);
    return { token, first };
  }
  const PUSH = (value: number) => `{"type":1,"target":"Push","arguments":[${value}]}${RS}`;

  test("gets what it has missed, and goes on", async () => {
    const isolates = createIsolates(["a", "b", "c"]);
    const { token, first } = await connect(isolates);
    first.handler.close(1006, "");
    isolates.push("b", 2);
    let missed = result(1) + PUSH(2);
    let sequenceId = 1;
    for (const [i, isolate] of ["c", "a", "b", "c"].entries()) {
      const { status, socket, handler } = await isolates.open(isolate, token);
      expect(status).toBe(101);
      await isolates.pass();
      expect(socket.take().join("")).toBe(`{"type":9,"sequenceId":${sequenceId}}${RS}${missed}`);
      handler.message(`{"type":9,"sequenceId":2}${RS}{"type":8,"sequenceId":${i + 2}}${RS}`);
      isolates.push("b", i + 3);
      await isolates.pass();
      missed = PUSH(i + 3);
      sequenceId = i + 3;
      expect(socket.take().join("")).toBe(missed);
      handler.close(1006, "");
      await isolates.pass();
    }
    expect(isolates.opened).toEqual(["b websocket"]);
  });

  test("takes the place of a socket that is still there, wherever that is", async () => {
    const isolates = createIsolates(["a", "b", "c"]);
    const { token, first } = await connect(isolates);
    const opening = isolates.open("c", token);
    await isolates.pass(1_000);
    expect(first.socket.closed).toBe("1000");
    await isolates.pass(5_000);
    const second = await opening;
    expect(second.status).toBe(101);
    const again = isolates.open("a", token);
    await isolates.pass(1_000);
    expect(second.socket.closed).toBe("1000");
    second.handler.close(1006, "");
    const third = await again;
    expect(third.status).toBe(101);
    third.handler.message(call(2));
    await isolates.pass();
    expect(third.socket.take().join("")).toContain(result(2));
  });

  test("ends its connection by closing", async () => {
    const isolates = createIsolates(["a", "b", "c"]);
    const { token, first } = await connect(isolates);
    first.handler.close(1006, "");
    const { handler } = await isolates.open("c", token);
    handler.close(1000, "");
    await isolates.pass();
    expect(isolates.opened).toEqual([]);
    expect((await isolates.open("c", token)).status).toBe(404);
  });

  test("is told when its connection is closed", async () => {
    const isolates = createIsolates(["a", "b", "c"]);
    const { token, first } = await connect(isolates);
    first.handler.close(1006, "");
    const { socket, handler } = await isolates.open("c", token);
    handler.message(`{"type":7}${RS}`);
    await isolates.pass();
    expect(socket.take().join("")).toContain(`{"type":7}${RS}`);
    expect(socket.closed).toBe("1000");
    expect(isolates.opened).toEqual([]);
  });

  test("loses its socket, and nothing else, when the bus has lost something", async () => {
    const isolates = createIsolates(["a", "b", "c"]);
    const { token, first } = await connect(isolates);
    first.handler.close(1006, "");
    const second = await isolates.open("c", token);
    await isolates.pass();
    second.socket.take();
    isolates.bus.isLost = () => true;
    isolates.push("b", 2);
    await isolates.pass();
    isolates.bus.isLost = () => false;
    isolates.push("b", 3);
    await isolates.pass();
    expect(second.socket.take()).toEqual([]);
    expect(second.socket.closed).toBe("1012");
    const third = await isolates.open("c", token);
    await isolates.pass();
    expect(third.socket.take().join("")).toContain(PUSH(2) + PUSH(3));
  });

  test("loses its socket when what was lost is not followed by anything", async () => {
    const isolates = createIsolates(["a", "b", "c"]);
    const { token, first } = await connect(isolates);
    first.handler.close(1006, "");
    const losses: ((attempt: Attempt) => void)[] = [
      () => isolates.push("b", 2),
      ({ handler }) => handler.message(call(2)),
    ];
    for (const lose of losses) {
      const second = await isolates.open("c", token);
      await isolates.pass(3_000);
      expect(second.socket.closed).toBeUndefined();
      isolates.bus.isLost = () => true;
      lose(second);
      await isolates.pass();
      isolates.bus.isLost = () => false;
      await isolates.pass(1_500);
      expect(second.socket.closed).toBe("1012");
    }
  });

  test("loses its socket when its connection's isolate has died", async () => {
    const isolates = createIsolates(["a", "b", "c"]);
    const { token, first } = await connect(isolates);
    first.handler.close(1006, "");
    const second = await isolates.open("c", token);
    isolates.bus.isLost = () => true;
    await isolates.pass(4_000);
    expect(second.socket.closed).toBeUndefined();
    await isolates.pass(3_000);
    expect(second.socket.closed).toBe("1012");
    // At its end, the connection waits for its client to come back.
    isolates.bus.isLost = () => false;
    expect((await isolates.open("a", token)).status).toBe(101);
  });

  test("is as slow as its socket", async () => {
    const isolates = createIsolates(["a", "b"], { statefulBytes: 50_000_000 });
    const { token, first } = await connect(isolates);
    first.handler.close(1006, "");
    const second = await isolates.open("a", token);
    await isolates.pass();
    const text = "x".repeat(100_000);
    second.socket.bufferedBytes = 1_000;
    let total = 0;
    // What waits is known where it is sent from, so that it can be kept within bounds.
    for (let i = 0; i < 20; i++) {
      isolates.push("b", text);
      total += text.length;
    }
    expect(isolates.waiting("b")).toBeGreaterThan(total - 300_000);
    await isolates.pass(500);
    expect(isolates.waiting("b")).toBe(1_000);
    second.socket.bufferedBytes = 0;
    await isolates.pass(500);
    expect(isolates.waiting("b")).toBe(0);
  });

  test("is refused as it is where its connection is, when it did not ask to come back", async () => {
    const isolates = createIsolates(["a", "b", "c"]);
    const token = isolates.negotiate("a");
    const { handler } = await isolates.open("b", token);
    handler.message(HANDSHAKE);
    expect((await isolates.open("c", token)).status).toBe(409);
  });
});
