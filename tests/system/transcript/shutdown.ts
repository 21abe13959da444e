/** The server is told to end: each script plays up to there, and goes on once it was told. */

import { type Peer, sleep } from "../../support/transcript/peer.ts";
import { HANDSHAKE, textOf } from "../../support/transcript/socket-peer.ts";

/** @returns what is to be done once the server was told */
export type Prelude = (peer: Peer) => Promise<() => Promise<unknown>>;

export const shutdowns: Readonly<Record<string, Prelude>> = {
  "shutdown: a WebSocket": async (peer) => {
    const socket = await peer.open("/hubs/plain");
    return () => socket.ended();
  },
  "shutdown: an event stream": async (peer) => {
    const target = await peer.negotiate("/hubs/plain");
    const events = await peer.stream(target);
    await peer.ask(`POST ${target}`, { body: textOf(HANDSHAKE) });
    await events.take(2);
    return () => events.ended();
  },
  "shutdown: a poll": async (peer) => {
    const target = await peer.negotiate("/hubs/plain");
    await peer.ask(`GET ${target}`);
    await peer.ask(`POST ${target}`, { body: textOf(HANDSHAKE) });
    await peer.ask(`GET ${target}`);
    const poll = await peer.start(`GET ${target}`);
    await sleep(100);
    return () => poll.answer();
  },
};
