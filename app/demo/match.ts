/** One place on the board: a match from its announcement to full-time, then the next one. */
import type {
  Market,
  MarketId,
  MatchState,
  OddsChanged,
  Phase,
  ScoreChanged,
  ScoreState,
  TeamState,
  TickerItem,
} from "./contract.ts";
import type { Club, League } from "./league.ts";
import {
  balancedLine,
  MATCH_MINUTES,
  MIN_PRICE,
  quote,
  type Situation,
  scoringRates,
} from "./odds.ts";
import type { Random } from "./random.ts";

/** A line for a sport's ticker, not numbered yet. */
export type TickerLine = Omit<TickerItem, "id">;

/** What a match tells. */
export type MatchEvent =
  | { readonly type: "odds"; readonly data: OddsChanged }
  | { readonly type: "score"; readonly data: ScoreChanged }
  | { readonly type: "ticker"; readonly data: TickerLine };

export interface MatchOptions {
  readonly id: number;
  readonly league: League;
  /** The match's own stream: what happens in it depends on no other match. */
  readonly random: Random;
  /** Second of the match-day at which the first match kicks off; the next ones follow by themselves. */
  readonly kickOff: number;
  /** Called within {@link Match.step}, in the order of what happens. */
  readonly emit: (event: MatchEvent) => void;
}

const MARKET_IDS: readonly MarketId[] = ["1x2", "over-under", "next-goal"];

const HALF_SECONDS = (MATCH_MINUTES / 2) * 60;
const BREAK_SECONDS = 15 * 60;
/** How long the final score stays, and how long the next match is announced. */
const PAUSE_SECONDS = { low: 4 * 60, high: 6 * 60 };

/** From the announcement of one match to that of the next, on average. */
export const CYCLE_SECONDS: number =
  2 * HALF_SECONDS + BREAK_SECONDS + PAUSE_SECONDS.low + PAUSE_SECONDS.high;

/** Goals in an average match. */
const HOME_RATE = 1.5;
const AWAY_RATE = 1.2;
/** Share of the dangerous attacks that end in a goal. Every attack suspends the markets. */
const CONVERSION = 0.5;
/** Cards a side sees in a match. */
const YELLOW_RATE = 1.8;
const RED_RATE = 0.08;

/** How often a market gets a new price: times per second, by how much is going on. */
const REQUOTE = { idle: 1 / 300, playing: 1 / 80, lively: 1 / 6 };

type SideName = "home" | "away";

/** Steps through its matches second by second; every second costs the same few random numbers. */
export class Match {
  readonly #options: MatchOptions;
  #clubs: { readonly home: Club; readonly away: Club };
  #score: ScoreState;
  #markets: readonly Market[];
  #phaseBegan: number;
  #phaseEnds: number;
  /** An attack is on; whether it ends in a goal is not decided before this second. */
  #attack: { readonly side: SideName; readonly endsAt: number } | undefined;
  /** While the markets are suspended: the second they open again, Infinity for not in this match. */
  #suspendedUntil: number | undefined;
  /** Prices move fast until this second. */
  #livelyUntil = -Infinity;
  /** What the bettors think beyond the model: towards the home side, towards goals. */
  #tilt = 0;
  #tempo = 0;

  constructor(options: MatchOptions) {
    this.#options = options;
    this.#clubs = options.league.draw(options.random);
    this.#score = goalless(options.id, this.#clubs);
    this.#phaseBegan = options.kickOff;
    this.#phaseEnds = options.kickOff;
    this.#markets = MARKET_IDS.map((marketId) => this.#quote(marketId, options.kickOff));
  }

