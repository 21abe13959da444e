/** The relay on Node 24 and later: `node app/entry/node.ts`. The only file that names Node's server. */

import { readFile } from "node:fs/promises";
import { type Server as HttpServer, type IncomingMessage, ServerResponse } from "node:http";
import { stripTypeScriptTypes } from "node:module";
import type { Socket as TcpSocket } from "node:net";
import { availableParallelism } from "node:os";
import { type Duplex, Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { pathToFileURL } from "node:url";
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { createAdaptorServer } from "@hono/node-server";
import { type RawData, type Server, WebSocket, WebSocketServer } from "ws";
import { asksForWebSocket } from "../../lib/downstream/request.ts";
import {
  FAREWELL_MS,
  type Frame,
  type Socket,
  type SocketHandler,
  type Upgrade,
} from "../../lib/socket.ts";
import {
  ANSWER_MS,
  type Fetch,
  type Host,
  type Isolate,
  isEventStream,
  type Listening,
  type Port,
  type StartIsolate,
} from "../host.ts";
import { run } from "../run.ts";

const host: Host = {
  runtime: "node",
  env: process.env,
  args: process.argv.slice(2),
  workingDirectory: pathToFileURL(`${process.cwd()}/`),
  cores: availableParallelism(),
  parent: isMainThread || !parentPort ? undefined : createPort(parentPort),
  startIsolate,
  endsBusyIsolates: true,
  serve,
  dial: (url, { headers, signal, accept }) =>
    new Promise((resolve, reject) => {
      const ws = new WebSocket(url, {
        headers,
        perMessageDeflate: false,
        skipUTF8Validation: true,
      });
      let refusal: unknown = new Error("WebSocket closed");
      const abort = () => {
        refusal = signal.reason;
        ws.terminate();
      };
      if (signal.aborted) abort();
      signal.addEventListener("abort", abort, { once: true });
      ws.on("error", (error) => {
        refusal = signal.aborted ? signal.reason : error;
      });
      ws.once("close", () => {
        signal.removeEventListener("abort", abort);
        reject(refusal);
      });
      ws.once("open", () => {
        signal.removeEventListener("abort", abort);
        listen(ws, accept);
        resolve();
      });
    }),
  readFile: (file) => readFile(file, "utf8"),
  stripTypes: (source) => stripTypeScriptTypes(source),
  onSignal(stop) {
    process.on("SIGINT", stop);
    process.on("SIGTERM", stop);
  },
  exit: (code) => process.exit(code),
};

function createPort(port: NonNullable<typeof parentPort>): Port {
  return {
    post: (message) => port.postMessage(message),
    listen: (listener) => void port.on("message", listener),
  };
}

/** The first Node whose servers can share a port. */
const SHARING_NODE = [23, 1] as const;

function startIsolate({ message, exited }: Parameters<StartIsolate>[0]): Isolate {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major < SHARING_NODE[0] || (major === SHARING_NODE[0] && minor < SHARING_NODE[1])) {
    const { version } = process;
    throw new Error(`Node ${version} cannot run workers: they need ${SHARING_NODE.join(".")}`);
  }
  const worker = new Worker(new URL(import.meta.url), { argv: process.argv.slice(2) });
  let reason: string | undefined;
  worker.on("message", message);
  // An exit follows, also when it was terminated.
  worker.on("error", (error) => {
    reason = String(error);
  });
  worker.on("exit", (code) => exited(reason ?? `it exited with code ${code}`));
  return {
    post: (message) => worker.postMessage(message),
    terminate: () => void worker.terminate(),
  };
}

/** Bun and Deno ping an idle socket by themselves; here it is one timer for all, ms. */
const PING_MS = 60_000;

function serve(options: {
  readonly port: number;
  readonly hostname: string;
  readonly shared?: boolean;
  fetch: Fetch;
}): Promise<Listening> {
  const server = createAdaptorServer({
    async fetch(request, { incoming, outgoing }) {
      const { remoteAddress: address } = incoming.socket;
      // A response that is through has no socket any more.
      const cut = () => void outgoing.socket?.resetAndDestroy();
      const response = await options.fetch(request, { upgrade: undefined, address, cut });
      if (!isEventStream(response)) outgoing.setTimeout(ANSWER_MS);
      return delimit(response);
    },
  }) as HttpServer;
  const sockets = new WebSocketServer({
    ...CLOSING,
    noServer: true,
    WebSocket: ServerSocket,
    // What is larger than a session takes is still read, so that the session can say so.
    maxPayload: 16 * 1024 * 1024,
    handleProtocols: () => false, // ws would choose the first that is offered; none is spoken here
  });
  server.on("upgrade", (incoming, stream, head) => {
    stream.on("error", () => stream.destroy()); // a client that resets before it is a WebSocket
    // A target that is no URL, or a client that has gone before its answer.
    upgrade(options.fetch, sockets, incoming, stream, head).catch(() => stream.destroy());
  });
  const pings = setInterval(() => {
    for (const ws of sockets.clients) ping(ws);
  }, PING_MS);
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    const { port, hostname, shared = false } = options;
    server.listen({ port, host: hostname, reusePort: shared }, () => {
      const address = server.address();
      resolve({
        port: typeof address === "object" && address ? address.port : port,
        async stop() {
          clearInterval(pings);
          for (const ws of sockets.clients) ws.terminate();
          const closed = new Promise((done) => server.close(done));
          server.closeAllConnections();
          await closed;
        },
      });
    });
  });
}

