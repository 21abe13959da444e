/** Counters as plain numbers: cheap to raise, read by whoever exports them. */

import { createHistogram, type Histogram } from "./histogram.ts";

/** Bounds of what a publication may take from the upstream socket to a client's, ms. */
const DWELL_BOUNDS_MS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500];

export interface Stats {
  /** Publications that reached a topic. */
  publications: number;
  /** Publications and notices handed to clients' connections. */
  deliveries: number;
  /** Bytes handed to clients' connections by fan-out and openings. */
  sentBytes: number;
  /** Bytes received from clients. */
  receivedBytes: number;
  /** Open connections to origins. */
  upstreamConnections: number;
  /** Connections to origins that were opened, ever. */
  upstreamConnects: number;
  /** Hub messages received from origins, pings included. */
  upstreamMessages: number;
  upstreamReceivedBytes: number;
  upstreamSentBytes: number;
  /** Joins and streams that an origin accepted. */
  upstreamJoins: number;
  upstreamLeaves: number;
  /** Invocations sent to origins, joins and leaves included. */
  upstreamInvocations: number;
  /** Messages of a feed's owner that were lost on the way here, and made good for. */
  lostBatches: number;
  /** Pushes that belong to no topic. */
  unmatchedPushes: number;
  /** Pushes for a topic that nobody here watches. */
  unwatchedPushes: number;
  /** Messages from origins that could not be read. */
  malformedMessages: number;
  /** Client results that an origin asked of the shared connection. */
  refusedClientResults: number;
  /** Openings that were answered with the missed publications. */
  recoveries: number;
  /** Openings of a known position, and topics after a break, that were answered with state. */
  resets: number;
  /** Times that a connection did not keep up and was left behind, to be told the newest later. */
  lags: number;
  /** Connections closed because they did not keep up. */
  slowDisconnects: number;
  /** Requests and messages of clients that were refused. */
  refusals: number;
  /** Shared calls that clients made; those that went to an origin are among its invocations. */
  sharedCalls: number;
  /** Private connections to origins that are open. */
  privateConnections: number;
  /** Private connections that were opened, ever. */
  privateConnects: number;
  /** Clients that have gone, whose private connection carried nothing beside pings. */
  privateUnneeded: number;
  /** From a frame of an origin received to what it brought written to a client's socket, ms. */
  readonly dwell: Histogram;
}

export function createStats(): Stats {
  return {
    publications: 0,
    deliveries: 0,
    sentBytes: 0,
    receivedBytes: 0,
    upstreamConnections: 0,
    upstreamConnects: 0,
    upstreamMessages: 0,
    upstreamReceivedBytes: 0,
    upstreamSentBytes: 0,
    upstreamJoins: 0,
    upstreamLeaves: 0,
    upstreamInvocations: 0,
    lostBatches: 0,
    unmatchedPushes: 0,
    unwatchedPushes: 0,
    malformedMessages: 0,
    refusedClientResults: 0,
    recoveries: 0,
    resets: 0,
    lags: 0,
    slowDisconnects: 0,
    refusals: 0,
    sharedCalls: 0,
    privateConnections: 0,
    privateConnects: 0,
    privateUnneeded: 0,
    dwell: createHistogram(DWELL_BOUNDS_MS),
  };
}
