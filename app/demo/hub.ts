/**
 * The embedded origin: a SignalR hub that keeps `contract.ts` on top of the simulator, so that the demo
 * needs no other server. It speaks what the relay speaks to its clients, by the same code; whoever
 * serves it hands over requests.
 */
import { z } from "zod";
import type { Clock } from "../../lib/clock.ts";
import type { Opened } from "../../lib/downstream/connections.ts";
import {
  type Bindings,
  createEndpoint,
  type EndpointLimits,
  TRANSPORTS,
} from "../../lib/downstream/endpoint.ts";
import type { HubClose, HubConnection, HubHandler } from "../../lib/downstream/hub.ts";
import { PROTOCOLS } from "../../lib/downstream/hub-format.ts";
import { answerNegotiation, createConnectionId } from "../../lib/downstream/negotiation.ts";
import { createTokens } from "../../lib/downstream/token.ts";
import { createWheel } from "../../lib/wheel.ts";
import type { HubProtocol, Raw } from "../../lib/wire/hub.ts";
import {
  type BetReceipt,
  type HubStats,
  MATCH_COUNT,
  type MatchState,
  SPORTS,
  type Sport,
} from "./contract.ts";
import {
  call,
  createDispatcher,
  type Emit,
  HubException,
  type Methods,
  stream,
} from "./dispatch.ts";
import { type Rendering, renderPush, renderValue } from "./rendering.ts";
import { createSimulator, type SimulatorEvent } from "./simulator.ts";

export interface DemoHubOptions {
  readonly clock: Clock;
  /** Of the simulator. */
  readonly seed: number;
  /** Simulated seconds per second, 0 to 3600; 0 pushes nothing by itself. Default 60. */
  readonly speed?: number;
  /** Connections at one time; more are answered 503. Default 10,000. */
  readonly maxConnections?: number;
  /** Hub protocols it speaks. Default: JSON and MessagePack. */
  readonly protocols?: readonly HubProtocol<Raw>[];
}

/** The origin as its server sees it; it may be served under any path. */
export interface DemoHub {
  /** Answers `{hub}/negotiate`. */
  negotiate(request: Request): Promise<Response>;
  /** Answers `{hub}`, over every transport. */
  handle(request: Request, bindings: Bindings): Promise<Response>;
  /**
   * Pushes OddsChanged of a match's `1x2` market so many times at once, its first price changed each time.
   * Every OddsChanged of this hub has a field `sequence` beyond the contract, which rises by one.
   *
   * @param count 1 to 10,000
   * @returns the sequences of the first and the last push
   * @throws RangeError when the match does not exist, or for another count
   */
  publish(matchId: number, count: number): { readonly first: number; readonly last: number };
  stats(): HubStats;
  /** Sends everybody a Close that invites to reconnect, takes nobody any more, and makes time stand still. */
  stop(): void;
}

const TICK_MS = 100;
/** Time that is made up for at most, after the process was busy or asleep. */
const MAX_LAG_MS = 1000;
const MAX_SPEED = 3600;
const MAX_PUBLISH = 10_000;
const MAX_STREAMS = 100;

/** A connection with more than this unsent, or unacknowledged when it is stateful, is ended. */
const MAX_BUFFERED_BYTES = 8 * 1024 * 1024;
const TOO_SLOW: HubClose = { error: "Too slow", allowReconnect: true };

/** Those of ASP.NET Core, but that a stateful client may leave a whole {@link MAX_PUBLISH} unacknowledged. */
const LIMITS: Omit<EndpointLimits, "connections"> = {
  handshakeTimeoutMs: 15_000,
  keepAliveMs: 15_000,
  clientTimeoutMs: 30_000,
  messageBytes: 32_768,
  pollTimeoutMs: 90_000,
  disconnectTimeoutMs: 15_000,
  closeTimeoutMs: 5_000,
  statefulBytes: MAX_BUFFERED_BYTES,
};

const TRANSPORT_NAMES = TRANSPORTS.map(({ transport }) => transport);

