/** Positions: `epoch:sequence`, one short string. */

export interface Position {
  /** Id of one life of a feed. */
  readonly epoch: string;
  /** Publications of the feed before and at this place; 0 before the first. */
  readonly sequence: number;
}

/** Epoch of positions from which nobody can go on. Not one that `createEpoch` makes. */
export const NOWHERE = "0";

export function printPosition(epoch: string, sequence: number): string {
  return `${epoch}:${sequence}`;
}

/** @returns `undefined` when the text is not a position */
export function parsePosition(text: string): Position | undefined {
  const match = /^([a-z0-9]{1,32}):(0|[1-9]\d{0,15})$/.exec(text);
  if (!match) return undefined;
  const sequence = Number(match[2]);
  return Number.isSafeInteger(sequence) ? { epoch: match[1] as string, sequence } : undefined;
}

/** @param random numbers from 0 to below 1, such as `Math.random` */
export function createEpoch(random: () => number): string {
  let epoch = "";
  while (epoch.length < 8) epoch += Math.floor(random() * 36).toString(36);
  return epoch;
}
