/** JSON text read and written as .NET does it, and raw pieces of it: those that are not decoded. */

import { ProtocolError } from "../errors.ts";

/** How deep .NET lets objects and arrays from a client stand in each other, its record being the first. */
export const MAX_DEPTH = 64;

/**
 * The members of the JSON object with which a text begins, each as its raw text; of equal names the
 * last one wins. What stands behind the object is ignored. Both as .NET does.
 * @param maxDepth of objects and arrays in each other, this one being the first
 * @throws {ProtocolError} when the text does not begin with an object, or it is nested deeper
 */
export function members(
  text: string,
  maxDepth: number = Number.POSITIVE_INFINITY,
): Map<string, string> {
  const pieces: [name: string, raw: string][] = [];
  let at = skipSpace(text, 0);
  if (text[at] !== "{") throw notAnObject(text, at);
  at = skipSpace(text, at + 1);
  // Where the text is not JSON the pieces are nonsense; the parser behind the loop finds out.
  while (text[at] === '"') {
    const nameEnd = endOfString(text, at);
    const start = skipSpace(text, skipSpace(text, nameEnd) + 1); // past the colon
    const end = endOfValue(text, start, maxDepth - 1);
    pieces.push([text.slice(at, nameEnd), text.slice(start, end)]);
    at = skipSpace(text, end);
    if (text[at] !== ",") break;
    at = skipSpace(text, at + 1);
  }
  parse(text.slice(0, at + 1));
  return new Map(pieces.map(([name, raw]) => [JSON.parse(name), raw]));
}

/**
 * Reads a member that is to be a string.
 * @returns `undefined` when it is not there
 * @throws {ProtocolError} when it is something else; null is
 */
export function readString(raw: string | undefined, name: string): string | undefined {
  if (raw === undefined) return undefined;
  if (raw[0] !== '"') throw new ProtocolError(`Expected '${name}' to be of type String.`);
  if (!raw.includes("\\")) return raw.slice(1, -1);
  const text: string = JSON.parse(raw);
  if (LONE_SURROGATE.test(text)) {
    throw new ProtocolError("Cannot read incomplete UTF-16 JSON text as string.");
  }
  return text;
}

const LONE_SURROGATE = /\p{Surrogate}/u;

/**
 * Reads a member that is to be an integer, and written as one: not `1.0`.
 * @returns `undefined` when it is not there, or null. Beyond 53 bits it is not exact
 * @throws {ProtocolError} when it is something else, or has more bits
 */
export function readInteger(
  raw: string | undefined,
  name: string,
  bits: 32 | 64,
): number | undefined {
  if (raw === undefined || raw === "null") return undefined;
  const value = Number(raw);
  if (Number.isNaN(value)) throw new ProtocolError(`Expected '${name}' to be of type Number.`);
  const limit = 2 ** (bits - 1);
  if (!/^-?\d+$/.test(raw) || value < -limit || value > limit - 1) {
    throw new ProtocolError(
      `Either the JSON value is not in a supported format, or is out of bounds for an Int${bits}.`,
    );
  }
  return value;
}

/** Writes a string as .NET does where it escapes no more than it must. */
export function printString(text: string): string {
  return PLAIN.test(text) ? `"${text}"` : `"${text.replaceAll(ESCAPED, escapeCharacter)}"`;
}

const PLAIN = /^[ !#-[\]-~]*$/;

/** All that is no character, is unseen, or takes two UTF-16 units; but for marks such as U+200D. */
const ESCAPED =
  /["\\\p{Cc}\p{Cn}\p{Co}\p{Cs}\p{Zl}\p{Zp}\u{feff}\u{10000}-\u{10ffff}]|(?! )\p{Zs}/gu;

const SHORT: Readonly<Record<string, string>> = {
  '"': '\\"',
  "\\": "\\\\",
  "\b": "\\b",
  "\t": "\\t",
  "\n": "\\n",
  "\f": "\\f",
  "\r": "\\r",
};

function escapeCharacter(character: string): string {
  if (LONE_SURROGATE.test(character)) return "\ufffd";
  return SHORT[character] ?? character.split("").map(escapeUnit).join("");
}

function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    throw new ProtocolError("Error reading JSON.");
  }
}

function notAnObject(text: string, at: number): ProtocolError {
  // Of an array .NET has read no more than its bracket.
  const value = text[at] === "[" ? [] : parse(text.slice(0, endOfValue(text, at, 0)));
  return new ProtocolError(
    `Unexpected JSON Token Type '${kindOf(value)}'. Expected a JSON Object.`,
  );
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return "Array";
  if (value === null) return "Null";
  if (typeof value === "boolean") return value ? "True" : "False";
  return typeof value === "string" ? "String" : "Number";
}

function skipSpace(text: string, at: number): number {
  while (text.charCodeAt(at) <= 0x20) at++;
  return at;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** @returns index behind the closing quote of the string that opens at `at`, or the text's end */
function endOfString(text: string, at: number): number {
  for (at++; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit === QUOTE) return at + 1;
    if (unit === BACKSLASH) at++;
  }
  return text.length;
}

function endOfValue(text: string, at: number, maxDepth: number): number {
  let depth = 0;
  for (;;) {
    switch (text[at]) {
      case '"':
        at = endOfString(text, at);
        if (depth === 0) return at;
        continue;
      case "{":
      case "[":
        if (++depth > maxDepth) throw new ProtocolError("Error reading JSON.");
        break;
      case "}":
      case "]":
        if (depth === 0) return at; // a number or word, ended by the object around it
        if (--depth === 0) return at + 1;
        break;
      case ",":
      case " ":
      case "\t":
      case "\n":
      case "\r":
        if (depth === 0) return at;
        break;
      case undefined:
        return at;
    }
    at++;
  }
}
