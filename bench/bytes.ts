/**
 * What an update costs a client's line, and the relay's processor: `bun bench/bytes.ts`.
 *
 * An hour of the demo's match-day, always the same one, is written in each plain format: whole, as
 * deltas, compressed, and both. Printed as Markdown. Bytes are those of the body: what HTTP's chunks
 * (7 bytes), WebSocket frames (4) and TCP/IP (52 or more) add is not in them.
 */

import { createGzip, gunzipSync, constants as zlib } from "node:zlib";
import type { SimulatorEvent } from "../app/demo/simulator.ts";
import { createSimulator } from "../app/demo/simulator.ts";
import { createGzipSink } from "../lib/downstream/gzip.ts";
import { envelopeDeltaFormat, envelopeFormat, sseFormat } from "../lib/downstream/sse.ts";
import type { StreamSink } from "../lib/downstream/stream-sink.ts";
import { wsDeltaFormat, wsFormat } from "../lib/downstream/ws.ts";
import { type Format, renderAll } from "../lib/fanout/format.ts";
import type { Publication } from "../lib/topic/publication.ts";

const SEED = 1;
const SECONDS = 3_600;
const SECOND_MS = 1_000;
/** Streams that are sent the same, to tell what one more of them costs. */
const STREAMS = 500;
/** A heartbeat. */
const COMMENT = `:${" ".repeat(253)}\n\n`;

/** What the subscribers of one topic are sent: some publications at once, then some more. */
type Feed = readonly (readonly Publication[])[];

interface Workload {
  readonly name: string;
  /** One for each topic. */
  readonly feeds: readonly Feed[];
  /** Whether so much time goes by between two updates that a comment comes. */
  readonly hasSilences?: boolean;
}

interface Wire {
  readonly name: string;
  readonly whole: Format;
  readonly delta?: Format;
  readonly isStream: boolean;
}

const WIRES: readonly Wire[] = [
  { name: "`/ws`", whole: wsFormat, delta: wsDeltaFormat, isStream: false },
  { name: "`/sse`", whole: sseFormat, isStream: true },
  {
    name: "`/sse?envelope=true`",
    whole: envelopeFormat,
    delta: envelopeDeltaFormat,
    isStream: true,
  },
];

const workloads = record();
printBytes(workloads);
await printTimes(workloads);

/** Plays the hour. */
function record(): Workload[] {
  const simulator = createSimulator({ seed: SEED });
  const odds = createTopics();
  const matches = createTopics();
  const leagues = createTopics();
  for (let second = 0; second < SECONDS; second++) {
    for (const event of simulator.advance(SECOND_MS)) {
      const id = matchOf(event);
      if (id === undefined) continue;
      const match = simulator.match(id);
      if (event.type === "odds") {
        odds.publish(`match/${id}`, "OddsChanged", event.data, event.data.marketId);
      }
      matches.publish(`match/${id}`, "MatchChanged", match);
      const all = Array.from({ length: 20 }, (_, i) => simulator.match(i + 1));
      const own = all.filter(({ league }) => league === match.league);
      leagues.publish(`league/${match.league}`, "LeagueChanged", own);
    }
  }
  const single = odds.feeds(1);
  return [
    { name: "odds", feeds: single },
    { name: "odds, ten at once", feeds: odds.feeds(10) },
    { name: "odds, one a minute", feeds: single, hasSilences: true },
    { name: "match document", feeds: matches.feeds(1) },
    { name: "league document", feeds: leagues.feeds(1) },
  ];
}

function matchOf(event: SimulatorEvent): number | undefined {
  return event.type === "odds" || event.type === "score" ? event.data.matchId : undefined;
}

/** Makes publications as a feed does. */
function createTopics() {
  const topics = new Map<string, Publication[]>();
  const newest = new Map<string, Publication>();
  let sequence = 1_000;
  return {
    publish(topic: string, event: string, data: unknown, key = "") {
      sequence++;
      const name = `${topic} ${key}`;
      const publication: Publication = {
        type: "publication",
        topic,
        sequence,
        position: `k3v9x2ma:${sequence}`,
        event,
        raw: JSON.stringify([data]),
        argumentCount: 1,
        key: key ? `${event} ${key}` : event,
        previous: newest.get(name),
        time: 0,
        receivedAt: 0,
        rendered: new Map(),
      };
      newest.set(name, publication);
      topics.set(topic, [...(topics.get(topic) ?? []), publication]);
    },
    feeds: (size: number): Feed[] =>
      [...topics.values()].map((publications) => {
        const count = Math.floor(publications.length / size);
        return Array.from({ length: count }, (_, i) =>
          publications.slice(i * size, (i + 1) * size),
        );
      }),
  };
}

function printBytes(workloads: readonly Workload[]): void {
  console.log("| topic | format | whole | delta | gzip | delta and gzip |");
  console.log("|---|---|--:|--:|--:|--:|");
  for (const workload of workloads) {
    for (const { name, whole, delta, isStream } of WIRES) {
      const raw = plainBytes(workload, whole);
      const cells = [
        delta && plainBytes(workload, delta),
        isStream ? gzipBytes(workload, whole) : undefined,
        isStream && delta ? gzipBytes(workload, delta) : undefined,
      ].map((bytes) => (bytes === undefined ? "–" : `${round(bytes)} (${percent(bytes / raw)})`));
      console.log(`| ${[workload.name, name, round(raw), ...cells].join(" | ")} |`);
    }
  }
}

