import type { Market } from "../demo/contract.ts";
import { DASH } from "./figure.ts";
import { flash } from "./flash.ts";
import { find, slot, stamp, write } from "./slot.ts";

/** One market of one match on the page. */
export interface MarketCells {
  /** `undefined` when nothing is known of the market. `settled` says that a change is worth a flash. */
  show(market: Market | undefined, settled: boolean): void;
}

/** @param root the `.market` of a match: its `data-market` says which */
export function createMarket(root: HTMLElement): MarketCells {
  const name = slot(root, "name");
  const flag = slot(root, "flag");
  const list = slot(root, "prices");
  const marketId = root.dataset.market ?? "";
  let cells: readonly Cell[] = [];
  let shown: Market | undefined;

  const rebuild = (ids: readonly string[]): void => {
    cells = ids.map(createCell);
    list.replaceChildren(...cells.map((cell) => cell.element));
  };

  rebuild(SELECTIONS[marketId] ?? []);
  write(name, NAMES[marketId] ?? marketId);

  return {
    show(market, settled) {
      // A market comes as a new object whenever anything in it changed, and only then.
      if (market === shown) return;
      // Over 2.5 goals and over 3.5 are two things: neither is the other's price gone up.
      const comparable = settled && market?.name === shown?.name;
      shown = market;
      if (market === undefined) {
        for (const cell of cells) cell.clear();
        root.dataset.suspended = "false";
        flag.hidden = true;
        return;
      }
      write(name, market.name);
      root.dataset.suspended = String(market.suspended);
      flag.hidden = !market.suspended;
      const ids = market.selections.map((selection) => selection.id);
      if (ids.join() !== cells.map((cell) => cell.id).join()) rebuild(ids);
      for (const [index, selection] of market.selections.entries()) {
        cells[index]?.show(selection, { line: lineOf(market), comparable });
      }
    },
  };
}

type Selection = Market["selections"][number];

interface Cell {
  readonly id: string;
  readonly element: HTMLElement;
  show(selection: Selection, how: { line: string; comparable: boolean }): void;
  clear(): void;
}

function createCell(id: string): Cell {
  const element = stamp("price");
  const pick = slot(element, "pick");
  const line = slot(element, "line");
  const value = find(element, "dd", HTMLElement);
  write(pick, PICKS[id] ?? id);
  let price: number | undefined;
  return {
    id,
    element,
    show(selection, { line: text, comparable }) {
      // Short enough for a cell; a selection that is not of the contract keeps its name.
      write(pick, PICKS[id] ?? selection.name);
      write(line, text);
      element.title = selection.name;
      if (selection.price === price) return;
      if (price !== undefined && comparable)
        flash(element, selection.price > price ? "up" : "down");
      price = selection.price;
      // Four digits and two decimals are wider than a phone's cell.
      write(value, price.toFixed(price < 1_000 ? 2 : 0));
    },
    clear() {
      price = undefined;
      write(value, DASH);
    },
  };
}

// What stands there before the origin was heard: the contract's selections, so that nothing jumps.
const SELECTIONS: Readonly<Record<string, readonly string[]>> = {
  "1x2": ["home", "draw", "away"],
  "over-under": ["over", "under"],
  "next-goal": ["home", "none", "away"],
};
const NAMES: Readonly<Record<string, string>> = {
  "1x2": "Match result",
  "over-under": "Over / under",
  "next-goal": "Next goal",
};
const PICKS: Readonly<Record<string, string>> = {
  home: "1",
  draw: "X",
  away: "2",
  over: "Over",
  under: "Under",
  none: "None",
};

/** The `2.5` of `Over/under 2.5`; empty for markets without a line. */
function lineOf(market: Market): string {
  return (market.marketId === "over-under" && /[\d.]+$/.exec(market.name)?.[0]) || "";
}
