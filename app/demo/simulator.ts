/**
 * The match-day behind the demo's origin: football on a board of {@link MATCH_COUNT} places, tennis, an
 * announcement now and then. No sockets, timers or clock: time passes when it is told to.
 */
import {
  type Announcement,
  MATCH_COUNT,
  type MarketId,
  type MatchState,
  type OddsChanged,
  type ScoreChanged,
  type Sport,
  type TickerItem,
} from "./contract.ts";
import { createLeagues } from "./league.ts";
import { CYCLE_SECONDS, Match, type TickerLine } from "./match.ts";
import { createRandom } from "./random.ts";
import { Court, PLAYERS } from "./tennis.ts";

/** Something that happened, `atMs` simulated milliseconds after the simulator was made. */
export type SimulatorEvent =
  | { readonly type: "odds"; readonly atMs: number; readonly data: OddsChanged }
  | { readonly type: "score"; readonly atMs: number; readonly data: ScoreChanged }
  | { readonly type: "ticker"; readonly atMs: number; readonly data: TickerItem }
  | { readonly type: "announcement"; readonly atMs: number; readonly data: Announcement };

export interface SimulatorOptions {
  /** A whole number; its low 32 bits decide everything that will happen. */
  readonly seed: number;
}

/** A match-day under way. */
export interface Simulator {
  /**
   * Lets time pass and tells what happened, in order. The same events come however the time is cut
   * into steps; an odds or score event goes before the ticker line that tells of it.
   *
   * @param simulatedMs whole milliseconds from 0 to {@link MAX_STEP_MS}
   * @throws RangeError for another number
   */
  advance(simulatedMs: number): SimulatorEvent[];
  /**
   * A match as the events so far have left it.
   *
   * @throws RangeError when the id is not from 1 to {@link MATCH_COUNT}
   */
  match(id: number): MatchState;
  /**
   * Changes a price of a match at once, for tests that want to see a push: it lasts until the market is
   * priced anew. What happens on the pitch is not touched.
   *
   * @returns the one event that follows
   * @throws RangeError when the id is not from 1 to {@link MATCH_COUNT}
   */
  nudge(id: number, marketId: MarketId): SimulatorEvent[];
}

/** Longest single step, one day: some 100,000 events. */
export const MAX_STEP_MS: number = 24 * 60 * 60 * 1000;

const SECOND_MS = 1000;

/** Streams of the seed. A match has its id for one. */
const STREAM = { leagues: 100, tennis: 200, announcements: 300 };

const ANNOUNCEMENT_SECONDS = { low: 4 * 60, high: 9 * 60 };
const ANNOUNCEMENTS = [
  "Cash-out is open on every match of the board",
  "Reminder: a stake once accepted cannot be changed",
  "The next round of the Ostrel Liga has been drawn",
  "Over/under lines now follow the score",
  "Set a limit for today in your account: it takes a minute",
  "Rain over the Norrin coast: play goes on",
  "Bets on next goal are settled within a minute",
  "The Cassaly League has named its referees for the next round",
];

/**
 * Starts a match-day. One cycle of matches is played before it returns, unseen, so that the board is alive
 * at once: most matches are under way, at minutes spread evenly, with the scores they came to.
 */
export function createSimulator({ seed }: SimulatorOptions): Simulator {
  let second = -CYCLE_SECONDS;
  let nowMs = 0;
  let events: SimulatorEvent[] = [];

  const lastLine: Record<Sport, number> = { football: 0, tennis: 0 };
  function tell(line: TickerLine): void {
    lastLine[line.sport]++;
    const data = { id: lastLine[line.sport], ...line };
    events.push({ type: "ticker", atMs: second * SECOND_MS, data });
  }

  const leagues = createLeagues(createRandom(seed, STREAM.leagues));
  const matches = Array.from({ length: MATCH_COUNT }, (_, index) => {
    const id = index + 1;
    return new Match({
      id,
      league: leagues[index % leagues.length]!,
      random: createRandom(seed, id),
      kickOff: kickOff(id),
      emit: (event) => {
        if (event.type === "ticker") tell(event.data);
        else events.push({ ...event, atMs: second * SECOND_MS });
      },
    });
  });

  const courts = PLAYERS.map((players, index) => {
    const random = createRandom(seed, STREAM.tennis + index);
    return new Court({ players, random, emit: tell }, second);
  });

  const chance = createRandom(seed, STREAM.announcements);
  const pause = (): number => chance.integer(ANNOUNCEMENT_SECONDS.low, ANNOUNCEMENT_SECONDS.high);
  let announcement: Announcement = { id: 0, text: "" };
  let announceAt = second + pause();
  function announce(): void {
    const text = chance.pick(ANNOUNCEMENTS.filter((other) => other !== announcement.text));
    announcement = { id: announcement.id + 1, text };
    announceAt = second + pause();
    events.push({ type: "announcement", atMs: second * SECOND_MS, data: announcement });
  }

  // Everything happens on whole seconds, and a second is played whole: that is why cuts do not show.
  function playUntil(lastSecond: number): SimulatorEvent[] {
    while (second < lastSecond) {
      second++;
      for (const match of matches) match.step(second);
      for (const court of courts) court.step(second);
      if (second >= announceAt) announce();
    }
    return takeEvents();
  }

  function takeEvents(): SimulatorEvent[] {
    const happened = events;
    events = [];
    return happened;
  }

  function find(id: number): Match {
    const match = matches[id - 1];
    if (match === undefined) throw new RangeError(`Cannot find match ${id}`);
    return match;
  }

  playUntil(0);

  return {
    advance(simulatedMs) {
      if (!(Number.isInteger(simulatedMs) && simulatedMs >= 0 && simulatedMs <= MAX_STEP_MS)) {
        throw new RangeError(
          `Cannot advance by ${simulatedMs} ms: want 0 to ${MAX_STEP_MS}, whole`,
        );
      }
      nowMs += simulatedMs;
      return playUntil(Math.floor(nowMs / SECOND_MS));
    },
    match: (id) => find(id).state(),
    nudge(id, marketId) {
      find(id).nudge(marketId);
      return takeEvents();
    },
  };
}

/**
 * Second of a place's first kick-off: spread over the cycle that lies behind, in an order that leaves
 * neighbours on the board far apart. The last one is still to come.
 */
function kickOff(id: number): number {
  const place = (id * 7) % MATCH_COUNT;
  return Math.round((place / MATCH_COUNT - 1) * CYCLE_SECONDS) + 8 * 60;
}
