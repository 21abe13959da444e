/**
 * The promises of PROTOCOL.md and of the SignalR endpoints, seen from outside: real clients, real
 * sockets, a relay that is only a URL. Every runtime passes the same tests, in front of any origin.
 */

import { describe } from "vitest";
import type { StartOrigin } from "../support/origins.ts";
import type { Runtime } from "../support/runtimes.ts";
import { compression } from "./compression.ts";
import { delta } from "./delta.ts";
import { garbage } from "./garbage.ts";
import { operation } from "./operation.ts";
import { outage } from "./outage.ts";
import { sharing } from "./sharing.ts";
import { signalr } from "./signalr.ts";
import { sse } from "./sse.ts";
import { stagedTest } from "./stage.ts";
import { topics } from "./topics.ts";
import { ws } from "./ws.ts";

export function conformance(runtime: Runtime, startOrigin: StartOrigin): void {
  const test = stagedTest(runtime, startOrigin);
  describe("GET /sse", () => sse(test));
  describe("compression", () => compression(test));
  describe("GET /ws", () => ws(test));
  describe("deltas", () => delta(test));
  describe("GET /topics", () => topics(test));
  describe("SignalR", () => signalr(test));
  describe("bad input", () => garbage(test));
  describe("one upstream connection", () => sharing(test));
  describe("an origin that goes away", () => outage(test));
  describe("start and end", () => operation(test));
}
