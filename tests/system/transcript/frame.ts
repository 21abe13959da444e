/** WebSocket frames below the hub's messages. */

import { sleep } from "../../support/transcript/peer.ts";
import { textOf } from "../../support/transcript/socket-peer.ts";
import { OPCODE, type printFrame } from "../../support/transcript/websocket.ts";
import { type Cases, each } from "./case.ts";

const HUB = "/hubs/plain";
const ECHO = textOf({ type: 1, invocationId: "1", target: "Echo", arguments: ["aéb"] });
const { continuation, text, binary, close, ping, pong } = OPCODE;

function closeWith(code: number, reason = ""): Buffer {
  return Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from(reason)]);
}

export const frames: Cases = {
  "a call over two frames": async (peer) => {
    const socket = await peer.open(HUB);
    socket.frame(text, ECHO.slice(0, 20));
    socket.frame(text, ECHO.slice(20));
    await socket.take(1);
  },
  "a call in three fragments": async (peer) => {
    const socket = await peer.open(HUB);
    socket.frame(text, ECHO.slice(0, 20), { fin: false });
    socket.frame(continuation, ECHO.slice(20, 30), { fin: false });
    socket.frame(continuation, ECHO.slice(30));
    await socket.take(1);
  },
  "a ping between fragments": async (peer) => {
    const socket = await peer.open(HUB);
    socket.frame(text, ECHO.slice(0, 20), { fin: false });
    socket.frame(ping, "between");
    socket.frame(continuation, ECHO.slice(20));
    await socket.take(2);
  },
  "a character over two fragments": async (peer) => {
    const socket = await peer.open(HUB);
    const bytes = Buffer.from(ECHO);
    const cut = bytes.indexOf(0xc3) + 1;
    socket.frame(text, bytes.subarray(0, cut), { fin: false });
    socket.frame(continuation, bytes.subarray(cut));
    await socket.take(1);
  },
  "a character over two binary frames": async (peer) => {
    const socket = await peer.open(HUB);
    const bytes = Buffer.from(ECHO);
    const cut = bytes.indexOf(0xc3) + 1;
    socket.frame(binary, bytes.subarray(0, cut));
    socket.frame(binary, bytes.subarray(cut));
    await socket.take(1);
  },
  "a call half in text and half in binary": async (peer) => {
    const socket = await peer.open(HUB);
    socket.frame(text, ECHO.slice(0, 20));
    socket.frame(binary, ECHO.slice(20));
    await socket.take(1);
  },
  "calls in text and binary in turn": async (peer) => {
    const socket = await peer.open(HUB);
    for (const opcode of [text, binary, text]) {
      socket.frame(opcode, ECHO);
      await socket.take(1);
    }
  },
  "bytes that are not UTF-8 in a binary frame": async (peer) => {
    const socket = await peer.open(HUB);
    const [head = "", tail = ""] = ECHO.split("é");
    socket.frame(
      binary,
      Buffer.concat([Buffer.from(head), Buffer.from([0xff]), Buffer.from(tail)]),
    );
    await socket.sync();
  },
  "an empty frame": async (peer) => {
    const socket = await peer.open(HUB);
    socket.frame(text);
    socket.frame(binary);
    await socket.sync();
  },
  "a ping is answered": async (peer) => {
    const socket = await peer.open(HUB);
    socket.frame(ping, "hello");
    socket.frame(ping);
    await socket.take(2);
    await socket.sync();
  },
  "a pong that nobody asked for": async (peer) => {
    const socket = await peer.open(HUB);
    socket.frame(pong, "hello");
    await socket.sync();
  },

  "text that is not UTF-8": async (peer) => {
    const socket = await peer.open(HUB);
    socket.frame(text, Buffer.from([0xff, 0xfe]));
    await socket.ended();
  },
  ...each<Parameters<typeof printFrame>>(
    {
      "a reserved opcode": [3, "a"],
      "a reserved control opcode": [11, "a"],
      "a reserved bit": [text, ECHO, { rsv: 4 }],
      "a continuation of nothing": [continuation, ECHO],
      "a ping of 126 bytes": [ping, "a".repeat(126)],
      "a ping in fragments": [ping, "a", { fin: false }],
    },
    (name) => `against RFC 6455: ${name}`,
    (frame) => async (peer) => {
      const socket = await peer.open(HUB);
      socket.frame(...frame);
      await socket.ended();
    },
  ),
  "against RFC 6455: a frame that is not masked": async (peer) => {
    const socket = await peer.open(HUB);
    socket.frame(text, ECHO, { masked: false });
    await socket.ended("end"); // a reset may overtake the close frame
  },
  "against RFC 6455: a message inside another": async (peer) => {
    const socket = await peer.open(HUB);
    socket.frame(text, ECHO.slice(0, 20), { fin: false });
    socket.frame(text, ECHO);
    await socket.ended();
  },

  ...each(
    {
      "without a code": Buffer.alloc(0),
      "with 1000": closeWith(1000),
      "with 1000 and a reason": closeWith(1000, "bye"),
      "with 1001": closeWith(1001),
      "with 1002": closeWith(1002),
      "with 1011": closeWith(1011),
      "with 3000": closeWith(3000),
      "with 4321": closeWith(4321),
      "with 999": closeWith(999),
      "with 1005": closeWith(1005),
      "with 1006": closeWith(1006),
      "with 5000": closeWith(5000),
      "with one byte": Buffer.from([3]),
      "with a reason that is not UTF-8": Buffer.concat([closeWith(1000), Buffer.from([0xff])]),
    },
    (name) => `the client closes the WebSocket ${name}`,
    (payload) => async (peer) => {
      const socket = await peer.open(HUB);
      socket.frame(close, payload);
      await socket.ended();
    },
  ),
  "an id is gone with its WebSocket": async (peer) => {
    const target = await peer.negotiate(HUB);
    const socket = await peer.upgrade(target);
    socket.send({ protocol: "json", version: 1 });
    await socket.take(1);
    socket.frame(close, closeWith(1000));
    await socket.ended();
    await sleep(100);
    await peer.upgrade(target);
  },
  "an id is gone with its WebSocket's TCP connection": async (peer) => {
    const target = await peer.negotiate(HUB);
    const socket = await peer.upgrade(target);
    socket.send({ protocol: "json", version: 1 });
    await socket.take(1);
    socket.tcp.cut();
    await sleep(300);
    await peer.upgrade(target);
  },
  "TCP ends without a close frame": async (peer) => {
    const socket = await peer.open(HUB);
    socket.tcp.finish();
    await socket.ended();
  },
};
