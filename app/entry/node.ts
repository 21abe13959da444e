/** The relay on Node 24 and later: `node app/entry/node.ts`. The only file that names Node's server. */

import { readFile } from "node:fs/promises";
import { type IncomingMessage, type Server, STATUS_CODES } from "node:http";
import { stripTypeScriptTypes } from "node:module";
import type { Duplex } from "node:stream";
import { pathToFileURL } from "node:url";
import { createAdaptorServer } from "@hono/node-server";
import { type RawData, WebSocket, WebSocketServer } from "ws";
import type { Frame, Socket, SocketHandler, Upgrade } from "../../lib/socket.ts";
import type { Fetch, Host, Listening } from "../host.ts";
import { run } from "../run.ts";

const host: Host = {
  runtime: "node",
  env: process.env,
  args: process.argv.slice(2),
  workingDirectory: pathToFileURL(`${process.cwd()}/`),
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

/** Bun and Deno ping an idle socket by themselves; here it is one timer for all, ms. */
const PING_MS = 60_000;

function serve(options: {
  readonly port: number;
  readonly hostname: string;
  fetch: Fetch;
}): Promise<Listening> {
  const server = createAdaptorServer({
    fetch: (request, { incoming }) =>
      options.fetch(request, { upgrade: undefined, address: incoming.socket.remoteAddress }),
  }) as Server;
  // What is larger than a session takes is still read, so that the session can say so.
  const sockets = new WebSocketServer({ noServer: true, maxPayload: 16 * 1024 * 1024 });
  server.on("upgrade", (incoming, stream, head) => {
    stream.on("error", () => stream.destroy()); // a client that resets before it is a WebSocket
    void upgrade(options.fetch, sockets, incoming, stream, head);
  });
  const pings = setInterval(() => {
    for (const ws of sockets.clients) ping(ws);
  }, PING_MS);
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, options.hostname, () => {
      const address = server.address();
      resolve({
        port: typeof address === "object" && address ? address.port : options.port,
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
  sockets: WebSocketServer,
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
  const isWebSocket = incoming.headers.upgrade?.toLowerCase() === "websocket";
  const request = new Request(new URL(incoming.url ?? "/", `http://${incoming.headers.host}`), {
    method: incoming.method ?? "GET",
    headers,
  });
  const response = await fetch(request, {
    upgrade: isWebSocket ? accept : undefined,
    address: incoming.socket.remoteAddress,
  });
  if (accepted) {
    const { listener } = { listener: accepted };
    sockets.handleUpgrade(incoming, stream, head, (ws) => listen(ws, listener));
    return;
  }
  const body = Buffer.from(await response.arrayBuffer());
  const lines = [`HTTP/1.1 ${response.status} ${STATUS_CODES[response.status] ?? ""}`];
  for (const [name, value] of response.headers) lines.push(`${name}: ${value}`);
  lines.push(`content-length: ${body.length}`, "connection: close", "", "");
  stream.end(Buffer.concat([Buffer.from(lines.join("\r\n")), body]));
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
    close: (code, reason) => ws.close(code, reason),
  };
}

/** Given to `send`, so that sending on a closed socket is reported here instead of thrown. */
function onSent(): void {}

function frameOf(data: RawData, isBinary: boolean): Frame {
  const bytes = Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data as ArrayBuffer);
  return isBinary ? bytes : bytes.toString("utf8");
}

await run(host);
