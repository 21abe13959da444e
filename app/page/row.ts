import type { Phase, TeamState } from "../demo/contract.ts";
import { DASH } from "./figure.ts";
import type { MatchView } from "./match.ts";
import { createMarket } from "./price.ts";
import { find, slot, stamp, write } from "./slot.ts";

/** How far a topic's content can be trusted; `refused` and `ended` are final. */
export type Freshness = "connecting" | "live" | "stale" | "closed" | "refused" | "ended";

/** One match on the page. */
export interface Row {
  readonly element: HTMLElement;
  /** Brings the document up to the view, touching only what differs. */
  show(view: MatchView, freshness: Freshness): void;
}

export function createRow(): Row {
  const element = stamp("match");
  const minute = slot(element, "minute");
  const phase = slot(element, "phase");
  const home = createSide(element, "home");
  const away = createSide(element, "away");
  const markets = {
    "1x2": createMarket(find(element, '[data-market="1x2"]', HTMLElement)),
    "over-under": createMarket(find(element, '[data-market="over-under"]', HTMLElement)),
    "next-goal": createMarket(find(element, '[data-market="next-goal"]', HTMLElement)),
  };
  let fixture = "";

  return {
    element,
    show(view, freshness) {
      element.dataset.state = freshness;
      const { score } = view;
      // A flash compares with what was there: between two fixtures there is nothing to compare.
      const before = fixture;
      fixture = score === undefined ? "" : `${score.home.name}\n${score.away.name}`;
      const settled = fixture !== "" && fixture === before;

      element.dataset.phase = score?.phase ?? "";
      write(minute, score === undefined ? DASH : clock(score.phase, score.minute));
      write(phase, NOTES[freshness] ?? (score === undefined ? "" : PHASES[score.phase]));
      home.show(score?.home, settled);
      away.show(score?.away, settled);
      markets["1x2"].show(view.markets["1x2"], settled);
      markets["over-under"].show(view.markets["over-under"], settled);
      markets["next-goal"].show(view.markets["next-goal"], settled);
    },
  };
}

function createSide(
  match: HTMLElement,
  side: "home" | "away",
): { show(team: TeamState | undefined, settled: boolean): void } {
  const element = find(match, `[data-side="${side}"]`, HTMLElement);
  const name = slot(element, "team");
  const red = slot(element, "red");
  const goals = slot(element, "goals");
  let shown: number | undefined;
  // Taken off when it was seen, so that the next goal starts the animation again.
  element.addEventListener("animationend", () => delete element.dataset.goal);
  return {
    show(team, settled) {
      write(name, team?.name ?? "");
      const cards = team?.red ?? 0;
      red.hidden = cards === 0;
      write(red, cards > 1 ? String(cards) : "");
      red.setAttribute("aria-label", cards === 1 ? "1 red card" : `${cards} red cards`);
      if (team?.goals === shown) return;
      const scored = settled && team !== undefined && shown !== undefined && team.goals > shown;
      shown = team?.goals;
      write(goals, shown === undefined ? DASH : String(shown));
      if (scored) element.dataset.goal = "";
      else delete element.dataset.goal;
    },
  };
}

function clock(phase: Phase, minute: number): string {
  switch (phase) {
    case "scheduled":
      return DASH;
    case "first-half":
    case "second-half":
      return `${minute}′`;
    case "half-time":
      return "HT";
    case "full-time":
      return "FT";
  }
}

const PHASES: Readonly<Record<Phase, string>> = {
  scheduled: "Not started",
  "first-half": "1st half",
  "half-time": "Half-time",
  "second-half": "2nd half",
  "full-time": "Full-time",
};

/** What a row says instead of its phase. */
const NOTES: Readonly<Partial<Record<Freshness, string>>> = {
  stale: "Stale",
  refused: "Refused",
  ended: "Ended",
};
