/** What the app asks of a runtime. Each file in `entry/` makes one of these and calls `run`. */

import type { Bindings } from "../lib/downstream/endpoint.ts";
import type { Dial } from "../lib/socket.ts";

export type { Bindings };

export type Fetch = (request: Request, bindings: Bindings) => Response | Promise<Response>;

/**
 * An answer of which its client takes nothing for so long is cut with its connection, where the
 * runtime can do that, ms. Not so a stream: whoever sends one knows when it is too slow.
 */
export const ANSWER_MS = 30_000;

/** Whether a response goes on for as long as its client stays. */
export function isEventStream({ headers }: Response): boolean {
  return headers.get("content-type") === "text/event-stream";
}

export interface Listening {
  readonly port: number;
  /** Stops accepting, and cuts what is still open after a moment. */
  stop(): Promise<void>;
}

/** One end of the line between an isolate and the one that has started it: in order, without losses. */
export interface Port {
  /** @param message whatever the structured clone algorithm takes */
  post(message: unknown): void;
  listen(listener: (message: unknown) => void): void;
}

/** An isolate that was started here. */
export interface Isolate {
  post(message: unknown): void;
  /** Ends it at once. */
  terminate(): void;
}

export type StartIsolate = (listener: {
  message(message: unknown): void;
  /** It has ended by itself. Deno tells of errors only. */
  exited(reason: string): void;
}) => Isolate;

export interface Host {
  readonly runtime: "bun" | "deno" | "node";
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The command line behind the entry's name. */
  readonly args: readonly string[];
  /** What relative paths are relative to. */
  readonly workingDirectory: URL;
  /** Threads that the machine runs at once. */
  readonly cores: number;
  /** To the one that has started this isolate; the first one of a process has none. */
  readonly parent: Port | undefined;
  /**
   * Starts this program, with the same arguments, in an isolate of its own.
   * @throws Error when this version of the runtime cannot let isolates share a port
   */
  readonly startIsolate: StartIsolate;
  /** Whether `terminate` ends an isolate that is busy for good, too. */
  readonly endsBusyIsolates: boolean;
  /**
   * @param port 0 for any that is free
   * @param shared whether others that share it, too, may listen on the same port
   */
  serve(options: {
    readonly port: number;
    readonly hostname: string;
    readonly shared?: boolean;
    fetch: Fetch;
  }): Promise<Listening>;
  readonly dial: Dial;
  readFile(file: URL): Promise<string>;
  /** Takes the types out of TypeScript that has erasable syntax only. */
  stripTypes(source: string): string;
  /** Calls `stop` at SIGINT and SIGTERM. */
  onSignal(stop: () => void): void;
  exit(code: number): void;
}
