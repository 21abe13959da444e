/** What came, in the words of an expectation. */

import type { EventSourceMessage } from "eventsource-parser";
import type { Published } from "../support/origins.ts";
import type { Call, PuppetHub } from "../support/puppet-hub.ts";

/** An event as its name and its data. */
export function brief(event: EventSourceMessage | undefined): unknown {
  return event && [event.event, JSON.parse(event.data)];
}

/** The `sequence` of each publication of the demo hub, whose data is JSON text or a value. */
export function sequences(all: readonly { readonly data?: unknown }[]): number[] {
  return all.flatMap(({ data }) => {
    const value: unknown = typeof data === "string" ? JSON.parse(data) : data;
    const { sequence } = (value ?? {}) as { readonly sequence?: number }; // other events have none
    return sequence ?? [];
  });
}

/** The sequences that were published. */
export function run({ first, last }: Published): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

/** The relay's call of a stream of the puppet. */
export async function streamOf(puppet: PuppetHub, name: string): Promise<Call> {
  const isIt = ({ type, arguments: args }: Call) => type === 4 && args[0] === name;
  const [call] = (await puppet.calls.until(isIt)).slice(-1) as [Call];
  return call;
}

/** Far more than the kernel's buffers of one connection hold. */
export const FLOOD_BYTES: number = 24 * 1024 * 1024;

/** Pushes far too much to a note, no faster than somebody who reads it can. */
export async function flood(
  puppet: PuppetHub,
  id: string,
  reader: { next(): Promise<unknown> },
): Promise<void> {
  const text = "x".repeat(256 * 1024);
  for (let bytes = 0; bytes < FLOOD_BYTES; bytes += text.length) {
    puppet.push("Note", `[{"id":"${id}","text":"${text}"}]`);
    await reader.next();
  }
}
