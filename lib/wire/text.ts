/** Raw pieces of JSON text: where a member of an object begins and ends, without decoding it. */

/**
 * The members of a JSON object, each as its raw text. Of equal names the last one wins, as in .NET.
 * @param json text that `JSON.parse` has accepted and that holds an object; anything else gives nonsense
 */
export function members(json: string): Map<string, string> {
  const found = new Map<string, string>();
  let at = skipSpace(json, json.indexOf("{") + 1);
  while (json.charCodeAt(at) === QUOTE) {
    const nameEnd = endOfString(json, at);
    const name: string = JSON.parse(json.slice(at, nameEnd));
    const start = skipSpace(json, skipSpace(json, nameEnd) + 1); // past the colon
    const end = endOfValue(json, start);
    found.set(name, json.slice(start, end));
    at = skipSpace(json, skipSpace(json, end) + 1); // past the comma, or the closing brace
  }
  return found;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

function skipSpace(json: string, at: number): number {
  while (json.charCodeAt(at) <= 0x20) at++;
  return at;
}

/** @returns index behind the closing quote of the string that opens at `at` */
function endOfString(json: string, at: number): number {
  for (at++; json.charCodeAt(at) !== QUOTE; at++) {
    if (json.charCodeAt(at) === BACKSLASH) at++;
  }
  return at + 1;
}

function endOfValue(json: string, at: number): number {
  let depth = 0;
  for (;;) {
    switch (json[at]) {
      case '"':
        at = endOfString(json, at);
        if (depth === 0) return at;
        continue;
      case "{":
      case "[":
        depth++;
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
      case undefined:
        if (depth === 0) return at;
    }
    at++;
  }
}
