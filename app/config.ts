/**
 * The configuration: one file, or one variable for the simplest case. A wrong field stops the start
 * with a message that names it.
 */

import { z } from "zod";
import { messageOf } from "../lib/errors.ts";
import type { Host } from "./host.ts";

const ms = (fallback: number, min = 0, max = 86_400_000) =>
  z.int().min(min).max(max).default(fallback);
const count = (fallback: number, min: number, max: number) =>
  z.int().min(min).max(max).default(fallback);

const natsUrl = z
  .string()
  .regex(/^(nats|tls):\/\/(?:[^\s,/@]*@)?[^\s,/@]+$/, "must be a nats:// or tls:// URL")
  .refine(isDecodable, "must have % escaped as %25");

const call = z.strictObject({
  /** The hub's method. */
  method: z.string().min(1),
  /** Constants, or `"{name}"` for a parameter of the topic. */
  args: z.array(z.json()).readonly().default([]),
});

const parameter = z.union([
  z.literal("integer").transform(() => ({
    type: "integer" as const,
    min: Number.MIN_SAFE_INTEGER,
    max: Number.MAX_SAFE_INTEGER,
  })),
  z.literal("string").transform(() => ({
    type: "string" as const,
    pattern: "^[A-Za-z0-9._~-]+$",
    maxLength: 64,
  })),
  z.strictObject({
    type: z.literal("integer"),
    min: z.int().default(Number.MIN_SAFE_INTEGER),
    max: z.int().default(Number.MAX_SAFE_INTEGER),
  }),
  z.strictObject({
    type: z.literal("string"),
    /** A regular expression that the whole value must match. */
    pattern: z.string().default("^[A-Za-z0-9._~-]+$"),
    maxLength: z.int().min(1).max(128).default(64),
  }),
]);

const topic = z.strictObject({
  /** What each `{name}` in the topic's name may be; `"string"` when it is not said. */
  params: z.record(z.string(), parameter).default({}),
  /** Group topics: how the relay subscribes, and how it leaves. */
  join: call.optional(),
  leave: call.optional(),
  /** Stream topics: the server stream whose items are the publications. */
  stream: call.optional(),
  /** Pushes of this topic, by target: the topic's name made of their arguments. */
  events: z.record(z.string(), z.string()).default({}),
  /** The read call that gives the whole state. */
  snapshot: call.optional(),
  /** Age at which a newcomer has the snapshot fetched anew. */
  snapshotTtlMs: ms(5_000),
  /** By event: what conflation and newcomers get the latest of. */
  key: z.record(z.string(), z.string()).default({}),
  /** Keys whose newest publication is kept. */
  maxKeys: count(1_000, 1, 1_000_000),
  /** What recovery is served from. */
  history: z
    .strictObject({
      size: count(0, 0, 1_000_000),
      ttlMs: ms(120_000),
      bytes: count(4_194_304, 0, 1_073_741_824),
    })
    .prefault({}),
  /** What becomes of a client that does not keep up: cut, or left behind until it reads again. */
  slow: z.enum(["disconnect", "conflate"]).default("disconnect"),
  /** How long the upstream subscription outlives the last subscriber. */
  lingerMs: ms(5_000),
});

