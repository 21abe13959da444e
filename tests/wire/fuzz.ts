/**
 * A bounded fuzzer of both hub protocols and the handshake: damaged records in, and nothing but messages
 * and ProtocolErrors out, the same ones however the bytes are cut.
 *
 *     bun tests/wire/fuzz.ts [seconds] [seed]
 *
 * Exits with 1 on a finding: another error, a disagreement, an input that takes longer than a second,
 * or a heap that has grown.
 */

import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { ProtocolError } from "../../lib/errors.ts";
import {
  createHandshakeReader,
  parseHandshakeRequest,
  parseHandshakeResponse,
} from "../../lib/wire/handshake.ts";
import type { HubMessage, HubProtocol, Raw } from "../../lib/wire/hub.ts";
import { jsonProtocol } from "../../lib/wire/json.ts";
import { messagepackProtocol } from "../../lib/wire/messagepack.ts";

const MAX_INPUT_BYTES = 65_536;
const MAX_RECORD_BYTES = 32_768;
const MAX_INPUT_MS = 1_000;
const MAX_HEAP_GROWTH_BYTES = 8 * 1024 * 1024;
const MAX_FINDINGS = 20;

interface Target {
  readonly name: string;
  /** Whole records to begin with. */
  readonly seeds: readonly Uint8Array[];
  /** What is likely to confuse it. */
  readonly words: readonly Uint8Array[];
  /** @throws {Error} when something is wrong */
  run(input: Uint8Array, cuts: readonly number[]): void;
}

interface Job {
  readonly seconds: number;
  readonly seed: number;
  /** Executions, and the bytes of the input at hand. */
  readonly state: Int32Array;
  readonly input: Uint8Array;
}

interface Report {
  readonly executions: Readonly<Record<string, number>>;
  readonly findings: readonly string[];
  readonly heapGrowthBytes: number;
}

const utf8 = (text: string) => new TextEncoder().encode(text);
const RS = "\u001e";

/** One message of each type and more, as the protocol writes it. */
function samples<R extends Raw>({ encode, print }: HubProtocol<R>): Uint8Array[] {
  const values = [1, "é😀", null, { price: 2.5, nested: [[], {}, [true]] }, "x".repeat(40)];
  const list = { arguments: encode(values), values };
  const messages: HubMessage<R>[] = [
    { type: "invocation", target: "Odds", ...list },
    { type: "invocation", invocationId: "1", target: "Odds", streamIds: ["1", "2"], ...list },
    { type: "streamItem", invocationId: "1", item: encode(values), value: values },
    { type: "completion", invocationId: "1" },
    { type: "completion", invocationId: "1", result: encode(values) },
    { type: "completion", invocationId: "1", error: "It is full" },
    { type: "streamInvocation", invocationId: "2", target: "Ticker", ...list },
    { type: "cancelInvocation", invocationId: "2" },
    { type: "ping" },
    { type: "close", error: "gone", allowReconnect: true },
    { type: "ack", sequenceId: 36 },
    { type: "sequence", sequenceId: 300 },
  ];
  return messages.map((message) => bytesOf(print(message)));
}

function bytesOf(raw: Raw): Uint8Array {
  return typeof raw === "string" ? utf8(raw) : raw;
}

/** @returns what `work` returns; `undefined` when it refuses, as it may */
function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

function assertEqual(what: string, a: unknown, b: unknown): void {
  const [left, right] = [JSON.stringify(a), JSON.stringify(b)];
  if (left !== right) throw new Error(`${what}: ${left} is not ${right}`);
}

function cutUp(input: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const bounds = [0, ...cuts, input.length];
  return bounds.slice(1).map((end, i) => input.slice(bounds[i], end));
}

function hubTarget<R extends Raw>(protocol: HubProtocol<R>, words: readonly Uint8Array[]): Target {
  function check(record: R): void {
    const message = attempt(() => protocol.parse(record));
    const strict = attempt(() => protocol.parse(record, "client"));
    if (strict) assertEqual("from a client and from an origin", strict, message);
    if (!message || message.type === "unknown") return;
    // Beyond 53 bits a number is not what was written.
    if ("sequenceId" in message && !Number.isSafeInteger(message.sequenceId)) return;
    const printed = protocol.print(message);
    const [again, ...more] = protocol.createFraming(2 * MAX_INPUT_BYTES).push(printed);
    if (again === undefined || more.length > 0)
      throw new Error("what was written is not one record");
    const reread = protocol.parse(again);
    if (reread.type === "unknown") throw new Error("what was written is of no known type");
    assertEqual("read, written and read", protocol.print(reread), printed);
    assertEqual("framed again", protocol.frame(again), printed);
  }

  return {
    name: protocol.name,
    seeds: samples(protocol),
    words,
    run(input, cuts) {
      const read = (chunks: readonly Uint8Array[]) => {
        const framing = protocol.createFraming(MAX_RECORD_BYTES);
        return attempt(() => chunks.flatMap((chunk) => framing.push(chunk)));
      };
      const records = read([input]);
      assertEqual("cut into pieces", read(cutUp(input, cuts)), records);
      for (const record of records ?? []) check(record);
    },
  };
}

