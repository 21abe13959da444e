/** Serves the embedded origin on Node's http and `ws`, for tests with real clients. */
import type { IncomingMessage, Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { createAdaptorServer } from "@hono/node-server";
import { type RawData, type WebSocket, WebSocketServer } from "ws";
import type { DemoHub } from "../../app/demo/hub.ts";
import type { Socket, SocketHandler, Upgrade } from "../../lib/socket.ts";

export interface Served {
  /** `http://127.0.0.1:{port}/hubs/live`. */
  readonly url: string;
  /** Breaks every WebSocket, as a lost network does. */
  cut(): void;
  /** Ends the server and every connection. */
  close(): Promise<void>;
}

export async function serve(hub: DemoHub): Promise<Served> {
  const sockets = new WebSocketServer({ noServer: true });
  const server = createAdaptorServer({
    fetch: (request) =>
      new URL(request.url).pathname.endsWith("/negotiate")
        ? hub.negotiate(request)
        : hub.handle(request, { upgrade: undefined }),
  }) as Server; // it is one of Node's http unless it is told otherwise
  server.on("upgrade", async (incoming: IncomingMessage, stream: Duplex, head: Buffer) => {
    const upgrade: Upgrade = (accept) => {
      sockets.handleUpgrade(incoming, stream, head, (ws) => listen(ws, accept));
      return new Response();
    };
    const request = new Request(`http://${incoming.headers.host}${incoming.url}`);
    const response = await hub.handle(request, { upgrade });
    if (response.status === 200) return;
    stream.end(`HTTP/1.1 ${response.status} Refused\r\nConnection: close\r\n\r\n`);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo; // of a server that listens on TCP
  const cut = (): void => {
    for (const ws of sockets.clients) ws.terminate();
  };
  return {
    url: `http://127.0.0.1:${port}/hubs/live`,
    cut,
    async close() {
      cut();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function listen(ws: WebSocket, accept: (socket: Socket) => SocketHandler): void {
  const handler = accept({
    send(frame) {
      ws.send(frame);
      return ws.bufferedAmount === 0;
    },
    get bufferedBytes() {
      return ws.bufferedAmount;
    },
    close: (code, reason) => ws.close(code, reason),
  });
  ws.on("message", (data: RawData, isBinary) => {
    if (!Buffer.isBuffer(data)) throw new TypeError("Cannot read the message: it is in pieces");
    handler.message(isBinary ? data : data.toString());
  });
  ws.on("close", (code, reason) => handler.close(code, reason.toString()));
}
