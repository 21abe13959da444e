/** The control: `native/sender.c`, with a send for each message or for ten that came at once. */

import { startFeed } from "../feed.ts";
import { nativeCommand } from "../native.ts";
import { LISTENING, type Subject, startServer } from "../subject.ts";

export const SENDER = "c";
export const JOINED_SENDER = "c-joined";

export const sender: Subject = createSender(SENDER, { joined: 1 });
export const joinedSender: Subject = createSender(JOINED_SENDER, { joined: 10 });

function createSender(name: string, { joined }: { readonly joined: number }): Subject {
  return {
    name,
    transports: ["ws", "sse"],
    async start(options) {
      const { transport: protocol, cores, owned } = options;
      const feed = owned.use(await startFeed(cores, { mode: "line" }));
      const command = nativeCommand("sender", { feed: feed.port, protocol, joined });
      const { pid, ready } = await startServer(options, command, LISTENING);
      return { pids: [pid], target: { protocol, port: Number(ready[1]), path: "/" }, feed };
    },
  };
}
