/** Stateful reconnect. */

import { type Peer, sleep } from "../../support/transcript/peer.ts";
import type { SocketPeer } from "../../support/transcript/socket-peer.ts";
import { OPCODE, UPGRADE } from "../../support/transcript/websocket.ts";
import { type Cases, each } from "./case.ts";

const HELLO = { protocol: "json", version: 2 };
const echo = (id: string) => ({ type: 1, invocationId: id, target: "Echo", arguments: [id] });

/** A stateful connection after its handshake. */
async function open(peer: Peer, handshake: object = HELLO) {
  const query = "negotiateVersion=1&useStatefulReconnect=true";
  const target = await peer.negotiate("/hubs/stateful", query);
  const socket = await peer.upgrade(target);
  socket.send(handshake);
  await socket.take(1);
  return { target, socket };
}

/** Cuts it, and comes back. */
async function comeBack(peer: Peer, target: string, socket: SocketPeer) {
  socket.tcp.cut();
  await sleep(200);
  return peer.upgrade(target);
}

export const stateful: Cases = {
  "stateful: an Ack": async (peer) => {
    const { socket } = await open(peer);
    socket.send(echo("1"), echo("2"));
    await socket.take(2);
    await socket.acked(2);
  },
  "stateful: pings are not acked": async (peer) => {
    const { socket } = await open(peer);
    socket.send(echo("1"), { type: 6 }, { type: 6 });
    await socket.take(1);
    await socket.acked(1);
  },
  "stateful: coming back": async (peer) => {
    const { socket, target } = await open(peer);
    socket.send(echo("1"), echo("2"));
    await socket.take(2);
    const next = await comeBack(peer, target, socket);
    await next.take(3);
    next.send({ type: 9, sequenceId: 3 });
    await next.sync();
  },
  "stateful: coming back when nothing was sent": async (peer) => {
    const { socket, target } = await open(peer);
    const next = await comeBack(peer, target, socket);
    await next.take(1);
    next.send({ type: 9, sequenceId: 1 });
    await next.sync();
  },
  "stateful: coming back after an Ack": async (peer) => {
    const { socket, target } = await open(peer);
    for (const id of ["1", "2", "3"]) {
      socket.send(echo(id));
      await socket.take(1);
    }
    socket.send({ type: 8, sequenceId: 2 });
    await socket.sync();
    const next = await comeBack(peer, target, socket);
    await next.take(3);
  },
  "stateful: what was resent is not done twice": async (peer) => {
    const { socket, target } = await open(peer);
    socket.send(echo("1"), echo("2"));
    await socket.take(2);
    const next = await comeBack(peer, target, socket);
    await next.take(3);
    next.send({ type: 9, sequenceId: 1 }, echo("1"), echo("2"), echo("3"));
    await next.take(1);
    await next.acked(3);
  },
  "stateful: what comes without a Sequence": async (peer) => {
    const { socket, target } = await open(peer);
    socket.send(echo("1"));
    await socket.take(1);
    const next = await comeBack(peer, target, socket);
    await next.take(2);
    next.send(echo("2"));
    await next.take(1);
  },
  "stateful: a gap in the Sequence": async (peer) => {
    const { socket, target } = await open(peer);
    socket.send(echo("1"));
    await socket.take(1);
    const next = await comeBack(peer, target, socket);
    await next.take(2);
    next.send({ type: 9, sequenceId: 4 });
    await next.ended();
    await peer.upgrade(target);
  },
  "stateful: a Sequence on the first connection": async (peer) => {
    const { socket } = await open(peer);
    socket.send({ type: 9, sequenceId: 1 }, echo("1"));
    await socket.take(1);
    socket.send({ type: 9, sequenceId: 5 });
    await socket.ended();
  },
  ...each(
    ["0", "-1"],
    (id) => `stateful: Sequence ${id}`,
    (id) => async (peer) => {
      const { socket } = await open(peer);
      socket.send(echo("1"));
      await socket.take(1);
      socket.send(`{"type":9,"sequenceId":${id}}`, echo("2"));
      await socket.during(300);
    },
  ),
  ...each(
    ["0", "-1"],
    (id) => `stateful: Ack ${id}`,
    (id) => async (peer) => {
      const { socket, target } = await open(peer);
      socket.send(echo("1"));
      await socket.take(1);
      socket.send(`{"type":8,"sequenceId":${id}}`, echo("2"));
      await socket.take(1);
      const next = await comeBack(peer, target, socket);
      await next.take(3);
    },
  ),
  "stateful: an Ack of what was not sent": async (peer) => {
    const { socket, target } = await open(peer);
    socket.send(echo("1"));
    await socket.take(1);
    socket.send({ type: 8, sequenceId: 100 }, echo("2"));
    await socket.take(1);
    const next = await comeBack(peer, target, socket);
    await next.take(1);
  },
  "stateful: a result while nobody is there": async (peer) => {
    const { socket, target } = await open(peer);
    socket.send({ type: 1, invocationId: "1", target: "Slow", arguments: [200] });
    await sleep(50);
    socket.tcp.cut();
    await sleep(400);
    const next = await peer.upgrade(target);
    await next.take(2);
  },
  "stateful: a TCP connection that ends politely": async (peer) => {
    const { socket, target } = await open(peer);
    socket.send(echo("1"));
    await socket.take(1);
    socket.tcp.finish();
    await socket.ended();
    const next = await peer.upgrade(target);
    await next.take(2);
  },
  "stateful: the handshake on the second socket": async (peer) => {
    const query = "negotiateVersion=1&useStatefulReconnect=true";
    const target = await peer.negotiate("/hubs/stateful", query);
    const first = await peer.upgrade(target);
    first.tcp.cut();
    await sleep(200);
    const second = await peer.upgrade(target);
    second.send(HELLO);
    await second.take(1);
  },
  ...each(
    {
      "without a code": Buffer.alloc(0),
      "with 1000": Buffer.from([0x03, 0xe8]),
      "with 1001": Buffer.from([0x03, 0xe9]),
      "with 4000": Buffer.from([0x0f, 0xa0]),
    },
    (name) => `stateful: nobody comes back after a close frame ${name}`,
    (payload) => async (peer) => {
      const { socket, target } = await open(peer);
      socket.frame(OPCODE.close, payload);
      await socket.ended();
      await sleep(100);
      await peer.upgrade(target);
    },
  ),
  "stateful: nobody comes back after a broken frame": async (peer) => {
    const { socket, target } = await open(peer);
    socket.frame(OPCODE.continuation, "a");
    await socket.ended();
    await sleep(100);
    await peer.upgrade(target);
  },
  "stateful: nobody comes back after a Close": async (peer) => {
    const { socket, target } = await open(peer);
    socket.send({ type: 7 });
    await socket.ended();
    await sleep(100);
    await peer.upgrade(target);
  },
  "stateful: nobody comes back after a fatal record": async (peer) => {
    const { socket, target } = await open(peer);
    socket.send({});
    await socket.ended();
    await sleep(100);
    await peer.upgrade(target);
  },
  "stateful: not with handshake version 1": async (peer) => {
    const { socket, target } = await open(peer, { protocol: "json", version: 1 });
    await peer.upgrade(target);
    socket.send(echo("1"));
    await socket.take(1);
    socket.tcp.cut();
    await sleep(200);
    await peer.upgrade(target);
  },
  "stateful: asked for in the WebSocket's URL alone": async (peer) => {
    const socket = await peer.upgrade("/hubs/stateful?useStatefulReconnect=true");
    socket.send(HELLO, echo("1"));
    await socket.take(2);
    await socket.during(1_300);
  },
  "stateful: the second socket comes when the first is dead": async (peer) => {
    const { socket, target } = await open(peer);
    socket.send(echo("1"));
    await socket.take(1);
    socket.tcp.cut();
    const next = await peer.upgrade(target);
    await next.take(2);
  },
  "stateful: the first socket answers that it closes": async (peer) => {
    const { socket, target } = await open(peer);
    const second = await peer.start(`GET ${target}`, { headers: UPGRADE });
    await socket.ended();
    await second.answer();
    await peer.upgrade(target);
  },
  "stateful: more than is kept": async (peer) => {
    const { socket } = await open(peer);
    for (const invocationId of ["1", "2", "3"]) {
      socket.send({ type: 1, invocationId, target: "Big", arguments: [60_000] });
    }
    await socket.during(400);
    peer.transcript.add("acked:");
    socket.send({ type: 8, sequenceId: 1 });
    await socket.during(400);
  },
  "stateful: a POST and a poll": async (peer) => {
    const { target } = await open(peer);
    await peer.ask(`POST ${target}`, { body: "a" });
    await peer.ask(`GET ${target}`);
  },
};
