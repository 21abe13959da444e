/** A server that is told to end, with SIGTERM. */

import { type Peer, sleep } from "../../support/transcript/peer.ts";
import { HANDSHAKE, textOf } from "../../support/transcript/socket-peer.ts";

/** @param told resolves once the server was told, which it is when all scripts wait for it */
type EndingScript = (peer: Peer, told: () => Promise<void>) => Promise<unknown>;

export const shutdowns: Readonly<Record<string, EndingScript>> = {
  "shutdown: a WebSocket": async (peer, told) => {
    const socket = await peer.open("/hubs/plain");
    await told();
    await socket.ended();
  },
  "shutdown: an event stream": async (peer, told) => {
    const target = await peer.negotiate("/hubs/plain");
    const events = await peer.stream(target);
    await peer.ask(`POST ${target}`, { body: textOf(HANDSHAKE) });
    await events.take(2);
    await told();
    await events.ended();
  },
  "shutdown: a poll": async (peer, told) => {
    const target = await peer.negotiate("/hubs/plain");
    await peer.ask(`GET ${target}`);
    await peer.ask(`POST ${target}`, { body: textOf(HANDSHAKE) });
    await peer.ask(`GET ${target}`);
    const poll = fetch(peer.url + target);
    await sleep(100);
    await told();
    // ASP.NET Core's answer is a Close or, one time in three, 204.
    const { ok } = await poll;
    peer.transcript.add(ok ? "answered" : "refused");
  },
};
