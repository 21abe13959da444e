/**
 * What the relay does with a push before fan-out, next to only decoding it. Prints both, and their
 * ratio, the median of several turns: `decode.ts json|messagepack`.
 */

import { decode, encode } from "@msgpack/msgpack";
import { compileValue } from "../lib/topic/template.ts";
import type { HubProtocol, Raw } from "../lib/wire/hub.ts";
import { jsonProtocol } from "../lib/wire/json.ts";
import { messagepackProtocol } from "../lib/wire/messagepack.ts";
import { median } from "./sample.ts";

const PUSHES = 20_000;
const TURNS = 15;
const MAX_RECORD_BYTES = 65_536;

/** As `native/publication.c` has it. */
const ODDS = {
  matchId: 10_000,
  marketId: "1x2",
  name: "Result",
  suspended: false,
  selections: [
    { id: "home", price: 2.15 },
    { id: "draw", price: 3.45 },
    { id: "away", price: 3.05 },
  ],
  mark: "@00000000-0000000000000000",
};

const route = compileValue("match/{0.matchId}");
const key = compileValue("{0.marketId}");

function bench<R extends Raw>(protocol: HubProtocol<R>, frame: R, decodeOnly: () => unknown): void {
  const framing = protocol.createFraming(MAX_RECORD_BYTES);
  let found = 0;
  const ours = () => {
    for (const record of framing.push(frame)) {
      const message = protocol.parse(record);
      if (message.type !== "invocation") throw new TypeError("It is a push");
      if (route(message.values) !== undefined && key(message.values) !== undefined) found++;
    }
  };
  const turns = Array.from({ length: TURNS }, () => ({ ours: time(ours), only: time(decodeOnly) }));
  if (found !== TURNS * PUSHES) throw new Error(`Only ${found} pushes were routed`);
  // The first turns are for the compilers.
  const warm = turns.slice(5);
  const oursNs = median(warm.map(({ ours }) => ours)) ?? 0;
  const onlyNs = median(warm.map(({ only }) => only)) ?? 0;
  console.log(`ours ${oursNs.toFixed(0)} ns\nonly ${onlyNs.toFixed(0)} ns`);
  console.log(`ratio ${(median(warm.map(({ ours, only }) => ours / only)) ?? 0).toFixed(3)}`);
}

/** @returns ns for each call */
function time(run: () => void): number {
  const begin = performance.now();
  for (let i = 0; i < PUSHES; i++) run();
  return ((performance.now() - begin) * 1e6) / PUSHES;
}

if (process.argv[2] === "messagepack") {
  const body = encode([1, {}, null, "OddsChanged", [ODDS], []]);
  const length = [(body.length & 0x7f) | 0x80, body.length >> 7];
  bench(messagepackProtocol, Uint8Array.from([...length, ...body]), () => decode(body));
} else {
  const text = JSON.stringify({ type: 1, target: "OddsChanged", arguments: [ODDS] });
  bench(jsonProtocol, `${text}\u001e`, () => JSON.parse(text));
}
