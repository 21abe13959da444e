/** What is declared of one hub, compiled. */

import { Refusal } from "../errors.ts";
import type { Parameters, ValueTemplate } from "../topic/template.ts";
import type { TopicSpec } from "../topic/topic.ts";

export interface HubSpec {
  /** Where clients find it, such as `/hubs/odds`. */
  readonly path: string;
  readonly topics: readonly TopicSpec[];
  /** By target of a push: the topic it belongs to. */
  readonly events: ReadonlyMap<string, ValueTemplate>;
  /** By event: what conflation keeps the latest of. An event without one has a single key. */
  readonly keys: ReadonlyMap<string, ValueTemplate>;
  /** By method in lower case: calls that clients share, and for how long an answer serves, ms. */
  readonly sharedCalls: ReadonlyMap<string, number>;
  /** By method in lower case, what becomes of other calls; `undeclared` of those that it lacks. */
  readonly methods: ReadonlyMap<string, "private" | "deny">;
  readonly undeclared: "private" | "deny";
  /** When a SignalR client's private connection is opened: with its own, when needed, or never. */
  readonly privateLane: "eager" | "lazy" | "off";
  /** Topics of this hub at once. */
  readonly maxTopics: number;
  /** How long an opening waits for the origin, ms. */
  readonly openTimeoutMs: number;
}

/** Whether clients share anything of a hub, so that the relay needs a connection of its own to it. */
export function isShared({ topics, sharedCalls }: HubSpec): boolean {
  return topics.length > 0 || sharedCalls.size > 0;
}

/** A topic by name: how it is declared, and the values in its name. */
export interface Declared {
  readonly spec: TopicSpec;
  readonly parameters: Parameters;
}

/**
 * The declared topic of this name; `undefined` when there is none.
 * @throws {Refusal} `invalid_topic` when a parameter forbids its value
 */
export function findTopic({ topics }: HubSpec, name: string): Declared | undefined {
  for (const spec of topics) {
    const match = spec.template.match(name);
    if (!match) continue;
    if ("parameters" in match) return { spec, parameters: match.parameters };
    const text = `Cannot subscribe to "${name}": the value of {${match.forbidden}} is not allowed`;
    throw new Refusal("invalid_topic", text, name);
  }
  return undefined;
}
