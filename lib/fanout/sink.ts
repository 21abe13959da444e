/** The outgoing half of one client's connection, whatever its transport. */

import type { Frame } from "../socket.ts";

export interface Sink {
  /**
   * Queues one frame. MUST NOT throw, also after the connection has closed.
   * @param messages how many messages it holds that a SignalR client counts (stateful reconnect);
   * 0 when it is not said, for pings and the like
   * @returns false when the client does not keep up: this one, or one before it, has not left yet
   */
  send(frame: Frame, messages?: number): boolean;
  /** Bytes that were sent and have not left the process yet. */
  readonly bufferedBytes: number;
}
