import { setImmediate as turn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import type { Bus } from "../../lib/bus/bus.ts";
import { systemClock } from "../../lib/clock.ts";
import { openAdmission } from "../../lib/downstream/admission.ts";
import { TRANSPORTS } from "../../lib/downstream/endpoint.ts";
import { createGateway, type Gateway } from "../../lib/downstream/gateway.ts";
import { Overload } from "../../lib/downstream/sessions.ts";
import { createTokens } from "../../lib/downstream/token.ts";
import type { Upgrade } from "../../lib/socket.ts";
import { createSetting, type Setting } from "../support/context.ts";
import { createFakeBus } from "../support/fake-bus.ts";
import { createSocket } from "../support/fake-socket.ts";

const HUB = "http://relay.test/hub";
const EVENTS = { headers: { accept: "text/event-stream" } };

/** The gateway of a hub without private lanes. */
function setUp({
  owner = "a",
  connections = 100,
  bus,
}: {
  readonly owner?: string;
  readonly connections?: number;
  readonly bus?: Bus;
}): Setting & { readonly gateway: Gateway } {
  const setting = createSetting({ news: { events: { News: "news" } } });
  const [hub] = setting.relay.hubs.values();
  if (!hub) throw new Error("The relay has one");
  const gateway = createGateway({
    context: { ...setting.context, clock: systemClock },
    hub: { ...hub, spec: { ...hub.spec, privateLane: "off" } },
    lanes: {
      negotiate: () => Promise.reject(new Error("There are no private lanes")),
      createLane() {
        throw new Error("There are no private lanes");
      },
    },
    tokens: createTokens({ secret: "x".repeat(16), owner, now: systemClock.now }),
    admission: openAdmission,
    limits: {
      connections,
      messageBytes: 32_768,
      handshakeTimeoutMs: 15_000,
      keepAliveMs: 15_000,
      clientTimeoutMs: 30_000,
      pollTimeoutMs: 90_000,
      disconnectTimeoutMs: 15_000,
      closeTimeoutMs: 5_000,
      statefulBytes: 100_000,
    },
    transports: TRANSPORTS.map(({ transport }) => transport),
    stateful: true,
    bus,
  });
  return { ...setting, gateway };
}

const bindings = { upgrade: undefined };

async function negotiate(gateway: Gateway): Promise<string> {
  const request = new Request(`${HUB}/negotiate?negotiateVersion=1`, { method: "POST" });
  const offer: unknown = await (await gateway.negotiate(request, bindings)).json();
  return `${HUB}?id=${(offer as { connectionToken: string }).connectionToken}`;
}

test("a client that finds no room any more is told when to come back", async () => {
  const { gateway, context } = setUp({ connections: 1 });
  const [first, second] = [await negotiate(gateway), await negotiate(gateway)];
  const stream = await gateway.handle(new Request(first, EVENTS), bindings);
  expect(stream.status).toBe(200);
  const refusal = gateway.handle(new Request(second, EVENTS), bindings);
  await expect(refusal).rejects.toBeInstanceOf(Overload);
  await expect(refusal).rejects.toMatchObject({ code: "overloaded", retryMs: 3_000 });
  expect(context.sessions.refused.full).toBe(1);
  await stream.body?.cancel();
});

test("a connection keeps neither its request nor its answers to posts", async () => {
  const collect = createCollector();
  const { gateway } = setUp({});
  const kept: unknown[] = []; // as a runtime does
  const upgrade: Upgrade = (accept) => {
    const handler = accept(createSocket());
    handler.message('{"protocol":"json","version":1}\u001e');
    kept.push(accept, handler);
    return new Response(null);
  };
  const [polled, opened] = [await negotiate(gateway), await negotiate(gateway)];
  const requests: WeakRef<object>[] = [];
  async function ask(url: string, init: RequestInit, upgrade?: Upgrade): Promise<void> {
    const request = new Request(url, init);
    const response = await gateway.handle(request, { upgrade });
    expect(response.status).toBe(200);
    requests.push(new WeakRef(request), new WeakRef(response));
  }
  await ask(opened, {}, upgrade);
  await ask(polled, {});
  await ask(polled, { method: "POST", body: '{"protocol":"json","version":1}\u001e' });
  await collect();
  expect(requests.map((request) => request.deref())).toEqual(requests.map(() => undefined));
  expect(kept).toHaveLength(2);
});

test("a client's requests may reach any isolate", async () => {
  const bus = createFakeBus(systemClock.soon);
  const [a, b] = ["a", "b"].map((owner) => setUp({ owner, bus: bus.join(owner) }));
  if (!a || !b) throw new Error("They were made above");
  const url = await negotiate(a.gateway);
  const stream = await b.gateway.handle(new Request(url, EVENTS), bindings);
  const handshake = '{"protocol":"json","version":1}\u001e';
  const posted = await a.gateway.handle(
    new Request(url, { method: "POST", body: handshake }),
    bindings,
  );
  expect(posted.status).toBe(200);
  const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader();
  let seen = "";
  while (!seen.includes("{}")) seen += (await reader?.read())?.value;
  expect(seen).toBe(":\r\ndata: {}\u001e\r\n\r\n");
  expect([a, b].map(({ context }) => context.sessions.count("signalr-sse"))).toEqual([0, 1]);
  await reader?.cancel();
  expect(b.context.sessions.size).toBe(0);
});

/** @returns what frees everything that nobody has any more */
function createCollector(): () => Promise<void> {
  setFlagsFromString("--expose-gc");
  const gc: () => void = runInNewContext("gc");
  return async () => {
    // What a WeakRef has just been made of is kept until the turn ends.
    for (let i = 0; i < 5; i++) {
      await turn();
      gc();
    }
  };
}
