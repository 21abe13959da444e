/** The least on Deno: a loop over WebSockets, or over streams. `deno.ts FEED_PORT`. */

import { createLineReader } from "./lines.ts";

const encoder = new TextEncoder();
const sockets = new Set<WebSocket>();
const streams = new Set<ReadableStreamDefaultController<Uint8Array>>();

const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, (request) => {
  if (request.url.endsWith("/ws")) {
    const { socket, response } = Deno.upgradeWebSocket(request);
    socket.onopen = () => void sockets.add(socket);
    socket.onclose = () => void sockets.delete(socket);
    socket.onerror = () => {}; // a close follows
    return response;
  }
  let stream: ReadableStreamDefaultController<Uint8Array>;
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      stream = controller;
      streams.add(stream);
      stream.enqueue(encoder.encode(":\n\n"));
    },
    cancel: () => void streams.delete(stream),
  });
  return new Response(body, { headers: { "content-type": "text/event-stream" } });
});

const read = createLineReader((line) => {
  for (const socket of sockets) if (socket.readyState === WebSocket.OPEN) socket.send(line);
  if (streams.size === 0) return;
  const event = encoder.encode(`data: ${line}\n\n`);
  for (const stream of streams) stream.enqueue(event);
});

const feed = await Deno.connect({ hostname: "127.0.0.1", port: Number(Deno.args[0]) });
console.log(`listening on 127.0.0.1:${server.addr.port}`);
for await (const bytes of feed.readable) read(bytes);
