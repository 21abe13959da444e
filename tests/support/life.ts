/** The life that a stock client lives in the tests, wherever it runs, and what it has to see of it. */

import { expect } from "vitest";
import type { ConfigInput } from "../../app/config.ts";

/** One life of a client; `matrix-client.mjs` says what it does and what the fields are. */
export interface Cell {
  readonly live: string;
  readonly probe: string;
  readonly match: number;
  readonly publish: string;
  readonly pushes: number;
  readonly shared: readonly [count: number, delayMs: number];
  readonly value: unknown;
  readonly transport: "WebSockets" | "ServerSentEvents" | "LongPolling";
  readonly protocol: "json" | "messagepack";
}

/** What a client tells of a cell, by step. */
export type Seen = Readonly<Record<string, unknown>>;

type TopicInput = NonNullable<ConfigInput["hubs"][string]["topics"]>[string];

/** A stream with this pause is declared; with another one it is private. */
const SHARED_DELAY_MS = 25;
const PUSHES = 20;
const VALUE = { text: "Grüße 😀", number: 1.5, list: [true, null, ["x"]], nested: { a: {} } };

/** The topic `{prefix}count/{n}` of a hub with the methods of ProbeHub. */
export function countTopic(prefix = ""): Readonly<Record<string, TopicInput>> {
  return {
    [`${prefix}count/{n}`]: {
      params: { n: "integer" },
      stream: { method: "Count", args: ["{n}", SHARED_DELAY_MS] },
    },
  };
}

/**
 * @param number of the cell, from 0; lives that are lived at one time must differ in it
 * @param hubs URL on the relay, under which are `live` and `probe`
 * @param origin URL of the origin whose hub is `live`
 */
export function createCell(
  number: number,
  {
    hubs,
    origin,
    ...way
  }: { readonly hubs: string; readonly origin: string } & Pick<Cell, "transport" | "protocol">,
): Cell {
  const match = number + 1;
  return {
    live: `${hubs}/live`,
    probe: `${hubs}/probe`,
    match,
    publish: `${origin}/control/publish?match=${match}&count=${PUSHES}`,
    pushes: PUSHES,
    shared: [number + 2, SHARED_DELAY_MS],
    value: VALUE,
    ...way,
  };
}

/** Checks what a client has seen of its life. */
export function expectLife(seen: Seen | undefined, cell: Cell): void {
  const { match, pushes, shared, value } = cell;
  expect(seen).toEqual({
    join: null,
    pushes: Array.from({ length: pushes }, () => [
      expect.objectContaining({ matchId: match, marketId: "1x2" }),
    ]),
    leave: null,
    sharedStream: Array.from({ length: shared[0] }, (_, item) => item),
    connectionId: expect.stringMatching(/^[\w-]{22,}$/),
    unknown:
      "Failed to invoke 'NoSuchMethod' due to an error on the server. HubException: Method does not exist.",
    failed: "An unexpected error occurred invoking 'Fail' on the server. HubException: hub boom",
    result: value,
    stream: [0, 1, 2, 3],
    upload: 10,
    asked: "q",
    clientResult: "q?",
    pushed: [1, "two"],
    cancelled: [0, 1, 2],
    stopped: ["", "Disconnected"],
    reconnected: { isAnother: true, echo: "back" },
    closed: "",
    events: ["reconnecting", "reconnected", "closed"],
  });
  const heard = seen?.pushes as readonly (readonly [{ readonly sequence: number }])[]; // see above
  // The origin numbers all its pushes, those of other matches too.
  const sequences = heard.map(([{ sequence }]) => sequence);
  expect(sequences).toEqual([...new Set(sequences)].sort((a, b) => a - b));
}
