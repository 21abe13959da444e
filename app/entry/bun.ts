/** The relay on Bun: `bun app/entry/bun.ts`. The only file that names `Bun`. */

import { pathToFileURL } from "node:url";
import { asksForWebSocket } from "../../lib/downstream/request.ts";
import type { Dial, Frame, Socket, SocketHandler } from "../../lib/socket.ts";
import {
  ANSWER_MS,
  type Bindings,
  type Fetch,
  type Host,
  type Isolate,
  isEventStream,
  type Listening,
  type Port,
  type StartIsolate,
} from "../host.ts";
import { run } from "../run.ts";

/** Rides on each server socket. */
interface Data {
  /** Until it is open. */
  accept?: ((socket: Socket) => SocketHandler) | undefined;
  handler?: SocketHandler | undefined;
  /** Set once the socket was closed from this side. */
  closing?: true;
}

/** The code of a socket that went without a close frame. */
const BROKEN = 1006;

const transpiler = new Bun.Transpiler({ loader: "ts" });

const host: Host = {
  runtime: "bun",
  env: process.env,
  args: process.argv.slice(2),
  workingDirectory: pathToFileURL(`${process.cwd()}/`),
  cores: navigator.hardwareConcurrency,
  parent: Bun.isMainThread ? undefined : createPort(),
  startIsolate,
  endsBusyIsolates: true,
  serve,
  dial,
  readFile: (file) => Bun.file(file).text(),
  stripTypes: (source) => transpiler.transformSync(source),
  onSignal(stop) {
    process.on("SIGINT", stop);
    process.on("SIGTERM", stop);
  },
  exit: (code) => process.exit(code),
};

declare const self: Worker; // of a worker, which has the same two ends

function createPort(): Port {
  return {
    post: (message) => self.postMessage(message),
    listen(listener) {
      self.onmessage = ({ data }) => listener(data);
    },
  };
}

function startIsolate({ message, exited }: Parameters<StartIsolate>[0]): Isolate {
  const worker = new Worker(import.meta.url, { argv: process.argv.slice(2) });
  let reason: string | undefined;
  worker.onmessage = ({ data }) => message(data);
  // A close follows, also when it was terminated.
  worker.addEventListener("error", ({ message }) => {
    reason = message;
  });
  worker.addEventListener("close", ({ code }) => exited(reason ?? `it exited with code ${code}`));
  return { post: (message) => worker.postMessage(message), terminate: () => worker.terminate() };
}

async function serve(options: {
  readonly port: number;
  readonly hostname: string;
  readonly shared?: boolean;
  fetch: Fetch;
}): Promise<Listening> {
  const server = Bun.serve<Data>({
    port: options.port,
    hostname: options.hostname,
    reusePort: options.shared === true,
    idleTimeout: 0, // neither a poll that waits nor a quiet stream is idle; answers have their own
    async fetch(request, server) {
      let isUpgraded = false;
      const bindings: Bindings = {
        upgrade: asksForWebSocket(request)
          ? (accept) => {
              // Bun would choose the first that is offered; none is spoken here.
              request.headers.delete("sec-websocket-protocol");
              isUpgraded = server.upgrade(request, { data: { accept } });
              if (isUpgraded) return new Response(null);
              return new Response("Not a WebSocket handshake", { status: 400 });
            }
          : undefined,
        get address() {
          return server.requestIP(request)?.address;
        },
        // There is no other way to end a response that nobody reads. It takes up to 4 s.
        cut: () => server.timeout(request, 1),
      };
      const response = await options.fetch(request, bindings);
      // Until the next request on this connection: it also ends one that is kept alive for nothing.
      if (!isUpgraded && !isEventStream(response)) server.timeout(request, ANSWER_MS / 1000);
      return response;
    },
    websocket: {
      maxPayloadLength: 16 * 1024 * 1024, // sessions have limits of their own, and say so
      // Beyond it Bun drops messages; how much may wait is the relay's to say. 0: no limit.
      backpressureLimit: 0,
      idleTimeout: 120,
      sendPings: true,
      open(ws) {
        const { data } = ws;
        data.handler = data.accept?.(new ServerSocket(ws));
        data.accept = undefined;
      },
      message: (ws, message) => ws.data.handler?.message(message),
      close({ data }, code, reason) {
        // Bun does not wait for the peer's answer, and gives the code that was sent.
        data.handler?.close(data.closing ? BROKEN : code, reason);
      },
    },
  });
  return {
    port: server.port ?? options.port,
    stop: () => server.stop(true),
  };
}

/** A class, because there is one for each client. */
class ServerSocket implements Socket {
  readonly #ws: Bun.ServerWebSocket<Data>;

  constructor(ws: Bun.ServerWebSocket<Data>) {
    this.#ws = ws;
  }

  send(frame: Frame): boolean {
    return this.#ws.send(frame) >= 0; // −1: queued behind others; 0: dropped, the socket has closed
  }

  get bufferedBytes(): number {
    return this.#ws.getBufferedAmount();
  }

  close(code: number, reason?: string): void {
    this.#ws.data.closing = true;
    // It cuts a peer that does not read by itself, after 16 to 20 s.
    // https://github.com/uNetworking/uWebSockets/issues/206
    this.#ws.close(code, reason);
  }
}

function dial(...[url, { headers, signal, accept }]: Parameters<Dial>): Promise<void> {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(url, { headers });
    ws.binaryType = "arraybuffer";
    let handler: SocketHandler | undefined;
    const abort = () => {
      ws.close();
      reject(signal.reason);
    };
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort, { once: true });
    ws.onopen = () => {
      signal.removeEventListener("abort", abort);
      handler = accept({
        send(frame) {
          ws.send(frame as string | Uint8Array<ArrayBuffer>);
          return ws.bufferedAmount === 0;
        },
        get bufferedBytes() {
          return ws.bufferedAmount;
        },
        close: (code, reason) => ws.close(code, reason),
      });
      resolve();
    };
    ws.onmessage = ({ data }) => handler?.message(frameOf(data));
    ws.onclose = ({ code, reason }) => {
      signal.removeEventListener("abort", abort);
      reject(new Error(`WebSocket closed (${code}${reason ? ` ${reason}` : ""})`));
      handler?.close(code, reason);
    };
  });
}

function frameOf(data: unknown): Frame {
  return data instanceof ArrayBuffer ? new Uint8Array(data) : (data as string);
}

await run(host);
