/**
 * Asks again and again until the answer fits: for what another process knows and does not tell.
 * @param ask a failure counts as an answer that does not fit
 * @throws Error with the last answer, after `timeoutMs`
 */
export async function eventually<T>(
  ask: () => T | Promise<T>,
  fits: (answer: T) => boolean,
  timeoutMs = 10_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    let seen: string;
    try {
      const answer = await ask();
      if (fits(answer)) return answer;
      seen = JSON.stringify(answer);
    } catch (error) {
      seen = String(error);
    }
    if (Date.now() > deadline) {
      throw new Error(`Not what was waited for after ${timeoutMs} ms: ${seen}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
