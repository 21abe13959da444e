/**
 * Templates: which call subscribes to which topic, and which push belongs to it. Everything is
 * compiled when the relay is made; a wrong template throws then, never later.
 */

/** What a topic's parameter may be. Only values that pass reach the origin. */
export type Parameter =
  | { readonly type: "integer"; readonly min: number; readonly max: number }
  | { readonly type: "string"; readonly pattern: RegExp; readonly maxLength: number };

/** A parameter's value as the origin takes it in its arguments. */
export type ParameterValue = string | number;

/** The values of one topic, by parameter name. */
export type Parameters = Readonly<Record<string, ParameterValue>>;

/** A topic template such as `match/{id}`. */
export interface TopicTemplate {
  readonly text: string;
  /** Names of the parameters, in order. */
  readonly names: readonly string[];
  /**
   * The parameters of a topic name, or the name of the one that forbids its value.
   * @returns `undefined` when the name is not of this shape
   */
  match(
    name: string,
  ): { readonly parameters: Parameters } | { readonly forbidden: string } | undefined;
  /** The name of the topic with these values. */
  print(values: Parameters): string;
}

const TOPIC = /^[A-Za-z0-9._~\-/:]{1,128}$/;

/** PROTOCOL.md section 1: the alphabet, and no empty, `.` or `..` segment. */
export function isTopicName(text: string): boolean {
  return (
    TOPIC.test(text) &&
    text.split("/").every((part) => part !== "" && part !== "." && part !== "..")
  );
}

/**
 * @param text a topic name in which whole segments may be `{name}`
 * @throws {TypeError} when it is not, or a parameter is not declared
 */
export function compileTopic(
  text: string,
  parameters: Readonly<Record<string, Parameter>>,
): TopicTemplate {
  const segments = text.split("/");
  const names: string[] = [];
  for (const segment of segments) {
    const name = /^\{([A-Za-z]\w*)\}$/.exec(segment)?.[1];
    if (name === undefined) {
      if (isTopicName(segment)) continue;
      throw new TypeError(`Cannot compile topic "${text}": segment "${segment}" is not a name`);
    }
    if (!parameters[name]) {
      throw new TypeError(`Cannot compile topic "${text}": parameter "${name}" is not declared`);
    }
    if (names.includes(name)) {
      throw new TypeError(`Cannot compile topic "${text}": parameter "${name}" stands twice`);
    }
    names.push(name);
  }
  return {
    text,
    names,
    match(name) {
      const parts = name.split("/");
      if (parts.length !== segments.length) return undefined;
      if (segments.some((segment, i) => !isPlaceholder(segment) && segment !== parts[i])) {
        return undefined;
      }
      const values: Record<string, ParameterValue> = {};
      for (const [i, segment] of segments.entries()) {
        if (!isPlaceholder(segment)) continue;
        const parameter = segment.slice(1, -1);
        const value = readParameter(parameters[parameter] as Parameter, parts[i] as string);
        if (value === undefined) return { forbidden: parameter };
        values[parameter] = value;
      }
      return { parameters: values };
    },
    print: (values) =>
      segments
        .map((segment) => (isPlaceholder(segment) ? values[segment.slice(1, -1)] : segment))
        .join("/"),
  };
}

function isPlaceholder(segment: string): boolean {
  return segment.startsWith("{");
}

/** Reads the text of a value; an integer has one spelling only, so that a topic has one name. */
function readParameter(parameter: Parameter, text: string): ParameterValue | undefined {
  if (parameter.type === "string") return allows(parameter, text) ? text : undefined;
  const value = Number(text);
  return String(value) === text && allows(parameter, value) ? value : undefined;
}

function allows(parameter: Parameter, value: unknown): value is ParameterValue {
  if (parameter.type === "integer") {
    return Number.isSafeInteger(value) && within(Number(value), parameter.min, parameter.max);
  }
  return (
    typeof value === "string" &&
    value.length <= parameter.maxLength &&
    parameter.pattern.test(value) &&
    isTopicName(value) &&
    !value.includes("/")
  );
}

function within(value: number, min: number, max: number): boolean {
  return min <= value && value <= max;
}

