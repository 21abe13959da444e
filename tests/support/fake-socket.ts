/** A client's socket that keeps what is sent. */

import { createSink, type FakeSink } from "./sink.ts";

export interface FakeSocket extends FakeSink {
  close(code: number, reason?: string): void;
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
