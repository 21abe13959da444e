/** A wire that can be cut: what a client in a lift has for a network. */

import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { onTestFinished } from "vitest";

export interface Wire {
  /** The relay's URL as seen through the wire. */
  readonly url: string;
  /** Connections made so far. */
  readonly connections: number;
  /** Cuts every connection that passes through it now, without a goodbye. */
  cut(): void;
}

/** Puts a wire in front of an http server; it ends with the test. */
export async function openWire(url: string): Promise<Wire> {
  const { hostname, port } = new URL(url);
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((client) => {
    connections++;
    const relay = connect(Number(port), hostname);
    for (const [one, other] of [
      [client, relay],
      [relay, client],
    ] as const) {
      sockets.add(one);
      one.on("error", () => {}); // a close follows
      one.on("close", () => {
        sockets.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const cut = () => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  onTestFinished(async () => {
    cut();
    await new Promise((resolve) => server.close(resolve));
  });
  const address = server.address() as AddressInfo; // of a TCP server, never a string
  return {
    url: `http://127.0.0.1:${address.port}`,
    get connections() {
      return connections;
    },
    cut,
  };
}
