/** Reads a feed's log in order, and goes on where it was when it has been cut off. */

import type { Clock } from "../clock.ts";
import { messageOf } from "../errors.ts";
import type { Log as Logger } from "../log.ts";
import { decode, type LogEvent } from "./message.ts";
import { createJoiner } from "./pieces.ts";
import type { ClusterPort, Log, LogEntry, LogLimits } from "./port.ts";

export interface LogReader {
  /** The log, once it has been opened. */
  readonly journal: Log | undefined;
  /** Number of the newest entry that was read. */
  readonly number: number;
  readonly isReading: boolean;
  /** Whether all there is has been read, as far as is known. */
  readonly isCurrent: boolean;
  /** When an entry was read last, on the monotonic clock, ms. */
  readonly heardAt: number;
  /** For how long nothing has been read, nor has reading begun, ms. */
  readonly silenceMs: number;
  /** Begins to read, or begins anew where it was: what has been sent may not have come. */
  open(): Promise<void>;
  stop(): void;
}

export interface LogListener {
  /**
   * Reading begins at the end of a log, of which nothing is known.
   * @param isAnother whether entries of another one have been read before
   */
  began(isAnother: boolean): void;
  /** Entries up to this one were not read, and never will be. */
  missed(): void;
  event(event: LogEvent): void;
  /** Everything that comes of an entry has come. @param isNewest whether it is the newest one */
  read(isNewest: boolean): void;
}

export function createLogReader(
  options: {
    readonly port: ClusterPort;
    readonly name: string;
    readonly limits: LogLimits;
    readonly clock: Clock;
    readonly log: Logger;
  },
  listener: LogListener,
): LogReader {
  const { port, name, limits, clock, log } = options;
  const joiner = createJoiner();
  let journal: Log | undefined;
  let number = 0;
  let isCurrent = false;
  let heardAt = 0;
  let openedAt = 0;
  /** Counts what was opened, so that what comes late is known. */
  let attempt = 0;
  let isOpening = false;
  let stopReading: (() => void) | undefined;

  function stop(): void {
    attempt++;
    isCurrent = false;
    stopReading?.();
    stopReading = undefined;
  }

  function read(entry: LogEntry): void {
    if (entry.number <= number) return;
    heardAt = clock.monotonic();
    const isHole = entry.number > number + 1;
    number = entry.number;
    if (isHole) miss();
    const bytes = joiner.add(entry.bytes);
    if (bytes) readEvent(bytes);
    isCurrent ||= entry.isNewest;
    listener.read(entry.isNewest);
  }

  function readEvent(bytes: Uint8Array): void {
    let event: LogEvent;
    try {
      event = decode<LogEvent>(bytes);
    } catch (error) {
      log.error({ log: name, number, error: messageOf(error) }, "an entry cannot be read");
      return miss();
    }
    // What an owner had not said to the end when it was followed by another.
    if (event.type === "break") joiner.clear();
    listener.event(event);
  }

  function miss(): void {
    joiner.clear();
    listener.missed();
  }

  return {
    get journal() {
      return journal;
    },
    get number() {
      return number;
    },
    get isReading() {
      return stopReading !== undefined;
    },
    get isCurrent() {
      return isCurrent;
    },
    get heardAt() {
      return heardAt;
    },
    get silenceMs() {
      return clock.monotonic() - Math.max(heardAt, openedAt);
    },
    async open() {
      if (isOpening) return;
      stop();
      if (!port.connected) return;
      isOpening = true;
      const own = attempt;
      try {
        const opened = await port.openLog(name, limits);
        if (own !== attempt) return;
        openedAt = clock.monotonic();
        // A log may also have lost its end, when its server has; then others are numbered the same.
        if (opened.life !== journal?.life || opened.last < number) {
          number = opened.last;
          listener.began(journal !== undefined);
        }
        journal = opened;
        if (opened.first > number + 1) {
          // Of what is forgotten up to its end no entry comes that would show the hole.
          number = opened.first - 1;
          miss();
        }
        isCurrent = opened.last === number;
        joiner.clear();
        stopReading = opened.read(number + 1, read);
      } catch (error) {
        log.warn({ log: name, error: messageOf(error) }, "cannot open the feed's log");
      } finally {
        isOpening = false;
      }
    },
    stop,
  };
}
