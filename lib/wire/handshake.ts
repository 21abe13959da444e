/**
 * The handshake that opens a hub connection: one JSON record each way, whatever the hub protocol.
 *
 * @see https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/HubProtocol.md#overview
 */

import { ProtocolError } from "../errors.ts";
import type { Frame } from "../socket.ts";
import { RECORD_SEPARATOR } from "./json.ts";

export interface HandshakeRequest {
  readonly protocol: string;
  readonly version: number;
}

/** Writes a request, framed. */
export function printHandshakeRequest(request: HandshakeRequest): string {
  return `{"protocol":${JSON.stringify(request.protocol)},"version":${request.version}}${RECORD_SEPARATOR}`;
}

/**
 * Reads a request. What stands between the object and its separator is ignored, as .NET does.
 * @param record without its separator
 * @throws {ProtocolError} when it is not a request
 */
export function parseHandshakeRequest(record: string): HandshakeRequest {
  const value = parseObject(record);
  const { protocol, version } = value;
  if (typeof protocol !== "string") {
    throw new ProtocolError("Missing required property 'protocol'.");
  }
  if (!Number.isInteger(version) || Math.abs(Number(version)) > 0x7fffffff) {
    throw new ProtocolError("Missing required property 'version'.");
  }
  return { protocol, version: Number(version) };
}

/** Writes the answer, framed: success without an error. */
export function printHandshakeResponse(error?: string): string {
  return `${error === undefined ? "{}" : `{"error":${JSON.stringify(error)}}`}${RECORD_SEPARATOR}`;
}

/**
 * Reads the answer.
 * @param record without its separator
 * @returns the server's error; `undefined` on success
 * @throws {ProtocolError} when it is not an answer
 */
export function parseHandshakeResponse(record: string): string | undefined {
  const value = parseObject(record);
  if ("type" in value) throw new ProtocolError("Expected a handshake response from the server.");
  if (value.error === undefined || value.error === null) return undefined;
  return String(value.error);
}

function parseObject(record: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(record);
  } catch {
    throw new ProtocolError("Error reading handshake: it is not JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ProtocolError("Error reading handshake: it is not a JSON object");
  }
  return value as Record<string, unknown>; // an object, as just checked
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
        record: new TextDecoder().decode(joined.subarray(0, end)),
        rest: typeof chunk === "string" ? new TextDecoder().decode(rest) : rest,
      };
    },
  };
}