/** A call of the origin with a topic's parameters in its arguments. */
export interface CallTemplate {
  readonly method: string;
  /** The arguments for these values. */
  print(values: Parameters): unknown[];
  /** The values in a client's own call; `undefined` when it is not this call, or a value is forbidden. */
  match(method: string, args: readonly unknown[]): Parameters | undefined;
}

/**
 * @param args constants, or `"{name}"` for a parameter's value
 * @throws {TypeError} when an argument names a parameter that the topic has not
 */
export function compileCall(
  call: { readonly method: string; readonly args: readonly unknown[] },
  topic: TopicTemplate,
  parameters: Readonly<Record<string, Parameter>>,
): CallTemplate {
  const slots = call.args.map((arg) => {
    const name = typeof arg === "string" ? /^\{(\w+)\}$/.exec(arg)?.[1] : undefined;
    if (name !== undefined && !topic.names.includes(name)) {
      throw new TypeError(
        `Cannot compile call "${call.method}": topic "${topic.text}" has no parameter "${name}"`,
      );
    }
    return { name, constant: arg };
  });
  const lowerCase = call.method.toLowerCase();
  const whole = topic.names.every((name) => slots.some((slot) => slot.name === name));
  return {
    method: call.method,
    print: (values) =>
      slots.map(({ name, constant }) => (name === undefined ? constant : values[name])),
    match(method, args) {
      // .NET finds hub methods without regard to case.
      if (!whole || args.length !== slots.length || method.toLowerCase() !== lowerCase) {
        return undefined;
      }
      const values: Record<string, ParameterValue> = {};
      for (const [i, { name, constant }] of slots.entries()) {
        const arg = args[i];
        if (name === undefined) {
          if (JSON.stringify(arg) !== JSON.stringify(constant)) return undefined;
        } else {
          const parameter = parameters[name] as Parameter; // declared, or the topic had not compiled
          if (!allows(parameter, arg)) return undefined;
          values[name] = arg;
        }
      }
      return values;
    },
  };
}

/** Makes a text of a push's arguments; `undefined` when a value it needs is not there. */
export type ValueTemplate = (args: readonly unknown[]) => string | undefined;

/**
 * @param text with any number of `{path}`, where a path is the index of an argument and then names
 * or indexes within it, such as `match/{0.matchId}`. Names ignore case, as JSON and MessagePack
 * write one .NET property as `matchId` and `MatchId`.
 * @throws {TypeError} when a path does not begin with an index
 */
export function compileValue(text: string): ValueTemplate {
  const parts = text.split(/\{([^{}]*)\}/); // literals at even places, paths at odd ones
  const paths = parts.map((part, i) => (i % 2 === 1 ? compilePath(part, text) : undefined));
  const [before = "", , after = ""] = parts;
  const path = paths.length === 3 ? paths[1] : undefined;
  if (path) {
    // Nearly all have one, and it is read of each push.
    const isBare = before === "" && after === "";
    return (args) => {
      const value = scalar(path(args));
      return value === undefined || isBare ? value : before + value + after;
    };
  }
  return (args) => {
    let result = "";
    for (let i = 0; i < parts.length; i++) {
      const path = paths[i];
      const value = path ? scalar(path(args)) : parts[i];
      if (value === undefined) return undefined;
      result += value;
    }
    return result;
  };
}

function compilePath(path: string, text: string): (args: readonly unknown[]) => unknown {
  const [first = "", ...steps] = path.split(".");
  if (!/^\d+$/.test(first)) {
    throw new TypeError(`Cannot compile template "${text}": "{${path}}" must begin with an index`);
  }
  const index = Number(first);
  const [name] = steps;
  if (name !== undefined && steps.length === 1) return (args) => member(args[index], name);
  return (args) => {
    let value = args[index];
    for (const step of steps) value = member(value, step);
    return value;
  };
}

function member(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  const object = value as Readonly<Record<string, unknown>>; // arrays too: their indexes are names
  if (Object.hasOwn(object, name)) return object[name];
  const lowerCase = name.toLowerCase();
  for (const key in object) if (key.toLowerCase() === lowerCase) return object[key];
  return undefined;
}

function scalar(value: unknown): string | undefined {
  switch (typeof value) {
    case "string":
      return value;
    case "number":
    case "bigint":
    case "boolean":
      return String(value);
    default:
      return undefined;
  }
}
