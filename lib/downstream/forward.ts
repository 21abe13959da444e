/**
 * Requests for connections that live in another isolate: found, passed on over the bus, and their
 * answers passed back. So a client's requests may each reach any isolate.
 *
 * A connection lives where its transport was asked for first, since streams and sockets stay where
 * they were opened. Its *home*, the isolate that its token names, gives it away: to the first who asks,
 * with what was posted until then. It remembers to whom for as long as the token could be used
 * again. After that it is enough to ask everybody who has the connection, which works also when its
 * home has gone; whoever has asked remembers the answer.
 *
 * Of several machines the home's is asked first, as everybody would be too many: the home goes on
 * remembering as long as there is room, so that others need to be asked only when it has gone.
 */

import { type Bus, channelOf, machineOf } from "../bus/bus.ts";
import { createRequests, type RequestMessage, UnansweredError } from "../bus/request.ts";
import type { Clock } from "../clock.ts";
import type { Upgrade } from "../socket.ts";
import type { Wheel } from "../wheel.ts";
import type { TransportName } from "../wire/negotiate.ts";
import { empty, revive, TEXT, text } from "./answer.ts";
import type { Connection, Connections, Identity } from "./connections.ts";
import { createTunnels } from "./tunnel.ts";

/** A request of a client for its connection. */
export interface Errand {
  readonly identity: Identity;
  readonly method: "GET" | "POST" | "DELETE";
  /** Of a GET. */
  readonly wanted: TransportName | undefined;
  readonly body: AsyncIterable<Uint8Array> | undefined;
  /** Of the body; not a number when its client has not said it. */
  readonly bodyBytes: number;
  /** Of a GET that asks for a WebSocket. */
  readonly upgrade: Upgrade | undefined;
  /** Aborts when the client has gone. */
  readonly signal: AbortSignal;
}

export interface ForwarderOptions {
  readonly bus: Bus;
  /** Tells endpoints apart that share the bus; the same in all isolates. */
  readonly name: string;
  readonly clock: Clock;
  readonly wheel: Wheel;
  readonly connections: Connections;
  readonly limits: {
    /** Of requests that are passed on at one time, and of places that are remembered. */
    readonly connections: number;
    readonly disconnectTimeoutMs: number;
    readonly closeTimeoutMs: number;
  };
  /** Answers here. A connection that is not `known` is made, by a POST only. */
  answer(errand: Errand, known: Connection | undefined): Promise<Response> | Response;
  /** The answer for a connection that is nowhere. */
  missing(wanted: TransportName | undefined): Response;
  /** The answer, if it does not throw one, where there is no room for another connection. */
  turnAway(): Response;
}

export interface Forwarder {
  /**
   * Answers a request, when its connection lives elsewhere or nowhere.
   * @returns `undefined` when it is here, was here, or is to be opened here
   */
  forward(errand: Errand): Promise<Response | undefined>;
}

type Question =
  /** Who has a connection? `claims`: the asker takes it if nobody has. */
  | { readonly type: "find"; readonly identity: Identity; readonly claims: boolean }
  | ({ readonly type: "request"; readonly tunnel: string | undefined } & Parcel &
      Pick<Errand, "identity" | "method" | "wanted">)
  /** The next piece of a body. */
  | { readonly type: "pull"; readonly upload: number };

type Found =
  | { readonly type: "at"; readonly isolate: string }
  | { readonly type: "granted"; readonly early: readonly Uint8Array[] }
  | { readonly type: "gone" };

type Reply =
  | ({ readonly type: "response" } & Parameters<typeof revive>[0])
  /** The socket of the tunnel is taken. */
  | { readonly type: "attached" }
  | { readonly type: "full" }
  | { readonly type: "elsewhere" };

type Piece = { readonly type: "piece"; readonly piece: Uint8Array | undefined };

/** A body: as much as goes with the request, and where the rest is to be pulled. */
interface Parcel {
  readonly piece: Uint8Array | undefined;
  readonly upload: number | undefined;
}

/** When a machine has not answered for this long, others are asked, too, ms. */
const LATE_MS = 250;

/** What a message on the bus holds of a body at most, bytes. */
const PIECE_BYTES = 65_536;

