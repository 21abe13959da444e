/** From a hub's configuration to what the relay works with: templates compiled, contradictions refused. */

import { messageOf } from "../lib/errors.ts";
import type { HubSpec } from "../lib/feed/spec.ts";
import {
  compileCall,
  compileTopic,
  compileValue,
  type Parameter,
  type TopicTemplate,
  type ValueTemplate,
} from "../lib/topic/template.ts";
import type { TopicSpec } from "../lib/topic/topic.ts";
import { type Config, ConfigError, type HubConfig, type TopicConfig } from "./config.ts";

/**
 * Compiles every hub, by its path.
 * @throws {ConfigError} that names the hub and the topic
 */
export function compileHubs(config: Config): ReadonlyMap<string, HubSpec> {
  const specs = new Map<string, HubSpec>();
  const templates: TopicTemplate[] = [];
  for (const [path, hub] of Object.entries(config.hubs)) {
    const spec = compileHub(path, hub, config);
    specs.set(path, spec);
    for (const { template } of spec.topics) {
      // One name must not mean two things, also of two hubs: /sse and /ws name no hub.
      const other = templates.find((one) => overlap(one, template));
      at(`hubs.${path}.topics.${template.text}`, () => {
        if (other) throw new TypeError(`it and "${other.text}" can be the same name`);
      });
      templates.push(template);
    }
  }
  return specs;
}

function overlap(one: TopicTemplate, other: TopicTemplate): boolean {
  const [left, right] = [one.text.split("/"), other.text.split("/")];
  const isAny = (segment: string | undefined) => segment?.startsWith("{") === true;
  return (
    left.length === right.length &&
    left.every((segment, i) => segment === right[i] || isAny(segment) || isAny(right[i]))
  );
}

/** @throws {ConfigError} that names the hub and the topic */
export function compileHub(path: string, hub: HubConfig, config: Config): HubSpec {
  const events = new Map<string, ValueTemplate>();
  const keys = new Map<string, ValueTemplate>();
  const topics = Object.entries(hub.topics).map(([name, topic]) =>
    at(`hubs.${path}.topics.${name}`, () => {
      const spec = compileTopicSpec(name, topic);
      for (const [event, template] of Object.entries(topic.events)) {
        if (events.has(event))
          throw new TypeError(`event "${event}" belongs to another topic already`);
        events.set(event, compileValue(template));
      }
      for (const [event, template] of Object.entries(topic.key)) {
        if (!(event in topic.events) && event !== topic.stream?.method) {
          throw new TypeError(`key of "${event}", which is not an event of it`);
        }
        keys.set(event, compileValue(template));
      }
      return spec;
    }),
  );
  const sharedCalls = new Map<string, number>();
  const methods = new Map<string, "private" | "deny">();
  for (const [method, policy] of Object.entries(hub.calls)) {
    if (typeof policy === "string") methods.set(method.toLowerCase(), policy);
    else sharedCalls.set(method.toLowerCase(), policy.ttlMs);
  }
  return {
    path,
    topics,
    events,
    keys,
    sharedCalls,
    methods,
    undeclared: methods.get("*") ?? "private",
    privateLane: hub.privateLane,
    maxTopics: config.limits.topics,
    openTimeoutMs: config.openTimeoutMs,
  };
}

function compileTopicSpec(name: string, topic: TopicConfig): TopicSpec {
  if (topic.stream && (topic.join || Object.keys(topic.events).length > 0)) {
    throw new TypeError("a stream has neither join nor events");
  }
  if (!topic.stream && Object.keys(topic.events).length === 0) {
    throw new TypeError("it needs events, or a stream");
  }
  if (topic.leave && !topic.join) throw new TypeError("leave without join");
  const parameters: Record<string, Parameter> = {};
  for (const [, parameter] of name.matchAll(/\{(\w+)\}/g)) {
    parameters[parameter as string] = compileParameter(topic.params[parameter as string]);
  }
  for (const parameter of Object.keys(topic.params)) {
    if (!parameters[parameter]) throw new TypeError(`"{${parameter}}" does not stand in its name`);
  }
  const template = compileTopic(name, parameters);
  const compile = (call: TopicConfig["join"]) => call && compileCall(call, template, parameters);
  return {
    template,
    join: compile(topic.join),
    leave: compile(topic.leave),
    stream: compile(topic.stream),
    snapshot: compile(topic.snapshot),
    snapshotTtlMs: topic.snapshotTtlMs,
    history: topic.history,
    maxKeys: topic.maxKeys,
    slow: topic.slow,
    lingerMs: topic.lingerMs,
  };
}

function compileParameter(parameter: TopicConfig["params"][string] | undefined): Parameter {
  if (parameter?.type === "integer") return parameter;
  const { pattern, maxLength } = parameter ?? { pattern: "^[A-Za-z0-9._~-]+$", maxLength: 64 };
  return { type: "string", pattern: new RegExp(`^(?:${pattern})$`), maxLength };
}

function at<T>(field: string, compile: () => T): T {
  try {
    return compile();
  } catch (error) {
    throw new ConfigError(`Invalid configuration:\n  ${field}: ${messageOf(error)}`);
  }
}
