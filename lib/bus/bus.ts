/** Where isolates meet. */

/** An isolate's place on the bus. */
export interface Bus {
  /** Names this isolate among those on the bus. */
  readonly id: string;
  /**
   * Sends to all others. A message may be lost when a receiver lags; what comes of one sender comes
   * in order.
   * @param message plain data: whatever the structured clone algorithm takes
   */
  post(message: unknown): void;
  /** @returns stops it */
  listen(listener: (from: string, message: unknown) => void): () => void;
}

/** A bus that is used for several things at once: each sees its own messages only. */
export function channelOf<T>(bus: Bus, name: string): Channel<T> {
  return {
    id: bus.id,
    post: (message) => bus.post({ channel: name, message }),
    listen: (listener) =>
      bus.listen((from, envelope) => {
        const { channel, message } = envelope as { channel: string; message: T };
        if (channel === name) listener(from, message);
      }),
  };
}

export interface Channel<T> {
  readonly id: string;
  post(message: T): void;
  listen(listener: (from: string, message: T) => void): () => void;
}
