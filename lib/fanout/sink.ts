/** The outgoing half of one client's connection, whatever its transport. */

import type { Frame } from "../socket.ts";

export interface Sink {
  /**
   * Queues one frame. MUST NOT throw, also after the connection has closed.
   * @returns false when the client does not keep up, that is when `bufferedBytes` is above 0 now
   */
  send(frame: Frame): boolean;
  /** Bytes that were sent and have not left the process yet. */
  readonly bufferedBytes: number;
}