const handshakeTarget: Target = {
  name: "handshake",
  seeds: [
    `{"protocol":"json","version":1}${RS}`,
    `{"protocol":"messagepack","version":2}${RS}{"type":6}${RS}`,
    `{}${RS}{"type":6}${RS}`,
    `{"error":"The protocol 'é' is not supported."}${RS}`,
  ].map(utf8),
  words: [],
  run(input, cuts) {
    const read = (chunks: readonly Uint8Array[]) => {
      const reader = createHandshakeReader(MAX_RECORD_BYTES);
      return attempt(() => {
        for (const [index, chunk] of chunks.entries()) {
          const found = reader.push(chunk);
          if (!found) continue;
          const rest = [found.rest, ...chunks.slice(index + 1)] as Uint8Array[]; // as the chunks
          return { record: found.record, rest: Buffer.concat(rest) };
        }
        return undefined;
      });
    };
    const found = read([input]);
    const again = read(cutUp(input, cuts));
    assertEqual("cut into pieces", again, found);
    if (!found) return;
    attempt(() => parseHandshakeRequest(found.record));
    attempt(() => parseHandshakeResponse(found.record));
  },
};

const jsonWords = [
  ...['"', "\\", "{", "}", "[", "]", ",", ":", " ", "\n", RS, "\u0000", "\ufeff", "\u2028", "😀"],
  ...['"type":', '"type":1,', '"invocationId":""', '"headers":{"a":"b"},', '"arguments":[],'],
  ...['"__proto__":{', '"\\u0074ype":4,', "\\ud800", "null", "true", "1.0", "1e400", "-0"],
  ...["99999999999999999999", "[".repeat(70), "]".repeat(70), '{"a":'.repeat(70), "[".repeat(9000)],
].map(utf8);

const messagepackWords = [
  ...[[0x80], [0x90], [0x91], [0xc0], [0xc1], [0xc2], [0xa0], [0xa1, 0x61], [0xff], [0x7f], [0x00]],
  ...[
    [0xdd, 0xff, 0xff, 0xff, 0xff],
    [0xdf, 0xff, 0xff, 0xff, 0xff],
    [0xdb, 0, 0, 0, 5],
  ],
  ...[
    [0xc6, 0, 0, 0, 1],
    [0xc7, 12, 0xff],
    [0xd4, 0xff, 0],
    [0xd6, 0xff, 1, 2, 3, 4],
    [0xd8, 1],
  ],
  ...[
    [0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0],
    [0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
  ],
  ...[
    [0x81, 0x80],
    [0x81, 0xa9, ...utf8("__proto__")],
    [0x96, 1, 0x80],
    [0x95, 3, 0x80, 0xa1, 0x31],
  ],
  ...[[0xff, 0xff, 0xff, 0xff, 7], [0x80, 0x80, 1], Array(600).fill(0x91), Array(600).fill(0x81)],
].map((bytes) => Uint8Array.from(bytes));

/** Numbers from 0 to below `end`, the same ones for the same seed (xorshift). */
function createRandom(seed: number): (end: number) => number {
  let state = seed | 1;
  return (end) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % end;
  };
}

function mutate({ seeds, words }: Target, random: (end: number) => number): Uint8Array {
  const pick = <T>(list: readonly T[]) => list[random(list.length)] as T; // none is empty
  let input = pick(seeds);
  const splice = (at: number, removed: number, added: Uint8Array) => {
    const joined = Buffer.concat([input.subarray(0, at), added, input.subarray(at + removed)]);
    input = new Uint8Array(joined.subarray(0, MAX_INPUT_BYTES));
  };
  for (let times = random(6); times > 0; times--) {
    const at = random(input.length + 1);
    switch (random(7)) {
      case 0:
        splice(at, 1, Uint8Array.of(random(256)));
        break;
      case 1:
        splice(at, random(9), new Uint8Array(0));
        break;
      case 2:
      case 3:
        if (words.length > 0) splice(at, random(3), pick(words));
        break;
      case 4: // a piece of another record
        splice(at, random(9), pick(seeds).subarray(random(20)));
        break;
      case 5: // a piece of its own
        splice(at, 0, input.slice(at, at + random(40)));
        break;
      case 6:
        splice(input.length, 0, pick(seeds));
    }
  }
  return input;
}

