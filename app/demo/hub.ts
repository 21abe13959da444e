/**
 * The embedded origin: a SignalR hub that keeps `contract.ts` on top of the simulator, so that the demo
 * needs no other server. Whoever serves it hands over requests and upgrades.
 */
import { z } from "zod";
import type { Clock } from "../../lib/clock.ts";
import type { HubConnection, HubHandler, HubLimits } from "../../lib/downstream/hub.ts";
import type { HubProtocol, Raw } from "../../lib/wire/hub.ts";
import { jsonProtocol } from "../../lib/wire/json.ts";
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
import { createEndpoint, type Endpoint } from "./endpoint.ts";
import { type Rendering, renderPush, renderValue } from "./rendering.ts";
import { createSimulator, type SimulatorEvent } from "./simulator.ts";

export interface DemoHubOptions {
  readonly clock: Clock;
  /** Of the simulator. */
  readonly seed: number;
  /** Simulated seconds per second, 0 to 3600; 0 pushes nothing by itself. Default 60. */
  readonly speed?: number;
  /** Connections and negotiated ids at one time; more are answered 503. Default 10,000. */
  readonly maxConnections?: number;
  /** Timers and limits of a connection. Default: those of ASP.NET Core. */
  readonly limits?: HubLimits;
  /** Hub protocols it speaks. Default: JSON. */
  readonly protocols?: readonly HubProtocol<Raw>[];
}

/** The origin as its server sees it. To stop it makes time stand still, too. */
export interface DemoHub extends Endpoint {
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
}

const TICK_MS = 100;
/** Time that is made up for at most, after the process was busy or asleep. */
const MAX_LAG_MS = 1000;
const MAX_SPEED = 3600;
const MAX_PUBLISH = 10_000;
const MAX_STREAMS = 100;

const DEFAULT_LIMITS: HubLimits = {
  handshakeTimeoutMs: 15_000,
  keepAliveMs: 15_000,
  clientTimeoutMs: 30_000,
  messageBytes: 32_768,
};

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
  const { limits = DEFAULT_LIMITS, protocols = [jsonProtocol] } = options;
  if (!(speed >= 0 && speed <= MAX_SPEED)) {
    throw new RangeError(`Cannot run at speed ${speed}: want 0 to ${MAX_SPEED}`);
  }

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

  function open(connection: HubConnection<Raw>): HubHandler<Raw> {
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

  const endpoint = createEndpoint({ clock, limits, protocols, maxConnections, open });
  return {
    negotiate: endpoint.negotiate,
    connect: endpoint.connect,
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
      ticking.cancel();
      endpoint.stop();
    },
  };
}

function increment(counts: Record<string, number>, key: string | number): void {
  counts[key] = (counts[key] ?? 0) + 1;
}
