/**
 * The methods of the ASP.NET Core origin's ProbeHub in MessagePack, which that origin cannot speak.
 * Shares no code with the relay.
 */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { decode } from "@msgpack/msgpack";
import { type WebSocket, WebSocketServer } from "ws";
import { cutPacked, printPacked } from "./packed.ts";
import { RECORD_SEPARATOR } from "./signalr-client.ts";

export interface ProbeHub {
  readonly url: string;
  /** Streams that run now. */
  readonly streams: number;
  stop(): Promise<void>;
}

/** A message as it stands on the wire: its type, its headers, and the fields of the type. */
type Message = readonly unknown[];

export async function startProbeHub(): Promise<ProbeHub> {
  const streams = new Set<object>();
  const server = createServer((_, response) => {
    const id = crypto.randomUUID();
    const transports = [{ transport: "WebSockets", transferFormats: ["Text", "Binary"] }];
    const ids = { connectionId: id, connectionToken: id };
    const body = { negotiateVersion: 1, ...ids, availableTransports: transports };
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
  });
  const sockets = new WebSocketServer({ server });
  sockets.on("connection", (socket) => {
    const onMessage = serve(socket, streams);
    socket.on("message", (data: Buffer, isBinary) => {
      if (!isBinary)
        socket.send(Buffer.from(`{}${RECORD_SEPARATOR}`)); // the handshake
      // Hub messages, as a relay sends them.
      else for (const record of cutPacked(data)) onMessage(decode(record) as Message);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo; // of a TCP server, never a string
  return {
    url: `http://127.0.0.1:${port}/hubs/probe`,
    get streams() {
      return streams.size;
    },
    async stop() {
      for (const socket of sockets.clients) socket.terminate();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** @returns what is to be called with each message of this connection */
function serve(socket: WebSocket, streams: Set<object>): (message: Message) => void {
  /** Sums of what clients are sending now, by stream id. */
  const sums = new Map<string, { readonly invocationId: unknown; sum: number }>();
  /** Invocations that wait for what the client says, by the id of the question. */
  const questions = new Map<string, unknown>();
  const running = new Map<unknown, NodeJS.Timeout>();

  const send = (...message: Message) => socket.send(printPacked(message));
  const complete = (id: unknown, result: unknown) => send(3, {}, id, 3, result);
  const fail = (id: unknown, error: string) => send(3, {}, id, 1, error);

  function end(id: unknown): void {
    const timer = running.get(id);
    if (!timer) return;
    clearInterval(timer);
    streams.delete(timer);
    running.delete(id);
  }

  function count(id: unknown, length: number, delayMs: number): void {
    let next = 0;
    const timer = setInterval(() => {
      send(2, {}, id, next++);
      if (next < length) return;
      end(id);
      send(3, {}, id, 2);
    }, delayMs);
    running.set(id, timer);
    streams.add(timer);
  }

  function onInvocation(id: unknown, target: unknown, args: Message, streamId: string): void {
    const [first, second] = args;
    switch (target) {
      case "Echo":
      case "EchoJson":
        return complete(id, first);
      case "Count":
        return count(id, Number(first), Number(second));
      case "Sum":
        sums.set(streamId, { invocationId: id, sum: 0 });
        return;
      case "AskCaller": {
        const question = `s${questions.size + 1}`;
        questions.set(question, id);
        return send(1, {}, question, "Ask", ["q"], []);
      }
      case "PushMe":
        send(1, {}, null, first, second, []);
        return complete(id, null);
      case "Fail":
        return fail(id, `${THROWN.replace("{}", target)} HubException: hub boom`);
      case "Abort":
        send(7, null, false);
        return socket.close(1000);
      default:
        return fail(
          id,
          `Failed to invoke '${target}' due to an error on the server. HubException: Method does not exist.`,
        );
    }
  }

  socket.on("close", () => {
    for (const id of running.keys()) end(id);
  });
  return ([type, , id, ...fields]) => {
    switch (type) {
      case 1:
      case 4: {
        const [target, args, streamIds] = fields as [string, Message, string[]?];
        return onInvocation(id, target, args, streamIds?.[0] ?? "");
      }
      case 2: {
        const upload = sums.get(String(id));
        if (upload) upload.sum += Number(fields[0]);
        return;
      }
      case 3: {
        const upload = sums.get(String(id));
        if (upload) return complete(upload.invocationId, upload.sum);
        return complete(questions.get(String(id)), fields[1]);
      }
      case 5:
        end(id);
        return send(3, {}, id, 2);
    }
  };
}

const THROWN = "An unexpected error occurred invoking '{}' on the server.";