/** An option that the types of ws leave out: a peer that does not end a handshake is cut. */
const CLOSING: object = { closeTimeout: FAREWELL_MS };

/** Says that there is no body: otherwise Node announces chunks, of which there are none. */
function delimit(response: Response): Response {
  const isEmpty = !response.body && response.status !== 204 && response.status !== 304;
  if (isEmpty) response.headers.set("content-length", "0");
  return response;
}

/** Answers every close frame with 1000, as ASP.NET Core does; ws itself repeats the client's code. */
class ServerSocket extends WebSocket {
  /**
   * For ws alone, which gives the code and the reason of the client's close frame, or neither when
   * it had none. With a code but no reason it ends a socket whose client has broken the protocol.
   */
  override close(code?: number, reason?: string | Buffer): void {
    super.close(code === undefined || reason !== undefined ? 1000 : code);
  }

  /** Starts the closing handshake. */
  end(code: number, reason: string | undefined): void {
    super.close(code, reason);
  }
}

type Sockets = Server<typeof ServerSocket>;

const unanswered = new WeakSet<WebSocket>();

/** Cuts a socket that has not answered the ping before. */
function ping(ws: WebSocket): void {
  if (unanswered.has(ws)) return ws.terminate();
  unanswered.add(ws);
  ws.once("pong", () => unanswered.delete(ws));
  ws.ping();
}

/** Asks the app about an upgrade; what it does not accept is answered as it says. */
async function upgrade(
  fetch: Fetch,
  sockets: Sockets,
  incoming: IncomingMessage,
  stream: Duplex,
  head: Buffer,
): Promise<void> {
  let accepted: ((socket: Socket) => SocketHandler) | undefined;
  const accept: Upgrade = (accept) => {
    accepted = accept;
    return new Response(null); // never sent: ws writes the 101
  };
  const headers = new Headers();
  for (const [name, values] of Object.entries(incoming.headersDistinct)) {
    for (const value of values ?? []) headers.append(name, value);
  }
  const request = new Request(new URL(incoming.url ?? "/", `http://${incoming.headers.host}`), {
    method: incoming.method ?? "GET",
    headers,
  });
  const response = await fetch(request, {
    upgrade: asksForWebSocket(request) ? accept : undefined,
    address: incoming.socket.remoteAddress,
  });
  if (accepted) {
    const { listener } = { listener: accepted };
    sockets.handleUpgrade(incoming, stream, head, (ws) => listen(ws, listener));
    return;
  }
  // Nobody reads it any more, and unread it would not tell that its client has gone.
  stream.once("end", () => stream.destroy()).resume();
  const answer = new ServerResponse(incoming);
  answer.assignSocket(stream as TcpSocket); // what an http server hands out
  answer.shouldKeepAlive = false;
  answer.writeHead(response.status, [...delimit(response).headers].flat());
  if (response.body) await pipeline(Readable.fromWeb(response.body), answer);
  else answer.end();
  stream.end();
}

function listen(ws: WebSocket, accept: (socket: Socket) => SocketHandler): void {
  const handler = accept(socketOf(ws));
  ws.on("message", (data, isBinary) => handler.message(frameOf(data, isBinary)));
  ws.on("close", (code, reason) => handler.close(code, reason.toString()));
  ws.on("error", () => {}); // a close follows, and says more
}

function socketOf(ws: WebSocket): Socket {
  return {
    send(frame) {
      ws.send(frame, onSent);
      return ws.bufferedAmount === 0;
    },
    get bufferedBytes() {
      return ws.bufferedAmount;
    },
    close(code, reason) {
      if (ws instanceof ServerSocket) ws.end(code, reason);
      else ws.close(code, reason);
    },
  };
}

/** Given to `send`, so that sending on a closed socket is reported here instead of thrown. */
function onSent(): void {}

function frameOf(data: RawData, isBinary: boolean): Frame {
  const bytes = Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data as ArrayBuffer);
  return isBinary ? bytes : bytes.toString("utf8");
}

await run(host);
