/** From a configuration to a relay with everything in it, on any runtime. */

import { type Bus, channelOf } from "../lib/bus/bus.ts";
import { createRequests } from "../lib/bus/request.ts";
import { systemClock } from "../lib/clock.ts";
import { type Admission, createAdmission, openAdmission } from "../lib/downstream/admission.ts";
import type { Context } from "../lib/downstream/context.ts";
import { createGateway, type Gateway } from "../lib/downstream/gateway.ts";
import { createSessions } from "../lib/downstream/sessions.ts";
import { createTokens } from "../lib/downstream/token.ts";
import { createFanout } from "../lib/fanout/fanout.ts";
import { createFeed, type Entry, type Feed } from "../lib/feed/feed.ts";
import { createGroup, createSoloGroup, type Group } from "../lib/feed/group.ts";
import type { CreateEngine } from "../lib/feed/member.ts";
import { createOwner } from "../lib/feed/owner.ts";
import type { HubSpec } from "../lib/feed/spec.ts";
import type { Log } from "../lib/log.ts";
import { createRelay, type Hub } from "../lib/relay.ts";
import { createStats } from "../lib/stats.ts";
import { createHistoryBudget, type HistoryBudget } from "../lib/topic/budget.ts";
import { createEpoch } from "../lib/topic/position.ts";
import { createAccess } from "../lib/upstream/access.ts";
import { createPrivateLanes } from "../lib/upstream/private.ts";
import { createSignalRSource } from "../lib/upstream/signalr.ts";
import { createWheel } from "../lib/wheel.ts";
import type { HubProtocol, Raw } from "../lib/wire/hub.ts";
import { jsonProtocol } from "../lib/wire/json.ts";
import { messagepackProtocol } from "../lib/wire/messagepack.ts";
import { type Cluster, createCluster } from "./cluster.ts";
import type { Config, HubConfig } from "./config.ts";
import type { Host } from "./host.ts";
import { compileHubs } from "./spec.ts";

/** A connection to the origin that lived this long starts the backoff anew when it is lost, ms. */
const STABLE_MS = 5_000;

/** Verdicts of an origin that are kept. */
const ACCESS_ENTRIES = 100_000;

/** Credentials of which the other isolates are asked at one time, while the origin is away. */
const RECALLS_IN_FLIGHT = 1_000;

export interface Built {
  readonly context: Context;
  /** By the hub's path in lower case. */
  readonly gateways: ReadonlyMap<string, Gateway>;
  /** Who may watch, by the hub's path as it is declared. */
  readonly admissions: ReadonlyMap<string, Admission>;
  /** What the topics of all feeds keep. */
  readonly histories: Pick<HistoryBudget, "bytes">;
  /** Whether it owns the feeds is for others to say; `undefined` when it is alone. */
  readonly group: Group | undefined;
  /** What joins it to other machines, where that is configured. */
  readonly cluster: Cluster | undefined;
}

