import { describe, expect, test } from "vitest";
import { createManualClock } from "../../lib/clock.ts";
import { type Access, type Credentials, createAccess } from "../../lib/upstream/access.ts";

const ttlMs = 60_000;
const timeoutMs = 10_000;
const accepted = { type: "accepted" };
const unavailable = { type: "unavailable", reason: expect.any(String) };

/** An answer to negotiate as .NET gives it. */
const negotiated = () =>
  Response.json({
    negotiateVersion: 1,
    connectionId: "id",
    connectionToken: "token",
    availableTransports: [{ transport: "WebSockets", transferFormats: ["Text", "Binary"] }],
  });

interface Asked {
  readonly url: string;
  readonly headers: Record<string, string>;
  readonly init: RequestInit;
}

type Origin = (asked: Asked) => Response | Promise<Response>;

/** Access before a scripted origin. */
function create(
  answer: Origin = negotiated,
  options: Pick<Parameters<typeof createAccess>[0], "recall" | "onRefused"> & {
    ttlMs?: number;
    maxEntries?: number;
  } = {},
) {
  const clock = createManualClock(1_700_000_000_000);
  /** What came to the origin. */
  const asked: Asked[] = [];
  const origin = { answer };
  const access = createAccess({
    url: "https://origin.example/hubs/odds?tenant=7",
    clock,
    ttlMs,
    maxEntries: 100,
    timeoutMs,
    ...options,
    async fetch(url, init = {}) {
      const one = {
        url: String(url),
        headers: Object.fromEntries(new Headers(init.headers)),
        init,
      };
      asked.push(one);
      return origin.answer(one);
    },
  });
  return { access, clock, asked, origin };
}

function defer<T>() {
  let resolve: (value: T) => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<T>((...both) => {
    [resolve, reject] = both;
  });
  return { promise, resolve, reject };
}

/** An origin that answers when it is told to. */
function createSlowOrigin() {
  const arrival = defer<void>();
  const reply = defer<Response>();
  const wait: Origin = ({ init }) => {
    arrival.resolve();
    init.signal?.addEventListener("abort", () => reply.reject(new Error("aborted")));
    return reply.promise;
  };
  return { wait, arrived: arrival.promise, reply: reply.resolve };
}

/** Hashing a credential takes a moment, after which nothing shows that one more waits. */
function othersHaveCome(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 50));
}

