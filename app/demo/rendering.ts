/** What many connections are to get, written at most once in each hub protocol. */
import type { HubProtocol, Raw } from "../../lib/wire/hub.ts";

/** Gives the text or bytes in a hub protocol, making them when first asked for. */
export type Rendering = (protocol: HubProtocol<Raw>) => Raw;

/** A push with its framing, ready to be sent. */
export function renderPush(target: string, values: readonly unknown[]): Rendering {
  return once((protocol) =>
    protocol.print({ type: "invocation", target, arguments: protocol.encode(values), values }),
  );
}

/** A value as it stands in a stream item, whose message differs from reader to reader by its id. */
export function renderValue(value: unknown): Rendering {
  return once((protocol) => protocol.encode(value));
}

function once(render: Rendering): Rendering {
  const made = new Map<string, Raw>();
  return (protocol) => {
    let rendered = made.get(protocol.name);
    if (rendered === undefined) {
      rendered = render(protocol);
      made.set(protocol.name, rendered);
    }
    return rendered;
  };
}
