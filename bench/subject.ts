/** A subject: a server that is measured, whatever it is. */

import type { Missing } from "../tests/support/runtimes.ts";
import { type Program, startProgram } from "../tests/support/spawn.ts";
import type { Feed } from "./feed.ts";
import type { Target, Transport } from "./load.ts";
import { type Cores, pin } from "./machine.ts";

export interface Subject {
  readonly name: string;
  readonly transports: readonly Transport[];
  /** How many it is measured with at most. Default: any number. */
  readonly maxSubscribers?: number;
  /**
   * Starts it on the server's core, with a feed behind it.
   * @throws Error when it does not start
   */
  start(options: StartOptions): Promise<Running>;
}

export interface StartOptions {
  readonly transport: Transport;
  readonly cores: Cores;
  /** Takes whatever has to be ended, the last first. */
  readonly owned: AsyncDisposableStack;
}

export interface Running {
  /** The processes that are the server. */
  readonly pids: readonly number[];
  readonly target: Target;
  readonly feed: Feed;
}

/** A subject that cannot be measured here. */
export interface MissingSubject extends Missing {
  readonly name: string;
}

/**
 * Starts a program on the server's core. It is ended without a goodbye: thousands of clients need
 * not be told.
 * @param ready as in `startProgram`
 */
export async function startServer(
  { cores, owned }: StartOptions,
  command: readonly string[],
  ready: RegExp,
): Promise<Program> {
  const program = await startProgram(pin(cores, "server", command), { ready });
  owned.defer(() => program.kill().then(() => {}));
  return program;
}

/** What the small servers of the bench say, with their port. */
export const LISTENING = /listening on (?:http:\/\/)?127\.0\.0\.1:(\d+)/;