  /** Everything there is to know now. A new object each time, never changed afterwards. */
  state(): MatchState {
    return { ...this.#score, league: this.#options.league.name, markets: this.#markets };
  }

  /** Plays one second. To be called once for each second of the match-day, in order. */
  step(second: number): void {
    if (second >= this.#phaseEnds) this.#endPhase(second);
    else if (this.#isPlaying()) this.#play(second);
    this.#trade(second);
  }

  /** Moves a market's first price by one step, whatever the model says, until it is priced anew. */
  nudge(marketId: MarketId): void {
    const market = this.#markets.find((one) => one.marketId === marketId);
    if (market === undefined) throw new RangeError(`Cannot find market ${marketId}`);
    const [first, ...others] = market.selections;
    if (first === undefined) return;
    // Another price each time, and always a plausible one.
    const price = first.price < 20 ? Math.round(first.price * 100 + 1) / 100 : MIN_PRICE;
    this.#list({ ...market, selections: [{ ...first, price }, ...others] });
  }

  #endPhase(second: number): void {
    const { random } = this.#options;
    this.#attack = undefined;
    this.#phaseBegan = second;
    switch (this.#score.phase) {
      case "scheduled":
        this.#phaseEnds = second + HALF_SECONDS;
        this.#enter("first-half", "Kick-off");
        break;
      case "first-half":
        this.#phaseEnds = second + BREAK_SECONDS;
        this.#enter("half-time", "Half-time");
        break;
      case "half-time":
        this.#phaseEnds = second + HALF_SECONDS;
        this.#enter("second-half", "Second half");
        break;
      case "second-half":
        this.#phaseEnds = second + random.integer(PAUSE_SECONDS.low, PAUSE_SECONDS.high);
        this.#enter("full-time", "Full-time");
        this.#suspend(Infinity);
        break;
      case "full-time":
        this.#phaseEnds = second + random.integer(PAUSE_SECONDS.low, PAUSE_SECONDS.high);
        this.#nextFixture(second);
        break;
    }
  }

  #enter(phase: Phase, name: string): void {
    // The whistle, not the last minute's step, puts 45 and 90 on the clock.
    const shown = this.#score.minute;
    const minute = phase === "half-time" ? 45 : phase === "full-time" ? MATCH_MINUTES : shown;
    this.#change({ phase, minute }, "phase");
    this.#tell("phase", `${name}: ${this.#result()}`);
  }

  #nextFixture(second: number): void {
    const { league, random, id } = this.#options;
    const played = this.#clubs;
    this.#clubs = league.draw(random);
    // Only now: a club does not play twice in a row.
    league.release(played.home, played.away);
    this.#tilt = 0;
    this.#tempo = 0;
    this.#livelyUntil = second;
    this.#change(goalless(id, this.#clubs), "phase");
    this.#tell("phase", `Next: ${this.#clubs.home.name} – ${this.#clubs.away.name}`);
    this.#suspendedUntil = second;
  }

  #play(second: number): void {
    const { random } = this.#options;
    const half = this.#score.phase === "first-half" ? 0 : MATCH_MINUTES / 2;
    const minute = half + Math.floor((second - this.#phaseBegan) / 60);
    if (minute > this.#score.minute) this.#change({ minute }, "minute");

    const rates = scoringRates(this.#situation(second));
    for (const side of ["home", "away"] as const) {
      const attacks = random.chance(perSecond(rates[side] / CONVERSION));
      if (attacks && this.#attack === undefined) {
        this.#attack = { side, endsAt: second + random.integer(4, 10) };
        this.#suspend(this.#attack.endsAt);
      }
      if (random.chance(perSecond(YELLOW_RATE))) this.#showCard(side, "yellow");
      if (random.chance(perSecond(RED_RATE))) {
        this.#showCard(side, "red");
        this.#excite(second, random.integer(15, 30));
      }
    }
    if (this.#attack && second >= this.#attack.endsAt) {
      const { side } = this.#attack;
      this.#attack = undefined;
      if (random.chance(CONVERSION)) {
        this.#scoreGoal(side);
        this.#excite(second, random.integer(20, 45));
      }
    }
  }

  #scoreGoal(side: SideName): void {
    const team = this.#score[side];
    this.#change({ [side]: { ...team, goals: team.goals + 1 } }, "goal");
    this.#tell("goal", `${this.#score.minute}' Goal for ${team.name}: ${this.#result()}`);
  }

  #showCard(side: SideName, colour: "yellow" | "red"): void {
    const team = this.#score[side];
    this.#change({ [side]: { ...team, [colour]: team[colour] + 1 } }, "card");
    this.#tell(
      "card",
      `${this.#score.minute}' ${colour === "red" ? "Red" : "Yellow"} card, ${team.name}`,
    );
  }