const hub = z.strictObject({
  /** The hub's URL. */
  origin: z.url({ protocol: /^https?$/ }),
  /** The relay's own credentials: sent as `Authorization: Bearer`. */
  accessToken: z
    .union([
      z.string(),
      z.custom<() => string | Promise<string>>((value) => typeof value === "function"),
    ])
    .optional(),
  /** Sent with the relay's own negotiate and upgrade. */
  headers: z.record(z.string(), z.string()).default({}),
  topics: z.record(z.string(), topic).default({}),
  /** By method, for SignalR clients; `"*"` is every method that is declared nowhere. */
  calls: z
    .record(
      z.string(),
      z.union([
        z.literal("private"),
        z.literal("deny"),
        z.strictObject({ share: z.literal(true), ttlMs: ms(250, 1, 60_000) }),
      ]),
    )
    .default({}),
  /** When a SignalR client's private connection to the origin is opened. */
  privateLane: z.enum(["eager", "lazy", "off"]).default("eager"),
  /** Who may watch: whom the origin's negotiate accepts, or everybody. */
  access: z.enum(["origin", "public"]).default("origin"),
  /** How long the origin's word on a credential holds. */
  accessTtlMs: ms(10_000, 0, 3_600_000),
  /** Headers that are credentials, beside `Authorization` and cookies. */
  credentialHeaders: z.array(z.string().toLowerCase()).default([]),
  /** What SignalR clients are offered. */
  transports: z
    .array(z.enum(["WebSockets", "ServerSentEvents", "LongPolling"]))
    .min(1)
    .default(["WebSockets", "ServerSentEvents", "LongPolling"]),
  /** Whether SignalR clients may agree on stateful reconnect. */
  statefulReconnect: z.boolean().default(true),
});

const fields = z.strictObject({
  /** Where it listens; 0 for any free port. `PORT` goes before it. */
  port: z.int().min(0).max(65_535).default(8787),
  /** The address it listens on. `HOST` goes before it. */
  host: z.string().default("0.0.0.0"),
  /**
   * Isolates that serve, each with the limits below; `auto` for one on each core. `KERYX_WORKERS` goes
   * before it.
   */
  workers: z
    .union([z.literal("auto"), z.int().min(1).max(256)], "must be 1 to 256, or auto")
    .default(1),
  /** By path on the relay. */
  hubs: z.record(z.string().regex(/^(\/[A-Za-z0-9._~-]+)+$/, "must be a path"), hub),
  /**
   * Signs connection tokens; relays that share it know each other's, so those of a cluster must. A
   * random one when it is not said. `KERYX_SECRET` goes before it.
   */
  secret: z.string().min(16).optional(),
  /** Web origins, beside the relay's own, whose pages may connect, such as `https://example.com`. */
  origins: z.array(z.url()).default([]),
  /** Every plain client hears something this often. */
  heartbeatMs: ms(15_000, 100, 15_000),
  /** How long an opening waits for the origin. */
  openTimeoutMs: ms(5_000, 0, 60_000),
  /** Of `/sse`. */
  sse: z
    .strictObject({
      /**
       * `auto`: gzip for clients that accept it, each update compressed once for all of them. `off` where a
       * topic mixes secrets with text that outsiders choose: its size would tell how alike the two are.
       */
      compression: z.enum(["auto", "off"]).default("auto"),
    })
    .prefault({}),
  /** At the end, clients are sent away one after the other within this; a few take less. */
  drainMs: ms(4_000, 0, 600_000),
  limits: z
    .strictObject({
      /** Clients' connections here. */
      connections: count(200_000, 1, 10_000_000),
      /** Clients that may connect each second, and at once after a quiet one; 0 for any number. */
      connectsPerSecond: count(5_000, 0, 1_000_000),
      /** Topics of one hub that are watched at once. */
      topics: count(10_000, 1, 10_000_000),
      topicsPerConnection: count(100, 1, 10_000),
      /** Largest message from a client, bytes. */
      messageBytes: count(32_768, 1_024, 16_777_216),
      /** What may wait for one connection before it is cut as too slow, bytes. */
      queueBytes: count(1_048_576, 1_024, 1_073_741_824),
      /** As much, when all its topics conflate, before it is left behind, bytes. */
      conflateBytes: count(65_536, 1_024, 1_073_741_824),
      /** What may wait for all connections together, bytes: those with most of it are cut first. */
      totalQueueBytes: count(268_435_456, 65_536, 1_099_511_627_776),
      /** A connection that takes nothing for this long, while something waits for it, is cut, ms. */
      stuckMs: ms(30_000, 100, 600_000),
      /** What the histories of all topics may keep together, bytes as the origin wrote them. */
      historyBytes: count(268_435_456, 0, 1_099_511_627_776),
    })
    .prefault({}),
  /** SignalR's timers, with the defaults of ASP.NET Core. */
  signalr: z
    .strictObject({
      keepAliveMs: ms(15_000, 100),
      clientTimeoutMs: ms(30_000, 200),
      handshakeTimeoutMs: ms(15_000, 100),
      /** A poll is answered without data after this. */
      pollTimeoutMs: ms(90_000, 100),
      /** An unclaimed negotiation, a missing poll, a lost stateful socket are given up after this. */
      disconnectTimeoutMs: ms(15_000, 100),
      /** How long an old socket may take to go when its client has come back on another. */
      closeTimeoutMs: ms(5_000, 0),
    })
    .prefault({}),
  /** Shares the connections to the origins with the relays of other machines. */
  cluster: z
    .strictObject({
      /** Servers of NATS, such as `nats://host:4222`. `KERYX_NATS` goes before it. */
      nats: z.union([natsUrl, z.array(natsUrl).min(1)]),
      /** Relays of one name are one cluster; it begins the names of all that is stored. */
      name: z
        .string()
        .regex(/^[A-Za-z0-9_-]{1,32}$/, "must be 1 to 32 letters, digits, - or _")
        .default("keryx"),
      /** How long the owner of a feed may be silent before another machine takes over. */
      leaseMs: ms(1_500, 300, 60_000),
      /** What a feed's log keeps, for machines that were away, bytes. */
      logBytes: count(268_435_456, 1_048_576, 1_099_511_627_776),
      /** Servers that store each log. */
      replicas: count(1, 1, 5),
      /**
       * Who the relays are to NATS: a user, a token, or a file of credentials. The first two may stand
       * in the URLs, too, `nats://user:password@host` or `nats://token@host`, as one for all servers.
       */
      user: z.string().optional(),
      password: z.string().optional(),
      token: z.string().optional(),
      /** Path of a file that `nsc` makes, with a JWT and a seed. `NATS_CREDENTIALS` goes before it. */
      credentials: z.string().optional(),
      /** Path of certificates of authorities, in PEM, that are trusted with `tls://`. `NATS_CA` goes before it. */
      ca: z.string().optional(),
    })
    .optional(),
  upstream: z
    .strictObject({
      keepAliveMs: ms(15_000, 100, 30_000),
      serverTimeoutMs: ms(30_000, 200),
      handshakeTimeoutMs: ms(15_000, 100),
      /** Bounds of the wait before a new attempt: full jitter, doubling from min to max. */
      backoffMinMs: ms(500, 1),
      backoffMaxMs: ms(30_000, 1),
      /** Joins that wait for the origin's answer at one time. */
      joinsInFlight: count(32, 1, 10_000),
      /** Shared calls that wait for the origin's answer at one time. */
      callsInFlight: count(1_000, 1, 1_000_000),
      /** Largest message from an origin, bytes. */
      messageBytes: count(16_777_216, 1_024, 1_073_741_824),
    })
    .prefault({}),
});

