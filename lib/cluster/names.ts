/** How feeds and topics are called in a cluster: by names that any message system takes. */

/** The names of one feed. */
export interface FeedNames {
  /** Of its log. */
  readonly log: string;
  /** Within the log: what is of no topic. */
  readonly control: string;
  /** Within the log: of one topic. */
  topic(name: string): string;
  /** Where the owner of a term is asked. */
  asks(term: string): string;
  /** Where machines say what all may hear. */
  readonly notes: string;
}

/** @param cluster letters, digits, `-` and `_` */
export function nameFeed(cluster: string, path: string, protocol: string): FeedNames {
  const log = `${cluster}_${token(path)}_${protocol}`;
  return {
    log,
    control: `${log}.control`,
    topic: (name) => `${log}.topic.${token(name)}`,
    // Not below the log's own subjects: what is asked is not to be kept.
    asks: (term) => `${log}-asks.${term}`,
    notes: `${log}-notes`,
  };
}

/** Where machines are reached, all by their own names. */
export interface MachineNames {
  /** All of them. */
  readonly all: string;
  one(machine: string): string;
  /** Where they compare their secrets. */
  readonly seals: string;
}

/** @param cluster letters, digits, `-` and `_` */
export function nameMachines(cluster: string): MachineNames {
  return {
    all: `${cluster}-machines`,
    one: (machine) => `${cluster}-machines.${token(machine)}`,
    seals: `${cluster}-seals`,
  };
}

/** One token: letters, digits and `-` as they are, all else as `_` and two hexadecimal digits. */
function token(text: string): string {
  return text.replace(
    /[^A-Za-z0-9-]/g,
    (char) => `_${char.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}
