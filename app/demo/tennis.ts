/** The tennis of the demo: courts on which one match follows another, told point by point. */
import type { TickerLine } from "./match.ts";
import type { Random } from "./random.ts";

/** Players of each court. All of them are invented. */
export const PLAYERS: readonly (readonly string[])[] = [
  ["Verhoorn", "Kastova", "Ottoway", "Rautiola", "Quillford", "Montrevo"],
  ["Brandelin", "Assenby", "Tarkhovic", "Lindqvara", "Pellegrande", "Okonjaro"],
];

export interface CourtOptions {
  /** Two players or more. */
  readonly players: readonly string[];
  readonly random: Random;
  /** Called within {@link Court.step}. */
  readonly emit: (line: TickerLine) => void;
}

const POINT_SECONDS = { low: 25, high: 50 };
const PAUSE_SECONDS = { low: 120, high: 300 };
const POINT_NAMES = ["0", "15", "30", "40"];

type Pair = readonly [number, number];

/** Plays best-of-three matches with tie-breaks, one step a second. */
export class Court {
  readonly #options: CourtOptions;
  #players: readonly [string, string];
  /** Probability that the first player wins a point. */
  #edge: number;
  #points: Pair = [0, 0];
  #games: Pair = [0, 0];
  #sets: readonly Pair[] = [];
  #nextPointAt: number;

  constructor(options: CourtOptions, second: number) {
    this.#options = options;
    const { random } = options;
    this.#players = draw(options);
    this.#edge = 0.45 + 0.1 * random.next();
    this.#nextPointAt = second + random.integer(POINT_SECONDS.low, POINT_SECONDS.high);
  }

  /** Plays one second. To be called once for each second of the match-day, in order. */
  step(second: number): void {
    if (second < this.#nextPointAt) return;
    const { random } = this.#options;
    this.#nextPointAt = second + random.integer(POINT_SECONDS.low, POINT_SECONDS.high);
    const winner = random.chance(this.#edge) ? 0 : 1;
    const name = this.#players[winner];

    this.#points = add(this.#points, winner);
    const tieBreak = this.#games[0] === 6 && this.#games[1] === 6;
    if (!isWon(this.#points, tieBreak ? 7 : 4)) {
      this.#tell("point", pointText(this.#points, { tieBreak, players: this.#players }));
      return;
    }
    this.#points = [0, 0];
    this.#games = add(this.#games, winner);
    if (!tieBreak && !isWon(this.#games, 6)) {
      this.#tell("game", `game ${name}, ${this.#games.join("–")}`);
      return;
    }
    this.#sets = [...this.#sets, this.#games];
    this.#games = [0, 0];
    const setsWon = this.#sets.filter((set) => set[winner] > set[1 - winner]!).length;
    const result = this.#sets.map((set) => set.join("–")).join(" ");
    if (setsWon < 2) {
      this.#tell("set", `set ${name}, ${result}`);
      return;
    }
    this.#tell("set", `game, set and match ${name}, ${result}`);
    this.#sets = [];
    this.#players = draw(this.#options);
    this.#edge = 0.45 + 0.1 * random.next();
    this.#nextPointAt = second + random.integer(PAUSE_SECONDS.low, PAUSE_SECONDS.high);
  }

  #tell(kind: TickerLine["kind"], what: string): void {
    const text = `${this.#players.join(" – ")}: ${what}`;
    this.#options.emit({ sport: "tennis", kind, text });
  }
}

function draw({ players, random }: CourtOptions): readonly [string, string] {
  const first = random.pick(players);
  return [first, random.pick(players.filter((player) => player !== first))];
}

function add([first, second]: Pair, winner: 0 | 1): Pair {
  return winner === 0 ? [first + 1, second] : [first, second + 1];
}

/** At least so many, and two more than the other. */
function isWon([first, second]: Pair, target: number): boolean {
  return Math.max(first, second) >= target && Math.abs(first - second) >= 2;
}

function pointText(
  [first, second]: Pair,
  {
    tieBreak,
    players,
  }: { readonly tieBreak: boolean; readonly players: readonly [string, string] },
): string {
  if (tieBreak) return `tie-break ${first}–${second}`;
  if (first < 4 && second < 4 && first + second < 6) {
    return `${POINT_NAMES[first]}–${POINT_NAMES[second]}`;
  }
  if (first === second) return "deuce";
  return `advantage ${players[first > second ? 0 : 1]}`;
}