const MATCH_ID = z.tuple([z.int32()]);
const BET = z.object({
  matchId: z.int32(),
  marketId: z.string(),
  selectionId: z.string(),
  price: z.number(),
  stake: z.number(),
});

/** A connection after its handshake. */
interface Member {
  send(rendering: Rendering): void;
}

/** @throws RangeError when the speed is out of range */
export function createDemoHub(options: DemoHubOptions): DemoHub {
  const { clock, seed, speed = 60, maxConnections = 10_000 } = options;
  const { protocols = Object.values(PROTOCOLS) } = options;
  if (!(speed >= 0 && speed <= MAX_SPEED)) {
    throw new RangeError(`Cannot run at speed ${speed}: want 0 to ${MAX_SPEED}`);
  }

  const wheel = createWheel(clock);
  const tokens = createTokens({
    secret: crypto.getRandomValues(new Uint8Array(32)),
    owner: "demo",
    now: clock.now,
  });
  const opened = new Set<Opened>();
  let stopped = false;

  const simulator = createSimulator({ seed });
  const members = new Set<Member>();
  const groups = new Map<number, Set<Member>>();
  const tickers: Readonly<Record<Sport, Set<Emit>>> = { football: new Set(), tennis: new Set() };
  const joins: Record<string, number> = {};
  const calls: Record<string, number> = {};
  const pushes: Record<string, number> = {};
  let connectionsTotal = 0;
  let leavesTotal = 0;
  let sequence = 0;
  let betId = 0;

  const methods: Methods<Member> = {
    JoinMatch: call(MATCH_ID, (caller, id) => {
      find(id);
      groupOf(id).add(caller);
      increment(joins, id);
    }),
    LeaveMatch: call(MATCH_ID, (caller, id) => {
      groups.get(id)?.delete(caller);
      leavesTotal++;
    }),
    GetMatch: call(MATCH_ID, (_, id) => find(id)),
    PlaceBet: call(z.tuple([BET]), (_, bet) => placeBet(bet)),
    Stats: call(z.tuple([]), () => stats()),
    Ticker: stream(z.tuple([z.string()]), (emit, name) => {
      const sport = SPORTS.find((known) => known === name);
      if (!sport) throw new HubException(`Unknown sport: ${name}`);
      tickers[sport].add(emit);
      return () => tickers[sport].delete(emit);
    }),
  };

  function find(id: number): MatchState {
    if (id >= 1 && id <= MATCH_COUNT) return simulator.match(id);
    throw new HubException(`Unknown match: ${id} is not between 1 and ${MATCH_COUNT}`);
  }

  function groupOf(id: number): Set<Member> {
    const group = groups.get(id) ?? new Set();
    groups.set(id, group);
    return group;
  }

  function placeBet(bet: z.infer<typeof BET>): BetReceipt {
    const market = find(bet.matchId).markets.find(({ marketId }) => marketId === bet.marketId);
    if (!market) throw new HubException(`Unknown market: ${bet.marketId}`);
    const selection = market.selections.find(({ id }) => id === bet.selectionId);
    if (!selection) throw new HubException(`Unknown selection: ${bet.selectionId}`);
    if (!(bet.stake > 0 && bet.stake <= 10_000)) {
      throw new HubException(`Stake must be above 0 and at most 10000: ${bet.stake}`);
    }
    const { price } = selection;
    if (market.suspended) return { accepted: false, reason: "suspended", price };
    if (bet.price !== price) return { accepted: false, reason: "price-changed", price };
    return { accepted: true, betId: ++betId, price };
  }

  function stats(): HubStats {
    return {
      connections: members.size,
      connectionsTotal,
      joins: { ...joins },
      joinsTotal: Object.values(joins).reduce((sum, count) => sum + count, 0),
      leavesTotal,
      calls: { ...calls },
      streams: tickers.football.size + tickers.tennis.size,
      pushes: { ...pushes },
    };
  }

  function push(to: Iterable<Member>, { target, value }: { target: string; value: unknown }): void {
    increment(pushes, target);
    const rendering = renderPush(target, [value]);
    for (const member of to) member.send(rendering);
  }

  function tell(event: SimulatorEvent): void {
    switch (event.type) {
      case "odds": {
        const value = { ...event.data, sequence: ++sequence };
        return push(groupOf(value.matchId), { target: "OddsChanged", value });
      }
      case "score": {
        const value = event.data;
        return push(groupOf(value.matchId), { target: "ScoreChanged", value });
      }
      case "announcement":
        return push(members, { target: "Announcement", value: event.data });
      case "ticker": {
        const item = renderValue(event.data);
        for (const emit of tickers[event.data.sport]) emit(item);
      }
    }
  }

  function isFull(): boolean {
    return stopped || opened.size >= maxConnections;
  }

  const endpoint = createEndpoint({
    clock,
    wheel,
    limits: { ...LIMITS, connections: maxConnections },
    protocols,
    transports: TRANSPORT_NAMES,
    identify: tokens.read,
    serve: () => (isFull() ? fullResponse() : { open }),
    onOpened(connection) {
      // A WebSocket opens some time after its request was accepted.
      if (isFull()) connection.close({ allowReconnect: true });
      else opened.add(connection);
    },
    onClosed: (connection) => opened.delete(connection),
    onReceived() {},
  });

  function open(unlimited: HubConnection<Raw>): HubHandler<Raw> {
    const connection = limit(unlimited);
    const member: Member = {
      send: (rendering) => connection.pass(rendering(connection.protocol), true),
    };
    members.add(member);
    connectionsTotal++;
    return createDispatcher({
      connection,
      caller: member,
      methods,
      maxStreams: MAX_STREAMS,
      onCall: (name) => increment(calls, name),
      onClose() {
        members.delete(member);
        for (const group of groups.values()) group.delete(member);
      },
    });
  }

  let toldAt = clock.now();
  // What is left of a whole simulated millisecond is kept, so that no speed is too low.
  let owedMs = 0;
  const ticking = clock.every(TICK_MS, () => {
    const now = clock.now();
    owedMs += Math.min(Math.max(now - toldAt, 0), MAX_LAG_MS) * speed;
    toldAt = now;
    const wholeMs = Math.floor(owedMs);
    owedMs -= wholeMs;
    for (const event of simulator.advance(wholeMs)) tell(event);
  });

  return {
    negotiate: (request) =>
      answerNegotiation(request, {
        tokens,
        transports: TRANSPORT_NAMES,
        stateful: true,
        admit: () =>
          isFull()
            ? fullResponse()
            : { connectionId: createConnectionId(), origin: undefined, cookies: [] },
      }),
    handle: endpoint.handle,
    stats,
    publish(matchId, count) {
      if (!(Number.isInteger(count) && count >= 1 && count <= MAX_PUBLISH)) {
        throw new RangeError(`Cannot publish ${count} times: want 1 to ${MAX_PUBLISH}`);
      }
      const first = sequence + 1;
      for (let i = 0; i < count; i++) simulator.nudge(matchId, "1x2").forEach(tell);
      return { first, last: sequence };
    },
    stop() {
      stopped = true;
      ticking.cancel();
      for (const connection of [...opened]) connection.close({ allowReconnect: true });
      wheel.stop();
    },
  };
}

/** Ends a connection whose client does not keep up with what is sent. */
function limit(connection: HubConnection<Raw>): HubConnection<Raw> {
  const { sink } = connection.transport;
  const check = (): void => {
    if (sink.bufferedBytes > MAX_BUFFERED_BYTES) connection.close(TOO_SLOW);
  };
  return {
    protocol: connection.protocol,
    transport: connection.transport,
    close: (close) => connection.close(close),
    cut: () => connection.cut(),
    send(message) {
      connection.send(message);
      check();
    },
    pass(framed, counted) {
      connection.pass(framed, counted);
      check();
    },
  };
}

function fullResponse(): Response {
  return new Response("No more connections", {
    status: 503,
    headers: { "content-type": "text/plain" },
  });
}

function increment(counts: Record<string, number>, key: string | number): void {
  counts[key] = (counts[key] ?? 0) + 1;
}
