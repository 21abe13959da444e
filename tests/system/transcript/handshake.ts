/** The first record of a connection, over WebSockets. */

import { sleep } from "../../support/transcript/peer.ts";
import { textOf } from "../../support/transcript/socket-peer.ts";
import { OPCODE } from "../../support/transcript/websocket.ts";
import { type Cases, each } from "./case.ts";

const HELLO = '{"protocol":"json","version":1}';
const echo = (id: string, text: string) => ({
  type: 1,
  invocationId: id,
  target: "Echo",
  arguments: [text],
});

/** MessagePack's `[6]` and `[7, nil]`, each behind its length. */
const PACKED_PING = Buffer.from([2, 0x91, 6]);
const PACKED_CLOSE = Buffer.from([3, 0x92, 7, 0xc0]);

/** A handshake of so many bytes, its separator not counted. */
function sized(bytes: number): string {
  const head = '{"protocol":"json","version":1,"x":"';
  return `${head}${"a".repeat(bytes - head.length - 2)}"}`;
}

function nested(depth: number): string {
  return `{"x":${"[".repeat(depth)}${"]".repeat(depth)},"protocol":"json","version":1}`;
}

export const handshakes: Cases = {
  ...each(
    {
      plain: HELLO,
      "version -1": '{"protocol":"json","version":-1}',
      "version 0": '{"protocol":"json","version":0}',
      "version 2": '{"protocol":"json","version":2}',
      "the version first": '{"version":1,"protocol":"json"}',
      "the protocol in capitals": '{"protocol":"JSON","version":1}',
      "the protocol twice": '{"protocol":"xml","protocol":"json","version":1}',
      "the version twice": '{"protocol":"json","version":7,"version":1}',
      "escapes in the name": '{"p\\u0072otocol":"json","version":1}',
      "escapes in the value": '{"protocol":"\\u006ason","version":1}',
      "an unknown field": '{"protocol":"json","version":1,"x":{"y":[1,2]}}',
      "a type": '{"type":1,"protocol":"json","version":1}',
      "space around": ' \n{ "protocol" : "json" , "version" : 1 }\t',
      "something behind": `${HELLO}x`,
      "a second object behind": `${HELLO}{}`,
      "62 arrays in each other": nested(62),
      "63 arrays in each other": nested(63),
    },
    (name) => `handshake: ${name}`,
    (text) => async (peer) => {
      const socket = await peer.upgrade("/hubs/plain");
      socket.send(text);
      await socket.sync();
    },
  ),
  ...each(
    {
      "version 3": '{"protocol":"json","version":3}',
      "version 3 in capitals": '{"protocol":"JSON","version":3}',
      "the largest version": '{"protocol":"json","version":2147483647}',
      "a version above 32 bits": '{"protocol":"json","version":99999999999}',
      "version 1.0": '{"protocol":"json","version":1.0}',
      "version 1e0": '{"protocol":"json","version":1e0}',
      'version "1"': '{"protocol":"json","version":"1"}',
      "version null": '{"protocol":"json","version":null}',
      "protocol xml": '{"protocol":"xml","version":1}',
      "protocol XML, version 3": '{"protocol":"XML","version":3}',
      "an empty protocol": '{"protocol":"","version":1}',
      "a protocol in quotes": '{"protocol":"a\\"b\\u003c\\u00e9","version":1}',
      "protocol null": '{"protocol":null,"version":1}',
      "protocol 1": '{"protocol":1,"version":1}',
      "no protocol": '{"version":1}',
      "no version": '{"protocol":"json"}',
      "Protocol in capitals": '{"Protocol":"json","version":1}',
      "64 arrays in each other": nested(64),
      "an empty object": "{}",
      "an array": "[]",
      "a number": "1",
      "an empty record": "",
      garbage: "garbage",
      "a ping": '{"type":6}',
      "a mark of byte order": `\ufeff${HELLO}`,
      "a comment": `/**/${HELLO}`,
      "a trailing comma": '{"protocol":"json","version":1,}',
      "no end of the object": '{"protocol":"json","version":1',
    },
    (name) => `refused handshake: ${name}`,
    (text) => async (peer) => {
      const socket = await peer.upgrade("/hubs/plain");
      socket.send(text);
      await socket.ended();
    },
  ),
  ...each(
    { "is not JSON": "hello", "has no protocol": '{"version":1}', "is an array": "[]" },
    (name) => `refused handshake with details: it ${name}`,
    (text) => async (peer) => {
      const socket = await peer.upgrade("/hubs/detailed");
      socket.send(text);
      await socket.ended();
    },
  ),
  "a protocol that only the relay speaks": async (peer) => {
    const socket = await peer.upgrade("/hubs/plain");
    socket.send({ protocol: "messagepack", version: 1 });
    await socket.ended();
  },
  "a binary protocol is answered in a binary frame, and so is its Close": async (peer) => {
    const socket = await peer.upgrade("/hubs/binary");
    socket.send({ protocol: "messagepack", version: 1 });
    await socket.take(1);
    socket.frame(OPCODE.binary, PACKED_PING);
    socket.frame(OPCODE.binary, PACKED_CLOSE);
    await socket.ended();
  },
  "a binary protocol over an event stream": async (peer) => {
    const target = await peer.negotiate("/hubs/binary");
    const events = await peer.stream(target);
    await peer.ask(`POST ${target}`, { body: textOf({ protocol: "MessagePack", version: 1 }) });
    await events.ended();
  },
  "a binary protocol over long polling": async (peer) => {
    const target = await peer.negotiate("/hubs/binary");
    await peer.ask(`GET ${target}`);
    await peer.ask(`POST ${target}`, { body: textOf({ protocol: "messagepack", version: 1 }) });
    await peer.ask(`GET ${target}`);
    await peer.ask(`POST ${target}`, { body: PACKED_CLOSE });
    await sleep(200);
    await peer.ask(`GET ${target}`);
    await peer.ask(`GET ${target}`);
  },
  "the largest handshake": async (peer) => {
    const socket = await peer.upgrade("/hubs/plain");
    socket.send(sized(32_767));
    await socket.sync();
  },
  "a handshake that is too large": async (peer) => {
    const socket = await peer.upgrade("/hubs/plain");
    socket.send(sized(32_768));
    await socket.ended();
  },
  "a handshake that is too large before its end": async (peer) => {
    const socket = await peer.upgrade("/hubs/plain");
    socket.text(sized(32_769));
    await socket.ended();
  },
  "a handshake in two frames": async (peer) => {
    const socket = await peer.upgrade("/hubs/plain");
    socket.text(HELLO.slice(0, 9));
    socket.send(HELLO.slice(9));
    await socket.sync();
  },
  "a handshake in a binary frame": async (peer) => {
    const socket = await peer.upgrade("/hubs/plain");
    socket.frame(OPCODE.binary, textOf(HELLO));
    await socket.sync();
  },
  "a handshake with calls behind it": async (peer) => {
    const socket = await peer.upgrade("/hubs/plain");
    socket.send(HELLO, echo("1", "a"), echo("2", "b"));
    await socket.take(3);
  },
  "a handshake with a part of a call behind it": async (peer) => {
    const socket = await peer.upgrade("/hubs/plain");
    const text = textOf(HELLO, echo("1", "a"));
    socket.text(text.slice(0, 40));
    socket.text(text.slice(40));
    await socket.take(2);
  },
  "a handshake twice": async (peer) => {
    const socket = await peer.upgrade("/hubs/plain");
    socket.send(HELLO, HELLO);
    await socket.ended();
  },
  "a call before the handshake": async (peer) => {
    const socket = await peer.upgrade("/hubs/plain");
    socket.send(echo("1", "a"), HELLO);
    await socket.ended();
  },
  "the hub fails to connect": async (peer) => {
    const socket = await peer.upgrade("/hubs/plain?fail=connect");
    socket.send(HELLO);
    await socket.ended();
  },
  "a Close before the handshake": async (peer) => {
    const socket = await peer.upgrade("/hubs/plain");
    socket.frame(OPCODE.close, Buffer.from([0x03, 0xe8]));
    await socket.ended();
  },
  "TCP ends before the handshake": async (peer) => {
    const socket = await peer.upgrade("/hubs/plain");
    socket.tcp.finish();
    await socket.ended();
  },
};
