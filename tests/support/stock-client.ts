/** Stock SignalR clients by the hundred, each with what it has heard and what has gone wrong. */

import {
  type HttpClient,
  HttpTransportType,
  type HubConnection,
  HubConnectionBuilder,
  JsonHubProtocol,
  LogLevel,
} from "@microsoft/signalr";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";
import { onTestFinished } from "vitest";
import { eventually } from "./eventually.ts";

/** How a client speaks. */
export interface Way {
  readonly transport: HttpTransportType;
  readonly packed: boolean;
}

/** Those whose every request may reach another isolate. SSE carries text only. */
export const HTTP_WAYS: readonly Way[] = [
  { transport: HttpTransportType.ServerSentEvents, packed: false },
  { transport: HttpTransportType.LongPolling, packed: false },
  { transport: HttpTransportType.LongPolling, packed: true },
];

export const WAYS: readonly Way[] = [
  ...HTTP_WAYS,
  { transport: HttpTransportType.WebSockets, packed: false },
  { transport: HttpTransportType.WebSockets, packed: true },
];

export interface StockClient {
  readonly way: Way;
  readonly connection: HubConnection;
  /** The sequences of its pushes. */
  readonly heard: readonly number[];
  fail(error: unknown): void;
}

/** Clients that are on their way at one time. */
const IN_TURN = 25;

/** How long a busy machine may take for what all clients are to hear, ms. */
const PATIENCE_MS = 60_000;

/**
 * @param options.failures is told what goes wrong, an end that has an error among it
 * @param options.retryDelaysMs of automatic reconnect; none without
 */
export function createStockClient(
  url: string,
  way: Way,
  options: {
    readonly failures: string[];
    readonly stateful?: boolean;
    readonly retryDelaysMs?: readonly number[];
    readonly httpClient?: HttpClient;
  },
): StockClient {
  const { failures, stateful = false, retryDelaysMs, httpClient } = options;
  const { transport, packed } = way;
  const builder = new HubConnectionBuilder()
    .withUrl(url, { transport, ...(httpClient ? { httpClient } : {}) })
    .withHubProtocol(packed ? new MessagePackHubProtocol() : new JsonHubProtocol())
    .configureLogging(LogLevel.None);
  if (stateful) builder.withStatefulReconnect();
  if (retryDelaysMs) builder.withAutomaticReconnect([...retryDelaysMs]);
  const connection = builder.build();
  const heard: number[] = [];
  connection.on("OddsChanged", ({ sequence }: { sequence: number }) => heard.push(sequence));
  const fail = (error: unknown) => {
    failures.push(`${HttpTransportType[transport]}${packed ? ", packed" : ""}: ${error}`);
  };
  connection.onclose((error) => error && fail(error));
  onTestFinished(() => connection.stop());
  return { way, connection, heard, fail };
}

/** Does something so many times, a bounded number of them at one time. */
export async function inTurns(count: number, work: (i: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: IN_TURN }, worker));
}

/** Waits until all have heard this one. */
export async function hearAll(clients: readonly StockClient[], last: number): Promise<void> {
  await eventually(
    () => clients.filter(({ heard }) => heard.at(-1) !== last).length,
    (missing) => missing === 0,
    PATIENCE_MS,
  );
}

/** All numbers from the first to the last. */
export function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}
