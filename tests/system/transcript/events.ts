/** Server-Sent Events. */

import { type Peer, sleep } from "../../support/transcript/peer.ts";
import { HANDSHAKE, textOf } from "../../support/transcript/socket-peer.ts";
import type { Cases } from "./case.ts";

const call = (target: string, ...args: readonly unknown[]) => ({
  type: 1,
  invocationId: "1",
  target,
  arguments: args,
});

/** A connection after its handshake. */
async function open(peer: Peer) {
  const target = await peer.negotiate("/hubs/plain");
  const events = await peer.stream(target);
  await peer.ask(`POST ${target}`, { body: textOf(HANDSHAKE) });
  await events.take(2);
  const post = (record: object | string) => peer.ask(`POST ${target}`, { body: textOf(record) });
  return { target, events, post };
}

export const events: Cases = {
  "an event stream and its handshake": (peer) => open(peer),
  "a result is one event": async (peer) => {
    const { events, post } = await open(peer);
    await post(call("Echo", "a"));
    await events.take(1);
  },
  "line feeds in a result": async (peer) => {
    const { events, post } = await open(peer);
    await post(call("Echo", "a\r\nb\n"));
    await events.take(1);
  },
  "a large result is one event": async (peer) => {
    const { events, post } = await open(peer);
    await post(call("Big", 300_000));
    await events.take(1);
  },
  "an event stream ends with the client's Close": async (peer) => {
    const { events, post, target } = await open(peer);
    await post({ type: 7 });
    await events.ended();
    await sleep(100);
    await peer.ask(`POST ${target}`, { body: textOf(call("Echo", "a")) });
    await peer.ask(`GET ${target}`, { headers: { Accept: "text/event-stream" } });
  },
  "an event stream ends with a bad record": async (peer) => {
    const { events, post } = await open(peer);
    await post("{}");
    await events.ended();
  },
  "an event stream ends when the hub aborts": async (peer) => {
    const { events, post } = await open(peer);
    await post(call("Abort"));
    await events.ended();
  },
  "an event stream ends with a refused handshake": async (peer) => {
    const target = await peer.negotiate("/hubs/plain");
    const events = await peer.stream(target);
    await peer.ask(`POST ${target}`, { body: textOf({ protocol: "xml", version: 1 }) });
    await events.ended();
  },
  "a protocol that only the relay speaks, over an event stream": async (peer) => {
    const target = await peer.negotiate("/hubs/plain");
    const events = await peer.stream(target);
    await peer.ask(`POST ${target}`, { body: textOf({ protocol: "messagepack", version: 1 }) });
    await events.ended();
  },
  "an id is gone with its event stream": async (peer) => {
    const { events, target } = await open(peer);
    events.tcp.cut();
    await sleep(300);
    await peer.ask(`POST ${target}`, { body: textOf(call("Echo", "a")) });
    await peer.ask(`GET ${target}`, { headers: { Accept: "text/event-stream" } });
  },
  "an id is gone with its half-closed event stream": async (peer) => {
    const { events, target } = await open(peer);
    events.tcp.finish();
    await sleep(300);
    await peer.ask(`POST ${target}`, { body: textOf(call("Echo", "a")) });
  },
};
