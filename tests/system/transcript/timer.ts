/** What happens when nothing happens. To be played to servers with the timers of `TIMERS`. */

import { sleep } from "../../support/transcript/peer.ts";
import { HANDSHAKE, textOf } from "../../support/transcript/socket-peer.ts";
import { OPCODE, UPGRADE } from "../../support/transcript/websocket.ts";
import type { Cases } from "./case.ts";

/** SignalR's timers for these cases, ms. .NET looks at most of them once a second. */
export const TIMERS = {
  handshake: 1_000,
  keepAlive: 1_000,
  client: 2_000,
  poll: 1_000,
  disconnect: 2_000,
  close: 1_000,
} as const;

const HELLO = textOf(HANDSHAKE);
const HUB = "/hubs/plain";
const echo = { type: 1, invocationId: "1", target: "Echo", arguments: ["a"] };
const slow = (ms: number) => ({ type: 1, invocationId: "1", target: "Slow", arguments: [ms] });

export const timers: Cases = {
  "time: no handshake": async (peer) => {
    const socket = await peer.upgrade(HUB);
    await peer.timed(900, 2_500, () => socket.ended());
  },
  "time: no handshake over an event stream": async (peer) => {
    const events = await peer.stream(await peer.negotiate(HUB));
    await peer.timed(900, 2_500, () => events.ended());
  },
  "time: no handshake over long polling": async (peer) => {
    const target = await peer.negotiate(HUB);
    await peer.ask(`GET ${target}`);
    await sleep(1_500);
    await peer.ask(`GET ${target}`);
    await peer.ask(`GET ${target}`);
  },
  "time: a poll without data": async (peer) => {
    const target = await peer.negotiate(HUB);
    await peer.ask(`GET ${target}`);
    await peer.ask(`POST ${target}`, { body: HELLO });
    await peer.ask(`GET ${target}`);
    await peer.timed(900, 2_000, () => peer.ask(`GET ${target}`));
    await peer.ask(`POST ${target}`, { body: textOf(echo) });
    await peer.ask(`GET ${target}`);
  },
  "time: a negotiated connection that nobody claims": async (peer) => {
    const target = await peer.negotiate(HUB);
    await sleep(4_500);
    await peer.ask(`GET ${target}`);
    await peer.upgrade(target);
  },
  "time: a negotiated connection that is only posted to": async (peer) => {
    const target = await peer.negotiate(HUB);
    await peer.ask(`POST ${target}`, { body: HELLO });
    await sleep(4_500);
    await peer.ask(`POST ${target}`, { body: textOf(echo) });
  },
  "time: nobody polls any more, though they post": async (peer) => {
    const target = await peer.negotiate(HUB);
    await peer.ask(`GET ${target}`);
    await peer.ask(`POST ${target}`, { body: HELLO });
    await peer.ask(`GET ${target}`);
    for (let posts = 0; posts < 9; posts++) {
      await sleep(500);
      if (posts < 3) await peer.ask(`POST ${target}`, { body: "" });
    }
    await peer.ask(`POST ${target}`, { body: "" });
    await peer.ask(`GET ${target}`);
  },
  "time: polls keep a silent connection": async (peer) => {
    const target = await peer.negotiate(HUB);
    await peer.ask(`GET ${target}`);
    await peer.ask(`POST ${target}`, { body: HELLO });
    for (let polls = 0; polls < 5; polls++) await peer.ask(`GET ${target}`);
    await peer.ask(`POST ${target}`, { body: textOf(echo) });
    await peer.ask(`GET ${target}`);
  },
  "time: one ping is held against a client that polls": async (peer) => {
    const target = await peer.negotiate(HUB);
    await peer.ask(`GET ${target}`);
    await peer.ask(`POST ${target}`, { body: HELLO });
    await peer.ask(`GET ${target}`);
    await peer.ask(`POST ${target}`, { body: textOf({ type: 6 }) });
    // How many polls go without data until then is a matter of time.
    let body = "";
    while (body === "") body = await (await fetch(peer.url + target)).text();
    peer.transcript.add(body);
  },
  "time: pings of a WebSocket": async (peer) => {
    const socket = await peer.open(HUB);
    await peer.timed(1_000, 4_500, () => socket.pings(2));
  },
  "time: pings of an event stream": async (peer) => {
    const target = await peer.negotiate(HUB);
    const events = await peer.stream(target);
    await peer.ask(`POST ${target}`, { body: HELLO });
    await events.take(2);
    await peer.timed(1_000, 4_500, () => events.pings(2));
  },
  "time: no ping before the handshake": async (peer) => {
    const socket = await peer.upgrade(HUB);
    await sleep(500);
    socket.send(HANDSHAKE);
    await socket.take(1);
  },
  "time: a client that has pinged, and then nothing": async (peer) => {
    const socket = await peer.open(HUB);
    socket.send({ type: 6 });
    await peer.timed(1_900, 4_500, () => socket.ended());
  },
  "time: a client that does not answer the close frame": async (peer) => {
    const socket = await peer.open(HUB);
    socket.ignoreClose();
    socket.send({ type: 7 });
    await socket.take(2);
    await peer.timed(900, 3_000, () => socket.ended());
  },
  "time: a client that has never pinged": async (peer) => {
    const socket = await peer.open(HUB);
    await sleep(4_500);
    await socket.sync();
  },
  "time: a client that pings": async (peer) => {
    const socket = await peer.open(HUB);
    for (let pings = 0; pings < 5; pings++) {
      socket.send({ type: 6 });
      await sleep(900);
    }
    await socket.sync();
  },
  "time: WebSocket pings do not count": async (peer) => {
    const socket = await peer.open(HUB);
    socket.send({ type: 6 });
    await peer.timed(1_900, 3_600, async () => {
      for (let pings = 0; pings < 3; pings++) {
        await sleep(600);
        socket.frame(OPCODE.ping, "hello");
      }
      await socket.ended();
    });
  },
  "time: a part of a record does not count": async (peer) => {
    const socket = await peer.open(HUB);
    socket.send({ type: 6 });
    await peer.timed(1_900, 3_600, async () => {
      for (const part of ['{"type":6,"x":"', "a", "a"]) {
        await sleep(600);
        socket.text(part);
      }
      await socket.ended();
    });
  },
  "time: a call that runs does not excuse its client": async (peer) => {
    const socket = await peer.open(HUB);
    socket.send({ type: 6 }, slow(5_500));
    await socket.ended();
  },
  "time: a stateful client that does not come back": async (peer) => {
    const query = "negotiateVersion=1&useStatefulReconnect=true";
    const target = await peer.negotiate("/hubs/stateful", query);
    const socket = await peer.upgrade(target);
    socket.send({ protocol: "json", version: 2 });
    await socket.take(1);
    socket.tcp.cut();
    await sleep(4_500);
    await peer.upgrade(target);
  },
  "time: a stateful client that comes back in time": async (peer) => {
    const query = "negotiateVersion=1&useStatefulReconnect=true";
    const target = await peer.negotiate("/hubs/stateful", query);
    const socket = await peer.upgrade(target);
    socket.send({ protocol: "json", version: 2 });
    await socket.take(1);
    socket.tcp.cut();
    await sleep(1_000);
    const next = await peer.upgrade(target);
    await next.take(1);
    next.send({ type: 9, sequenceId: 1 });
    await next.sync();
  },
  "time: a stateful client that came back in time, and is silent": async (peer) => {
    const query = "negotiateVersion=1&useStatefulReconnect=true";
    const target = await peer.negotiate("/hubs/stateful", query);
    const socket = await peer.upgrade(target);
    socket.send({ protocol: "json", version: 2 });
    await socket.take(1);
    socket.tcp.cut();
    await sleep(1_000);
    const next = await peer.upgrade(target);
    await next.take(1);
    await sleep(4_000);
    next.send({ type: 9, sequenceId: 1 });
    await next.sync();
  },
  "time: a stateful client whose old socket is silent": async (peer) => {
    const query = "negotiateVersion=1&useStatefulReconnect=true";
    const target = await peer.negotiate("/hubs/stateful", query);
    const socket = await peer.upgrade(target);
    socket.send({ protocol: "json", version: 2 });
    await socket.take(1);
    socket.ignoreClose();
    await peer.timed(900, 2_500, async () => {
      const next = await peer.upgrade(target);
      await next.take(1);
    });
    await socket.ended();
  },
  "time: a stateful client whose old socket goes late": async (peer) => {
    const query = "negotiateVersion=1&useStatefulReconnect=true";
    const target = await peer.negotiate("/hubs/stateful", query);
    const socket = await peer.upgrade(target);
    socket.ignoreClose();
    socket.send({ protocol: "json", version: 2 });
    await socket.take(1);
    const next = await peer.upgrade(target);
    await next.take(1);
    socket.tcp.cut();
    await sleep(4_000);
    next.send({ type: 9, sequenceId: 1 }, echo);
    await next.take(1);
  },
  "time: a third socket while the second waits": async (peer) => {
    const query = "negotiateVersion=1&useStatefulReconnect=true";
    const target = await peer.negotiate("/hubs/stateful", query);
    const socket = await peer.upgrade(target);
    socket.send({ protocol: "json", version: 2 });
    await socket.take(1);
    const [second] = await Promise.all([
      peer.start(`GET ${target}`, { headers: UPGRADE }),
      sleep(500),
    ]);
    await peer.upgrade(target);
    await second.answer();
  },
};
