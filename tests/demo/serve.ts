/** Serves the embedded origin on Node's http and `ws`, for tests with real clients. */
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { type RawData, type WebSocket, WebSocketServer } from "ws";
import type { DemoHub } from "../../app/demo/hub.ts";
import type { Socket, SocketHandler, Upgrade } from "../../lib/socket.ts";

export interface Served {
  /** `http://127.0.0.1:{port}/hubs/live`. */
  readonly url: string;
  /** Ends the server and every connection. */
  close(): Promise<void>;
}

export async function serve(hub: DemoHub): Promise<Served> {
  const sockets = new WebSocketServer({ noServer: true });
  const server = createServer((incoming, outgoing) => {
    const request = requestOf(incoming);
    const isNegotiate = new URL(request.url).pathname.endsWith("/negotiate");
    const response = isNegotiate ? hub.negotiate(request) : hub.connect(request, refuseUpgrade);
    outgoing.writeHead(response.status, Object.fromEntries(response.headers));
    void response.text().then((text) => outgoing.end(text));
  });
  server.on("upgrade", (incoming: IncomingMessage, stream: Duplex, head: Buffer) => {
    const upgrade: Upgrade = (accept) => {
      sockets.handleUpgrade(incoming, stream, head, (ws) => listen(ws, accept));
      return new Response();
    };
    const response = hub.connect(requestOf(incoming), upgrade);
    if (response.status === 200) return;
    stream.end(`HTTP/1.1 ${response.status} Refused\r\nConnection: close\r\n\r\n`);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/hubs/live`,
    async close() {
      for (const ws of sockets.clients) ws.terminate();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function requestOf({ url, headers, method = "GET" }: IncomingMessage): Request {
  const { host, accept, upgrade } = headers;
  const kept = { ...(accept && { accept }), ...(upgrade && { upgrade }) };
  return new Request(`http://${host}${url}`, { method, headers: kept });
}

function refuseUpgrade(): Response {
  throw new Error("Cannot upgrade: the request does not ask for it");
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