const config = fields.refine(({ cluster, secret }) => !cluster || secret !== undefined, {
  path: ["secret"],
  // A random one on each machine would show only as clients that are lost now and then.
  message: "is needed with cluster, the same on all machines",
});

/** What an operator writes. */
export type ConfigInput = z.input<typeof config>;
/** With every default filled in. */
export type Config = Readonly<z.output<typeof config>>;
export type HubConfig = Readonly<z.output<typeof hub>>;
export type TopicConfig = Readonly<z.output<typeof topic>>;

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

/** Gives a configuration file its types. */
export function defineConfig(input: ConfigInput): ConfigInput {
  return input;
}

/** The configuration is wrong; the message names each field. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

/** @throws {ConfigError} */
export function parseConfig(input: unknown): Config {
  const parsed = config.safeParse(input);
  if (parsed.success) return Object.freeze(parsed.data);
  const fields = parsed.error.issues.map((issue) => {
    const message = (issue.code === "invalid_key" && issue.issues[0]?.message) || issue.message;
    return `  ${issue.path.map(String).join(".") || "(whole)"}: ${message}`;
  });
  throw new ConfigError(`Invalid configuration:\n${fields.join("\n")}`);
}

/**
 * Reads the configuration that the environment names: `KERYX_CONFIG` a file, or `KERYX_ORIGIN` the
 * URL of one hub; `PORT`, `HOST`, `KERYX_WORKERS`, `KERYX_NATS` and `KERYX_SECRET` go before what it
 * says. `NATS_USER`, `NATS_PASSWORD`, `NATS_TOKEN`, `NATS_CREDENTIALS` and `NATS_CA` are for the
 * cluster's servers.
 * @param fallback used when neither is set
 * @throws {ConfigError}
 */
