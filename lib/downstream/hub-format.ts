/** Formats of SignalR clients: what the origin wrote, spliced into hub messages as it is. */

import type { Format } from "../fanout/format.ts";
import type { Frame } from "../socket.ts";
import type { HubProtocol, ProtocolName, Raw } from "../wire/hub.ts";
import { jsonProtocol } from "../wire/json.ts";
import { messagepackProtocol } from "../wire/messagepack.ts";
import type { HubTransport } from "./hub.ts";

/** The hub protocols that are spoken, by name. */
export const PROTOCOLS: Readonly<Record<ProtocolName, HubProtocol<Raw>>> = {
  json: jsonProtocol,
  messagepack: messagepackProtocol,
};

type Kind = HubTransport["kind"];

/** One frame of a transport out of whole hub messages; an event stream shows them as one event. */
function wrapFor(kind: Kind): (messages: Raw) => Frame {
  return kind === "sse" ? printHubEvent : (messages) => messages;
}

const encoder = new TextEncoder();

/** Hub messages of a text protocol as ASP.NET Core writes them: an unnamed event, lines ended by CR LF. */
export function printHubEvent(messages: Raw): Uint8Array {
  const text = typeof messages === "string" ? messages : new TextDecoder().decode(messages);
  // JSON is seldom written over several lines; when it is, the client joins them again.
  const lines = text.includes("\n") ? text.replaceAll(/\r?\n/g, "\r\ndata: ") : text;
  return encoder.encode(`data: ${lines}\r\n\r\n`);
}

function concat(pieces: readonly Raw[]): Raw {
  if (pieces.length === 1) return pieces[0] as Raw;
  if (typeof pieces[0] === "string") return pieces.join("");
  const parts = pieces as readonly Uint8Array[]; // renderings of one protocol are of one kind
  const joined = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** Pushes as the origin wrote them. Staleness and resets have no words in SignalR. */
export function pushFormat(protocol: ProtocolName, kind: Kind): Format {
  return PUSH_FORMATS[protocol][kind];
}

function createPushFormat(protocol: HubProtocol<Raw>, kind: Kind): Format {
  const wrap = wrapFor(kind);
  return {
    name: `signalr-${protocol.name}-${kind}`,
    stateful: false,
    kept: true,
    publication: ({ event, raw }) =>
      protocol.print({ type: "invocation", target: event, arguments: raw, values: [] }),
    notice: () => undefined,
    frame: (renderings) => wrap(concat(renderings)),
  };
}

function forKinds(protocol: HubProtocol<Raw>): Readonly<Record<Kind, Format>> {
  return {
    websocket: createPushFormat(protocol, "websocket"),
    sse: createPushFormat(protocol, "sse"),
    polling: createPushFormat(protocol, "polling"),
  };
}

const PUSH_FORMATS = {
  json: forKinds(jsonProtocol),
  messagepack: forKinds(messagepackProtocol),
};

/** Items of a stream, for all clients that have given it this invocation id. */
export function itemFormat(protocol: HubProtocol<Raw>, kind: Kind, invocationId: string): Format {
  const wrap = wrapFor(kind);
  return {
    name: `signalr-${protocol.name}-${kind}-stream ${invocationId}`,
    stateful: false,
    kept: false,
    publication: ({ raw }) =>
      protocol.print({ type: "streamItem", invocationId, item: raw, value: undefined }),
    notice(notice) {
      if (notice.type !== "unsubscribed") return undefined;
      const { error } = notice;
      return protocol.print({
        type: "completion",
        invocationId,
        ...(error === undefined ? {} : { error }),
      });
    },
    frame: (renderings) => wrap(concat(renderings)),
  };
}