/** @returns bytes in use after what is not needed has gone; 0 where the runtime cannot be told to */
function heapBytes(): number {
  const { Bun, gc } = globalThis as { Bun?: { gc(force: boolean): void }; gc?(): void };
  if (!Bun && !gc) return 0;
  Bun?.gc(true);
  gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function work({ seconds, seed, state, input: shown }: Job): Report {
  const random = createRandom(seed);
  const targets = [
    hubTarget(jsonProtocol, jsonWords),
    hubTarget(messagepackProtocol, messagepackWords),
    { ...handshakeTarget, words: jsonWords },
  ];
  const executions: Record<string, number> = {};
  const findings = new Map<string, string>();
  const startedAt = performance.now();
  let heapBefore: number | undefined;
  for (let i = 0; findings.size < MAX_FINDINGS; i++) {
    const elapsedMs = performance.now() - startedAt;
    if (elapsedMs > seconds * 1000) break;
    // Measured when the code is warm.
    if (heapBefore === undefined && elapsedMs > seconds * 200) heapBefore = heapBytes();
    const target = targets[i % targets.length] as (typeof targets)[number]; // there, by the remainder
    const input = mutate(target, random);
    const cuts = [random(input.length + 1), random(input.length + 1)].sort((a, b) => a - b);
    shown.set(input);
    Atomics.store(state, 1, input.length);
    try {
      target.run(input, cuts);
    } catch (error) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      const key = `${target.name}: ${text.split("\n", 1)[0]?.slice(0, 60)}`;
      findings.set(
        key,
        `${target.name}: ${text.slice(0, 2000)}\n  cut at ${cuts}\n  ${hex(input)}`,
      );
    }
    executions[target.name] = (executions[target.name] ?? 0) + 1;
    Atomics.add(state, 0, 1);
  }
  const heapGrowthBytes = heapBefore === undefined ? 0 : heapBytes() - heapBefore;
  if (heapGrowthBytes > MAX_HEAP_GROWTH_BYTES) findings.set("heap", "the heap has grown too much");
  return { executions, findings: [...findings.values()], heapGrowthBytes };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

function main(): void {
  const seconds = Number(process.argv[2] ?? 5);
  const seed = Number(process.argv[3] ?? Date.now() % 2 ** 31);
  if (!(seconds > 0) || !Number.isInteger(seed)) {
    throw new RangeError("Usage: fuzz.ts [seconds] [seed]");
  }
  const state = new Int32Array(new SharedArrayBuffer(8));
  const input = new Uint8Array(new SharedArrayBuffer(MAX_INPUT_BYTES));
  const job: Job = { seconds, seed, state, input };
  const worker = new Worker(new URL(import.meta.url), { workerData: job });

  function finish(findings: readonly string[], summary: string): void {
    for (const finding of findings) console.error(`FINDING ${finding}\n`);
    console.log(`seed ${seed}, ${seconds} s: ${summary}, ${findings.length} findings`);
    process.exit(findings.length === 0 ? 0 : 1);
  }

  worker.on("message", ({ executions, findings, heapGrowthBytes }: Report) => {
    const counts = Object.entries(executions).map(([name, count]) => `${count} × ${name}`);
    finish(
      findings,
      `${counts.join(", ")}, heap ${(heapGrowthBytes / 2 ** 20).toFixed(1)} MiB more`,
    );
  });
  worker.on("error", (error) => finish([String(error)], "the worker has crashed"));

  let seen = -1;
  let movedAt = performance.now();
  setInterval(() => {
    const done = Atomics.load(state, 0);
    if (done !== seen || done === 0) {
      seen = done;
      movedAt = performance.now();
    } else if (performance.now() - movedAt > MAX_INPUT_MS) {
      const hung = input.slice(0, Atomics.load(state, 1));
      finish(
        [`an input takes longer than ${MAX_INPUT_MS} ms\n  ${hex(hung)}`],
        `${done} executions`,
      );
    }
  }, 100);
}

if (isMainThread) main();
else parentPort?.postMessage(work(workerData as Job));
