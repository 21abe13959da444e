import { expect, test } from "vitest";
import { z } from "zod";
import { call, createDispatcher, HubException, stream } from "../../app/demo/dispatch.ts";
import type { HubProtocol, Raw } from "../../lib/wire/hub.ts";
import { jsonProtocol } from "../../lib/wire/json.ts";

function fail(error: Error): () => never {
  return () => {
    throw error;
  };
}

/** What is answered to these records. */
function answers(...records: object[]): Raw[] {
  const sent: Raw[] = [];
  const protocol: HubProtocol<Raw> = jsonProtocol;
  const unused = (): never => {
    throw new Error("Not for a dispatcher");
  };
  const dispatcher = createDispatcher({
    connection: {
      protocol,
      transport: {
        kind: "websocket",
        sink: { send: unused, bufferedBytes: 0 },
        wrap: unused,
        close: unused,
      },
      send: (message) => sent.push(protocol.print(message)),
      pass: unused,
      close: unused,
      cut: unused,
    },
    caller: undefined,
    methods: {
      Broken: call(z.tuple([]), fail(new RangeError("a secret"))),
      Refused: call(z.tuple([]), fail(new HubException("No"))),
      BrokenStream: stream(z.tuple([]), fail(new RangeError("a secret"))),
      RefusedStream: stream(z.tuple([]), fail(new HubException("No"))),
    },
    maxStreams: 1,
    onCall() {},
    onClose() {},
  });
  for (const record of records) {
    const text = JSON.stringify(record);
    const message = protocol.parse(text);
    if (message.type !== "unknown") dispatcher.onMessage(message, text);
  }
  return sent;
}

test.each([
  [1, "Broken", ""],
  [1, "Refused", " HubException: No"],
  [4, "BrokenStream", ""],
  [4, "RefusedStream", " HubException: No"],
])(
  "of what is thrown by a call of type %i to %s only a HubException is told",
  (type, target, detail) => {
    const call = { type, invocationId: "1", target, arguments: [] };
    const error = `An unexpected error occurred invoking '${target}' on the server.${detail}`;
    const record = `${JSON.stringify({ type: 3, invocationId: "1", error })}\u001e`;
    // A stream that did not start holds no id and no place.
    expect(answers(call, call)).toEqual([record, record]);
  },
);