export function createForwarder(options: ForwarderOptions): Forwarder {
  const { bus, name, clock, wheel, connections, limits } = options;
  const requests = createRequests<Question, Found | Reply | Piece>(
    channelOf<RequestMessage<Question, Found | Reply | Piece>>(bus, `${name} connections`),
    { clock, maxInFlight: limits.connections, answer },
  );
  const tunnels = createTunnels({ bus, name, clock, graceMs: limits.closeTimeoutMs });
  /** Who has taken a connection of ours, until its token is too old to be used again. */
  const claimed = new Map<string, string>();
  /** Where connections of others were found. */
  const places = new Map<string, string>();
  /** What this isolate is about to take. */
  const claiming = new Map<string, Promise<unknown>>();
  const uploads = new Map<number, AsyncIterator<Uint8Array>>();
  let lastUpload = 0;
  let lastTunnel = 0;

  // Asking

  async function forward(errand: Errand): Promise<Response | undefined> {
    const { id } = errand.identity;
    while (claiming.has(id)) await claiming.get(id);
    if (connections.get(id) || connections.isRetired(id)) return undefined;
    let parcel: Parcel | undefined;
    try {
      // Twice, as what is remembered may not be true any more.
      for (let attempt = 0; attempt < 2; attempt++) {
        const place = await locate(errand);
        if (place === undefined) break;
        if (place === bus.id) return undefined;
        parcel ??= await wrap(errand);
        const response = await request(place, errand, parcel);
        if (response) return response;
        places.delete(id);
      }
    } catch (error) {
      if (errand.signal.aborted) return empty(499, TEXT); // nobody reads it
      if (error instanceof BrokenBody) return empty(400, TEXT);
      if (!(error instanceof UnansweredError)) throw error;
      // It may be there all the same.
      if (bus.machines?.connected === false) return text(503, "Cannot reach other machines", TEXT);
      places.delete(id);
    } finally {
      if (parcel?.upload !== undefined) abandon(parcel.upload);
    }
    return options.missing(errand.wanted);
  }

  /** @returns who has the connection; this isolate, when it has taken it just now or may take it */
  async function locate(errand: Errand): Promise<string | undefined> {
    const { identity, method } = errand;
    const { id, owner } = identity;
    const known = claimed.get(id) ?? places.get(id);
    if (known !== undefined) return known;
    if (owner === bus.id && connections.isClaimable(identity)) return bus.id;
    if (needsNobody(errand)) return bus.id;
    if (method !== "GET") return find(identity, false);
    const finding = find(identity, connections.isClaimable(identity));
    const settled = finding.catch(() => {}); // told to whoever asks
    claiming.set(id, settled);
    try {
      return await finding;
    } finally {
      claiming.delete(id);
    }
  }

  /**
   * Whether a client can do with this isolate alone while its home cannot be reached: a socket is
   * all that it will ever ask for. Its token may open another one elsewhere, and nothing worse.
   */
  function needsNobody({ identity, wanted }: Errand): boolean {
    const { machines } = bus;
    if (!machines || machines.connected || machines.own === machineOf(identity.owner)) return false;
    return wanted === "WebSockets" && !identity.stateful && connections.isClaimable(identity);
  }

  async function find(identity: Identity, claims: boolean): Promise<string | undefined> {
    const found = await search({ type: "find", identity, claims });
    switch (found.type) {
      case "at":
        remember(identity.id, found.isolate);
        return found.isolate;
      case "granted":
        // Without room the client is turned away as if it had come to its home.
        if (connections.size < limits.connections) {
          connections.create(identity).early = [...found.early];
        }
        return bus.id;
      default:
        return undefined;
    }
  }

  /** Asks those who should know, and if they do not, all others. */
  async function search(
    question: Extract<Question, { type: "find" }>,
  ): Promise<Found | Reply | Piece> {
    const { machines } = bus;
    if (!machines) return requests.ask(undefined, question);
    const controller = new AbortController();
    const { signal } = controller;
    const first = requests.ask(machineOf(question.identity.owner), question, signal);
    const answered = first.then(
      () => true,
      () => false,
    );
    // Who claims is granted it once: a second answer would lack what came with the first.
    const isAnswered = await (question.claims ? answered : Promise.race([answered, isLate()]));
    if (isAnswered || !machines.connected) return first;
    const all = requests.ask(undefined, question, signal);
    try {
      return await Promise.any([first, all]);
    } catch {
      return all; // which says why
    } finally {
      controller.abort();
    }
  }

  function isLate(): Promise<false> {
    return new Promise((resolve) => void clock.after(LATE_MS, () => resolve(false)));
  }

  function remember(id: string, isolate: string): void {
    places.delete(id);
    places.set(id, isolate);
    if (places.size <= limits.connections) return;
    for (const oldest of places.keys()) {
      places.delete(oldest);
      return;
    }
  }

  /** @returns `undefined` when the connection is not there */
  async function request(
    place: string,
    errand: Errand,
    parcel: Parcel,
  ): Promise<Response | undefined> {
    const { identity, method, wanted, upgrade, signal } = errand;
    const tunnel = upgrade && `${bus.id} ${++lastTunnel}`;
    const entrance = tunnel === undefined ? undefined : tunnels.dig(place, tunnel);
    let reply: Found | Reply | Piece | undefined;
    try {
      const question = { type: "request", identity, method, wanted, tunnel, ...parcel } as const;
      reply = await requests.ask(place, question, signal);
    } finally {
      if (reply?.type !== "attached") entrance?.cancel();
    }
    switch (reply.type) {
      case "response":
        if (reply.status === 404) places.delete(identity.id);
        return revive(reply);
      case "attached":
        return upgrade && entrance?.enter(upgrade);
      case "full":
        return options.turnAway();
      default:
        return undefined;
    }
  }

  /** @throws {BrokenBody} */
  async function wrap({ body, bodyBytes }: Errand): Promise<Parcel> {
    const pieces = cut(body)[Symbol.asyncIterator]();
    const { value: piece, done } = await pieces.next();
    if (done || piece.length === bodyBytes) return { piece, upload: undefined };
    const upload = ++lastUpload;
    uploads.set(upload, pieces);
    return { piece, upload };
  }

  /** Nobody pulls any more. */
  function abandon(upload: number): void {
    void uploads
      .get(upload)
      ?.return?.()
      .catch(() => {}); // of a body that is broken already
    uploads.delete(upload);
  }

  // Answering

  function answer(
    from: string,
    question: Question,
    signal: AbortSignal,
  ): Promise<Found | Reply | Piece> | undefined {
    switch (question.type) {
      case "find":
        return onFind(from, question.identity, question.claims);
      case "request":
        return onRequest(from, question, signal);
      case "pull":
        return onPull(question.upload);
    }
  }

  function onFind(from: string, identity: Identity, claims: boolean): Promise<Found> | undefined {
    const { id, owner } = identity;
    if (connections.get(id)?.kind) return Promise.resolve(at(bus.id));
    if (owner !== bus.id) return undefined;
    const taken = claimed.get(id) ?? places.get(id);
    if (taken !== undefined && taken !== from) return Promise.resolve(at(taken));
    // Of an old one another isolate may know more.
    if (!connections.isClaimable(identity) && !connections.isRetired(id)) return undefined;
    return claims ? grant(from, identity) : Promise.resolve(at(bus.id));
  }

  /** Gives a connection of ours away, unless it is too late. */
  async function grant(to: string, identity: Identity): Promise<Found> {
    const { id } = identity;
    const known = connections.get(id);
    // What is being posted goes to where the connection will live, in one piece.
    for (let posts: unknown; known && known.posts !== posts; ) {
      posts = known.posts;
      await posts;
    }
    const taken = claimed.get(id) ?? (connections.get(id)?.kind && bus.id);
    if (taken !== undefined && taken !== to) return at(taken);
    if (!connections.isClaimable(identity)) return { type: "gone" };
    const early = known?.early ?? [];
    if (known) connections.release(known);
    claimed.set(id, to);
    const leftMs = identity.issuedAt + limits.disconnectTimeoutMs - clock.now();
    wheel.after(leftMs, () => {
      claimed.delete(id);
      remember(id, to);
    });
    return { type: "granted", early };
  }

  async function onRequest(
    from: string,
    question: Extract<Question, { type: "request" }>,
    signal: AbortSignal,
  ): Promise<Reply> {
    const { identity, method, wanted, tunnel } = question;
    const { id } = identity;
    await claiming.get(id);
    const known = connections.get(id);
    if (!known && connections.isRetired(id)) return pack(options.missing(wanted));
    if (!known?.kind) {
      // Only what is posted may wait for a transport, and only here if nobody has taken it.
      const isOurs = identity.owner === bus.id && !claimed.has(id);
      if (method === "GET" || !(known || (isOurs && connections.isClaimable(identity)))) {
        return { type: "elsewhere" };
      }
      if (!known && connections.size >= limits.connections) return { type: "full" };
    }
    let isAttached = false;
    const upgrade: Upgrade = (accept) => {
      isAttached = true;
      const stop = tunnel === undefined ? undefined : tunnels.accept(from, tunnel, accept);
      if (signal.aborted) stop?.(); // its client has gone while its old socket was waited for
      return empty(200, {}); // the other isolate has the request that is to be answered
    };
    const errand: Errand = {
      identity,
      method,
      wanted,
      body: pull(from, question),
      bodyBytes: Number.NaN,
      upgrade: tunnel === undefined ? undefined : upgrade,
      signal,
    };
    const response = await options.answer(errand, known);
    return isAttached ? { type: "attached" } : pack(response);
  }

  async function* pull(from: string, { piece, upload }: Parcel): AsyncGenerator<Uint8Array> {
    if (piece) yield piece;
    while (upload !== undefined) {
      const next = await requests.ask(from, { type: "pull", upload });
      if (next.type !== "piece" || !next.piece) return;
      yield next.piece;
    }
  }

  async function onPull(upload: number): Promise<Piece> {
    const pieces = uploads.get(upload);
    if (!pieces) throw new BrokenBody();
    const { value, done } = await pieces.next();
    return { type: "piece", piece: done ? undefined : value };
  }

  return { forward };
}

async function pack(response: Response): Promise<Reply> {
  return {
    type: "response",
    status: response.status,
    headers: [...response.headers],
    body: new Uint8Array(await response.arrayBuffer()),
  };
}

/** The client has not sent all of its body. */
class BrokenBody extends Error {
  override readonly name = "BrokenBody";
}

/** Pieces that fit on the bus, each with bytes of its own. */
async function* cut(body: AsyncIterable<Uint8Array> | undefined): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of body ?? []) {
      for (let start = 0; start < chunk.length; start += PIECE_BYTES) {
        yield chunk.slice(start, start + PIECE_BYTES);
      }
    }
  } catch {
    throw new BrokenBody();
  }
}

function at(isolate: string): Found {
  return { type: "at", isolate };
}
