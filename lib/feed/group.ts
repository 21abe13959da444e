/**
 * The isolates that serve the same feeds. One of them owns the feeds, the others have replicas; who
 * that is, is said by whoever can see them live and die.
 */

import { type Bus, channelOf } from "../bus/bus.ts";
import type { Clock } from "../clock.ts";
import type { Stats } from "../stats.ts";
import type { HistoryBudget } from "../topic/budget.ts";
import type { ProtocolName, Raw } from "../wire/hub.ts";
import { type CreateEngine, createMember, type Member } from "./member.ts";
import type { FeedMessage } from "./message.ts";
import { createReplica } from "./replica.ts";
import { createServer, type Server } from "./server.ts";
import type { HubSpec } from "./spec.ts";

/** Who is in a group. */
export interface Roster {
  /**
   * Rises from each roster to the next: one that comes late is not believed. Absent: they come in
   * order.
   */
  readonly term?: number;
  /** The owner of the feeds. */
  readonly owner: string;
  readonly isolates: readonly string[];
}

export interface Group {
  /** The roster as of now; `undefined` before the first. */
  readonly roster: Roster | undefined;
  /** Takes part in a feed. @param createOwn what is to keep it when this isolate is the owner */
  join<R extends Raw>(spec: HubSpec, protocol: ProtocolName, createOwn: CreateEngine<R>): Member<R>;
  appoint(roster: Roster): void;
}

export function createGroup(options: {
  readonly bus: Bus;
  readonly budget: HistoryBudget;
  /** Shared calls that wait for the owner's answer at one time. */
  readonly maxCalls: number;
  readonly clock: Clock;
  readonly stats: Stats;
}): Group {
  const { bus, budget, maxCalls, clock, stats } = options;
  const parts: { change(): void; retain(isolates: ReadonlySet<string>): void }[] = [];
  let roster: Roster | undefined;

  return {
    get roster() {
      return roster;
    },
    join(spec, protocol, createOwn) {
      const channel = channelOf<FeedMessage>(bus, `${spec.path} ${protocol}`);
      const member = createMember(createFollower(), budget);
      let server: Server | undefined;

      function createFollower(): typeof createOwn {
        return (table) =>
          createReplica(table, { owner: roster?.owner, channel, maxCalls, clock, stats });
      }

      const part = {
        change() {
          server?.stop();
          server = undefined;
          if (roster?.owner !== bus.id) return member.replace(createFollower());
          member.replace(createOwn);
          server = createServer(spec, { connect: member.connect, channel, clock });
        },
        retain: (isolates: ReadonlySet<string>) => server?.retain(isolates),
      };
      parts.push(part);
      if (roster) part.change();
      return member;
    },
    appoint(next) {
      if (roster?.term !== undefined && next.term !== undefined && next.term < roster.term) return;
      const isNew = roster?.owner !== next.owner;
      roster = next;
      if (isNew) for (const part of parts) part.change();
      for (const part of parts) part.retain(new Set(next.isolates));
    },
  };
}

/** The only isolate of its kind: it owns every feed. */
export function createSoloGroup(budget: HistoryBudget): Pick<Group, "join"> {
  return { join: (_spec, _protocol, createOwn) => createMember(createOwn, budget) };
}
