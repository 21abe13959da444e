import { expect, test } from "vitest";
import { createSessions, type Session, type Transport } from "../../lib/downstream/sessions.ts";

function createSession(transport: Transport, drain: (retryMs: number) => void = () => {}): Session {
  return { transport, drain };
}

test("sessions are counted by transport, and each leaves once", () => {
  const sessions = createSessions({ maxConnections: 10, random: () => 0 });
  const [a, b] = [createSession("sse"), createSession("websocket")];
  for (const session of [a, b]) sessions.add(session);
  expect([sessions.size, sessions.count("sse"), sessions.count("signalr-sse")]).toEqual([2, 1, 0]);
  sessions.remove(a);
  sessions.remove(a);
  expect([sessions.size, sessions.count("sse"), sessions.count("websocket")]).toEqual([1, 0, 1]);
});

test("no more are taken than may be, until one has left", () => {
  const sessions = createSessions({ maxConnections: 2, random: () => 0 });
  const session = createSession("sse");
  sessions.add(session);
  expect(sessions.full).toBe(false);
  sessions.add(createSession("sse"));
  expect(sessions.full).toBe(true);
  sessions.remove(session);
  expect(sessions.full).toBe(false);
});

test("at a drain each is told a wait of its own, and nobody is taken any more", () => {
  let chance = 0;
  const sessions = createSessions({ maxConnections: 10, random: () => (chance += 0.2) });
  const waits: number[] = [];
  for (let i = 0; i < 3; i++) {
    const session = createSession("sse", (retryMs) => {
      waits.push(retryMs);
      sessions.remove(session);
    });
    sessions.add(session);
  }
  sessions.drain(1_000);
  expect(waits).toEqual([200, 400, 601]);
  expect(sessions.size).toBe(0);
  expect(sessions.full).toBe(true);
});
