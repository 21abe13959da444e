/** The relay on Deno: `deno task start`. The only file that names `Deno`. */

import { stripTypeScriptTypes } from "node:module";
import { asksForWebSocket } from "../../lib/downstream/request.ts";
import type { Frame, Socket, SocketHandler } from "../../lib/socket.ts";
import type { Bindings, Fetch, Host, Isolate, Listening, Port, StartIsolate } from "../host.ts";
import { run } from "../run.ts";

const host: Host = {
  runtime: "deno",
  env: Deno.env.toObject(),
  args: Deno.args,
  workingDirectory: new URL(`file://${Deno.cwd()}/`),
  cores: navigator.hardwareConcurrency,
  parent: "DedicatedWorkerGlobalScope" in globalThis ? createPort() : undefined,
  startIsolate,
  endsBusyIsolates: false, // https://github.com/denoland/deno/pull/35657
  serve,
  dial: (url, { headers, signal, accept }) =>
    new Promise((resolve, reject) => {
      const ws = new WebSocket(url, { headers });
      listen(ws, accept, { signal, resolve, reject });
    }),
  readFile: (file) => Deno.readTextFile(file),
  stripTypes: (source) => stripTypeScriptTypes(source),
  onSignal(stop) {
    Deno.addSignalListener("SIGINT", stop);
    Deno.addSignalListener("SIGTERM", stop);
  },
  exit: (code) => Deno.exit(code),
};

/** What its types leave out. */
declare class Worker {
  constructor(url: string, options: { readonly type: "module" });
  onmessage: ((event: { readonly data: unknown }) => void) | null;
  onerror: ((event: { readonly message: string; preventDefault(): void }) => void) | null;
  postMessage(message: unknown): void;
  terminate(): void;
}
declare const self: Worker; // of a worker, which has the same two ends
declare function addEventListener(
  type: "error",
  listener: (event: {
    readonly error?: { readonly code?: unknown };
    preventDefault(): void;
  }) => void,
): void;

function createPort(): Port {
  return {
    post: (message) => self.postMessage(message),
    listen(listener) {
      self.onmessage = ({ data }) => listener(data);
    },
  };
}

/** A worker has the permissions of who starts it. */
function startIsolate({ message, exited }: Parameters<StartIsolate>[0]): Isolate {
  const worker = new Worker(import.meta.url, { type: "module" });
  worker.onmessage = ({ data }) => message(data);
  worker.onerror = (event) => {
    event.preventDefault(); // it would end this one, too
    exited(event.message);
  };
  return { post: (message) => worker.postMessage(message), terminate: () => worker.terminate() };
}

function serve(options: {
  readonly port: number;
  readonly hostname: string;
  readonly shared?: boolean;
  fetch: Fetch;
}): Promise<Listening> {
  return new Promise((resolve) => {
    const ending = new AbortController();
    const server = Deno.serve(
      {
        port: options.port,
        hostname: options.hostname,
        reusePort: options.shared === true, // wants "unstable": ["net"] in deno.json
        signal: ending.signal, // cuts what is open, which shutdown() would wait for
        onListen: ({ port }) =>
          resolve({
            port,
            async stop() {
              ending.abort();
              await server.finished;
            },
          }),
      },
      (request, { remoteAddr }) => {
        const bindings: Bindings = {
          upgrade: asksForWebSocket(request)
            ? (accept) => {
                const { socket, response } = Deno.upgradeWebSocket(request, { idleTimeout: 120 });
                listen(socket, accept);
                return response;
              }
            : undefined,
          address: "hostname" in remoteAddr ? remoteAddr.hostname : undefined,
          // No `cut`: nothing here ends one connection, and a body that fails is noticed only when
          // the client reads on. So is a WebSocket that is closed.
        };
        return options.fetch(request, bindings);
      },
    );
  });
}

/** The code of a socket that went without a close frame; Deno gives 0 then. */
const BROKEN = 1006;
/** The code of a close frame without one; Deno gives it also when its own close frame is not answered. */
const NO_CODE = 1005;

/** Wires a standard WebSocket, once it is open, to whoever listens. */
function listen(
  ws: WebSocket,
  accept: (socket: Socket) => SocketHandler,
  opening?: { signal: AbortSignal; resolve(): void; reject(reason: unknown): void },
): void {
  ws.binaryType = "arraybuffer";
  let handler: SocketHandler | undefined;
  let closing = false;
  const abort = () => {
    ws.close();
    opening?.reject(opening.signal.reason);
  };
  if (opening?.signal.aborted) return abort();
  opening?.signal.addEventListener("abort", abort, { once: true });
  const opened = () => opening?.signal.removeEventListener("abort", abort);
  ws.onopen = () => {
    opened();
    handler = accept(
      socketOf(ws, () => {
        closing = true;
      }),
    );
    opening?.resolve();
  };
  ws.onmessage = ({ data }) => handler?.message(frameOf(data));
  ws.onclose = ({ code: given, reason }) => {
    const code = given === 0 || (closing && given === NO_CODE) ? BROKEN : given;
    opened();
    opening?.reject(new Error(`WebSocket closed (${code}${reason ? ` ${reason}` : ""})`));
    handler?.close(code, reason);
  };
  ws.onerror = () => {}; // a close follows, and says more
}

function socketOf(ws: WebSocket, onClosing: () => void): Socket {
  return {
    send(frame) {
      // What is sent leaves later, so only what was there before tells of a peer that is behind.
      const isBehind = ws.bufferedAmount > 0;
      // Throws while closing; the close event is on its way then.
      if (ws.readyState === WebSocket.OPEN) ws.send(frame as string | Uint8Array<ArrayBuffer>);
      return !isBehind;
    },
    get bufferedBytes() {
      return ws.bufferedAmount;
    },
    close(code, reason) {
      if (ws.readyState !== WebSocket.OPEN) return;
      onClosing();
      ws.close(code, reason);
    },
  };
}

function frameOf(data: unknown): Frame {
  return data instanceof ArrayBuffer ? new Uint8Array(data) : (data as string);
}

// The NATS client has stopped listening to a connection that was refused when Deno still tells that
// its peer has reset it; nobody else uses such sockets, and there is nothing left to lose.
addEventListener("error", (event) => {
  if (event.error?.code === "ECONNRESET") event.preventDefault();
});

await run(host);
