/** Long polling. */

import { type Peer, sleep } from "../../support/transcript/peer.ts";
import { HANDSHAKE, textOf } from "../../support/transcript/socket-peer.ts";
import type { Cases } from "./case.ts";

const HELLO = textOf(HANDSHAKE);
const echo = (id: string, text: string) => ({
  type: 1,
  invocationId: id,
  target: "Echo",
  arguments: [text],
});

/** A connection after its handshake. */
async function open(peer: Peer, hub = "/hubs/plain", query?: string): Promise<string> {
  const target = await peer.negotiate(hub, query);
  await peer.ask(`GET ${target}`);
  await peer.ask(`POST ${target}`, { body: HELLO });
  await peer.ask(`GET ${target}`);
  return target;
}

/** A poll that waits already when what comes next is sent. */
async function pending(peer: Peer, target: string) {
  const poll = await peer.start(`GET ${target}`);
  await sleep(100);
  return poll;
}

export const polling: Cases = {
  "a handshake posted behind the first poll": (peer) => open(peer),
  "polling in version 0": (peer) => open(peer, "/hubs/plain", ""),
  "a handshake posted before the first poll": async (peer) => {
    const target = await peer.negotiate("/hubs/plain");
    await peer.ask(`POST ${target}`, { body: HELLO });
    await peer.ask(`GET ${target}`);
    await peer.ask(`GET ${target}`);
  },
  "a handshake posted before a WebSocket": async (peer) => {
    const target = await peer.negotiate("/hubs/plain");
    await peer.ask(`POST ${target}`, { body: HELLO });
    const socket = await peer.upgrade(target);
    await socket.sync();
  },
  "a handshake posted before an event stream": async (peer) => {
    const target = await peer.negotiate("/hubs/plain");
    await peer.ask(`POST ${target}`, { body: HELLO });
    const events = await peer.stream(target);
    await events.take(2);
  },
  "a parameter against caches": async (peer) => {
    const target = await peer.negotiate("/hubs/plain");
    await peer.ask(`GET ${target}&_=1700000000000`);
    await peer.ask(`POST ${target}`, { body: HELLO });
    await peer.ask(`GET ${target}&_=1700000000001`);
  },
  "two calls in one POST": async (peer) => {
    const target = await open(peer);
    await peer.ask(`POST ${target}`, { body: textOf(echo("1", "a"), echo("2", "b")) });
    await sleep(300);
    await peer.ask(`GET ${target}`);
  },
  "a poll that waits for its data": async (peer) => {
    const target = await open(peer);
    const poll = await pending(peer, target);
    await peer.ask(`POST ${target}`, { body: textOf(echo("1", "a")) });
    await poll.answer();
  },
  "a newer poll supersedes the older": async (peer) => {
    const target = await open(peer);
    const older = await pending(peer, target);
    const newer = await pending(peer, target);
    await older.answer();
    await peer.ask(`POST ${target}`, { body: textOf(echo("1", "a")) });
    await newer.answer();
  },
  "a poll that was cut leaves its data to the next": async (peer) => {
    const target = await open(peer);
    const poll = await pending(peer, target);
    poll.tcp.cut();
    await sleep(100);
    await peer.ask(`POST ${target}`, { body: textOf(echo("1", "a")) });
    await sleep(200);
    await peer.ask(`GET ${target}`);
  },
  "a large result comes in one poll": async (peer) => {
    const target = await open(peer);
    const call = { type: 1, invocationId: "1", target: "Big", arguments: [300_000] };
    await peer.ask(`POST ${target}`, { body: textOf(call) });
    await peer.ask(`GET ${target}`);
  },
  "an empty POST": async (peer) => {
    const target = await open(peer);
    await peer.ask(`POST ${target}`, { body: "" });
    await peer.ask(`POST ${target}`);
    await peer.ask(`POST ${target}`, { body: textOf(echo("1", "a")) });
    await peer.ask(`GET ${target}`);
  },
  "a message over two POSTs": async (peer) => {
    const target = await open(peer);
    const text = textOf(echo("1", "over two"));
    await peer.ask(`POST ${target}`, { body: text.slice(0, 20) });
    await peer.ask(`POST ${target}`, { body: text.slice(20) });
    await peer.ask(`GET ${target}`);
  },
  "a chunked POST": async (peer) => {
    const target = await open(peer);
    const text = textOf(echo("1", "chunked"));
    await peer.ask(`POST ${target}`, {
      headers: { "Transfer-Encoding": "chunked" },
      body: `a\r\n${text.slice(0, 10)}\r\n${(text.length - 10).toString(16)}\r\n${text.slice(10)}\r\n0\r\n\r\n`,
    });
    await peer.ask(`GET ${target}`);
  },
  "a POST waits for the one before": async (peer) => {
    const target = await open(peer);
    const [first, second] = [textOf(echo("1", "a")), textOf(echo("2", "b"))];
    const slow = await peer.start(`POST ${target}`, {
      headers: { "Content-Length": String(first.length) },
      body: first.slice(0, 10),
    });
    await sleep(100);
    const fast = await peer.start(`POST ${target}`, { body: second });
    await sleep(200);
    slow.tcp.write(first.slice(10));
    await slow.answer();
    await fast.answer();
    await sleep(300);
    await peer.ask(`GET ${target}`);
  },
  "a POST with broken chunks does not end the connection": async (peer) => {
    const target = await open(peer);
    const post = await peer.start(`POST ${target}`, {
      headers: { "Transfer-Encoding": "chunked" },
      body: "zz\r\nnonsense\r\n",
    });
    await post.answer();
    await post.ended();
    await peer.ask(`POST ${target}`, { body: textOf(echo("1", "a")) });
    await peer.ask(`GET ${target}`);
  },
  "a POST that is cut counts as far as it came": async (peer) => {
    const target = await open(peer);
    const text = textOf(echo("1", "a"));
    const post = await peer.start(`POST ${target}`, {
      headers: { "Content-Length": "1000" },
      body: text,
    });
    await sleep(200);
    post.tcp.cut();
    await peer.ask(`GET ${target}`);
  },
  "polls end with the client's Close": async (peer) => {
    const target = await open(peer);
    await peer.ask(`POST ${target}`, { body: textOf({ type: 7 }) });
    await sleep(200);
    await peer.ask(`GET ${target}`);
    await peer.ask(`GET ${target}`);
    await peer.ask(`GET ${target}`);
  },
  "a POST behind the client's Close": async (peer) => {
    const target = await open(peer);
    await peer.ask(`POST ${target}`, { body: textOf({ type: 7 }) });
    await sleep(200);
    await peer.ask(`POST ${target}`, { body: textOf(echo("1", "a")) });
    await peer.ask(`GET ${target}`);
    await peer.ask(`GET ${target}`);
    await peer.ask(`POST ${target}`, { body: textOf(echo("1", "a")) });
  },
  "a poll waits while the client closes": async (peer) => {
    const target = await open(peer);
    const poll = await pending(peer, target);
    await peer.ask(`POST ${target}`, { body: textOf({ type: 7 }) });
    await poll.answer();
    await peer.ask(`GET ${target}`);
  },
  "polls end with a bad record": async (peer) => {
    const target = await open(peer);
    await peer.ask(`POST ${target}`, { body: textOf("garbage") });
    await sleep(200);
    await peer.ask(`GET ${target}`);
    await peer.ask(`GET ${target}`);
    await peer.ask(`GET ${target}`);
  },
  "polls end with a refused handshake": async (peer) => {
    const target = await peer.negotiate("/hubs/plain");
    await peer.ask(`GET ${target}`);
    await peer.ask(`POST ${target}`, { body: textOf({ protocol: "xml", version: 1 }) });
    await sleep(200);
    await peer.ask(`GET ${target}`);
    await peer.ask(`GET ${target}`);
    await peer.ask(`GET ${target}`);
  },
  "polls end when the hub aborts": async (peer) => {
    const target = await open(peer);
    const poll = await pending(peer, target);
    const abort = { type: 1, invocationId: "1", target: "Abort", arguments: [] };
    await peer.ask(`POST ${target}`, { body: textOf(abort) });
    await poll.answer();
    await sleep(200);
    await peer.ask(`GET ${target}`);
  },
  "DELETE while a poll waits": async (peer) => {
    const target = await open(peer);
    const poll = await pending(peer, target);
    await peer.ask(`DELETE ${target}`);
    await poll.answer();
    await peer.ask(`GET ${target}`);
  },
  "DELETE before the handshake, while a poll waits": async (peer) => {
    const target = await peer.negotiate("/hubs/plain");
    await peer.ask(`GET ${target}`);
    const poll = await pending(peer, target);
    await peer.ask(`DELETE ${target}`);
    await poll.answer();
    await peer.ask(`GET ${target}`);
  },
  "DELETE without a poll": async (peer) => {
    const target = await open(peer);
    await peer.ask(`DELETE ${target}`);
    await sleep(200);
    await peer.ask(`GET ${target}`);
    await peer.ask(`POST ${target}`, { body: textOf(echo("1", "a")) });
  },
  "DELETE twice": async (peer) => {
    const target = await open(peer);
    await peer.ask(`DELETE ${target}`);
    await sleep(200);
    await peer.ask(`DELETE ${target}`);
  },
  "a result after a hub failure at the end": async (peer) => {
    const target = await peer.negotiate("/hubs/plain", "negotiateVersion=1&fail=disconnect");
    await peer.ask(`GET ${target}&fail=disconnect`);
    await peer.ask(`POST ${target}`, { body: HELLO });
    await peer.ask(`GET ${target}`);
    await peer.ask(`POST ${target}`, { body: textOf({ type: 7 }) });
    await sleep(200);
    await peer.ask(`GET ${target}`);
    await peer.ask(`GET ${target}`);
    await peer.ask(`GET ${target}`);
  },
  "four polls on one TCP connection": async (peer) => {
    const target = await open(peer);
    await peer.ask(`POST ${target}`, { body: textOf(echo("1", "a")) });
    const poll = await peer.start(`GET ${target}`);
    await poll.answer();
    poll.tcp.write(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await peer.ask(`POST ${target}`, { body: textOf(echo("2", "b")) });
    await poll.answer();
  },
};
