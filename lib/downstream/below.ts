/**
 * Relays below: those whose origin is this relay. SignalR has no words for what they must know, that
 * publications were missed, and they would show a hole as a whole to everybody behind them. So their
 * connection is cut at each gap: then they know, as they would of any origin.
 */

import type { Clock } from "../clock.ts";
import { Refusal, UnavailableError } from "../errors.ts";
import type { Format } from "../fanout/format.ts";
import { RELAY_HEADER } from "../upstream/client.ts";
import type { HubProtocol, Raw } from "../wire/hub.ts";
import type { HubClose } from "./hub.ts";

/** Whether it is a relay that asks. */
export function isRelay({ headers }: Request): boolean {
  return headers.has(RELAY_HEADER);
}

/** What a relay below is told when it is cut: it comes back, with the backoff it has for origins. */
export const CUT: HubClose = { error: "The origin is away", allowReconnect: true };

/** Whether something failed because the origin is away, so that another try may go well. */
export function isAway(error: unknown): boolean {
  return (
    error instanceof UnavailableError || (error instanceof Refusal && error.code === "unavailable")
  );
}

/** A format of SignalR's, for relays below: they are cut where other clients are told nothing. */
export function unbroken(format: Format, protocol: HubProtocol<Raw>): Format {
  const cut = protocol.print({ type: "close", ...CUT });
  return {
    ...format,
    name: `${format.name}-relay`,
    stateful: true, // only those are told what they have missed
    notice: (notice) =>
      notice.type === "stale" || notice.type === "conflated" ? cut : format.notice(notice),
  };
}

/** How often it is looked whether what one waits for has come, ms. */
const LOOK_MS = 20;

/**
 * Waits for what nobody tells of. For relays only, of which there are few.
 * @returns whether it holds; `false` after `timeoutMs`
 */
export function until(clock: Clock, holds: () => boolean, timeoutMs: number): Promise<boolean> {
  const deadline = clock.now() + timeoutMs;
  return new Promise((resolve) => {
    const look = () => {
      const isOver = holds();
      if (isOver || clock.now() >= deadline) resolve(isOver);
      else clock.after(LOOK_MS, look);
    };
    look();
  });
}
