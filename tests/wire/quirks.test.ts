/**
 * Clients that are less exact than Microsoft's, by the bytes they send. signalrcore for Python
 * negotiates without a version, spaces its JSON, shakes hands in version 0, and posts its handshake
 * before its first poll.
 */

import { afterEach, beforeEach, expect, test } from "vitest";
import { systemClock } from "../../lib/clock.ts";
import { createEndpoint, type Endpoint, TRANSPORTS } from "../../lib/downstream/endpoint.ts";
import type { HubConnection, HubHandler } from "../../lib/downstream/hub.ts";
import { answerNegotiation } from "../../lib/downstream/negotiation.ts";
import { createTokens } from "../../lib/downstream/token.ts";
import type { SocketHandler, Upgrade } from "../../lib/socket.ts";
import { createWheel, type Wheel } from "../../lib/wheel.ts";
import type { Raw } from "../../lib/wire/hub.ts";
import { jsonProtocol } from "../../lib/wire/json.ts";
import { createSocket } from "../support/fake-socket.ts";

const HUB = "http://relay.test/hubs/live";
const HANDSHAKE = '{"protocol": "json", "version": 0}\u001e';
const CALL =
  '{"type": 1, "headers": {}, "target": "Echo", "arguments": ["a"], "invocationId": "5"}\u001e';
const ANSWER = '{"type":3,"invocationId":"5","result":"a"}\u001e';

const transports = TRANSPORTS.map(({ transport }) => transport);
const tokens = createTokens({ secret: "x".repeat(16), owner: "owner", now: systemClock.now });
let wheel: Wheel;
let endpoint: Endpoint;

beforeEach(() => {
  wheel = createWheel(systemClock);
  endpoint = createEndpoint({
    clock: systemClock,
    wheel,
    limits: {
      connections: 10,
      messageBytes: 32_768,
      handshakeTimeoutMs: 15_000,
      keepAliveMs: 15_000,
      clientTimeoutMs: 30_000,
      pollTimeoutMs: 90_000,
      disconnectTimeoutMs: 15_000,
      closeTimeoutMs: 5_000,
      statefulBytes: 100_000,
    },
    protocols: [jsonProtocol],
    transports,
    identify: tokens.read,
    serve: () => ({ open: echo }),
    onOpened() {},
    onClosed() {},
    onReceived() {},
  });
});
afterEach(() => wheel.stop());

/** A hub whose only method gives its first argument back. */
function echo(connection: HubConnection<Raw>): HubHandler<Raw> {
  return {
    onMessage(message) {
      if (message.type !== "invocation" || message.invocationId === undefined) return;
      const { invocationId, values } = message;
      connection.send({ type: "completion", invocationId, result: JSON.stringify(values[0]) });
    },
    onClose() {},
  };
}

/** Negotiates as signalrcore does. @returns the hub's URL with the id that it goes on with */
async function negotiate(): Promise<string> {
  const request = new Request(`${HUB}/negotiate`, { method: "POST" });
  const response = await answerNegotiation(request, {
    tokens,
    transports,
    stateful: true,
    admit: () => ({ connectionId: "public", origin: undefined, cookies: [] }),
  });
  const offer: unknown = await response.json();
  expect(offer).toEqual({
    negotiateVersion: 0,
    connectionId: expect.stringMatching(/^[\w-]+$/),
    availableTransports: TRANSPORTS,
  });
  return `${HUB}?id=${(offer as { connectionId: string }).connectionId}`;
}

function post(url: string, body: string): Promise<Response> {
  return endpoint.handle(new Request(url, { method: "POST", body }), { upgrade: undefined });
}

function get(url: string, headers: Record<string, string> = {}): Promise<Response> {
  return endpoint.handle(new Request(url, { headers }), { upgrade: undefined });
}

test("over WebSockets: no negotiateVersion, and a handshake of version 0", async () => {
  const url = await negotiate();
  const socket = createSocket();
  let client: SocketHandler | undefined;
  const upgrade: Upgrade = (accept) => {
    client = accept(socket);
    return new Response(null);
  };
  await endpoint.handle(new Request(url), { upgrade });
  client?.message(HANDSHAKE);
  client?.message(CALL);
  expect(socket.take()).toEqual(["{}\u001e", ANSWER]);
  client?.message('{"type": 7}\u001e');
  expect(socket.take()).toEqual(['{"type":7}\u001e']);
  expect(socket.closed).toBe("1000");
});

test("a WebSocket client may send text as binary frames, as Java's does", async () => {
  const socket = createSocket();
  let client: SocketHandler | undefined;
  const upgrade: Upgrade = (accept) => {
    client = accept(socket);
    return new Response(null);
  };
  await endpoint.handle(new Request(HUB), { upgrade });
  const bytes = (text: string) => new TextEncoder().encode(text);
  client?.message(bytes('{"protocol":"json","version":1}\u001e'));
  client?.message(bytes(CALL));
  expect(socket.frames).toEqual(["{}\u001e", ANSWER]);
});

test("over Long Polling: the handshake is posted before the first poll", async () => {
  const url = await negotiate();
  const posted = await post(url, HANDSHAKE);
  expect([posted.status, await posted.text()]).toEqual([200, ""]);
  const first = await get(url);
  expect([first.status, await first.text()]).toEqual([200, ""]);
  expect(first.headers.get("content-type")).toBe("application/octet-stream");
  const second = await get(url);
  expect(await second.text()).toBe("{}\u001e");
  expect((await post(url, CALL)).status).toBe(200);
  expect(await (await get(url)).text()).toBe(ANSWER);
  expect(
    (await endpoint.handle(new Request(url, { method: "DELETE" }), { upgrade: undefined })).status,
  ).toBe(202);
});

test("over Server-Sent Events: the handshake is posted before the stream is asked for", async () => {
  const url = await negotiate();
  expect((await post(url, HANDSHAKE)).status).toBe(200);
  const stream = await get(url, { accept: "text/event-stream" });
  expect(stream.headers.get("content-type")).toBe("text/event-stream");
  expect((await post(url, CALL)).status).toBe(200);
  const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader();
  let seen = "";
  const expected = `:\r\ndata: {}\u001e\r\n\r\ndata: ${ANSWER}\r\n\r\n`;
  while (seen.length < expected.length) seen += (await reader?.read())?.value;
  expect(seen).toBe(expected);
  await reader?.cancel();
});
