/** A client's socket that keeps what is sent. */

import type { Socket } from "../../lib/socket.ts";
import { createSink, type FakeSink } from "./sink.ts";

export interface FakeSocket extends Socket, FakeSink {
  bufferedBytes: number;
  /** How it was closed, such as `1000` or `4508 Too slow`. */
  readonly closed: string | undefined;
}

export function createSocket(): FakeSocket {
  let closed: string | undefined;
  return {
    ...createSink(),
    get closed() {
      return closed;
    },
    close(code, reason = "") {
      closed ??= `${code} ${reason}`.trim();
    },
  };
}
