/**
 * The handshake that opens a hub connection: one JSON record each way, whatever the hub protocol.
 *
 * @see https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/HubProtocol.md#overview
 */

import { ProtocolError } from "../errors.ts";
import type { Frame } from "../socket.ts";
import { RECORD_SEPARATOR } from "./json.ts";
import { MAX_DEPTH, members, printString, readInteger, readString } from "./text.ts";

export interface HandshakeRequest {
  readonly protocol: string;
  readonly version: number;
}

/** Writes a request, framed. */
export function printHandshakeRequest(request: HandshakeRequest): string {
  return `{"protocol":${printString(request.protocol)},"version":${request.version}}${RECORD_SEPARATOR}`;
}

/**
 * Reads a request.
 * @param record without its separator
 * @throws {ProtocolError} when it is not a request; the texts are those of ASP.NET Core
 */
export function parseHandshakeRequest(record: string): HandshakeRequest {
  const raw = members(record, MAX_DEPTH);
  const protocol = readString(raw.get("protocol"), "protocol");
  const version = readInteger(raw.get("version"), "version", 32);
  if (protocol === undefined) throw missing("protocol", record);
  if (version === undefined) throw missing("version", record);
  return { protocol, version };
}

function missing(name: string, record: string): ProtocolError {
  return new ProtocolError(`Missing required property '${name}'. Message content: ${record}`);
}

/** Writes the answer, framed: success without an error. */
export function printHandshakeResponse(error?: string): string {
  return `${error === undefined ? "{}" : `{"error":${printString(error)}}`}${RECORD_SEPARATOR}`;
}

/**
 * Reads the answer.
 * @param record without its separator
 * @returns the server's error; `undefined` on success
 * @throws {ProtocolError} when it is not an answer
 */
export function parseHandshakeResponse(record: string): string | undefined {
  const raw = members(record);
  if (raw.has("type")) {
    throw new ProtocolError("Expected a handshake response from the server.");
  }
  const error = raw.get("error");
  // .NET does not write null, but other servers may.
  return error === "null" ? undefined : readString(error, "error");
}

/** Takes the first record off a connection, before its hub protocol is spoken. */
export interface HandshakeReader {
  /**
   * @returns the record without its separator, and what came behind it; `undefined` when it is not whole yet
   * @throws {ProtocolError} when it is larger than the limit
   */
  push(chunk: Frame): { readonly record: string; readonly rest: Frame } | undefined;
}

/** @param maxBytes limit of the record, its separator included */
export function createHandshakeReader(maxBytes: number): HandshakeReader {
  // Handshakes are small and come in one piece: joining bytes anew for each piece costs nothing.
  let pending = new Uint8Array(0);
  return {
    push(chunk) {
      const bytes = typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk;
      const joined = new Uint8Array(pending.length + bytes.length);
      joined.set(pending);
      joined.set(bytes, pending.length);
      const end = joined.indexOf(0x1e);
      if ((end < 0 ? joined.length : end + 1) > maxBytes) {
        throw new ProtocolError(`The handshake is larger than ${maxBytes} bytes`);
      }
      pending = joined;
      if (end < 0) return undefined;
      const rest = joined.subarray(end + 1);
      return {
        record: decode(joined.subarray(0, end)),
        rest: typeof chunk === "string" ? decode(rest) : rest,
      };
    },
  };
}

/** Keeps a byte order mark, which is not JSON. */
function decode(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}
