/** Several isolates in one, each with an endpoint of one hub, that meet on a bus. */

import { onTestFinished } from "vitest";
import { createManualClock, type ManualClock } from "../../lib/clock.ts";
import type { Identity } from "../../lib/downstream/connections.ts";
import { createEndpoint, TRANSPORTS } from "../../lib/downstream/endpoint.ts";
import type { HubConnection, HubHandler } from "../../lib/downstream/hub.ts";
import { PROTOCOLS } from "../../lib/downstream/hub-format.ts";
import type { SocketHandler } from "../../lib/socket.ts";
import { createWheel } from "../../lib/wheel.ts";
import type { Raw } from "../../lib/wire/hub.ts";
import { createFakeBus, type FakeBus } from "../support/fake-bus.ts";
import { createSocket, type FakeSocket } from "../support/fake-socket.ts";
import { turn } from "../support/turn.ts";

export interface Isolates {
  readonly clock: ManualClock;
  readonly bus: FakeBus;
  /** A token, as one isolate issues it. */
  negotiate(owner: string, options?: { readonly stateful?: boolean }): string;
  /** What an isolate answers, as soon as it does. */
  request(
    isolate: string,
    method: string,
    token: string,
    init?: RequestInit & { readonly duplex?: "half" },
  ): Promise<Response>;
  /** What an isolate answers to a client that opens a WebSocket. */
  open(isolate: string, token: string): Promise<Attempt>;
  /** Pushes to every client of an isolate. */
  push(isolate: string, ...values: unknown[]): void;
  /** What waits at the sockets of an isolate's clients, bytes. */
  waiting(isolate: string): number;
  /** Connections that isolates have opened and not closed. */
  readonly opened: readonly string[];
  /** Lets time pass in small steps, with all that happens meanwhile. */
  pass(ms?: number): Promise<void>;
}

/** What became of the opening of a WebSocket. */
export interface Attempt {
  /** Of the answer; 101 when it was opened. */
  readonly status: number;
  readonly socket: FakeSocket;
  /** To be called with what the client sends, and with its close. */
  readonly handler: SocketHandler;
}

/** @param options.connections how many each isolate takes */
export function createIsolates(
  names: readonly string[],
  { connections = 100, statefulBytes = 100_000 } = {},
): Isolates {
  const clock = createManualClock(1_700_000_000_000);
  const wheel = createWheel(clock, { random: () => 0.5 });
  onTestFinished(() => wheel.stop());
  const bus = createFakeBus(clock.soon);
  const identities = new Map<string, Identity>();
  const opened: string[] = [];
  const clients = new Map(names.map((name) => [name, new Set<HubConnection<Raw>>()]));

  const endpoints = new Map(
    names.map((name) => [
      name,
      createEndpoint({
        clock,
        wheel,
        limits: {
          connections,
          messageBytes: 1_000_000,
          handshakeTimeoutMs: 15_000,
          keepAliveMs: 15_000,
          clientTimeoutMs: 30_000,
          pollTimeoutMs: 90_000,
          disconnectTimeoutMs: 15_000,
          closeTimeoutMs: 5_000,
          statefulBytes,
        },
        protocols: Object.values(PROTOCOLS),
        transports: TRANSPORTS.map(({ transport }) => transport),
        identify: async (token) => identities.get(token),
        serve: () => ({ open: (connection) => serve(name, connection) }),
        onOpened: ({ kind }) => void opened.push(`${name} ${kind}`),
        onClosed: ({ kind }) => void opened.splice(opened.indexOf(`${name} ${kind}`), 1),
        onReceived() {},
        forwarding: { bus: bus.join(name), name: "/hub" },
      }),
    ]),
  );

  /** A hub whose only method gives its first argument back. */
  function serve(name: string, connection: HubConnection<Raw>): HubHandler<Raw> {
    const { protocol } = connection;
    clients.get(name)?.add(connection);
    return {
      onMessage(message) {
        if (message.type !== "invocation" || message.invocationId === undefined) return;
        const { invocationId, values } = message;
        const result = protocol.encode(values[0]);
        connection.send({ type: "completion", invocationId, result });
      },
      onClose: () => clients.get(name)?.delete(connection),
    };
  }

  async function pass(ms = 0): Promise<void> {
    for (let left = ms; left >= 0; left -= 50) {
      for (let i = 0; i < 8; i++) {
        await turn();
        clock.settle();
      }
      if (left >= 50) clock.advance(50);
    }
  }

  /** Lets everything else go on until it is there. */
  async function when<T>(work: Promise<T>): Promise<T> {
    let isThere = false;
    const settle = () => {
      isThere = true;
    };
    work.then(settle, settle);
    while (!isThere) {
      await turn();
      clock.settle();
    }
    return work;
  }

  function handle(
    isolate: string,
    request: Request,
    upgrade?: Parameters<ReturnType<typeof createEndpoint>["handle"]>[1]["upgrade"],
  ): Promise<Response> {
    const endpoint = endpoints.get(isolate);
    if (!endpoint) throw new Error(`There is no isolate ${isolate}`);
    return endpoint.handle(request, { upgrade });
  }

  return {
    clock,
    bus,
    negotiate(owner, { stateful = false } = {}) {
      const id = `${identities.size}`;
      identities.set(id, { id, owner, issuedAt: clock.now(), stateful, origin: undefined });
      return id;
    },
    request: (isolate, method, token, init) =>
      when(handle(isolate, new Request(`http://relay.test/hub?id=${token}`, { ...init, method }))),
    async open(isolate, token) {
      const socket = createSocket();
      let handler: SocketHandler | undefined;
      const request = new Request(`http://relay.test/hub?id=${token}`);
      const response = await when(
        handle(isolate, request, (accept) => {
          handler = accept(socket);
          return new Response(null);
        }),
      );
      return {
        status: handler ? 101 : response.status,
        socket,
        handler: handler ?? { message() {}, close() {} },
      };
    },
    push(isolate, ...values) {
      for (const connection of clients.get(isolate) ?? []) {
        const args = connection.protocol.encode(values);
        connection.send({ type: "invocation", target: "Push", arguments: args, values });
      }
    },
    waiting: (isolate) =>
      [...(clients.get(isolate) ?? [])].reduce(
        (sum, { transport }) => sum + transport.sink.bufferedBytes,
        0,
      ),
    opened,
    pass,
  };
}
