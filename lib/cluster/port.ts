/** What a cluster asks of whatever joins its machines; in tests a fake one stands in its place. */

export interface ClusterPort {
  /** Whether the other machines can be reached, as far as is known. */
  readonly connected: boolean;
  /** Largest message that a log takes, bytes. */
  readonly maxBytes: number;
  /** Calls `listener` after each change of `connected`. @returns stops it */
  watch(listener: () => void): () => void;
  /** Opens a log, and makes it when there is none. Rejects when it cannot be reached. */
  openLog(name: string, limits: LogLimits): Promise<Log>;
  /** Says something to all who listen, this machine included: at most once, in order. */
  post(subject: string, bytes: Uint8Array): void;
  /**
   * Asks whoever listens. Question at most `maxBytes`, answer of any length.
   * @returns the first answer; it rejects when nobody listens, or nobody answers in time
   */
  request(subject: string, bytes: Uint8Array, timeoutMs: number): Promise<Uint8Array>;
  /**
   * @param listener may be given `answer`, when it has been asked; not to use it is no error
   * @returns stops it
   */
  listen(
    subject: string,
    listener: (bytes: Uint8Array, answer: ((bytes: Uint8Array) => void) | undefined) => void,
  ): () => void;
}

/** What a log keeps: the oldest goes first. */
export interface LogLimits {
  readonly maxAgeMs: number;
  /** Entries of one subject. */
  readonly maxPerSubject: number;
  readonly maxBytes: number;
}

/** A log that all machines write and read in one order. Its entries are numbered from 1, without a gap. */
export interface Log {
  /** Another one when the log was lost and made anew. */
  readonly life: string;
  /** Number of the newest entry when it was opened; 0 before the first. */
  readonly last: number;
  /** Number of the oldest that it had then; one above the newest when it has forgotten all. */
  readonly first: number;
  /**
   * Writes the entry after the one numbered `after`, and only there: this is what fences off an owner
   * that does not know of another. Entries that are handed over in one go are stored in this order, and
   * none behind one that is refused, even if others have written as many meanwhile.
   * @returns a promise that rejects when the newest entry is another, or nothing is known of the outcome
   */
  append(subject: string, bytes: Uint8Array, after: number): Promise<void>;
  /**
   * Reads what there is from a number on, and then what comes. Entries come in order; those that
   * the log has forgotten are left out.
   * @returns stops it
   */
  read(from: number, listener: (entry: LogEntry) => void): () => void;
}

export interface LogEntry {
  readonly number: number;
  readonly bytes: Uint8Array;
  /** Whether there was nothing behind it when it was sent. */
  readonly isNewest: boolean;
}
