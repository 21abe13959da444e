/** What the app asks of a runtime. Each file in `entry/` makes one of these and calls `run`. */

import type { Bindings } from "../lib/downstream/endpoint.ts";
import type { Dial } from "../lib/socket.ts";

export type { Bindings };

export type Fetch = (request: Request, bindings: Bindings) => Response | Promise<Response>;

export interface Listening {
  readonly port: number;
  /** Stops accepting, and cuts what is still open after a moment. */
  stop(): Promise<void>;
}

export interface Host {
  readonly runtime: "bun" | "deno" | "node";
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The command line behind the entry's name. */
  readonly args: readonly string[];
  /** What relative paths are relative to. */
  readonly workingDirectory: URL;
  /** @param port 0 for any that is free */
  serve(options: {
    readonly port: number;
    readonly hostname: string;
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
