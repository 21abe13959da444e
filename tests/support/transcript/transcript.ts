/** What a script saw of a server, line by line, with what no two servers have in common masked. */

import type { BodyFraming, Head } from "./http.ts";

/** An answer's head: names in lower case and sorted, so that order and case do not count. */
export interface HeadEntry {
  readonly status: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** How the body is delimited: a length, chunks, or not at all. Empty bodies say so. */
  readonly framing: string;
}

export interface Transcript {
  readonly entries: readonly (string | HeadEntry)[];
  add(line: string): void;
  addHead(head: Head, framing: BodyFraming, isEmpty: boolean): void;
  /** Whatever is written like this from here on is written as `name`. */
  mask(text: string, name: string): void;
}

/** Fields that `HeadEntry.framing` stands for. */
const FRAMING_FIELDS = new Set(["content-length", "transfer-encoding"]);

export function createTranscript(): Transcript {
  const entries: (string | HeadEntry)[] = [];
  const masks = new Map<string, string>();

  function hide(line: string): string {
    for (const [text, name] of masks) line = line.replaceAll(text, name);
    return line
      .replaceAll(/"(connectionId|connectionToken)":"[\w-]{22,}"/g, '"$1":"<id>"')
      .replaceAll(/"invocationId":"s\d+"/g, '"invocationId":"s<n>"') // counted by process
      .replaceAll(/\bprobe=[0-9a-f]{32}\b/g, "probe=<value>");
  }

  return {
    entries,
    add: (line) => void entries.push(hide(line)),
    addHead({ status, headers }, framing, isEmpty) {
      const fields = headers
        .map(([name, value]): [string, string] => [name.toLowerCase(), hide(value)])
        .filter(([name]) => !FRAMING_FIELDS.has(name))
        .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
      const kind = typeof framing === "object" ? "length" : framing;
      const how = kind === "none" ? "no body" : `body by ${kind}`;
      entries.push({ status, headers: fields, framing: isEmpty ? `${how}, empty` : how });
    },
    mask: (text, name) => void masks.set(text, name),
  };
}

/** Bytes as a person reads them: text where they are text, long runs of one character counted. */
export function show(bytes: Uint8Array): string {
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  if (text.charCodeAt(0) < 9) return `0x${Buffer.from(bytes).toString("hex")}`; // MessagePack
  return text
    .replaceAll("\u001e", "␞")
    .replaceAll("\r", "\\r")
    .replaceAll("\n", "\\n")
    .replaceAll(/(.)\1{40,}/gu, (run, one) => `${one}{${run.length}}`);
}
