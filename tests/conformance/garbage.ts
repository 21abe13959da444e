import { connect } from "node:net";
import { describe, expect } from "vitest";
import { ask } from "../support/http.ts";
import { openSse } from "../support/sse-client.ts";
import { openWs } from "../support/ws-client.ts";
import { brief } from "./reading.ts";
import type { StagedTest } from "./stage.ts";

/** PROTOCOL.md, section 6: bad input is refused, ends its own connection at most, and nobody else notices. */
export function garbage(test: StagedTest): void {
  const refused: [path: string, status: number, code: string][] = [
    ["/sse", 400, "invalid_request"],
    ["/sse?topic=", 400, "invalid_topic"],
    ["/sse?topic=nope", 404, "unknown_topic"],
    ["/sse?topic=match", 404, "unknown_topic"],
    ["/sse?topic=match/1/2", 404, "unknown_topic"],
    ["/sse?topic=__proto__", 404, "unknown_topic"],
    ["/sse?topic=match/../../x", 400, "invalid_topic"],
    ["/sse?topic=match%2F..%2F..%2Fx", 400, "invalid_topic"],
    ["/sse?topic=match//1", 400, "invalid_topic"],
    ["/sse?topic=match/1%00", 400, "invalid_topic"],
    ["/sse?topic=match/1%0Aretry:%201", 400, "invalid_topic"],
    ["/sse?topic=match/%F0%9F%8F%9F", 400, "invalid_topic"],
    ["/sse?topic=match/%ff", 400, "invalid_topic"],
    ["/sse?topic=match/0", 400, "invalid_topic"],
    ["/sse?topic=match/007", 400, "invalid_topic"],
    ["/sse?topic=match/-1", 400, "invalid_topic"],
    ["/sse?topic=match/99999999999999999999", 400, "invalid_topic"],
    [`/sse?topic=note/${"x".repeat(124)}`, 400, "invalid_topic"],
    ["/sse?topic=match/1&topic=note/a", 400, "invalid_request"],
    ["/sse?topic=match/1&topic=match/2&topic=match/3&since=a&since=b", 400, "invalid_request"],
    ["/sse?topic=match/1&envelope=maybe", 400, "invalid_request"],
    [`/sse?${repeat(101)}`, 400, "too_many_topics"],
    ["/ws", 400, "invalid_request"],
    ["/topics/nope", 404, "unknown_topic"],
    ["/topics/match/0", 400, "invalid_topic"],
    ["/topics/match/..%2f..%2fx", 400, "invalid_topic"],
    ["/nope", 404, "not_found"],
  ];

  test("is refused with a code and a text", async ({ relay }) => {
    for (const [path, status, code] of refused) {
      const reply = await ask(relay.url, path);
      expect
        .soft([path, reply.status, reply.json()])
        .toEqual([
          path,
          status,
          { error: expect.objectContaining({ code, message: expect.stringMatching(/\w/) }) },
        ]);
    }
  });

  test("may climb: some runtimes tidy such a path up first", async ({ relay }) => {
    const reply = await ask(relay.url, "/topics/match/../../x");
    expect([reply.status, reply.json()]).toSatisfy(
      ([status, { error }]) =>
        (status === 404 && error.code === "not_found") ||
        (status === 400 && error.code === "invalid_topic"),
    );
  });

  test("disturbs nobody else", async ({ relay, puppet }) => {
    const stream = await openSse(`${relay.url}/sse?topic=note/calm`);
    const socket = await openWs(`${relay.url}/ws`);
    await Promise.all([stream.opening(), socket.subscribe("note/calm")]);
    await Promise.all(refused.map(([path]) => ask(relay.url, path)));
    // A runtime may just hang up on a line that long.
    const tooLong = await ask(relay.url, `/sse?${repeat(10_000)}`).catch(() => undefined);
    expect(tooLong?.status ?? 400).toBeGreaterThanOrEqual(400);
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
      const { status } = await ask(relay.url, "/sse?topic=note/calm", { method });
      expect.soft([method, status < 500]).toEqual([method, true]);
    }
    await Promise.all(NONSENSE.map((bytes) => sendBytes(relay.url, bytes)));

    puppet.push("Note", '[{"id":"calm"}]');
    expect(brief(await stream.events.next())).toEqual(["Note", { id: "calm" }]);
    expect(await socket.messages.next()).toMatchObject({ data: { id: "calm" } });
    expect((await ask(relay.url, "/healthz")).status).toBe(200);
  });

  describe("an upgrade", () => {
    test("of another path is no WebSocket", async ({ relay }) => {
      await expect(openWs(`${relay.url}/nope`)).rejects.toThrow("404");
      await expect(openWs(`${relay.url}/sse`)).rejects.toThrow("400");
    });

    test("from a page of somebody else is refused", async ({ relay }) => {
      const open = openWs(`${relay.url}/ws`, { origin: "https://elsewhere.example" });
      await expect(open).rejects.toThrow("403");
      await openWs(`${relay.url}/ws`, { origin: relay.url });
    });

    test("that breaks off in the middle of a frame is forgotten", async ({ relay }) => {
      const opening = [
        "GET /ws HTTP/1.1",
        "Host: relay",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        `Sec-WebSocket-Key: ${Buffer.alloc(16).toString("base64")}`,
      ];
      const halfFrame = "\u0081\u00ff"; // text, masked, 8 bytes of length to follow
      await sendBytes(relay.url, `${opening.join("\r\n")}\r\n\r\n${halfFrame}`);
      expect((await ask(relay.url, "/healthz")).status).toBe(200);
    });
  });
}

const NONSENSE = [
  "NONSENSE\r\n\r\n",
  "GET /sse HTTP/1.1\r\n",
  "GET /sse?topic=match/1 HTTP/9.9\r\nHost: relay\r\n\r\n",
  "GET /ws HTTP/1.1\r\nHost: relay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
  "POST /hubs/live/negotiate HTTP/1.1\r\nHost: relay\r\nContent-Length: 10\r\n\r\nhalf",
  "\u0000\u0001\u0002\u0003",
];

/** Sends bytes on a connection of their own, and hangs up once something has come back. */
async function sendBytes(url: string, latin1: string): Promise<void> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on("error", () => {}); // a close follows
  socket.write(latin1, "latin1");
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, 200); // to half a request nothing comes
    const done = () => {
      clearTimeout(timer);
      resolve();
    };
    socket.once("data", done);
    socket.once("close", done);
  });
  socket.resetAndDestroy();
}

function repeat(count: number): string {
  return Array.from({ length: count }, (_, i) => `topic=note/${i}`).join("&");
}
