import type { Update } from "../../lib/client/feed.ts";
import { DASH } from "./figure.ts";
import { perFrame } from "./frame.ts";
import { fold, type MatchView, UNKNOWN } from "./match.ts";
import { createRow, type Freshness, type Row } from "./row.ts";
import { slot, stamp, write } from "./slot.ts";

/** The matches on the page, grouped by league. */
export interface Board {
  /** Takes one update of a match's topic. Cheap: the document follows in the next frame. */
  take(matchId: number, update: Update): void;
}

/**
 * @param root the `#board` of `index.html`
 * @param count how many matches there are; ids run from 1. Rows for all stand there from the start
 */
export function createBoard(root: HTMLElement, count: number): Board {
  const leagues = createLeagues(slot(root, "leagues"));
  const matches = new Map<number, Match>();
  const dirty = new Set<Match>();

  const draw = perFrame(() => {
    for (const match of dirty) {
      match.row.show(match.view, match.freshness);
      leagues.place(match);
    }
    dirty.clear();
  });

  for (let id = 1; id <= count; id++) {
    const match: Match = { id, row: createRow(), view: UNKNOWN, freshness: "connecting" };
    matches.set(id, match);
    dirty.add(match);
  }
  draw();

  return {
    take(matchId, update) {
      const match = matches.get(matchId);
      if (match === undefined) return;
      match.view = fold(match.view, update);
      match.freshness = freshnessAfter(match.freshness, update);
      dirty.add(match);
      draw();
    },
  };
}

interface Match {
  readonly id: number;
  readonly row: Row;
  view: MatchView;
  freshness: Freshness;
}

function freshnessAfter(now: Freshness, update: Update): Freshness {
  if (update.type === "state") return update.state;
  if (update.type === "end") return update.reason === "rejected" ? "refused" : "ended";
  return now;
}

/** Puts each row under its league, by match id, and leagues in the order of their first match. */
function createLeagues(root: HTMLElement): { place(match: Match): void } {
  const sections = new Map<string, League>();

  const open = (name: string): League => {
    const element = stamp("league");
    write(slot(element, "name"), name);
    const league: League = { element, rows: slot(element, "rows"), matches: [] };
    sections.set(name, league);
    return league;
  };

  const sort = (): void => {
    const inOrder = [...sections.values()].sort((a, b) => a.matches[0]!.id - b.matches[0]!.id);
    for (const [index, { element }] of inOrder.entries()) {
      if (root.children[index] !== element)
        root.insertBefore(element, root.children[index] ?? null);
    }
  };

  return {
    place(match) {
      const name = match.view.league ?? DASH;
      if (sections.get(name)?.matches.includes(match)) return;
      for (const [other, league] of sections) {
        league.matches = league.matches.filter((each) => each !== match);
        if (league.matches.length > 0) continue;
        league.element.remove();
        sections.delete(other);
      }
      const league = sections.get(name) ?? open(name);
      league.matches = [...league.matches, match].sort((a, b) => a.id - b.id);
      const next = league.matches[league.matches.indexOf(match) + 1];
      league.rows.insertBefore(match.row.element, next?.row.element ?? null);
      sort();
    },
  };
}

interface League {
  readonly element: HTMLElement;
  readonly rows: HTMLElement;
  /** By id; never empty once placed. */
  matches: readonly Match[];
}
