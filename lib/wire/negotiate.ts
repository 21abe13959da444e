/**
 * Negotiation: the POST with which a client asks for a connection and the transports it may use.
 *
 * @see https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/TransportProtocols.md#post-endpoint-basenegotiate-request
 */

import { z } from "zod";
import { ProtocolError } from "../errors.ts";

export type TransportName = "WebSockets" | "ServerSentEvents" | "LongPolling";

/** In the order in which clients shall try them. */
export interface AvailableTransport {
  readonly transport: TransportName;
  readonly transferFormats: readonly ("Text" | "Binary")[];
}

/** What a server answered: an error, a redirect, or a connection. */
export type NegotiateResponse =
  | { readonly error: string }
  | { readonly url: string; readonly accessToken?: string | undefined }
  | {
      readonly negotiateVersion?: number | undefined;
      readonly connectionId: string;
      /** Only in version 1; in version 0 the id serves as the token. */
      readonly connectionToken?: string | undefined;
      readonly useStatefulReconnect?: boolean | undefined;
      readonly availableTransports: readonly {
        readonly transport: string;
        readonly transferFormats: readonly string[];
      }[];
    };

/**
 * Reads the body of a 200 answer.
 * @throws {ProtocolError} when it is none of the three
 */
export function parseNegotiateResponse(body: string): NegotiateResponse {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    throw new ProtocolError("Cannot read the negotiate response: it is not JSON");
  }
  const parsed = schema().safeParse(value);
  if (!parsed.success) {
    throw new ProtocolError(`Cannot read the negotiate response: ${z.prettifyError(parsed.error)}`);
  }
  return parsed.data;
}

/**
 * Reads `negotiateVersion` of a request's query as .NET does.
 * @param values all values of the parameter
 * @returns 0 or 1, or the error that is to be answered with status 200
 */
export function parseNegotiateVersion(values: readonly string[]): 0 | 1 | { error: string } {
  if (values.length === 0) return 0;
  const text = values.length === 1 ? (values[0] ?? "") : "";
  const version = /^\s*[+-]?\d+\s*$/.test(text) ? Number(text) : Number.NaN;
  if (!(Math.abs(version) <= 0x7fffffff)) {
    return { error: "The client requested a non-integer protocol version." };
  }
  if (version < 0) {
    return {
      error: `The client requested version '${version}', but the server does not support this version.`,
    };
  }
  return version === 0 ? 0 : 1;
}

/** A connection that is offered to a client. */
export interface NegotiateOffer {
  readonly negotiateVersion: 0 | 1;
  readonly connectionId: string;
  /** Left out of the answer of version 0. */
  readonly connectionToken: string;
  readonly useStatefulReconnect: boolean;
  readonly availableTransports: readonly AvailableTransport[];
}

/** Writes the body of a 200 answer, members in .NET's order. */
export function printNegotiateResponse(offer: NegotiateOffer): string {
  const { useStatefulReconnect, negotiateVersion, connectionId, connectionToken } = offer;
  return JSON.stringify({
    ...(useStatefulReconnect ? { useStatefulReconnect } : {}),
    negotiateVersion,
    connectionId,
    ...(negotiateVersion === 0 ? {} : { connectionToken }),
    availableTransports: offer.availableTransports,
  });
}

function schema(): z.ZodType<NegotiateResponse> {
  return z.union([
    z.object({ error: z.string() }),
    z.object({ url: z.string(), accessToken: z.string().optional() }),
    z.object({
      negotiateVersion: z.number().optional(),
      connectionId: z.string(),
      connectionToken: z.string().optional(),
      useStatefulReconnect: z.boolean().optional(),
      availableTransports: z.array(
        z.object({ transport: z.string(), transferFormats: z.array(z.string()) }),
      ),
    }),
  ]);
}
