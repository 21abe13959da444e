/**
 * Many stock clients in one process, on one match. Prints `joined` when all have joined it, then
 * lets each either hear or call, prints `seen` and JSON, and ends.
 *
 * Arguments: a hub's URL, `json` or `messagepack`, how many clients, the match, `hear` and how many
 * pushes, or `call` and how many calls of `GetMatch` each makes at once.
 */

import { createHash } from "node:crypto";
import {
  HttpTransportType,
  HubConnectionBuilder,
  JsonHubProtocol,
  LogLevel,
} from "@microsoft/signalr";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";

const [url, protocol, ...rest] = process.argv.slice(2);
const [clients, match, what, count] = [Number(rest[0]), Number(rest[1]), rest[2], Number(rest[3])];
/** Clients that connect at one time. */
const PARALLEL = 50;
const TIMEOUT_MS = 60_000;

setTimeout(() => {
  console.error(`Not done after ${TIMEOUT_MS} ms`);
  process.exit(1);
}, TIMEOUT_MS);

function create() {
  const isPacked = protocol === "messagepack";
  return new HubConnectionBuilder()
    .withUrl(url, { transport: HttpTransportType.WebSockets, skipNegotiation: true })
    .withHubProtocol(isPacked ? new MessagePackHubProtocol() : new JsonHubProtocol())
    .configureLogging(LogLevel.None)
    .build();
}

/** A promise of the hash of what a client hears, as its user gets it. */
function hear(connection) {
  const hash = createHash("sha256");
  let left = count;
  return new Promise((resolve, reject) => {
    connection.onclose((error) => reject(error ?? new Error("Closed")));
    connection.on("OddsChanged", (...args) => {
      hash.update(JSON.stringify(args));
      if (--left === 0) resolve(hash.digest("hex"));
    });
  });
}

const crowd = Array.from({ length: clients }, create);
const heard = what === "hear" ? crowd.map(hear) : [];
const waiting = [...crowd];
await Promise.all(
  Array.from({ length: PARALLEL }, async () => {
    for (let one = waiting.pop(); one; one = waiting.pop()) {
      await one.start();
      await one.invoke("JoinMatch", match);
    }
  }),
);
console.log("joined");

if (what === "hear") {
  const hashes = await Promise.all(heard);
  console.log(`seen ${JSON.stringify({ hashes: [...new Set(hashes)] })}`);
} else {
  const startedAt = performance.now();
  const calls = crowd.flatMap((one) =>
    Array.from({ length: count }, () => one.invoke("GetMatch", match)),
  );
  const answers = await Promise.all(calls);
  const elapsedMs = performance.now() - startedAt;
  const matches = [...new Set(answers.map(({ matchId }) => matchId))];
  console.log(`seen ${JSON.stringify({ answers: answers.length, matches, elapsedMs })}`);
}
process.exit(0);
