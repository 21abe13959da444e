/** The least on Bun: native publish for WebSockets, a stream per event stream. `bun.ts FEED_PORT`. */

import { createLineReader } from "./lines.ts";

const TOPIC = "all";
const encoder = new TextEncoder();
const streams = new Set<ReadableStreamDefaultController<Uint8Array>>();

const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  idleTimeout: 0,
  fetch(request, server) {
    if (request.url.endsWith("/ws")) {
      return server.upgrade(request) ? undefined : new Response(null, { status: 400 });
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
  },
  websocket: {
    open: (ws) => void ws.subscribe(TOPIC),
    message() {},
  },
});

const read = createLineReader((line) => {
  server.publish(TOPIC, line);
  if (streams.size === 0) return;
  const event = encoder.encode(`data: ${line}\n\n`);
  for (const stream of streams) stream.enqueue(event);
});

await Bun.connect({
  hostname: "127.0.0.1",
  port: Number(process.argv[2]),
  socket: { data: (_, bytes) => read(bytes) },
});
console.log(`listening on 127.0.0.1:${server.port}`);