/** @param bus where it meets the others, when it is not alone */
export function build(config: Config, host: Pick<Host, "dial">, log: Log, bus?: Bus): Built {
  const { limits, heartbeatMs } = config;
  const clock = systemClock;
  const random = Math.random;
  const stats = createStats();
  const wheel = createWheel(clock);
  const fanout = createFanout({ clock, stats, limits });
  const budget = createHistoryBudget(limits.historyBytes);
  const maxCalls = config.upstream.callsInFlight;
  const group = bus && createGroup({ bus, budget, maxCalls, clock, stats });
  const { join } = group ?? createSoloGroup(budget);
  const cluster =
    config.cluster &&
    createCluster(config.cluster, {
      bus,
      secret: config.secret,
      maxCalls,
      budget,
      clock,
      random,
      stats,
      log,
    });
  if (!bus) cluster?.appoint(true);
  const reach = cluster?.bus ?? bus;
  const sessions = createSessions({
    maxConnections: limits.connections,
    connectsPerSecond: limits.connectsPerSecond,
    clock,
    random,
  });

  function createHub(spec: HubSpec, hub: HubConfig, onEnded: (entry: Entry) => void): Hub {
    const feed = <R extends Raw>(protocol: HubProtocol<R>, onDemand: boolean): Feed<R> => {
      const createOwn: CreateEngine<R> = (table, sequence) =>
        createOwner(spec, table, {
          createSource: (listener) => createSignalRSource(sourceOptions(hub, protocol), listener),
          onDemand,
          sequence,
          clock,
          random,
          stats,
          log,
        });
      const createEngine =
        cluster?.share({ spec, protocol: protocol.name, onDemand }, createOwn) ?? createOwn;
      const { connect } = join(spec, protocol.name, createEngine);
      return createFeed(spec, { createLine: connect, onEnded, fanout, clock, stats });
    };
    return { spec, json: feed(jsonProtocol, false), messagepack: feed(messagepackProtocol, true) };
  }

  function sourceOptions<R extends Raw>(
    { origin, headers, accessToken }: HubConfig,
    protocol: HubProtocol<R>,
  ) {
    const { upstream } = config;
    return {
      url: origin,
      protocol,
      connection: {
        ...transportOptions(),
        headers,
        accessToken: async () => (typeof accessToken === "function" ? accessToken() : accessToken),
      },
      backoff: { minMs: upstream.backoffMinMs, maxMs: upstream.backoffMaxMs },
      stableMs: STABLE_MS,
      maxJoinsInFlight: upstream.joinsInFlight,
      maxInvocations: upstream.callsInFlight,
      clock,
      random,
      stats,
      log,
    };
  }

  function transportOptions() {
    const { handshakeTimeoutMs, keepAliveMs, serverTimeoutMs, messageBytes } = config.upstream;
    return {
      fetch,
      dial: host.dial,
      handshakeTimeoutMs,
      keepAliveMs,
      serverTimeoutMs,
      maxMessageBytes: messageBytes,
    };
  }

  const relay = createRelay({
    fanout,
    createHubs: (onEnded) =>
      [...compileHubs(config)].map(
        ([path, spec]) => createHub(spec, config.hubs[path] as HubConfig, onEnded), // a spec was made of each
      ),
  });
  const context: Context = {
    relay,
    sessions,
    stats,
    log,
    clock,
    wheel,
    random,
    limits,
    heartbeatMs,
    compression: config.sse.compression,
  };

  const tokens = createTokens({
    secret: config.secret ?? crypto.getRandomValues(new Uint8Array(32)),
    owner: reach?.id ?? createEpoch(random),
    now: clock.now,
  });
  const admissions = new Map<string, Admission>();
  const gateways = new Map<string, Gateway>();
  for (const [path, hub] of Object.entries(config.hubs)) {
    const admission = createHubAdmission(path, hub);
    admissions.set(path, admission);
    const options = { ...transportOptions(), clock, stats, log, maxQueueBytes: limits.queueBytes };
    gateways.set(
      path.toLowerCase(),
      createGateway({
        context,
        hub: hubOf(relay.hubs, path),
        lanes: createPrivateLanes({ ...options, url: hub.origin }),
        tokens,
        admission,
        limits: {
          ...config.signalr,
          connections: limits.connections,
          messageBytes: limits.messageBytes,
          statefulBytes: limits.queueBytes,
        },
        transports: hub.transports,
        stateful: hub.statefulReconnect,
        bus: reach,
      }),
    );
    if (hub.access === "public") log.info({ hub: path }, "everybody may watch: access is public");
  }
  return { context, gateways, admissions, histories: budget, group, cluster };

  function createHubAdmission(path: string, hub: HubConfig): Admission {
    if (hub.access === "public") return openAdmission;
    const others =
      bus &&
      createRequests<string, number>(channelOf(bus, `access ${path}`), {
        clock,
        maxInFlight: RECALLS_IN_FLIGHT,
        answer(_, key) {
          const acceptedAt = access.acceptedAt(key);
          return acceptedAt === undefined ? undefined : Promise.resolve(acceptedAt);
        },
      });
    const refusals = bus && channelOf<string>(bus, `refused ${path}`);
    refusals?.listen((_, key) => access.forget(key));
    const access = createAccess({
      recall: async (key) => others?.ask(undefined, key).catch(() => undefined),
      onRefused: (key) => refusals?.post(key),
      url: hub.origin,
      fetch,
      clock,
      ttlMs: hub.accessTtlMs,
      maxEntries: ACCESS_ENTRIES,
      timeoutMs: config.upstream.handshakeTimeoutMs,
    });
    return createAdmission(access, hub.credentialHeaders);
  }
}

function hubOf(hubs: ReadonlyMap<string, Hub>, path: string): Hub {
  return hubs.get(path.toLowerCase()) as Hub; // one was made for each path
}
