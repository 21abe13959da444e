import type { Update } from "../../lib/client/feed.ts";
import type { Market, MatchState, Phase, ScoreState } from "../demo/contract.ts";

/** What is known of a match so far; a part that is absent has not been heard of. */
export interface MatchView {
  readonly league?: string;
  readonly score?: ScoreState;
  /** By market id. */
  readonly markets: Readonly<Partial<Record<Market["marketId"], Market>>>;
}

export const UNKNOWN: MatchView = { markets: {} };

/**
 * What is known of a match after an update of its topic. Pure. An event or a shape that is not of
 * `app/demo/contract.ts` changes nothing: the page must outlive an origin that is newer than itself.
 */
export function fold(view: MatchView, update: Update): MatchView {
  if (update.type === "publication") return take(view, update.event, update.data);
  if (update.type !== "reset") return view;
  let fresh = isMatchState(update.snapshot) ? fromSnapshot(update.snapshot) : UNKNOWN;
  for (const { event, data } of update.latest) fresh = take(fresh, event, data);
  return fresh;
}

function take(view: MatchView, event: string, data: unknown): MatchView {
  if (event === "OddsChanged" && isMarket(data)) {
    return { ...view, markets: { ...view.markets, [data.marketId]: data } };
  }
  if (event === "ScoreChanged" && isScore(data)) return { ...view, score: data };
  return view;
}

function fromSnapshot(state: MatchState): MatchView {
  const markets = Object.fromEntries(state.markets.map((market) => [market.marketId, market]));
  return { league: state.league, score: state, markets };
}

function isMatchState(value: unknown): value is MatchState {
  return (
    isScore(value) &&
    "league" in value &&
    typeof value.league === "string" &&
    "markets" in value &&
    Array.isArray(value.markets) &&
    value.markets.every(isMarket)
  );
}

function isScore(value: unknown): value is ScoreState {
  return (
    isRecord(value) &&
    PHASES.has(value.phase) &&
    typeof value.minute === "number" &&
    isTeam(value.home) &&
    isTeam(value.away)
  );
}

const PHASES: ReadonlySet<unknown> = new Set<Phase>([
  "scheduled",
  "first-half",
  "half-time",
  "second-half",
  "full-time",
]);

function isTeam(value: unknown): value is ScoreState["home"] {
  return (
    isRecord(value) &&
    typeof value.name === "string" &&
    typeof value.goals === "number" &&
    typeof value.red === "number"
  );
}

function isMarket(value: unknown): value is Market {
  return (
    isRecord(value) &&
    typeof value.marketId === "string" &&
    typeof value.name === "string" &&
    typeof value.suspended === "boolean" &&
    Array.isArray(value.selections) &&
    value.selections.every(isSelection)
  );
}

function isSelection(value: unknown): value is Market["selections"][number] {
  return (
    isRecord(value) &&
    typeof value.id === "string" &&
    typeof value.name === "string" &&
    typeof value.price === "number"
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
