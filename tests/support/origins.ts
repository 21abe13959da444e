/** The two origins of the demo hub as child processes, with the same controls. */

import type { HubStats } from "../../app/demo/contract.ts";
import type { Runtime } from "./runtimes.ts";
import { type Program, startProgram } from "./spawn.ts";

/** A running origin that pushes nothing by itself. */
export interface Origin {
  /** `http://127.0.0.1:{port}`. */
  readonly url: string;
  /** URL of the demo hub. */
  readonly hub: string;
  readonly program: Program;
  /**
   * Pushes OddsChanged of a match's `1x2` market. Each one of an origin has a field `sequence`,
   * which rises by one.
   * @param intervalMs pause between two, where the origin can make one; it answers after the last
   * @returns the sequences of the first and the last
   */
  publish(match: number, count: number, intervalMs?: number): Promise<Published>;
  stats(): Promise<HubStats>;
  /** Starts another one at the same port, after this one has ended. */
  restart(): Promise<Origin>;
}

export interface Published {
  readonly first: number;
  readonly last: number;
}

/** @param port 0 for any that is free */
export type StartOrigin = (port?: number) => Promise<Origin>;

/** The origin that the relay brings along. */
export function embeddedOrigin(runtime: Runtime): StartOrigin {
  const start: StartOrigin = async (port = 0) => {
    const program = await startProgram(runtime.command("--origin"), {
      env: { ORIGIN_PORT: String(port), ORIGIN_SPEED: "0" },
      ready: /"url":"(http:\/\/127\.0\.0\.1:(\d+))[^\n]*embedded origin is listening/,
    });
    return originOf(program, start);
  };
  return start;
}

/** The ASP.NET Core origin. @param command what starts it */
export function dotnetOrigin(command: readonly string[]): StartOrigin {
  const start: StartOrigin = async (port = 0) => {
    const program = await startProgram([...command, "--port", String(port), "--speed", "0"], {
      ready: /origin listening on (http:\/\/127\.0\.0\.1:(\d+))/,
    });
    return originOf(program, start);
  };
  return start;
}

function originOf(program: Program, start: StartOrigin): Origin {
  const [, url = "", port] = program.ready;
  async function control<T>(path: string, method = "GET"): Promise<T> {
    const response = await fetch(`${url}/control/${path}`, { method });
    const text = await response.text();
    if (!response.ok) throw new Error(`${path} answered ${response.status}: ${text}`);
    return JSON.parse(text) as T; // of our own origins, which keep the contract
  }
  return {
    url,
    hub: `${url}/hubs/live`,
    program,
    publish: (match, count, intervalMs = 0) =>
      control(`publish?match=${match}&count=${count}&intervalMs=${intervalMs}`, "POST"),
    stats: () => control("stats"),
    restart: () => start(Number(port)),
  };
}
