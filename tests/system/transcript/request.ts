/** `GET`, `POST` and `DELETE` of a hub: which are taken for what, and which are refused. */

import { HANDSHAKE, textOf } from "../../support/transcript/socket-peer.ts";
import { UPGRADE } from "../../support/transcript/websocket.ts";
import { type Cases, each } from "./case.ts";

const EVENTS = { Accept: "text/event-stream" };
const NO_ID = "/hubs/plain";
const UNKNOWN = "/hubs/plain?id=nope";

export const requests: Cases = {
  ...each(
    { "no id": NO_ID, "an empty id": `${NO_ID}?id=`, "an unknown id": UNKNOWN },
    (name) => `poll: ${name}`,
    (target) => (peer) => peer.ask(`GET ${target}`),
  ),
  ...each(
    { "no id": NO_ID, "an empty id": `${NO_ID}?id=`, "an unknown id": UNKNOWN },
    (name) => `events: ${name}`,
    (target) => (peer) => peer.ask(`GET ${target}`, { headers: EVENTS }),
  ),
  "websocket: an unknown id": (peer) => peer.upgrade(UNKNOWN),
  ...each(
    ["POST", "DELETE"],
    (method) => `${method}: no id`,
    (method) => (peer) => peer.ask(`${method} ${NO_ID}`, { body: textOf(HANDSHAKE) }),
  ),
  ...each(
    ["POST", "DELETE"],
    (method) => `${method}: an unknown id`,
    (method) => (peer) => peer.ask(`${method} ${UNKNOWN}`),
  ),
  ...each(
    { "no id": NO_ID, "an empty id": `${NO_ID}?id=`, "a path in capitals": "/HUBS/Plain" },
    (name) => `websocket: ${name}`,
    (target) => async (peer) => {
      const socket = await peer.upgrade(target);
      socket.send(HANDSHAKE);
      await socket.sync();
    },
  ),
  "websocket: a slash behind": async (peer) => {
    const socket = await peer.upgrade("/hubs/plain/");
    socket.send(HANDSHAKE);
    await socket.sync();
  },
  ...each(
    ["OPTIONS", "HEAD", "PUT", "PATCH", "TRACE", "FOO"],
    (method) => `${method}: no id`,
    (method) => (peer) => peer.ask(`${method} ${NO_ID}`),
  ),
  ...each(
    ["OPTIONS", "HEAD", "PUT", "PATCH"],
    (method) => `${method}: a good id`,
    (method) => async (peer) => peer.ask(`${method} ${await peer.negotiate("/hubs/plain")}`),
  ),
  "a preflight for DELETE": (peer) =>
    peer.ask(`OPTIONS ${UNKNOWN}`, {
      headers: { Origin: "http://example.com", "Access-Control-Request-Method": "DELETE" },
    }),

  "two ids": async (peer) => {
    const target = await peer.negotiate("/hubs/plain");
    await peer.ask(`GET ${target}&${target.split("?")[1]}`);
  },
  "ID in capitals": async (peer) => {
    const target = await peer.negotiate("/hubs/plain");
    await peer.ask(`GET ${target.replace("id=", "ID=")}`);
  },
  "an id whose case was changed": async (peer) => {
    const [hub, token = ""] = (await peer.negotiate("/hubs/plain")).split("?id=");
    const other = token.replace(/[a-z]/i, (one) =>
      one === one.toLowerCase() ? one.toUpperCase() : one.toLowerCase(),
    );
    peer.transcript.mask(other, "<other>");
    await peer.ask(`GET ${hub}?id=${other}`);
  },
  "the connectionId in place of the token": async (peer) => {
    const { text } = await peer.ask("POST /hubs/plain/negotiate?negotiateVersion=1");
    const { connectionId } = JSON.parse(text) as { connectionId: string };
    peer.transcript.mask(connectionId, "<connection>");
    await peer.ask(`GET /hubs/plain?id=${connectionId}`);
  },
  "the connectionId of version 0": async (peer) => {
    const target = await peer.negotiate("/hubs/plain", "");
    await peer.ask(`GET ${target}`);
  },
  "a token at another hub": async (peer) => {
    const target = await peer.negotiate("/hubs/plain");
    await peer.ask(`GET ${target.replace("/hubs/plain", "/hubs/detailed")}`);
  },

  ...each(
    {
      "text/event-stream;q=0.5": "text/event-stream;q=0.5",
      "text/event-stream; charset=utf-8": "text/event-stream; charset=utf-8",
      "text/event-streamx": "text/event-streamx",
      "*/*": "*/*",
    },
    (accept) => `Accept: ${accept} is a poll`,
    (Accept) => async (peer) =>
      peer.ask(`GET ${await peer.negotiate("/hubs/plain")}`, { headers: { Accept } }),
  ),
  ...each(
    ["*/*, text/event-stream", "TEXT/Event-Stream", "text/html,text/event-stream ,a/b"],
    (accept) => `Accept: ${accept} is an event stream`,
    (Accept) => async (peer) => {
      const events = await peer.stream(await peer.negotiate("/hubs/plain"), { Accept });
      await events.take(1);
    },
  ),
  "an upgrade that accepts events is an event stream": async (peer) => {
    const target = await peer.negotiate("/hubs/plain");
    const events = await peer.stream(target, { ...UPGRADE, ...EVENTS });
    await events.take(1);
  },
  ...each(
    {
      "version 12": { ...UPGRADE, "Sec-WebSocket-Version": "12" },
      "no key": { Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13" },
      "a short key": { ...UPGRADE, "Sec-WebSocket-Key": "c2hvcnQ=" },
      "no Connection: Upgrade": { ...UPGRADE, Connection: "close" },
      "another protocol": { ...UPGRADE, Upgrade: "h2c" },
    },
    (name) => `an upgrade with ${name} is a poll without id`,
    (headers) => (peer) => peer.ask(`GET ${NO_ID}`, { headers }),
  ),
  "an upgrade with version 12 is a poll": async (peer) => {
    const headers = { ...UPGRADE, "Sec-WebSocket-Version": "12" };
    await peer.ask(`GET ${await peer.negotiate("/hubs/plain")}`, { headers });
  },
  ...each(
    {
      "Upgrade: WebSocket": { Upgrade: "WebSocket" },
      "Connection: keep-alive, Upgrade": { Connection: "keep-alive, Upgrade" },
      "a subprotocol and compression": {
        "Sec-WebSocket-Protocol": "a, b",
        "Sec-WebSocket-Extensions": "permessage-deflate",
      },
      "a web origin": { Origin: "http://example.com" },
    },
    (name) => `websocket: ${name}`,
    (headers) => async (peer) => {
      const socket = await peer.upgrade("/hubs/plain", headers);
      socket.send(HANDSHAKE);
      await socket.take(1);
    },
  ),
  "websocket: with the handshake in the same segment": async (peer) => {
    const socket = await peer.upgrade(await peer.negotiate("/hubs/plain"));
    socket.send(HANDSHAKE);
    await socket.sync();
  },

  ...each(
    { poll: {}, events: EVENTS, websocket: UPGRADE },
    (name) => `only WebSockets: ${name}, no id`,
    (headers) => (peer) =>
      headers === UPGRADE
        ? peer.upgrade("/hubs/ws-only")
        : peer.ask("GET /hubs/ws-only", { headers }),
  ),
  ...each(
    { poll: {}, events: EVENTS },
    (name) => `only WebSockets: ${name}, an unknown id`,
    (headers) => (peer) => peer.ask("GET /hubs/ws-only?id=nope", { headers }),
  ),
  ...each(
    { poll: {}, events: EVENTS },
    (name) => `only WebSockets: ${name}, a good id`,
    (headers) => async (peer) => {
      const target = await peer.negotiate("/hubs/ws-only");
      await peer.ask(`GET ${target}`, { headers });
      await peer.ask(`POST ${target}`, { body: textOf(HANDSHAKE) });
      const socket = await peer.upgrade(target);
      await socket.sync();
    },
  ),
  "only long polling: websocket, no id": (peer) => peer.upgrade("/hubs/lp-only"),
  "only long polling: websocket, an unknown id": (peer) => peer.upgrade("/hubs/lp-only?id=nope"),
  "only long polling: websocket and events, a good id": async (peer) => {
    const target = await peer.negotiate("/hubs/lp-only");
    await peer.upgrade(target);
    await peer.ask(`GET ${target}`, { headers: EVENTS });
    await peer.ask(`GET ${target}`);
  },
  "only events: a poll with a good id": async (peer) => {
    const target = await peer.negotiate("/hubs/sse-only");
    await peer.ask(`GET ${target}`);
  },

  "a polled id does not become another transport's": async (peer) => {
    const target = await peer.negotiate("/hubs/plain");
    await peer.ask(`GET ${target}`);
    await peer.ask(`GET ${target}`, { headers: EVENTS });
    await peer.upgrade(target);
    await peer.ask(`POST ${target}`, { body: textOf(HANDSHAKE) });
    await peer.ask(`GET ${target}`);
  },
  "a WebSocket's id does not become another transport's": async (peer) => {
    const target = await peer.negotiate("/hubs/plain");
    const socket = await peer.upgrade(target);
    await peer.ask(`GET ${target}`);
    await peer.ask(`GET ${target}`, { headers: EVENTS });
    await peer.ask(`POST ${target}`, { body: textOf(HANDSHAKE) });
    await peer.ask(`DELETE ${target}`);
    await peer.upgrade(target);
    socket.send(HANDSHAKE);
    await socket.sync();
  },
  "an event stream's id does not become another transport's": async (peer) => {
    const target = await peer.negotiate("/hubs/plain");
    const events = await peer.stream(target);
    await events.take(1);
    await peer.ask(`GET ${target}`);
    await peer.upgrade(target);
    await peer.ask(`GET ${target}`, { headers: EVENTS });
    await peer.ask(`DELETE ${target}`);
    await peer.ask(`POST ${target}`, { body: textOf(HANDSHAKE) });
    await events.take(1);
  },
  "DELETE: an id without a transport": async (peer) => {
    const target = await peer.negotiate("/hubs/plain");
    await peer.ask(`DELETE ${target}`);
    await peer.ask(`GET ${target}`);
  },

  "no user at a poll": async (peer) => {
    const target = await peer.negotiate("/hubs/secure", "negotiateVersion=1&access_token=ada");
    await peer.ask(`GET ${target}`);
  },
  "no user at a WebSocket with an id": async (peer) => {
    const target = await peer.negotiate("/hubs/secure", "negotiateVersion=1&access_token=ada");
    const socket = await peer.upgrade(target);
    socket.send(HANDSHAKE);
    await socket.ended();
  },
  "a user at a WebSocket with an id": async (peer) => {
    const target = await peer.negotiate("/hubs/secure", "negotiateVersion=1&access_token=ada");
    const socket = await peer.upgrade(`${target}&access_token=ada`);
    socket.send(HANDSHAKE);
    await socket.sync();
  },
  "websocket: no user, no id": (peer) => peer.upgrade("/hubs/secure"),
  "websocket: a user, no id": async (peer) => {
    const socket = await peer.upgrade("/hubs/secure?access_token=ada");
    socket.send(HANDSHAKE);
    await socket.sync();
  },
  "no such path": (peer) => peer.ask("GET /hubs/none"),
  "an upgrade of no such path": (peer) => peer.upgrade("/hubs/none"),
  "an upgrade of a path that is no URL": (peer) => peer.upgrade("//"),
};
