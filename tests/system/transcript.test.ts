/**
 * What a client sees of the relay is what it sees of the hub itself, byte for byte: the same scripts
 * are played to ASP.NET Core and to the relay in front of it, with nothing declared, so that both
 * serve the same hub. Where they differ, `transcript/differences.ts` says how and why.
 */

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ConfigInput } from "../../app/config.ts";
import { buildOrigin, findDotnet } from "../support/dotnet.ts";
import { declareWith } from "../support/needs.ts";
import { findRuntime, type Runtime, type RuntimeName } from "../support/runtimes.ts";
import { killAll, type Program, startProgram } from "../support/spawn.ts";
import { startRelay } from "../support/spawned-relay.ts";
import { diff, linesOf } from "../support/transcript/compare.ts";
import { FAILED, play, playToEnd, type Transcripts } from "../support/transcript/play.ts";
import type { Cases } from "./transcript/case.ts";
import { BODY_FRAMING, DIFFERENCES, HEADERS } from "./transcript/differences.ts";
import { events } from "./transcript/events.ts";
import { frames } from "./transcript/frame.ts";
import { handshakes } from "./transcript/handshake.ts";
import { messages } from "./transcript/message.ts";
import { negotiation } from "./transcript/negotiation.ts";
import { polling } from "./transcript/polling.ts";
import { requests } from "./transcript/request.ts";
import { shutdowns } from "./transcript/shutdown.ts";
import { stateful } from "./transcript/stateful.ts";
import { TIMERS, timers } from "./transcript/timer.ts";

/** Played to servers with the timers that SignalR has by itself. */
const CASES: Cases = {
  ...negotiation,
  ...requests,
  ...polling,
  ...events,
  ...handshakes,
  ...messages,
  ...frames,
  ...stateful,
};
const NAMES = [...Object.keys(CASES), ...Object.keys(timers), ...Object.keys(shutdowns)];

/** A user that the origin knows by this token. */
const TOKEN = "ada";

/** Longest time for all scripts. */
const PLAY_TIMEOUT_MS = 90_000;

interface Origins {
  readonly calm: string;
  readonly hasty: string;
  readonly seen: Transcripts;
}

declareWith("The .NET origin", findDotnet(), (dotnet) => {
  let origins: Origins;

  beforeAll(async () => {
    const command = await buildOrigin(dotnet);
    const start = (...args: readonly string[]) => startOrigin([...command, ...args]);
    const hurry = Object.entries(TIMERS).flatMap(([name, ms]) => ["--timer", `${name}:${ms}`]);
    const [calm, hasty, doomed] = await Promise.all([start(), start(...hurry), start()]);
    const seen = await playAll(calm.url, hasty.url, doomed);
    origins = { calm: calm.url, hasty: hasty.url, seen };
  }, PLAY_TIMEOUT_MS);
  afterAll(killAll);

  for (const name of ["bun", "node", "deno"] as const) {
    declareWith(name, findRuntime(name), (runtime) => {
      describe(name, () => compare(runtime, () => origins));
    });
  }
});

