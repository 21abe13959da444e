/** The least on Node: a loop over sockets of the package ws, or over responses. `node.ts FEED_PORT`. */

import { createServer, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { WebSocketServer } from "ws";
import { createLineReader } from "./lines.ts";

const responses = new Set<ServerResponse>();
const server = createServer((_, response) => {
  response.writeHead(200, { "content-type": "text/event-stream" }).write(":\n\n");
  responses.add(response);
  response.once("close", () => responses.delete(response));
});
const sockets = new WebSocketServer({ server });
sockets.on("connection", (ws) => ws.on("error", () => {})); // a close follows

const read = createLineReader((line) => {
  for (const ws of sockets.clients) ws.send(line);
  for (const response of responses) response.write(`data: ${line}\n\n`);
});

connect(Number(process.argv[2]), "127.0.0.1").on("data", read);
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo; // of a TCP server, never a string
  console.log(`listening on 127.0.0.1:${port}`);
});
