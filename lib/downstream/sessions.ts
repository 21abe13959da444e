/** All sessions of clients here: counted by transport, and asked to leave when the relay does. */

export type Transport =
  | "websocket"
  | "sse"
  | "signalr-websocket"
  | "signalr-sse"
  | "signalr-polling";

/** A client's session, as far as it concerns the whole. */
export interface Session {
  readonly transport: Transport;
  /** Tells the client to come back in `retryMs`, and closes. */
  drain(retryMs: number): void;
}

export interface Sessions {
  readonly size: number;
  count(transport: Transport): number;
  /** Whether no more are taken: the bound is reached, or the relay is leaving. */
  readonly full: boolean;
  add(session: Session): void;
  remove(session: Session): void;
  /** Sends everybody away, each with a wait of its own of up to `spreadMs`; takes nobody any more. */
  drain(spreadMs: number): void;
}

export function createSessions(options: {
  readonly maxConnections: number;
  readonly random: () => number;
}): Sessions {
  const sessions = new Set<Session>();
  const counts = new Map<Transport, number>();
  let draining = false;

  function change(session: Session, by: 1 | -1): void {
    counts.set(session.transport, (counts.get(session.transport) ?? 0) + by);
  }

  return {
    get size() {
      return sessions.size;
    },
    count: (transport) => counts.get(transport) ?? 0,
    get full() {
      return draining || sessions.size >= options.maxConnections;
    },
    add(session) {
      sessions.add(session);
      change(session, 1);
    },
    remove(session) {
      if (sessions.delete(session)) change(session, -1);
    },
    drain(spreadMs) {
      draining = true;
      for (const session of [...sessions]) {
        session.drain(Math.ceil(options.random() * spreadMs));
      }
    },
  };
}