function compare(runtime: Runtime, origins: () => Origins): void {
  const headers = HEADERS.filter(({ on }) => concerns(on, runtime.name));
  const masks = {
    headers: new Set(headers.map(({ header }) => header)),
    framing: concerns(BODY_FRAMING.on, runtime.name),
  };
  const entries = DIFFERENCES.filter(({ on }) => concerns(on, runtime.name)).flatMap(({ cases }) =>
    Object.entries(cases),
  );
  const listed = new Map(entries);
  let seen: Transcripts;

  /** How two transcripts of one case differ, with other masks. */
  function changes(name: string, other: Partial<typeof masks> = {}): string[] {
    const [origin, relay] = [origins().seen.get(name), seen.get(name)];
    if (!origin || !relay) throw new Error(`"${name}" was not played`);
    const chosen = { ...masks, ...other };
    return diff(linesOf(origin, chosen), linesOf(relay, chosen));
  }

  beforeAll(async () => {
    const { calm, hasty } = origins();
    const [slow, fast, doomed] = await Promise.all([
      startRelay(runtime, configOf(calm)),
      startRelay(runtime, configOf(hasty, HASTE)),
      startRelay(runtime, configOf(calm)),
    ]);
    seen = await playAll(slow.url, fast.url, doomed);
    await Promise.all([slow.program.kill(), fast.program.kill()]);
  }, PLAY_TIMEOUT_MS);

  test.for(NAMES)("%s", (name) => {
    expect(changes(name)).toEqual(listed.get(name) ?? []);
  });

  test("every script was played to its end", () => {
    const all = [...origins().seen.values(), ...seen.values()];
    const lines = all.flatMap((transcript) => linesOf(transcript, masks));
    expect(lines.filter((line) => line.startsWith(FAILED))).toEqual([]);
  });

  test("every case of a listed difference exists, and is listed once", () => {
    const names = entries.map(([name]) => name);
    expect(names.filter((name, at) => names.indexOf(name) !== at)).toEqual([]);
    expect(names.filter((name) => !NAMES.includes(name))).toEqual([]);
  });

  test.for(headers)("the field $header differs somewhere", ({ header }) => {
    const others = new Set(masks.headers);
    others.delete(header);
    const lines = NAMES.flatMap((name) => changes(name, { headers: others }));
    expect(lines.some((line) => line.slice(1).startsWith(`${header}: `))).toBe(true);
  });

  test.runIf(masks.framing)("bodies are delimited otherwise somewhere", () => {
    const lines = NAMES.flatMap((name) => changes(name, { framing: false }));
    expect(lines.some((line) => /\(body by \w+\)$/.test(line))).toBe(true);
  });
}

function concerns(on: readonly RuntimeName[] | undefined, name: RuntimeName): boolean {
  return on === undefined || on.includes(name);
}

interface Server {
  readonly url: string;
  readonly program: Program;
}

/** Plays everything to three servers of one kind, the last of which does not survive it. */
async function playAll(calm: string, hasty: string, doomed: Server): Promise<Transcripts> {
  const played = await play(calm, CASES);
  // By themselves: these mostly wait, and what they wait for should not be late.
  const [timed, ended] = await Promise.all([
    play(hasty, timers),
    playToEnd(doomed.url, shutdowns, () => void doomed.program.stop().catch(() => {})),
  ]);
  return new Map([...played, ...timed, ...ended]);
}

async function startOrigin(command: readonly string[]): Promise<Server> {
  const options = ["--port", "0", "--speed", "0", "--token", `${TOKEN}:${TOKEN}`];
  const program = await startProgram([...command, ...options], {
    ready: /origin listening on (http:\/\/127\.0\.0\.1:\d+)/,
  });
  return { url: program.ready[1] ?? "", program };
}

/** The timers of the relay that `TIMERS` gives to the origin. */
const HASTE: ConfigInput["signalr"] = {
  handshakeTimeoutMs: TIMERS.handshake,
  keepAliveMs: TIMERS.keepAlive,
  clientTimeoutMs: TIMERS.client,
  pollTimeoutMs: TIMERS.poll,
  disconnectTimeoutMs: TIMERS.disconnect,
  closeTimeoutMs: TIMERS.close,
};

function configOf(origin: string, signalr: ConfigInput["signalr"] = {}): ConfigInput {
  const hub = (name: string) => ({ origin: `${origin}/hubs/${name}`, statefulReconnect: false });
  // The relay reaches its origin over WebSockets, so a hub of few transports is one of all behind it.
  const only = (transport: "WebSockets" | "ServerSentEvents" | "LongPolling") => ({
    ...hub("plain"),
    transports: [transport],
  });
  return {
    signalr,
    upstream: { keepAliveMs: 500 },
    hubs: {
      "/hubs/plain": hub("plain"),
      "/hubs/probe": hub("probe"),
      "/hubs/binary": hub("binary"),
      "/hubs/detailed": hub("detailed"),
      "/hubs/modern": hub("modern"),
      "/hubs/stateful": { ...hub("stateful"), statefulReconnect: true },
      "/hubs/secure": { ...hub("secure"), accessToken: TOKEN },
      "/hubs/expiring": { ...hub("expiring"), accessToken: TOKEN },
      "/hubs/ws-only": only("WebSockets"),
      "/hubs/sse-only": only("ServerSentEvents"),
      "/hubs/lp-only": only("LongPolling"),
    },
  };
}
