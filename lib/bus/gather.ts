/** A question to several isolates at once, and as many answers as come in time. */

import type { Clock } from "../clock.ts";
import type { Channel } from "./bus.ts";

/** What is said on the channel; `to` is who has asked, and `id` which time. */
export type GatherMessage<T> =
  | { readonly type: "ask"; readonly id: number }
  | { readonly type: "tell"; readonly to: string; readonly id: number; readonly answer: T };

/**
 * Answers the others, and asks them.
 * @param options.answer plain data
 * @param options.timeoutMs who has not answered by then is left out
 * @returns asks these isolates; who asks while another waits gets what that one gets
 */
export function createGather<T>(
  channel: Channel<GatherMessage<T>>,
  options: { answer(): Promise<T>; readonly timeoutMs: number; readonly clock: Clock },
): (isolates: Iterable<string>) => Promise<ReadonlyMap<string, T>> {
  const { answer, timeoutMs, clock } = options;
  let asked = 0;
  let waiting: Promise<ReadonlyMap<string, T>> | undefined;
  let take: (from: string, id: number, answer: T) => void = () => {};

  channel.listen((from, message) => {
    if (message.type === "tell") {
      if (message.to === channel.id) take(from, message.id, message.answer);
      return;
    }
    const { id } = message;
    answer().then(
      (answer) => channel.post({ type: "tell", to: from, id, answer }),
      () => {}, // who has nothing to say is left out
    );
  });

  function ask(isolates: Iterable<string>): Promise<ReadonlyMap<string, T>> {
    const id = ++asked;
    const missing = new Set(isolates);
    const answers = new Map<string, T>();
    return new Promise((resolve) => {
      const finish = () => {
        timer.cancel();
        take = () => {};
        resolve(answers);
      };
      const timer = clock.after(timeoutMs, finish);
      take = (from, to, answer) => {
        if (to !== id || !missing.delete(from)) return;
        answers.set(from, answer);
        if (missing.size === 0) finish();
      };
      channel.post({ type: "ask", id });
      if (missing.size === 0) finish();
    });
  }

  return (isolates) => {
    waiting ??= ask(isolates).finally(() => {
      waiting = undefined;
    });
    return waiting;
  };
}