  /** Suspends the markets for some seconds, after which prices move fast for a minute. */
  #excite(second: number, suspendedSeconds: number): void {
    this.#suspend(Math.max(this.#suspendedUntil ?? second, second + suspendedSeconds));
    this.#livelyUntil = second + suspendedSeconds + 60;
  }

  #suspend(until: number): void {
    const wasOpen = this.#suspendedUntil === undefined;
    this.#suspendedUntil = until;
    if (!wasOpen) return;
    for (const market of this.#markets) this.#list({ ...market, suspended: true });
  }

  #trade(second: number): void {
    if (this.#suspendedUntil !== undefined) {
      if (second < this.#suspendedUntil) return;
      this.#suspendedUntil = undefined;
      for (const marketId of MARKET_IDS) this.#list(this.#quote(marketId, second));
      return;
    }
    const { random } = this.#options;
    const lively = second < this.#livelyUntil;
    const rate = !this.#isPlaying() ? REQUOTE.idle : lively ? REQUOTE.lively : REQUOTE.playing;
    for (const market of this.#markets) {
      if (!random.chance(rate)) continue;
      const step = lively ? 0.06 : 0.02;
      this.#tilt = drift(this.#tilt, step * (2 * random.next() - 1));
      this.#tempo = drift(this.#tempo, step * (2 * random.next() - 1));
      const now = this.#quote(market.marketId, second);
      if (!sameOffer(market, now)) this.#list(now);
    }
  }

  #quote(marketId: MarketId, second: number): Market {
    const model = this.#situation(second);
    const { home, away, minutesLeft } = model;
    const { name, selections } = quote(marketId, {
      situation: {
        home: { ...home, rate: home.rate * (1 + this.#tilt) * (1 + this.#tempo) },
        away: { ...away, rate: away.rate * (1 - this.#tilt) * (1 + this.#tempo) },
        minutesLeft,
      },
      sides: { home: home.name, away: away.name },
      // By the model alone: a line that follows every mood of the bettors would flicker.
      line: balancedLine(model),
    });
    return { marketId, name, suspended: false, selections };
  }

  #situation(second: number): Situation & { readonly home: TeamState; readonly away: TeamState } {
    const { home, away, phase } = this.#score;
    const clubs = this.#clubs;
    const played = second - this.#phaseBegan;
    const secondsLeft = {
      scheduled: 2 * HALF_SECONDS,
      "first-half": 2 * HALF_SECONDS - played,
      "half-time": HALF_SECONDS,
      "second-half": HALF_SECONDS - played,
      "full-time": 0,
    }[phase];
    return {
      home: { ...home, rate: HOME_RATE * clubs.home.attack * clubs.away.defence },
      away: { ...away, rate: AWAY_RATE * clubs.away.attack * clubs.home.defence },
      minutesLeft: secondsLeft / 60,
    };
  }

  #isPlaying(): boolean {
    return this.#score.phase === "first-half" || this.#score.phase === "second-half";
  }

  /** Home and away with the goals between, for a person. */
  #result(): string {
    const { home, away } = this.#score;
    return `${home.name} ${home.goals}–${away.goals} ${away.name}`;
  }

  #change(part: Partial<ScoreState>, reason: ScoreChanged["reason"]): void {
    this.#score = { ...this.#score, ...part };
    this.#options.emit({ type: "score", data: { ...this.#score, reason } });
  }

  #list(market: Market): void {
    this.#markets = this.#markets.map((old) => (old.marketId === market.marketId ? market : old));
    this.#options.emit({ type: "odds", data: { matchId: this.#options.id, ...market } });
  }

  #tell(kind: TickerLine["kind"], text: string): void {
    this.#options.emit({ type: "ticker", data: { sport: "football", kind, text } });
  }
}

function goalless(
  matchId: number,
  { home, away }: { readonly home: Club; readonly away: Club },
): ScoreState {
  const team = (club: Club): TeamState => ({ name: club.name, goals: 0, yellow: 0, red: 0 });
  return { matchId, phase: "scheduled", minute: 0, home: team(home), away: team(away) };
}

/** Probability in one second of what happens so often in a match. */
function perSecond(timesPerMatch: number): number {
  return timesPerMatch / (MATCH_MINUTES * 60);
}

/** A walk that is pulled back to 0 and stays within 0.12 of it. */
function drift(value: number, step: number): number {
  return Math.min(0.12, Math.max(-0.12, 0.95 * value + step));
}

function sameOffer(a: Market, b: Market): boolean {
  return a.name === b.name && a.selections.every((one, i) => one.price === b.selections[i]?.price);
}
