/** Stateful clients whose line is cut again and again, and who come back wherever it leads them. */

import { HttpTransportType } from "@microsoft/signalr";
import { expect } from "vitest";
import { openLossyWire } from "./lossy-wire.ts";
import type { Origin } from "./origins.ts";
import { createStockClient, hearAll, inTurns, range, type StockClient } from "./stock-client.ts";

const CLIENTS = 20;
const CUTS = 3;
const PUBLICATIONS = 50;
const WAY = { transport: HttpTransportType.WebSockets, packed: false };

/** Sees that they hear everything once and in order, and can still ask. @param url of the relays */
export async function loseNothing(origin: Origin, url: string, match: number): Promise<void> {
  const wire = await openLossyWire(url);
  const failures: string[] = [];
  const clients: StockClient[] = [];
  await inTurns(CLIENTS, async () => {
    const client = createStockClient(`${wire.url}/hubs/live`, WAY, { failures, stateful: true });
    clients.push(client);
    await client.connection.start();
    await client.connection.invoke("JoinMatch", match);
  });
  const { first } = await origin.publish(match, PUBLICATIONS);
  let last = 0;
  for (let round = 0; round < CUTS; round++) {
    wire.hold();
    await origin.publish(match, 5);
    wire.release();
    ({ last } = await origin.publish(match, PUBLICATIONS, 20));
    await hearAll(clients, last);
  }
  for (const { heard } of clients) expect(heard).toEqual(range(first, last));
  for (const { connection } of clients) await connection.invoke("GetMatch", match);
  expect(failures).toEqual([]);
}
