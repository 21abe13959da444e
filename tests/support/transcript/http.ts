/** HTTP/1.1 answers off a raw connection, with everything that client libraries tidy up. */

import type { End, Tcp } from "./tcp.ts";

export interface Head {
  /** `404 Not Found`. */
  readonly status: string;
  /** In the order in which they came, names as they were written. */
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** How a body says where it ends. */
export type BodyFraming = "chunked" | "none" | { readonly length: number };

export async function readHead(tcp: Tcp): Promise<{ readonly value: Head } | End> {
  return tcp.read((bytes) => {
    const end = bytes.indexOf("\r\n\r\n");
    if (end < 0) return undefined;
    const [line = "", ...fields] = bytes.toString("latin1", 0, end).split("\r\n");
    const value = {
      status: line.replace(/^HTTP\/1\.1 /, ""),
      headers: fields.map((field): [string, string] => {
        const colon = field.indexOf(":");
        return [field.slice(0, colon), field.slice(colon + 1).trim()];
      }),
    };
    return { value, size: end + 4 };
  });
}

export function framingOf({ headers }: Head): BodyFraming {
  const find = (wanted: string) => headers.find(([name]) => name.toLowerCase() === wanted)?.[1];
  if (find("transfer-encoding") === "chunked") return "chunked";
  const length = find("content-length");
  return length === undefined ? "none" : { length: Number(length) };
}

/**
 * Reads a whole body.
 * @returns what came of it, and how it ended when that was not where its framing says
 */
export async function readBody(
  tcp: Tcp,
  framing: BodyFraming,
): Promise<{ readonly bytes: Buffer; readonly end?: End }> {
  if (framing === "none") return { bytes: Buffer.alloc(0) };
  if (framing !== "chunked") {
    const { length } = framing;
    if (length === 0) return { bytes: Buffer.alloc(0) };
    const read = await tcp.read((bytes) =>
      bytes.length < length ? undefined : { value: bytes.subarray(0, length), size: length },
    );
    return typeof read === "string" ? { bytes: Buffer.alloc(0), end: read } : { bytes: read.value };
  }
  const chunks: Buffer[] = [];
  for (;;) {
    const chunk = await readChunk(tcp);
    if (typeof chunk === "string") return { bytes: Buffer.concat(chunks), end: chunk };
    if (chunk.value.length === 0) return { bytes: Buffer.concat(chunks) };
    chunks.push(chunk.value);
  }
}

/** Reads the next chunk of a chunked body; the last one is empty. */
export function readChunk(tcp: Tcp, timeoutMs?: number): Promise<{ readonly value: Buffer } | End> {
  return tcp.read((bytes) => {
    const line = bytes.indexOf("\r\n");
    if (line < 0) return undefined;
    const length = Number.parseInt(bytes.toString("latin1", 0, line), 16);
    const end = line + 2 + length;
    if (bytes.length < end + 2) return undefined;
    return { value: Buffer.from(bytes.subarray(line + 2, end)), size: end + 2 };
  }, timeoutMs);
}