export async function loadConfig(
  host: Pick<Host, "env" | "workingDirectory" | "readFile">,
  fallback?: ConfigInput,
): Promise<Config> {
  const { KERYX_CONFIG, KERYX_ORIGIN, KERYX_WORKERS, KERYX_NATS, KERYX_SECRET, PORT, HOST } =
    host.env;
  let input: unknown = fallback;
  if (KERYX_CONFIG) input = await readConfigFile(host, KERYX_CONFIG);
  else if (KERYX_ORIGIN) input = { hubs: { [hubPath(KERYX_ORIGIN)]: { origin: KERYX_ORIGIN } } };
  if (input === undefined) {
    throw new ConfigError(
      "No hub is configured: set KERYX_CONFIG to a file, or KERYX_ORIGIN to a hub's URL",
    );
  }
  return parseConfig({
    ...(input as object),
    ...(PORT ? { port: readCount(PORT) } : {}),
    ...(HOST ? { host: HOST } : {}),
    ...(KERYX_WORKERS ? { workers: readCount(KERYX_WORKERS) } : {}),
    ...(KERYX_SECRET ? { secret: KERYX_SECRET } : {}),
    ...readCluster((input as ConfigInput).cluster, KERYX_NATS, host.env),
  });
}

/** @param servers URLs of NATS with commas between them, which go before those in the file */
function readCluster(
  cluster: ConfigInput["cluster"],
  servers: string | undefined,
  { NATS_USER, NATS_PASSWORD, NATS_TOKEN, NATS_CREDENTIALS, NATS_CA }: Host["env"],
): Pick<ConfigInput, "cluster"> {
  const nats = servers ? servers.split(",") : cluster?.nats;
  if (nats === undefined) return { cluster };
  const credentials = {
    ...(NATS_USER ? { user: NATS_USER } : {}),
    ...(NATS_PASSWORD ? { password: NATS_PASSWORD } : {}),
    ...(NATS_TOKEN ? { token: NATS_TOKEN } : {}),
    ...(NATS_CREDENTIALS ? { credentials: NATS_CREDENTIALS } : {}),
    ...(NATS_CA ? { ca: NATS_CA } : {}),
  };
  return { cluster: { ...cluster, nats, ...credentials } };
}

/** @returns what is no whole number as it is, so that it is refused as that */
function readCount(text: string): number | string {
  return /^\d+$/.test(text) ? Number(text) : text;
}

async function readConfigFile(
  host: Pick<Host, "workingDirectory" | "readFile">,
  path: string,
): Promise<unknown> {
  const file = new URL(path, host.workingDirectory);
  try {
    if (file.pathname.endsWith(".json")) return JSON.parse(await host.readFile(file));
    const module: { default?: unknown } = await import(file.href);
    if (module.default === undefined) throw new Error("it has no default export");
    return module.default;
  } catch (error) {
    throw new ConfigError(`Cannot read KERYX_CONFIG "${path}": ${messageOf(error)}`);
  }
}

function hubPath(origin: string): string {
  try {
    return new URL(origin).pathname.replace(/\/$/, "");
  } catch {
    throw new ConfigError(`Invalid KERYX_ORIGIN: "${origin}" is not a URL`);
  }
}
