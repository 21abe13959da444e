import { expect } from "vitest";
import { ask } from "../support/http.ts";
import { openWs } from "../support/ws-client.ts";
import type { StagedTest } from "./stage.ts";

/** PROTOCOL.md, section 5. */
export function topics(test: StagedTest): void {
  test("the newest state has an ETag that changes with it and no oftener", async ({
    relay,
    puppet,
  }) => {
    const client = await openWs(`${relay.url}/ws`);
    await client.subscribe("note/etag", "note/other");
    const path = "/topics/note/etag";
    const first = await ask(relay.url, path);
    expect(first.status).toBe(200);
    expect(first.headers).toMatchObject({
      "content-type": expect.stringMatching(/^application\/json/),
      "cache-control": "no-cache",
    });
    expect(first.json()).toEqual({
      topic: "note/etag",
      position: expect.stringMatching(/^[a-z0-9]+:\d+$/),
      state: "live",
      latest: [],
    });
    const etag = String(first.headers.etag);
    expect(etag).toMatch(/^(W\/)?".+"$/);
    const opaque = etag.replace("W/", "");

    puppet.push("Note", '[{"id":"other"}]');
    await client.messages.next();
    for (const known of [etag, `"x", ${etag}`, opaque, `W/${opaque}`]) {
      const same = await ask(relay.url, path, { headers: { "if-none-match": known } });
      expect([same.status, same.text, same.headers.etag]).toEqual([304, "", etag]);
    }

    puppet.push("Note", '[{"id":"etag","i":1}]');
    const { position } = await client.messages.next();
    const second = await ask(relay.url, path, { headers: { "if-none-match": etag } });
    expect(second.status).toBe(200);
    expect(second.headers.etag).not.toBe(etag);
    expect(second.json()).toMatchObject({
      position,
      latest: [{ event: "Note", data: { id: "etag", i: 1 } }],
    });
  });

  test("the snapshot stands with it", async ({ relay }) => {
    expect((await ask(relay.url, "/topics/match/11")).json()).toMatchObject({
      topic: "match/11",
      state: "live",
      snapshot: { matchId: 11 },
      latest: [],
    });
  });

  test("of which nothing is known in time is 503", async ({ relay }) => {
    const reply = await ask(relay.url, "/topics/note/silent");
    expect(reply.status).toBe(503);
    expect(Number(reply.headers["retry-after"])).toBeGreaterThan(0);
    expect(reply.json()).toMatchObject({ error: { code: "unavailable", topic: "note/silent" } });
  });

  test("what the origin refuses is 403 with its text", async ({ relay }) => {
    const reply = await ask(relay.url, "/topics/note/refused");
    expect(reply.status).toBe(403);
    expect(reply.json()).toEqual({
      error: { code: "rejected", message: "No refused for you", topic: "note/refused" },
    });
  });
}