function jwt(claims: unknown): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "HS256" })}.${part(claims)}.c2lnbmF0dXJl`;
}

function judgeAll(access: Access, count: number, credentials: Credentials) {
  return Promise.all(Array.from({ length: count }, () => access.judge(credentials)));
}

describe("the question", () => {
  test("is the negotiate that a client would send, with its credentials", async () => {
    const { access, asked } = create();
    await access.judge({
      authorization: "Bearer a.b.c",
      cookie: "session=1",
      headers: { "X-Api-Key": "k" },
    });
    expect(asked).toEqual([
      {
        url: "https://origin.example/hubs/odds/negotiate?tenant=7&negotiateVersion=1",
        headers: { authorization: "Bearer a.b.c", cookie: "session=1", "x-api-key": "k" },
        init: expect.objectContaining({ method: "POST", redirect: "manual" }),
      },
    ]);
  });

  test("is one for a token in the header and the same token in the query", async () => {
    const { access, asked } = create();
    await access.judge({ accessToken: "t" });
    await access.judge({ authorization: "Bearer t" });
    await access.judge({ authorization: "Bearer t", accessToken: "t" });
    expect(asked).toHaveLength(1);
    expect(asked[0]?.headers).toEqual({ authorization: "Bearer t" });
    expect(asked[0]?.url).not.toContain("access_token");
  });

  test("has the token in the query when it differs from the header, or cannot be one", async () => {
    const { access, asked } = create();
    await access.judge({ authorization: "Basic cHJveHk=", accessToken: "t" });
    await access.judge({ accessToken: "a b\r\nc" });
    expect(asked.map(({ headers }) => headers)).toEqual([{ authorization: "Basic cHJveHk=" }, {}]);
    expect(asked.map(({ url }) => new URL(url).searchParams.get("access_token"))).toEqual([
      "t",
      "a b\r\nc",
    ]);
  });
});

describe("the origin is asked once", () => {
  test("for a credential, however many come at the same time", async () => {
    const { wait, arrived, reply } = createSlowOrigin();
    const { access, asked } = create(wait);
    const verdicts = judgeAll(access, 1000, { authorization: "Bearer t" });
    await arrived;
    await othersHaveCome();
    reply(negotiated());
    expect(new Set(await verdicts)).toEqual(new Set([accepted]));
    expect(asked).toHaveLength(1);
  });

  test("for a credential while its verdict holds, counted from the question", async () => {
    const { wait, arrived, reply } = createSlowOrigin();
    const world = create(wait);
    const verdict = world.access.judge({ cookie: "a=1" });
    await arrived;
    world.clock.advance(9_000);
    reply(negotiated());
    await verdict;
    world.origin.answer = negotiated;
    world.clock.advance(ttlMs - 9_001);
    await world.access.judge({ cookie: "a=1" });
    expect(world.asked).toHaveLength(1);
    world.clock.advance(1);
    await world.access.judge({ cookie: "a=1" });
    expect(world.asked).toHaveLength(2);
  });

  test("for everybody who shows nothing", async () => {
    const { access, asked } = create();
    await access.judge({});
    await access.judge({ authorization: "", cookie: "", accessToken: "", headers: { "x-k": "" } });
    await access.judge({ headers: {} });
    expect(asked).toHaveLength(1);
    expect(asked[0]?.headers).toEqual({});
  });

  test("for named headers in any case and order", async () => {
    const { access, asked } = create();
    await access.judge({ headers: { "X-A": "1", "x-b": "2" } });
    await access.judge({ headers: { "X-B": "2", "x-a": "1" } });
    expect(asked).toHaveLength(1);
  });

  test("for each of the credentials that differ in anything", async () => {
    const { access, asked } = create();
    const all: Credentials[] = [
      {},
      { authorization: "Bearer 1" },
      { authorization: "Bearer 2" },
      { authorization: "Basic 1" },
      { cookie: "Bearer 1" },
      { headers: { "x-a": "1" } },
      { headers: { "x-b": "1" } },
      { authorization: "Bearer 1", cookie: "a=1" },
      { authorization: "Bearer 1", accessToken: "2" },
    ];
    for (const credentials of [...all, ...all]) await access.judge(credentials);
    expect(asked).toHaveLength(all.length);
  });

  test("each time with a time to live of 0", async () => {
    const { access, asked } = create(negotiated, { ttlMs: 0 });
    await access.judge({});
    await access.judge({});
    expect(asked).toHaveLength(2);
  });
});

describe("a verdict is forgotten", () => {
  test("in time: a token that the origin has revoked is refused after that", async () => {
    const world = create();
    const credentials = { authorization: "Bearer t" };
    expect(await world.access.judge(credentials)).toEqual(accepted);
    world.origin.answer = () => new Response("revoked", { status: 401 });
    world.clock.advance(ttlMs - 1);
    expect(await world.access.judge(credentials)).toEqual(accepted);
    world.clock.advance(1);
    expect(await world.access.judge(credentials)).toMatchObject({ type: "refused", status: 401 });
  });

  test("when its JWT ends, wherever that stands", async () => {
    for (const place of ["authorization", "accessToken", "header"]) {
      const world = create();
      const token = jwt({ exp: world.clock.now() / 1000 + 5, name: "Ζεύς" });
      const credentials: Credentials =
        place === "authorization"
          ? { authorization: `Bearer ${token}` }
          : place === "accessToken"
            ? { authorization: "Basic cHJveHk=", accessToken: token }
            : { headers: { "x-token": token } };
      await world.access.judge(credentials);
      world.clock.advance(4_999);
      await world.access.judge(credentials);
      expect(world.asked).toHaveLength(1);
      world.clock.advance(1);
      await world.access.judge(credentials);
      expect(world.asked).toHaveLength(2);
    }
  });

  test("at once when its JWT has ended and the origin allows for a skewed clock", async () => {
    const world = create();
    const authorization = `Bearer ${jwt({ exp: world.clock.now() / 1000 - 1 })}`;
    expect(await world.access.judge({ authorization })).toEqual(accepted);
    expect(await world.access.judge({ authorization })).toEqual(accepted);
    expect(world.asked).toHaveLength(2);
  });

  test("after its own time when a JWT says nothing of its end, or is none", async () => {
    const tokens = [
      jwt({}),
      jwt({ exp: "1" }),
      jwt({ exp: null }),
      jwt(null),
      jwt([1]),
      "a.b.c",
      "a.e30.c.d.e",
      "opaque",
      "..",
      `x.${Buffer.from("{").toString("base64url")}.y`,
    ];
    for (const token of tokens) {
      const world = create();
      const credentials = { authorization: `Bearer ${token}` };
      await world.access.judge(credentials);
      world.clock.advance(ttlMs - 1);
      await world.access.judge(credentials);
      expect(world.asked).toHaveLength(1);
    }
  });

  test("when there are more than there may be, the oldest first", async () => {
    const { access, asked } = create(negotiated, { maxEntries: 2 });
    const judge = (token: string) => access.judge({ accessToken: token });
    for (const token of ["a", "b", "c"]) await judge(token);
    expect(asked).toHaveLength(3);
    for (const token of ["b", "c"]) await judge(token);
    expect(asked).toHaveLength(3);
    await judge("a");
    expect(asked).toHaveLength(4);
    await judge("b");
    expect(asked).toHaveLength(5);
  });

  test("the one asked for longest ago first, when there are more", async () => {
    const { access, asked, clock } = create(negotiated, { maxEntries: 2 });
    const judge = (token: string) => access.judge({ accessToken: token });
    for (const token of ["a", "b"]) await judge(token);
    clock.advance(ttlMs);
    for (const token of ["a", "c"]) await judge(token);
    expect(asked).toHaveLength(4);
    await judge("a");
    expect(asked).toHaveLength(4);
    await judge("b");
    expect(asked).toHaveLength(5);
  });

  test("so that it takes nobody's place, when there is nothing to remember", async () => {
    const { access, asked, origin } = create(negotiated, { maxEntries: 2 });
    await access.judge({ accessToken: "a" });
    origin.answer = () => new Response(null, { status: 503 });
    await access.judge({ accessToken: "b" });
    origin.answer = negotiated;
    await access.judge({ accessToken: "c" });
    await access.judge({ accessToken: "a" });
    expect(asked).toHaveLength(3);
  });

  test("sooner when it is a refusal", async () => {
    const world = create(() => new Response(null, { status: 403 }));
    expect(await world.access.judge({})).toMatchObject({ status: 403 });
    world.origin.answer = negotiated;
    world.clock.advance(4_999);
    expect(await world.access.judge({})).toMatchObject({ status: 403 });
    expect(world.asked).toHaveLength(1);
    world.clock.advance(1);
    expect(await world.access.judge({})).toEqual(accepted);
  });

  test("of a refusal not later than any other", async () => {
    const world = create(() => new Response(null, { status: 403 }), { ttlMs: 100 });
    await world.access.judge({});
    world.clock.advance(100);
    await world.access.judge({});
    expect(world.asked).toHaveLength(2);
  });

  test("of a refusal not sooner because its JWT has ended: that is why it was refused", async () => {
    const world = create(() => new Response(null, { status: 401 }));
    const authorization = `Bearer ${jwt({ exp: 1 })}`;
    await world.access.judge({ authorization });
    await world.access.judge({ authorization });
    expect(world.asked).toHaveLength(1);
  });
});

describe("the origin's answer", () => {
  test("with a connection, or the way to another server, accepts", async () => {
    const redirect = () => Response.json({ url: "https://other.example/hub", accessToken: "t" });
    for (const answer of [negotiated, redirect]) {
      expect(await create(answer).access.judge({})).toEqual(accepted);
    }
  });

  test("with a status from 300 to 499 is given back as it is", async () => {
    const headers = {
      "www-authenticate": 'Bearer error="invalid_token"',
      location: "/login?returnUrl=%2Fhubs",
      "content-type": "application/problem+json",
    };
    for (const status of [301, 302, 307, 400, 401, 403, 404, 429, 499]) {
      const answer = () =>
        new Response('{"title":"né"}', { status, headers: { ...headers, server: "Kestrel" } });
      expect(await create(answer).access.judge({})).toEqual({
        type: "refused",
        status,
        headers,
        body: '{"title":"né"}',
      });
    }
    expect(await create(() => new Response(null, { status: 401 })).access.judge({})).toEqual({
      type: "refused",
      status: 401,
      headers: {},
      body: "",
    });
  });

  test("with an error of negotiate is given back as it is", async () => {
    const answer = () => Response.json({ error: "Not you" });
    expect(await create(answer).access.judge({})).toEqual({
      type: "refused",
      status: 200,
      headers: { "content-type": "application/json" },
      body: '{"error":"Not you"}',
    });
  });

  test("is cut where it is longer than it may be, and the rest is not read", async () => {
    let cancelled = false;
    const endless = () =>
      new Response(
        new ReadableStream({
          pull: (controller) => controller.enqueue(new Uint8Array(1000).fill(0x78)),
          cancel: () => {
            cancelled = true;
          },
        }),
        { status: 403 },
      );
    expect(await create(endless).access.judge({})).toMatchObject({ body: "x".repeat(16_384) });
    expect(cancelled).toBe(true);
  });

  test("with another status, or that is no answer to negotiate, says nothing", async () => {
    const answers = [
      () => new Response("down", { status: 500 }),
      () => new Response("down", { status: 503 }),
      () => new Response(null, { status: 204 }),
      () => new Response(negotiated().body, { status: 201 }),
      () => new Response("<title>Log in</title>"),
      () => Response.json({}),
      () => Response.error(),
    ];
    for (const answer of answers) {
      expect(await create(answer).access.judge({})).toEqual(unavailable);
    }
  });

  test("that never comes says nothing, and who waited is not left waiting", async () => {
    const { wait, arrived } = createSlowOrigin();
    const { access, clock } = create(wait);
    const verdicts = judgeAll(access, 3, {});
    await arrived;
    await othersHaveCome();
    clock.advance(timeoutMs);
    for (const verdict of await verdicts) {
      expect(verdict).toEqual({ type: "unavailable", reason: "Timed out after 10000 ms" });
    }
  });

  test("whose body never ends in time says nothing", async () => {
    const stuck = defer<void>();
    const { access, clock } = create(
      ({ init }) =>
        new Response(
          new ReadableStream({
            start(controller) {
              init.signal?.addEventListener("abort", () => controller.error(init.signal?.reason));
            },
            pull: () => stuck.resolve(),
          }),
        ),
    );
    const verdict = access.judge({});
    await stuck.promise;
    clock.advance(timeoutMs);
    expect(await verdict).toEqual(unavailable);
  });

  test("that cannot be had is not remembered", async () => {
    const world = create(() => {
      throw new TypeError("connection refused");
    });
    expect(await world.access.judge({})).toEqual({
      type: "unavailable",
      reason: "connection refused",
    });
    world.origin.answer = negotiated;
    expect(await world.access.judge({})).toEqual(accepted);
  });

  test("leaves no timer behind", async () => {
    const { access, asked, clock } = create();
    await access.judge({});
    clock.advance(timeoutMs);
    expect(asked[0]?.init.signal?.aborted).toBe(false);
  });
});

describe("an origin that is away", () => {
  const away: Origin = () => new Response(null, { status: 502 });

  test("is no reason to turn away whom it had accepted, for an hour", async () => {
    const { access, clock, origin } = create();
    await access.judge({ authorization: "Bearer known" });
    origin.answer = away;
    clock.advance(3_599_999);
    expect(await access.judge({ authorization: "Bearer known" })).toEqual(accepted);
    expect(await access.judge({ authorization: "Bearer new" })).toEqual(unavailable);
    clock.advance(5_001);
    expect(await access.judge({ authorization: "Bearer known" })).toEqual(unavailable);
  });

  test("does not accept whom it has refused last", async () => {
    const { access, clock, origin } = create();
    await access.judge({ authorization: "Bearer revoked" });
    origin.answer = () => new Response(null, { status: 401 });
    clock.advance(ttlMs);
    expect(await access.judge({ authorization: "Bearer revoked" })).toMatchObject({ status: 401 });
    origin.answer = away;
    clock.advance(ttlMs);
    expect(await access.judge({ authorization: "Bearer revoked" })).toEqual(unavailable);
  });

  test("accepts nobody beyond the end of his token", async () => {
    const { access, clock, origin } = create();
    const claims = btoa(JSON.stringify({ exp: clock.now() / 1000 + 600 }));
    const authorization = `Bearer e30.${claims.replaceAll("=", "")}.c2ln`;
    await access.judge({ authorization });
    origin.answer = away;
    clock.advance(599_000);
    expect(await access.judge({ authorization })).toEqual(accepted);
    clock.advance(1_000);
    expect(await access.judge({ authorization })).toEqual(unavailable);
  });

  test("is not asked more than 1000 questions at one time", async () => {
    const { wait } = createSlowOrigin();
    const { access, asked } = create(wait);
    for (let i = 0; i < 1000; i++) void access.judge({ authorization: `Bearer ${i}` });
    await expect.poll(() => asked.length).toBe(1000);
    expect(await access.judge({ authorization: "Bearer one more" })).toEqual(unavailable);
    expect(asked).toHaveLength(1000);
  });

  test("is asked about whom another isolate knows, and no longer than that one would", async () => {
    const one = create();
    const other = create(away, { recall: async (key) => one.access.acceptedAt(key) });
    const authorization = "Bearer known";
    expect(await other.access.judge({ authorization })).toEqual(unavailable);
    await one.access.judge({ authorization });
    other.clock.advance(3_599_999);
    expect(await other.access.judge({ authorization })).toEqual(accepted);
    expect(await other.access.judge({ authorization: "Bearer new" })).toEqual(unavailable);
    other.clock.advance(60_000);
    expect(await other.access.judge({ authorization })).toEqual(unavailable);
  });

  test("is not asked about whom it has refused to another isolate", async () => {
    const one = create();
    const other = create(() => new Response(null, { status: 401 }), {
      recall: async (key) => one.access.acceptedAt(key),
      onRefused: one.access.forget,
    });
    const authorization = "Bearer revoked";
    await one.access.judge({ authorization });
    await other.access.judge({ authorization });
    for (const { origin, clock } of [one, other]) {
      origin.answer = away;
      clock.advance(ttlMs);
    }
    expect(await other.access.judge({ authorization })).toEqual(unavailable);
    expect(await one.access.judge({ authorization })).toEqual(unavailable);
  });
});
