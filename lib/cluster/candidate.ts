/** A machine's claim to own a feed: how it becomes the owner, and how it ceases to be. */

import type { Clock } from "../clock.ts";
import { messageOf } from "../errors.ts";
import type { CreateEngine } from "../feed/member.ts";
import type { HubSpec } from "../feed/spec.ts";
import type { Log as Logger } from "../log.ts";
import type { HistoryBudget } from "../topic/budget.ts";
import { createEpoch } from "../topic/position.ts";
import type { Raw } from "../wire/hub.ts";
import { type Ask, decode, encode, type Note } from "./message.ts";
import type { FeedNames } from "./names.ts";
import { cut } from "./pieces.ts";
import type { ClusterPort, Log } from "./port.ts";
import { createTerm, type Term } from "./term.ts";
import { createWriter } from "./writer.ts";

export interface CandidateOptions<R extends Raw> {
  readonly port: ClusterPort;
  /** Names this machine: no other, and no earlier life of it, has the same. */
  readonly id: string;
  readonly names: FeedNames;
  /** How long an owner may be silent, ms. It writes three times as often. */
  readonly leaseMs: number;
  /** What keeps the topics up to date at the origin, when this machine is the owner. */
  createOwn: CreateEngine<R>;
  /** Whether the feed is there only while a topic is wanted, or something has been asked. */
  readonly onDemand: boolean;
  readonly budget: HistoryBudget;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
}

export interface Candidate {
  /** Whether this machine is the owner, as far as it knows. */
  readonly isOwner: boolean;
  /** Whether it is on its way to be, or has not left the origin yet: it cannot be taken then. */
  readonly isBusy: boolean;
  /**
   * Tries to become the owner, who writes next behind the entry numbered `after`.
   * @returns whether it has
   */
  take(journal: Log, after: number): Promise<boolean>;
  hear(note: Note): void;
  /** Leaves the origin and lets another take over at once. */
  resign(): Promise<void>;
}

/** How long an owner that resigns waits for its last word to be stored, ms. */
const RESIGN_MS = 1_000;

export function createCandidate<R extends Raw>(
  spec: HubSpec,
  options: CandidateOptions<R>,
): Candidate {
  const { port, names, leaseMs, clock, random, log } = options;
  let reign: { readonly term: Term; end(): Promise<void>; resign(): Promise<void> } | undefined;
  let isBusy = false;

  /** @returns whether what was handed over then may have been followed by another owner */
  function isLate(sentAt: number): boolean {
    return clock.monotonic() - sentAt > (leaseMs * 5) / 6;
  }

  /** @param from the epoch, the entry that began it, and what is to be stopped at its end */
  function begin(
    journal: Log,
    from: { epoch: string; after: number; sentAt: number; unlisten(): void },
  ) {
    const writer = createWriter(journal, {
      after: from.after,
      storedAt: from.sentAt,
      maxBytes: port.maxBytes,
      clock,
      onLost: (error) => void depose(messageOf(error)),
    });
    const term = createTerm(spec, { ...options, epoch: from.epoch, writer });
    let checks = 0;
    const watch = clock.every(leaseMs / 6, () => {
      // By its own clock, and before others take it for gone: it may be cut off from all of them.
      if (isLate(writer.storedAt)) {
        return void depose("nothing that it writes is stored");
      }
      if (checks++ % 2 === 0) term.beat();
    });
    const own = {
      term,
      async end() {
        if (reign !== own) return;
        reign = undefined;
        isBusy = true;
        watch.cancel();
        from.unlisten();
        writer.close();
        await term.end();
        isBusy = false;
      },
      async resign() {
        writer.write(names.control, { type: "resigned" });
        const stored = writer.stored().catch(() => {}); // others wait for the end of the lease then
        const ended = own.end();
        await Promise.race([stored, pause(RESIGN_MS)]);
        await ended;
      },
    };
    async function depose(reason: string): Promise<void> {
      if (reign === own)
        log.warn({ feed: names.log, reason }, "not the owner of the feed any more");
      await own.end();
    }
    reign = own;
    term.beat();
    return own;
  }

  function pause(ms: number): Promise<void> {
    return new Promise((resolve) => void clock.after(ms, resolve));
  }

  return {
    get isOwner() {
      return reign !== undefined;
    },
    get isBusy() {
      return isBusy || reign !== undefined;
    },
    async take(journal, after) {
      isBusy = true;
      const epoch = createEpoch(random);
      const [message = new Uint8Array()] = cut(
        encode({ type: "break", term: epoch }),
        port.maxBytes,
      );
      const sentAt = clock.monotonic();
      const taken = journal.append(names.control, message, after);
      let own: ReturnType<typeof begin> | undefined;
      // Listens before it is known to be the owner: whoever reads the break asks at once.
      const unlisten = port.listen(names.asks(epoch), (bytes, answer) => {
        taken
          .then(() => (reign === own ? own?.term.answer(decode<Ask>(bytes)) : undefined))
          .then(
            (reply) => reply && answer?.(reply),
            () => {}, // it is not the owner: another is asked
          );
      });
      try {
        await taken;
        if (isLate(sentAt)) throw new Error("It was stored, and that was heard too late");
      } catch (error) {
        unlisten();
        log.debug({ feed: names.log, error: messageOf(error) }, "not the owner of the feed");
        return false;
      } finally {
        isBusy = false;
      }
      log.info({ feed: names.log, epoch }, "owner of the feed");
      own = begin(journal, { epoch, after: after + 1, sentAt, unlisten });
      return true;
    },
    hear: (note) => reign?.term.hear(note),
    resign: async () => reign?.resign(),
  };
}
