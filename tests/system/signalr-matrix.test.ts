/**
 * Stock SignalR clients on every runtime, over every transport and in both hub protocols, in front
 * of a relay on every runtime: each lives the same life, and sees what it would see of the hub.
 */

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ConfigInput } from "../../app/config.ts";
import { demoConfig } from "../../app/demo/config.ts";
import { buildOrigin, findDotnet } from "../support/dotnet.ts";
import { eventually } from "../support/eventually.ts";
import {
  type Cell,
  type ClientName,
  findClient,
  type Pages,
  type Seen,
  servePages,
} from "../support/matrix.ts";
// @ts-expect-error: a script for clients, without types
import { PUSHES, SHARED_DELAY_MS } from "../support/matrix-client.mjs";
import { declareWith } from "../support/needs.ts";
import { dotnetOrigin, embeddedOrigin, type Origin } from "../support/origins.ts";
import { type ProbeHub, startProbeHub } from "../support/probe-hub.ts";
import { findRuntime, type Runtime, type RuntimeName } from "../support/runtimes.ts";
import { killAll } from "../support/spawn.ts";
import { type SpawnedRelay, startRelay } from "../support/spawned-relay.ts";

const RELAYS: readonly RuntimeName[] = ["bun", "deno", "node"];
const CLIENTS: readonly ClientName[] = ["node", "bun", "deno", "chromium"];

const WAYS: readonly Pick<Cell, "transport" | "protocol">[] = [
  { transport: "WebSockets", protocol: "json" },
  { transport: "WebSockets", protocol: "messagepack" },
  { transport: "ServerSentEvents", protocol: "json" },
  { transport: "LongPolling", protocol: "json" },
  { transport: "LongPolling", protocol: "messagepack" },
];
