/** Where errors of the application's own functions go, so that they cannot break the feed. */

/** Hands an error to `reportError`, or to the console where there is none (Node). */
export function report(error: unknown): void {
  (globalThis.reportError ?? console.error)(error);
}

/** Calls a function of the application. Gives undefined when it threw; the error is reported. */
export function guard<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    report(error);
    return undefined;
  }
}
