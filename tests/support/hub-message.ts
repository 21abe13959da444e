/** Any hub message of the JSON hub protocol. */

import fc from "fast-check";
import type { HubMessage } from "../../lib/wire/hub.ts";
import { arrayText, jsonText } from "./json.ts";

const id = fc.string({ minLength: 1, maxLength: 8, unit: "binary" });
const text = fc.string({ maxLength: 12, unit: "binary" });

const invocation = fc
  .record(
    {
      invocationId: id,
      target: text,
      arguments: arrayText,
      streamIds: fc.array(id, { minLength: 1, maxLength: 3 }),
    },
    { requiredKeys: ["target", "arguments"] },
  )
  .map((fields) => ({ ...fields, values: JSON.parse(fields.arguments) as unknown[] }));

/** A message that is equal to itself after it was written and read. */
export const hubMessage: fc.Arbitrary<HubMessage<string>> = fc.oneof(
  invocation.map((fields) => ({ type: "invocation" as const, ...fields })),
  fc.tuple(invocation, id).map(([fields, invocationId]) => ({
    type: "streamInvocation" as const,
    ...fields,
    invocationId,
  })),
  fc
    .record({ invocationId: id, item: jsonText })
    .map((fields) => ({ type: "streamItem" as const, ...fields, value: JSON.parse(fields.item) })),
  fc
    .record({ invocationId: id })
    .map(({ invocationId }) => ({ type: "completion" as const, invocationId })),
  fc
    .record({ invocationId: id, result: jsonText })
    .map((fields) => ({ type: "completion" as const, ...fields })),
  fc
    .record({ invocationId: id, error: text })
    .map((fields) => ({ type: "completion" as const, ...fields })),
  id.map((invocationId) => ({ type: "cancelInvocation" as const, invocationId })),
  fc.constant({ type: "ping" as const }),
  fc
    .record({ error: text, allowReconnect: fc.constant(true) }, { requiredKeys: [] })
    .map((fields) => ({ type: "close" as const, ...fields })),
  fc.nat().map((sequenceId) => ({ type: "ack" as const, sequenceId })),
  fc.nat().map((sequenceId) => ({ type: "sequence" as const, sequenceId })),
);
