import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import { ConfigError, type ConfigInput, loadConfig, parseConfig } from "../../app/config.ts";

const ORIGIN = "https://origin.test/hubs/odds";
const HUBS = { "/hubs/odds": { origin: ORIGIN } };

/** An input that is right but for one hub, or one topic of it. */
const hub = (fields: object) => ({ hubs: { "/h": { origin: ORIGIN, ...fields } } });
const topic = (fields: object) => hub({ topics: { t: { events: { E: "t" }, ...fields } } });

describe("a configuration", () => {
  test("needs nothing but a hub, and cannot be changed", () => {
    const config = parseConfig({ hubs: HUBS });
    expect(config).toMatchObject({
      port: 8787,
      origins: [],
      heartbeatMs: 15_000,
      openTimeoutMs: 5_000,
      sse: { compression: "auto" },
      drainMs: 4_000,
      limits: {
        connections: 200_000,
        connectsPerSecond: 5_000,
        topics: 10_000,
        topicsPerConnection: 100,
        messageBytes: 32_768,
        queueBytes: 1_048_576,
      },
      signalr: { keepAliveMs: 15_000, clientTimeoutMs: 30_000, handshakeTimeoutMs: 15_000 },
      upstream: { keepAliveMs: 15_000, serverTimeoutMs: 30_000, joinsInFlight: 32 },
    });
    expect(config.hubs["/hubs/odds"]).toMatchObject({
      origin: ORIGIN,
      headers: {},
      topics: {},
      calls: {},
      privateLane: "eager",
      access: "origin",
    });
    expect(Object.isFrozen(config)).toBe(true);
  });

  test("of a topic needs nothing but its events", () => {
    const { hubs } = parseConfig(topic({}));
    expect(hubs["/h"]?.topics.t).toMatchObject({
      params: {},
      key: {},
      maxKeys: 1_000,
      history: { size: 0, ttlMs: 120_000 },
      lingerMs: 5_000,
      snapshotTtlMs: 5_000,
    });
  });

  test("of a parameter may be a word, or say more", () => {
    const params = { a: "integer", b: "string", c: { type: "integer", min: 1 } };
    expect(parseConfig(topic({ params })).hubs["/h"]?.topics.t?.params).toEqual({
      a: { type: "integer", min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER },
      b: { type: "string", pattern: "^[A-Za-z0-9._~-]+$", maxLength: 64 },
      c: { type: "integer", min: 1, max: Number.MAX_SAFE_INTEGER },
    });
  });

  test.each<[field: string, input: unknown]>([
    ["(whole)", 5],
    ["(whole)", null],
    ["hubs", {}],
    ["hubs", { hubs: [] }],
    ["hubs.odds", { hubs: { odds: { origin: ORIGIN } } }],
    ["hubs./a b", { hubs: { "/a b": { origin: ORIGIN } } }],
    ["hubs./h.origin", { hubs: { "/h": {} } }],
    ["hubs./h.origin", hub({ origin: "origin.test/hub" })],
    ["hubs./h.origin", hub({ origin: "ws://origin.test/hub" })],
    ["hubs./h.headers.a", hub({ headers: { a: 1 } })],
    ["hubs./h.privateLane", hub({ privateLane: "sometimes" })],
    ["hubs./h.access", hub({ access: "everybody" })],
    ["hubs./h.calls.Get", hub({ calls: { Get: "share" } })],
    ["hubs./h.topics.t.events", topic({ events: ["E"] })],
    ["hubs./h.topics.t.join.method", topic({ join: { args: [] } })],
    ["hubs./h.topics.t.join.method", topic({ join: { method: "" } })],
    ["hubs./h.topics.t.params.id", topic({ params: { id: "number" } })],
    ["hubs./h.topics.t.history.size", topic({ history: { size: -1 } })],
    ["hubs./h.topics.t.history.ttlMs", topic({ history: { size: 1, ttlMs: 0.5 } })],
    ["hubs./h.topics.t.maxKeys", topic({ maxKeys: 0 })],
    ["hubs./h.topics.t.lingerMs", topic({ lingerMs: "5s" })],
    ["port", { hubs: HUBS, port: 70_000 }],
    ["port", { hubs: HUBS, port: "8787" }],
    ["heartbeatMs", { hubs: HUBS, heartbeatMs: 20_000 }],
    ["origins.0", { hubs: HUBS, origins: ["example.com"] }],
    ["limits.messageBytes", { hubs: HUBS, limits: { messageBytes: 1 } }],
    ["upstream.joinsInFlight", { hubs: HUBS, upstream: { joinsInFlight: 0 } }],
    ["secret", { hubs: HUBS, secret: "short" }],
    ["secret", { hubs: HUBS, cluster: { nats: "nats://host:4222" } }],
    ["workers", { hubs: HUBS, workers: 0 }],
    ["workers", { hubs: HUBS, workers: "all" }],
  ])("that is wrong in %s says so", (field, input) => {
    expect(() => parseConfig(input)).toThrow(ConfigError);
    expect(() => parseConfig(input)).toThrow(`\n  ${field}: `);
  });

  test.each<[where: string, name: string, input: unknown]>([
    ["(whole)", "hub", { hubs: HUBS, hub: {} }],
    ["hubs./h", "url", hub({ url: ORIGIN })],
    ["hubs./h.topics.t", "event", topic({ event: {} })],
    ["limits", "topic", { hubs: HUBS, limits: { topic: 1 } }],
  ])("that has in %s a field that there is not names it: %s", (where, name, input) => {
    expect(() => parseConfig(input)).toThrow(`\n  ${where}: `);
    expect(() => parseConfig(input)).toThrow(`"${name}"`);
  });

  test("says what a hub's path must be", () => {
    expect(() => parseConfig({ hubs: { odds: { origin: ORIGIN } } })).toThrow("must be a path");
  });

  test("names everything that is wrong at once", () => {
    const input = { hubs: HUBS, port: -1, limits: { topics: 0, queueBytes: 0 } };
    expect(() => parseConfig(input)).toThrow(
      /^Invalid configuration:\n {2}port: .*\n {2}limits\.topics: .*\n {2}limits\.queueBytes: /,
    );
  });
});