/** Bytes per update. */
function plainBytes(workload: Workload, format: Format): number {
  let bytes = 0;
  for (const feed of workload.feeds)
    for (const frame of framesOf(feed, format)) bytes += frame.length;
  return bytes / updateCount(workload);
}

/** Bytes per update of compressed streams. @throws Error when they do not say the same */
function gzipBytes(workload: Workload, format: Format): number {
  let bytes = 0;
  for (const feed of workload.feeds) {
    const stream = createStream();
    const sink = createGzipSink(stream);
    const frames = framesOf(feed, format);
    for (const frame of frames) {
      // The first is padding, the second a comment that is read.
      if (workload.hasSilences) for (const _ of [1, 2]) sink.send(COMMENT);
      const before = stream.bytes;
      sink.send(frame, 1);
      bytes += stream.bytes - before;
    }
    sink.close();
    const text = gunzipSync(Buffer.concat(stream.blocks)).toString();
    if (text.replaceAll(COMMENT, "") !== Buffer.concat(frames).toString()) {
      throw new Error(`A compressed stream differs: ${workload.name}, ${format.name}`);
    }
  }
  return bytes / updateCount(workload);
}

function framesOf(feed: Feed, format: Format): Uint8Array[] {
  return feed.map((publications) => {
    for (const { rendered } of publications) rendered.clear();
    const frame = renderAll(format, publications)?.frame ?? "";
    return typeof frame === "string" ? Buffer.from(frame) : frame;
  });
}

function updateCount({ feeds }: Workload): number {
  return feeds.flat(2).length;
}

/** A client that reads at once. */
function createStream(): StreamSink & { bytes: number; readonly blocks: Uint8Array[] } {
  const blocks: Uint8Array[] = [];
  return {
    body: new ReadableStream(),
    bytes: 0,
    blocks,
    bufferedBytes: 0,
    send(block) {
      blocks.push(block as Uint8Array); // a compressing sink sends bytes only
      this.bytes += block.length;
      return true;
    },
    close() {},
  };
}

async function printTimes(workloads: readonly Workload[]): Promise<void> {
  console.log("\nMicroseconds for a write, and what a zlib stream for each client would take:\n");
  console.log("| topic | print | delta | gzip | each client | zlib, each client | its bytes |");
  console.log("|---|--:|--:|--:|--:|--:|--:|");
  for (const workload of workloads) {
    if (workload.hasSilences) continue;
    const feeds = workload.feeds.map((feed) => framesOf(feed, envelopeFormat));
    const writes = feeds.flat().length;
    const print = (format: Format) => () => {
      for (const feed of workload.feeds) framesOf(feed, format);
    };
    const one = time(() => compress(feeds, 1));
    const many = time(() => compress(feeds, STREAMS));
    const own = await timeZlib(feeds);
    const cells = [
      time(print(envelopeFormat)) / writes,
      time(print(envelopeDeltaFormat)) / writes,
      one / writes,
      (many - one) / writes / (STREAMS - 1),
      own.us / writes,
    ].map((us) => us.toFixed(us < 1 ? 2 : 1));
    const bytes = own.bytes / plainBytes(workload, envelopeFormat) / updateCount(workload);
    console.log(`| ${[workload.name, ...cells, percent(bytes)].join(" | ")} |`);
  }
}

function compress(feeds: readonly (readonly Uint8Array[])[], streams: number): void {
  for (const feed of feeds) {
    const sinks = Array.from({ length: streams }, () =>
      createGzipSink({ ...createStream(), send: () => true }),
    );
    for (const frame of feed) {
      const fresh = frame.slice(); // another object, of which nothing has been made yet
      for (const sink of sinks) sink.send(fresh, 1);
    }
  }
}

/** The control: every client has a compressor, which is flushed after each write. */
async function timeZlib(
  feeds: readonly (readonly Uint8Array[])[],
): Promise<{ readonly us: number; readonly bytes: number }> {
  let bytes = 0;
  const before = process.cpuUsage();
  for (const feed of feeds) {
    const stream = createGzip({ flush: zlib.Z_SYNC_FLUSH });
    stream.on("data", (block: Uint8Array) => {
      bytes += block.length;
    });
    for (const frame of feed) await new Promise((resolve) => stream.write(frame, resolve));
    stream.destroy();
  }
  const { user, system } = process.cpuUsage(before);
  return { us: user + system, bytes };
}

/** Microseconds of processor time, of the best of some runs: the machine may have other things to do. */
function time(run: () => void): number {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 7; i++) {
    const before = process.cpuUsage();
    run();
    const { user, system } = process.cpuUsage(before);
    best = Math.min(best, user + system);
  }
  return best;
}

function round(bytes: number): string {
  return bytes.toFixed(0);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
}
