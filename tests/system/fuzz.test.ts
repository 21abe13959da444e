/**
 * Bad input for a while: damaged requests, frames and posts against a whole relay, and damaged records
 * against the codecs. `FUZZ_SECONDS` says for how long each (default 5); the seed is printed.
 *
 *     FUZZ_SECONDS=60 npx vitest run --project system tests/system/fuzz.test.ts
 */

import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { afterAll, describe, expect, test } from "vitest";
import { demoConfig } from "../../app/demo/config.ts";
import { createRandom, type Random } from "../../app/demo/random.ts";
import { ask } from "../support/http.ts";
import { declareWith } from "../support/needs.ts";
import { embeddedOrigin } from "../support/origins.ts";
import { findRuntime, type Runtime } from "../support/runtimes.ts";
import { killAll, runProgram } from "../support/spawn.ts";
import { startRelay } from "../support/spawned-relay.ts";
import { openSse } from "../support/sse-client.ts";

const SECONDS = Number(process.env.FUZZ_SECONDS ?? 5);
const SEED = Number(process.env.FUZZ_SEED ?? Date.now() % 1_000_000);
const TIMEOUT_MS = (SECONDS + 60) * 1000;
/** Attempts under way at one time. */
const AT_ONCE = 20;
/** What a runtime may still take in the second half, when its heap has found its size, bytes. */
const MAX_GROWTH_BYTES = 64 * 1024 * 1024;

afterAll(killAll);

describe("the codecs", () => {
  declareWith("bun", findRuntime("bun"), ({ command }) => {
    test("give messages or a ProtocolError, whatever comes", { timeout: TIMEOUT_MS }, async () => {
      const [bun] = command();
      const program = [bun as string, "tests/wire/fuzz.ts", String(SECONDS), String(SEED)];
      expect(await runProgram(program)).toMatchObject({ code: 0 });
    });
  });
});

for (const name of ["bun", "deno", "node"] as const) {
  describe(`a relay on ${name}`, () => {
    declareWith(name, findRuntime(name), (runtime) => {
      test(
        `lives through seed ${SEED}, and its clients do not notice`,
        {
          timeout: TIMEOUT_MS,
        },
        () => fuzz(runtime),
      );
    });
  });
}

async function fuzz(runtime: Runtime): Promise<void> {
  const origin = await embeddedOrigin(runtime)();
  const relay = await startRelay(runtime, demoConfig(origin.hub));
  const { hostname, port } = new URL(relay.url);
  const watcher = await openSse(`${relay.url}/sse?topic=match/1`);
  const random = createRandom(SEED);
  const attempt = () => send(hostname, Number(port), createRequest(random, `${hostname}:${port}`));

  let attempts = 0;
  const attack = async () => {
    const end = Date.now() + SECONDS * 500;
    const worker = async () => {
      for (; Date.now() < end; attempts++) await attempt();
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    return residentBytes(relay.program.pid);
  };
  const half = await attack();
  expect(await attack()).toBeLessThan(half + MAX_GROWTH_BYTES);
  expect(attempts).toBeGreaterThan(100);
  expect((await ask(relay.url, "/readyz")).status).toBe(200);
  const { last } = await origin.publish(1, 3);
  for (;;) {
    const { event, data } = await watcher.events.next();
    if (event === "OddsChanged" && JSON.parse(data).sequence === last) break;
  }
  watcher.close();
  await relay.program.stop();
  await origin.program.stop();
}

const PATHS = [
  "/sse?topic=match/1",
  "/ws",
  "/topics/match/1",
  "/hubs/live",
  "/hubs/live?id=nope",
  "/hubs/live/negotiate?negotiateVersion=1",
  "/metrics",
];
const WORDS = [
  '{"protocol":"json","version":1}\u001e',
  '{"type":1,"invocationId":"1","target":"JoinMatch","arguments":[1]}\u001e',
  '{"type":4,"invocationId":"2","target":"Ticker","arguments":["football"]}\u001e',
  '{"type":"subscribe","topics":["match/1"]}',
  "[".repeat(200),
  "\u0000\u001e\u00ff",
  "__proto__",
  "../../..",
  "%00%ff",
];

/** One request: well-formed, with a body or frames behind it, and then damaged here and there. */
function createRequest(random: Random, host: string): Buffer {
  const method = random.pick(["GET", "GET", "GET", "POST", "POST", "DELETE", "OPTIONS", "FOO"]);
  const isUpgrade = random.chance(0.4);
  const text = Array.from({ length: random.integer(0, 3) }, () => random.pick(WORDS)).join("");
  const payload = isUpgrade ? createFrame(random, Buffer.from(text)) : Buffer.from(text);
  const head = [
    `${isUpgrade ? "GET" : method} ${random.pick(PATHS)} HTTP/1.1`,
    `host: ${host}`,
    ...(isUpgrade
      ? [
          "connection: Upgrade",
          "upgrade: websocket",
          "sec-websocket-version: 13",
          "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
        ]
      : [`content-length: ${payload.length}`]),
    "",
    "",
  ].join("\r\n");
  const request = Buffer.concat([Buffer.from(head), payload]);
  for (let i = random.integer(0, 3); i > 0; i--) {
    request[random.integer(0, request.length - 1)] = random.integer(0, 255);
  }
  return random.chance(0.2) ? request.subarray(0, random.integer(1, request.length)) : request;
}

/** A masked frame with a mask of zeros; its opcode and length are sometimes lies. */
function createFrame(random: Random, payload: Buffer): Buffer {
  const opcode = random.chance(0.8) ? 1 : random.integer(0, 15);
  const length = random.chance(0.9) ? payload.length : random.integer(0, 65_535);
  const head = Buffer.from([0x80 | opcode, 0xfe, length >> 8, length & 0xff, 0, 0, 0, 0]);
  return Buffer.concat([head, payload]);
}

/** Sends it, takes what comes for a moment, and cuts the connection. */
function send(host: string, port: number, request: Buffer): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, host, () => socket.write(request));
    socket.setTimeout(50, () => socket.destroy());
    socket.on("data", () => {});
    socket.on("end", () => socket.destroy());
    socket.on("error", () => {}); // the relay may cut it at any time
    socket.on("close", () => resolve());
  });
}

async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
}
