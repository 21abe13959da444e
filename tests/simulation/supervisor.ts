/** Who sees isolates live, freeze and die, and says who owns the feed. */

import type { ManualClock } from "../../lib/clock.ts";
import type { Group, Roster } from "../../lib/feed/group.ts";
import type { Chance } from "./chance.ts";
import type { Isolate } from "./isolate.ts";

/** An isolate of a group. */
export interface Member extends Isolate {
  readonly group: Group;
}

export interface Supervisor {
  /** Also those that died; the newest last. */
  readonly isolates: readonly Member[];
  /** The newest roster. */
  readonly roster: Roster;
  /** Term of the newest roster that has reached an isolate; 0 before the first. */
  toldTerm(isolate: Member): number;
  /** How badly it reaches the isolates: the most that it takes, ms, and what part of it is lost. */
  trouble: { delayMs: number; lost: number };
  /** Another isolate takes its place a while later. */
  kill(isolate: Member): void;
  /** It is taken for dead after a while, and for alive again once it is thawed. */
  freeze(isolate: Member, forMs: number): void;
  /** Everybody is thawed and told. */
  mend(): void;
}

/** How long it waits for an isolate that does not answer, ms. */
const PATIENCE_MS = 1_000;

/** How often everybody is told the roster, ms. */
const REPEAT_MS = 500;

/** @param options.size how many isolates there are */
export function createSupervisor(options: {
  readonly size: number;
  readonly clock: ManualClock;
  readonly chance: Chance;
  createIsolate(id: string): Member;
}): Supervisor {
  const { size, clock, chance, createIsolate } = options;
  const isolates = Array.from({ length: size }, (_, i) => createIsolate(`isolate-${i}`));
  /** Those that do not answer. */
  const suspects = new Set<Member>();
  let term = 0;
  const told = new Map<Member, number>();
  let roster = { term, owner: "", isolates: [] as readonly string[] };

  function tell(): void {
    const newest = roster;
    for (const isolate of isolates) {
      const { delayMs, lost } = supervisor.trouble;
      if (!isolate.heap.isAlive || chance.hits(lost)) continue;
      clock.after(chance.below(delayMs + 1), () =>
        isolate.heap.run(() => {
          told.set(isolate, Math.max(told.get(isolate) ?? 0, newest.term));
          isolate.group.appoint(newest);
        }),
      );
    }
  }

  /** Somebody came, died, froze or woke. */
  function review(): void {
    const alive = isolates.filter(({ heap }) => heap.isAlive);
    const trusted = alive.filter((isolate) => !suspects.has(isolate));
    const ids = trusted.map(({ id }) => id);
    // Who owns it goes on as long as it can.
    const owner = ids.includes(roster.owner) || ids.length === 0 ? roster.owner : chance.pick(ids);
    roster = { term: ++term, owner, isolates: ids };
    tell();
  }

  const supervisor: Supervisor = {
    isolates,
    get roster() {
      return roster;
    },
    toldTerm: (isolate) => told.get(isolate) ?? 0,
    trouble: { delayMs: 0, lost: 0 },
    kill(isolate) {
      isolate.kill();
      suspects.delete(isolate);
      review();
      clock.after(100 + chance.below(400), () => {
        isolates.push(createIsolate(`isolate-${isolates.length}`));
        review();
      });
    },
    freeze(isolate, forMs) {
      const { heap } = isolate;
      heap.freeze();
      const until = clock.now() + forMs;
      clock.after(PATIENCE_MS, () => {
        if (!heap.isAlive || !heap.isFrozen) return;
        suspects.add(isolate);
        review();
      });
      clock.after(until - clock.now(), () => wake(isolate));
    },
    mend() {
      supervisor.trouble = { delayMs: 0, lost: 0 };
      for (const isolate of isolates) wake(isolate);
      tell();
    },
  };

  function wake(isolate: Member): void {
    if (!isolate.heap.isAlive || !isolate.heap.isFrozen) return;
    isolate.heap.thaw();
    if (suspects.delete(isolate)) clock.after(chance.below(300), review);
  }

  clock.every(REPEAT_MS, tell);
  review();
  return supervisor;
}
