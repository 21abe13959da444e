/**
 * The contract of the demo hub `/hubs/live`: what it calls, what it pushes, what it returns.
 * Both origins keep it, the embedded one (`app/demo`) and the ASP.NET Core one (`tests/origin`), so
 * that the page, the tests and the benches run against either. All names are as on the JSON wire.
 *
 * Methods: `JoinMatch(id)`, `LeaveMatch(id)`, `GetMatch(id): MatchState`, `Ticker(sport)` (a server
 * stream of `TickerItem`), `PlaceBet(bet): BetReceipt`, `Stats(): HubStats`.
 * Pushes: `OddsChanged(OddsChanged)` and `ScoreChanged(ScoreChanged)` to the group of a match,
 * `Announcement(Announcement)` to everybody.
 */

/** Matches are numbered from 1 to this. `JoinMatch` and `GetMatch` of another id fail with a HubException. */
export const MATCH_COUNT = 20;

/** The sports `Ticker` knows; another one fails with a HubException. */
export const SPORTS = ["football", "tennis"] as const;
export type Sport = (typeof SPORTS)[number];

export type Phase = "scheduled" | "first-half" | "half-time" | "second-half" | "full-time";

/** One way a market can end. `price` is decimal odds, at least 1.01, two decimals. */
export interface Selection {
  readonly id: string;
  readonly name: string;
  readonly price: number;
}

/** `1x2`: selections `home`, `draw`, `away`. `over-under`: `over`, `under` a line. `next-goal`: `home`, `none`, `away`. */
export type MarketId = "1x2" | "over-under" | "next-goal";

export interface Market {
  readonly marketId: MarketId;
  /** For a person, such as `Over/under 2.5`. */
  readonly name: string;
  /** True while no bet is taken; the prices are the last ones then. */
  readonly suspended: boolean;
  readonly selections: readonly Selection[];
}

export interface TeamState {
  readonly name: string;
  readonly goals: number;
  readonly yellow: number;
  readonly red: number;
}

/** The score and clock of a match, whole: a later one replaces an earlier one. */
export interface ScoreState {
  readonly matchId: number;
  readonly phase: Phase;
  /** Minute shown on the clock, 0 to 90. */
  readonly minute: number;
  readonly home: TeamState;
  readonly away: TeamState;
}

/** Result of `GetMatch`: everything there is to know of a match. */
export interface MatchState extends ScoreState {
  readonly league: string;
  readonly markets: readonly Market[];
}

/** Pushed to a match's group: one market, whole. Key for conflation: `marketId`. */
export interface OddsChanged extends Market {
  readonly matchId: number;
}

/** Pushed to a match's group at each minute, goal, card and whistle. */
export interface ScoreChanged extends ScoreState {
  readonly reason: "minute" | "goal" | "card" | "phase";
}

/** One line of a sport's ticker. `id` rises by one with each line of a sport. */
export interface TickerItem {
  readonly id: number;
  readonly sport: Sport;
  readonly kind: "goal" | "card" | "phase" | "point" | "game" | "set";
  readonly text: string;
}

/** Pushed to everybody. `id` rises by one. */
export interface Announcement {
  readonly id: number;
  readonly text: string;
}

/** Argument of `PlaceBet`. `price` is the one the user saw; `stake` is above 0 and at most 10,000. */
export interface Bet {
  readonly matchId: number;
  readonly marketId: MarketId;
  readonly selectionId: string;
  readonly price: number;
  readonly stake: number;
}

/** Result of `PlaceBet`. Refused when the market is suspended or the price has moved. */
export type BetReceipt =
  | { readonly accepted: true; readonly betId: number; readonly price: number }
  | {
      readonly accepted: false;
      readonly reason: "suspended" | "price-changed";
      readonly price: number;
    };

/** Result of `Stats`: what the hub itself has seen since it started. */
export interface HubStats {
  /** Connections open now (after their handshake). */
  readonly connections: number;
  /** Connections ever opened. */
  readonly connectionsTotal: number;
  /** `JoinMatch` calls that succeeded, by match id (only ids that were ever joined). */
  readonly joins: Readonly<Record<string, number>>;
  readonly joinsTotal: number;
  readonly leavesTotal: number;
  /** Invocations of any method, by method name as declared here. */
  readonly calls: Readonly<Record<string, number>>;
  /** `Ticker` streams running now. */
  readonly streams: number;
  /** Pushes handed to SignalR, by target; a group push counts once. */
  readonly pushes: Readonly<Record<string, number>>;
}
