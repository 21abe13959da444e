/** Where isolates meet. */

/** An isolate's place on the bus. */
export interface Bus {
  /** Names this isolate among those on the bus; where it joins machines, `{machine}.{isolate}`. */
  readonly id: string;
  /** Absent where the bus is within one machine. */
  readonly machines?: Machines;
  /**
   * Sends to others. A message may be lost when a receiver lags; what comes of one sender comes in
   * order, and once.
   * @param message plain data: whatever the structured clone algorithm takes
   * @param to whom it is for: an isolate, or all of a machine by its name; all there are without
   * one. It spares the others, but they may hear it all the same
   */
  post(message: unknown, to?: string): void;
  /** @returns stops it */
  listen(listener: (from: string, message: unknown) => void): () => void;
}

/** Machines that a bus joins. */
export interface Machines {
  /** Name of this one. */
  readonly own: string;
  /** Whether the others can be reached, as far as is known. */
  readonly connected: boolean;
}

/** The machine of an isolate; the whole text when it names a machine itself. */
export function machineOf(id: string): string {
  const [machine = id] = id.split(".", 1);
  return machine;
}

/** Whether something is for an isolate. @param to as given to {@link Bus.post} */
export function isFor(to: string | undefined, id: string): boolean {
  return to === undefined || to === id || id.startsWith(`${to}.`);
}

/** A bus that is used for several things at once: each sees its own messages only. */
export function channelOf<T>(bus: Bus, name: string): Channel<T> {
  return {
    id: bus.id,
    post: (message, to) => bus.post({ channel: name, message }, to),
    listen: (listener) =>
      bus.listen((from, envelope) => {
        const { channel, message } = envelope as { channel: string; message: T };
        if (channel === name) listener(from, message);
      }),
  };
}

export interface Channel<T> {
  readonly id: string;
  post(message: T, to?: string): void;
  listen(listener: (from: string, message: T) => void): () => void;
}
