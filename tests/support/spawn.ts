/** Programs as child processes: started, waited for, stopped, and never left behind. */

import { type ChildProcess, spawn } from "node:child_process";
import { StringDecoder } from "node:string_decoder";

/** How a program ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Program {
  readonly pid: number;
  /** What `ready` found in its output. */
  readonly ready: RegExpExecArray;
  /** The end of what it wrote, for a person to read. */
  output(): string;
  readonly exited: Promise<Exit>;
  /** Ends it at once, without a goodbye. */
  kill(): Promise<Exit>;
  /**
   * Asks it to end.
   * @throws Error unless it exits with code 0 within 5 s
   */
  stop(signal?: "SIGTERM" | "SIGINT"): Promise<void>;
}

const READY_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 5_000;
const RUN_TIMEOUT_MS = 120_000;
const MAX_OUTPUT = 65_536;

const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/**
 * Starts a program.
 * @param ready what its output looks like once it is ready
 * @param env beside this process's own environment, less what configures a relay
 * @throws Error when it ends, or is not ready after 20 s
 */
export async function startProgram(
  command: readonly string[],
  options: {
    readonly env?: Readonly<Record<string, string>>;
    readonly ready: RegExp;
    /** Whether its output appears on this process's own, too. */
    readonly echo?: boolean;
  },
): Promise<Program> {
  const { env = {}, ready, echo = false } = options;
  const { child, output, exited } = launch(command, env);
  if (echo) for (const stream of [child.stdout, child.stderr]) stream.pipe(process.stdout);
  const found = await new Promise<RegExpExecArray>((resolve, reject) => {
    const fail = (reason: string) => {
      clearTimeout(timer);
      child.kill("SIGKILL");
      reject(new Error(`${command.join(" ")} ${reason}:\n${output()}`));
    };
    const timer = setTimeout(
      () => fail(`is not ready after ${READY_TIMEOUT_MS} ms`),
      READY_TIMEOUT_MS,
    );
    const look = () => {
      const match = ready.exec(output());
      if (!match) return;
      clearTimeout(timer);
      child.stdout.off("data", look);
      resolve(match);
    };
    child.stdout.on("data", look);
    exited.then(
      ({ code, signal }) => fail(`ended with ${code ?? signal}`),
      (error) => fail(`cannot be started (${error})`),
    );
  });
  return {
    pid: child.pid ?? 0, // it has said that it is ready
    ready: found,
    output,
    exited,
    kill() {
      child.kill("SIGKILL");
      return exited;
    },
    async stop(signal = "SIGTERM") {
      child.kill(signal);
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
      const exit = await exited;
      clearTimeout(timer);
      if (exit.code === 0) return;
      const how =
        exit.signal === "SIGKILL"
          ? `did not end in ${STOP_TIMEOUT_MS} ms`
          : `ended with ${exit.code ?? exit.signal}`;
      throw new Error(`${command.join(" ")} ${how} after ${signal}:\n${output()}`);
    },
  };
}

/** Runs a program to its end, which is made for it after 15 s. */
export async function runProgram(
  command: readonly string[],
  { env = {} }: { readonly env?: Readonly<Record<string, string>> } = {},
): Promise<Exit & { readonly output: string }> {
  const { child, output, exited } = launch(command, env);
  const timer = setTimeout(() => child.kill("SIGKILL"), RUN_TIMEOUT_MS);
  const exit = await exited;
  clearTimeout(timer);
  return { ...exit, output: output() };
}

/** Ends whatever still runs. */
export async function killAll(): Promise<void> {
  await Promise.all(
    [...running].map((child) => {
      child.kill("SIGKILL");
      return new Promise((resolve) => child.once("exit", resolve));
    }),
  );
}

function launch(command: readonly string[], env: Readonly<Record<string, string>>) {
  const [file = "", ...args] = command;
  const child = spawn(file, args, {
    cwd: new URL("../../", import.meta.url),
    env: { ...inherited(), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    const decoder = new StringDecoder("utf8");
    stream.on("data", (chunk: Buffer) => {
      text = (text + decoder.write(chunk)).slice(-MAX_OUTPUT);
    });
  }
  running.add(child);
  const exited = new Promise<Exit>((resolve, reject) => {
    child.once("error", (error) => {
      running.delete(child);
      reject(error);
    });
    child.once("exit", () => running.delete(child));
    // Not "exit": what was written last may come after it.
    child.once("close", (code, signal) => resolve({ code, signal }));
  });
  exited.catch(() => {}); // whoever waits for it is told
  return { child, output: () => text, exited };
}

/** This process's environment, less what would configure a relay or its runtime. */
function inherited(): NodeJS.ProcessEnv {
  const foreign = /^(KERYX_|ORIGIN_|(PORT|HOST|LOG_LEVEL|NODE_OPTIONS)$)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name)));
}
