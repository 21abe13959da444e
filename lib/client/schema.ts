/** Checking data with the application's schema, whichever library made it. */

import { guard, report } from "./report.ts";
import type { Latest, Update } from "./update.ts";

/**
 * The part of Standard Schema that is used here, so that any library's schema fits and none is
 * needed.
 *
 * @see https://standardschema.dev
 */
export interface StandardSchemaV1<Input = unknown, Output = Input> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

/** `issues` is absent when the value conforms. */
export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly { readonly message: string }[] };

/**
 * Gives the update with its data as the schema returned it. Data that does not conform is reported
 * and left out: a publication becomes undefined, a reset lacks that item.
 *
 * Schemas must be synchronous, since waiting for one would let publications overtake each other.
 */
export function conform<T>(
  update: Update,
  schema: StandardSchemaV1<unknown, T> | undefined,
): Update<T> | undefined {
  if (!schema) return update as Update<T>; // without a schema, T is the caller's own claim
  const { validate } = schema["~standard"];

  function check(item: Latest<unknown>): Latest<T> | undefined {
    const result = guard(() => validate(item.data));
    if (!result) return undefined;
    const isLate = result instanceof Promise;
    if (!isLate && !result.issues) return { event: item.event, data: result.value };
    const why = isLate ? "the schema is asynchronous" : result.issues?.[0]?.message;
    const text = `Cannot accept ${item.event} of ${update.topic}: ${why}`;
    report(new TypeError(text, { cause: result }));
    return undefined;
  }

  switch (update.type) {
    case "publication": {
      const checked = check(update);
      return checked && { ...update, ...checked };
    }
    case "reset":
      return { ...update, latest: update.latest.flatMap((item) => check(item) ?? []) };
    default:
      return update;
  }
}
