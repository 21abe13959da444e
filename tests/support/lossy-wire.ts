/** A wire that fails as networks do: one end alone, or for a while. */

import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { onTestFinished } from "vitest";

export interface LossyWire {
  /** The relay's URL as seen through the wire. */
  readonly url: string;
  /** Cuts every connection for the client alone: the relay hears nothing, not even that. */
  strand(): void;
  /** Cuts every connection, and lets the ones that are made from now on wait for `release`. */
  hold(): void;
  release(): void;
}

/** Puts a wire in front of an http server; it ends with the test. */
export async function openLossyWire(url: string): Promise<LossyWire> {
  const { hostname, port } = new URL(url);
  const clients = new Set<Socket>();
  const relays = new Set<Socket>();
  let held: (() => void)[] | undefined;

  function pass(client: Socket): void {
    const relay = connect(Number(port), hostname);
    relays.add(relay);
    relay.on("error", () => {}); // a close follows
    relay.on("close", () => {
      relays.delete(relay);
      client.destroy();
    });
    client.on("end", () => relay.end());
    client.on("data", (chunk) => relay.write(chunk));
    relay.on("data", (chunk) => client.write(chunk));
  }

  const server = createServer({ allowHalfOpen: true }, (client) => {
    clients.add(client);
    client.on("error", () => {}); // a close follows
    client.on("close", () => clients.delete(client));
    if (held) held.push(() => pass(client));
    else pass(client);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));

  function strand(): void {
    for (const client of clients) client.resetAndDestroy();
  }
  function cut(): void {
    strand();
    for (const relay of relays) relay.resetAndDestroy();
  }
  onTestFinished(async () => {
    cut();
    await new Promise((resolve) => server.close(resolve));
  });
  const address = server.address() as AddressInfo; // of a TCP server, never a string
  return {
    url: `http://127.0.0.1:${address.port}`,
    strand,
    hold() {
      held = [];
      cut();
    },
    release() {
      for (const go of held ?? []) go();
      held = undefined;
    },
  };
}