describe("the environment", () => {
  const FILES: Readonly<Record<string, string>> = {
    "file:///app/keryx.json": JSON.stringify({ hubs: HUBS, port: 1234, host: "127.0.0.1" }),
    "file:///etc/broken.json": "{",
  };

  const load = (env: Record<string, string>, fallback?: ConfigInput, directory = "file:///app/") =>
    loadConfig(
      {
        env,
        workingDirectory: new URL(directory),
        async readFile(file) {
          const text = FILES[file.href];
          if (text === undefined) throw new Error(`no such file: ${file.pathname}`);
          return text;
        },
      },
      fallback,
    );

  test("may name a file, relative to where the relay was started", async () => {
    expect(await load({ KERYX_CONFIG: "keryx.json" })).toMatchObject({
      port: 1234,
      host: "127.0.0.1",
    });
    expect(await load({ KERYX_CONFIG: "/app/keryx.json" })).toMatchObject({ port: 1234 });
  });

  test("may name a module, whose default is the configuration", async () => {
    const directory = await mkdtemp(join(tmpdir(), "keryx-"));
    onTestFinished(() => rm(directory, { recursive: true }));
    const write = (name: string, text: string) => writeFile(join(directory, name), text);
    await write(
      "keryx.mjs",
      `export default { hubs: { "/h": { origin: "${ORIGIN}" } }, port: 99 };`,
    );
    await write("other.mjs", "export const config = {};");
    const from = `${pathToFileURL(directory)}/`;
    expect(await load({ KERYX_CONFIG: "keryx.mjs" }, undefined, from)).toMatchObject({ port: 99 });
    await expect(load({ KERYX_CONFIG: "other.mjs" }, undefined, from)).rejects.toThrow(
      new ConfigError('Cannot read KERYX_CONFIG "other.mjs": it has no default export'),
    );
  });

  test("may name a hub, which is found at the same path", async () => {
    const config = await load({ KERYX_ORIGIN: "https://origin.test/hubs/odds/" });
    expect(config.hubs).toMatchObject({
      "/hubs/odds": { origin: "https://origin.test/hubs/odds/", topics: {} },
    });
  });

  test("is asked for a file first, then for a hub, and then there is the fallback", async () => {
    const fallback = { hubs: HUBS, port: 5 };
    const both = { KERYX_CONFIG: "keryx.json", KERYX_ORIGIN: "https://origin.test/other" };
    expect((await load(both, fallback)).port).toBe(1234);
    const { KERYX_ORIGIN } = both;
    expect(Object.keys((await load({ KERYX_ORIGIN }, fallback)).hubs)).toEqual(["/other"]);
    expect((await load({}, fallback)).port).toBe(5);
  });

  test("goes before the file with its port, its address, its workers and its secret", async () => {
    const KERYX_SECRET = "sixteen letters.";
    const env = { PORT: "0", HOST: "::", KERYX_WORKERS: "3", KERYX_SECRET };
    expect(await load({ KERYX_CONFIG: "keryx.json", ...env })).toMatchObject({
      port: 0,
      host: "::",
      workers: 3,
      secret: "sixteen letters.",
    });
    expect(await load({ KERYX_CONFIG: "keryx.json", PORT: "", HOST: "" })).toMatchObject({
      port: 1234,
      host: "127.0.0.1",
      workers: 1,
    });
    const auto = { KERYX_CONFIG: "keryx.json", KERYX_WORKERS: "auto" };
    expect(await load(auto)).toMatchObject({ workers: "auto" });
  });

  test.each<[env: Record<string, string>, message: string]>([
    [{}, "No hub is configured: set KERYX_CONFIG to a file, or KERYX_ORIGIN to a hub's URL"],
    [{ KERYX_CONFIG: "none.json" }, 'Cannot read KERYX_CONFIG "none.json": no such file'],
    [{ KERYX_CONFIG: "/etc/broken.json" }, 'Cannot read KERYX_CONFIG "/etc/broken.json": '],
    [{ KERYX_ORIGIN: "origin" }, 'Invalid KERYX_ORIGIN: "origin" is not a URL'],
    [{ KERYX_ORIGIN: "ftp://origin.test/h" }, "hubs./h.origin: "],
    [{ KERYX_ORIGIN: "https://origin.test" }, "must be a path"],
    [{ KERYX_CONFIG: "keryx.json", PORT: "http" }, "\n  port: "],
    [{ KERYX_CONFIG: "keryx.json", PORT: "-1" }, "\n  port: "],
    [{ KERYX_CONFIG: "keryx.json", PORT: "99999" }, "\n  port: "],
    [
      { KERYX_CONFIG: "keryx.json", KERYX_WORKERS: "two" },
      "\n  workers: must be 1 to 256, or auto",
    ],
    [{ KERYX_CONFIG: "keryx.json", KERYX_WORKERS: "0" }, "\n  workers: "],
    [{ KERYX_CONFIG: "keryx.json", KERYX_WORKERS: "1000" }, "\n  workers: "],
  ])("of %j is refused", async (env, message) => {
    const failed = load(env);
    await expect(failed).rejects.toThrow(ConfigError);
    await expect(failed).rejects.toThrow(message);
  });
});
