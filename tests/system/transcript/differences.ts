/**
 * Where the relay differs from ASP.NET Core: on purpose, or because its runtime does and will not be
 * told. The test holds it to this list both ways: what is not listed must not differ, and what is
 * listed must differ just so.
 */

import type { RuntimeName } from "../../support/runtimes.ts";

/** Why something differs, and where: on all runtimes unless it is said. */
export interface Reason {
  readonly reason: string;
  readonly on?: readonly RuntimeName[];
}

export interface Difference extends Reason {
  /** By case: the lines that only ASP.NET Core's transcript has, with `-`, and the relay's, with `+`. */
  readonly cases: Readonly<Record<string, readonly string[]>>;
}

/** Header fields that are not compared. */
export const HEADERS: readonly (Reason & { readonly header: string })[] = [
  { header: "date", reason: "it is the time" },
  { header: "server", reason: "the relay does not say what it is" },
  { header: "connection", reason: "it is between a server and the next hop" },
  { header: "keep-alive", on: ["node"], reason: "it is between a server and the next hop" },
  { header: "vary", reason: "the relay always has a policy for web origins" },
  {
    header: "access-control-allow-credentials",
    reason: "the relay always has a policy for web origins",
  },
  {
    header: "access-control-expose-headers",
    reason: "the relay always has a policy for web origins",
  },
  {
    header: "x-accel-buffering",
    reason: "nginx holds event streams back unless it is told not to",
  },
];

/** How bodies are delimited that are not empty. */
export const BODY_FRAMING: Reason = {
  reason: "ASP.NET Core chunks its short texts; where their length is known, it is said",
};

/** The head of an answer that opens a WebSocket. */
const UPGRADED = [
  "101 Switching Protocols (no body, empty)",
  "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
  "upgrade: websocket",
];
const NO_CONNECTION = ["404 Not Found", "No Connection with that ID"];
const NO_PATH = [
  "-404 Not Found (body by length, empty)",
  "+404 Not Found",
  "+content-type: application/json",
  '+{"error":{"code":"not_found","message":"No such path"}}',
];
const PREFLIGHT = [
  "-405 Method Not Allowed (body by length, empty)",
  "-content-type: text/plain",
  "+204 No Content (no body, empty)",
  "+access-control-allow-methods: GET,HEAD,PUT,POST,DELETE,PATCH,QUERY",
];
const CLOSED_WITH_ERROR =
  'text {"type":7,"error":"Connection closed with an error.","allowReconnect":true}␞';
const REFUSED = plus(CLOSED_WITH_ERROR, "close 1000", "FIN");

export const DIFFERENCES: readonly Difference[] = [
  // HTTP

  {
    reason: "a path that belongs to no hub is the relay's own, and answered as PROTOCOL.md says",
    cases: same(
      NO_PATH,
      "negotiate: a slash too many",
      "negotiate: no hub",
      "refresh, which version 10 does not have",
      "no such path",
      "an upgrade of no such path",
    ),
  },
  {
    reason: "a path that belongs to no hub is the relay's own, and answered as PROTOCOL.md says",
    on: ["bun", "deno"],
    cases: same(NO_PATH, "an upgrade of a path that is no URL"),
  },
  {
    reason: "Node hands out the target as it came, and what is no URL cannot be asked for",
    on: ["node"],
    cases: {
      "an upgrade of a path that is no URL": ["-404 Not Found (body by length, empty)", "+FIN"],
    },
  },
  {
    reason:
      "preflights are answered for all paths alike; without an allowed origin it is a refusal",
    cases: same(
      PREFLIGHT,
      "negotiate: OPTIONS",
      "negotiate: a preflight",
      "OPTIONS: no id",
      "OPTIONS: a good id",
      "a preflight for DELETE",
    ),
  },
  {
    reason: "any page may open a WebSocket with its user's cookies, unless the server looks",
    cases: {
      "websocket: a web origin": [
        ...minus(...UPGRADED, "text {}␞"),
        "+403 Forbidden",
        "+cache-control: no-store",
        "+content-type: application/json",
        '+{"error":{"code":"rejected","message":"Origin \\"http://example.com\\" may not connect"}}',
      ],
    },
  },
  {
    reason: "the relay negotiates both versions with its clients, and version 1 with the origin",
    cases: {
      "negotiate: below the hub's least version": [
        `-{"error":"The client requested version '0', but the server does not support this version."}`,
        '+{"negotiateVersion":0,"connectionId":"<id>","availableTransports":[{"transport":"WebSockets","transferFormats":["Text","Binary"]},{"transport":"ServerSentEvents","transferFormats":["Text"]},{"transport":"LongPolling","transferFormats":["Text","Binary"]}]}',
      ],
    },
  },
  {
    reason: "what a client shows with its transport is judged when its private lane is opened",
    cases: {
      "no user at a poll": [
        "-401 Unauthorized (body by length, empty)",
        "+200 OK (body by length, empty)",
        "+cache-control: no-cache, no-store",
        "+content-type: application/octet-stream",
        "+expires: Thu, 01 Jan 1970 00:00:00 GMT",
        "+pragma: no-cache",
      ],
      "no user at a WebSocket with an id": [
        "-401 Unauthorized (body by length, empty)",
        ...plus(...UPGRADED, 'text {"error":"Cannot connect to the origin"}␞', "close 1000", "FIN"),
      ],
    },
  },
  {
    reason: "an answer of the origin without a body is passed on as an empty text",
    on: ["node", "deno"],
    cases: same(
      ["+content-type: text/plain;charset=UTF-8"],
      "negotiate: no user",
      "negotiate: an unknown user",
    ),
  },
  {
    reason: "an answer of the origin without a body is passed on as an empty text",
    on: ["deno"],
    cases: same(["+content-type: text/plain;charset=UTF-8"], "websocket: no user, no id"),
  },
  {
    reason: "an answer of the origin without a body is passed on as an empty text",
    on: ["node"],
    cases: {
      "websocket: no user, no id": [
        "-401 Unauthorized (body by length, empty)",
        "+401 Unauthorized (body by chunked, empty)",
        "+content-type: text/plain;charset=UTF-8",
      ],
    },
  },
  {
    reason: "Bun answers no method that it does not know",
    on: ["bun"],
    cases: {
      "FOO: no id": [
        "-405 Method Not Allowed (body by length, empty)",
        "-content-type: text/plain",
        "+FIN",
      ],
    },
  },
  {
    reason: "Node refuses a method that it does not know",
    on: ["node"],
    cases: {
      "FOO: no id": [
        "-405 Method Not Allowed (body by length, empty)",
        "-content-type: text/plain",
        "+400 Bad Request (no body, empty)",
      ],
    },
  },
  {
    reason: "the runtime refuses a broken body by itself",
    on: ["bun", "node"],
    cases: {
      "a POST with broken chunks does not end the connection": [
        "-400 Bad Request (body by length, empty)",
        "-content-type: text/plain",
        "+400 Bad Request (no body, empty)",
      ],
    },
  },
  {
    reason: "Deno ends a connection on which a body is broken",
    on: ["deno"],
    cases: {
      "a POST with broken chunks does not end the connection": [
        "-400 Bad Request (body by length, empty)",
        "-content-type: text/plain",
        "+FIN",
      ],
    },
  },

  // Hub messages

  {
    reason:
      "the relay speaks MessagePack whatever its origin speaks, and has looked at the transport",
    cases: {
      "a protocol that only the relay speaks, over an event stream": [
        `-data: {"error":"The protocol 'messagepack' is not supported."}␞\\r\\n\\r\\n`,
        `+data: {"error":"Cannot use the 'messagepack' protocol on the current transport. The transport does not support 'Binary' transfer format."}␞\\r\\n\\r\\n`,
      ],
    },
  },
  {
    reason: "detailed errors are the origin's to give: what the relay refuses has none",
    cases: {
      ...detailed('{"error":"An unexpected error occurred during connection handshake.', '"}', {
        "refused handshake with details: it is not JSON":
          "JsonReaderException: 'h' is an invalid start of a value. LineNumber: 0 | BytePositionInLine: 0.",
        "refused handshake with details: it has no protocol":
          "InvalidDataException: Missing required property 'protocol'. Message content: {\\\"version\\\":1}",
        "refused handshake with details: it is an array":
          "InvalidDataException: Unexpected JSON Token Type 'Array'. Expected a JSON Object.",
      }),
      ...detailed(
        '{"type":7,"error":"Connection closed with an error.',
        '","allowReconnect":true}',
        {
          "fatal with details: an empty object":
            "InvalidDataException: Missing required property 'type'.",
          "fatal with details: an array":
            "InvalidDataException: Unexpected JSON Token Type 'Array'. Expected a JSON Object.",
          "fatal with details: garbage": "InvalidDataException: Error reading JSON.",
          "fatal with details: a message that is too large":
            "InvalidDataException: The maximum message size of 32768B was exceeded. The message size can be configured in AddHubOptions.",
        },
      ),
    },
  },
  {
    reason: "a message of unknown type makes ASP.NET Core deaf for good; a clear end helps",
    cases: same(
      REFUSED,
      "a message of type 99",
      "a message of type 0",
      "a message of type -1",
      "a message of type 10",
    ),
  },
  {
    reason: "the call is on its way to the origin when the record behind it ends the connection",
    cases: {
      "a call behind a fatal record": ['-text {"type":3,"invocationId":"1","result":"before"}␞'],
    },
  },
  {
    reason: "the relay ends a connection by itself, and does not wait for what the hub makes of it",
    cases: {
      "the hub fails at the end": ["-close 1011", "+close 1000"],
      "a result after a hub failure at the end": [
        "-500 Internal Server Error (body by length, empty)",
        "+204 No Content (no body, empty)",
        "-500 Internal Server Error (body by length, empty)",
        ...plus(...NO_CONNECTION),
      ],
    },
  },
  {
    reason: "ASP.NET Core cuts messages above 4 KB into fragments; nobody needs that",
    cases: {
      ...whole("message: the largest message", 32_705),
      ...whole("a result of 3900 characters", 3_900),
      ...whole("a result of 20000 characters", 20_000),
      ...whole("a result of 300000 characters", 300_000),
    },
  },
  {
    reason: "JSON is text here: a byte that is none becomes U+FFFD on its way",
    cases: {
      "bytes that are not UTF-8 in a binary frame": [
        `-text {"type":3,"invocationId":"1","error":"Failed to invoke 'Echo' due to an error on the server."}␞`,
        '+text {"type":3,"invocationId":"1","result":"a\ufffdb"}␞',
      ],
    },
  },

  // Stateful reconnect

  {
    reason: "ids that cannot be are refused; ASP.NET Core drops new messages without a word then",
    cases: {
      ...same(REFUSED, "stateful: Sequence 0", "stateful: Sequence -1"),
      "stateful: an Ack of what was not sent": [
        '-text {"type":3,"invocationId":"2","result":"2"}␞',
        `+${CLOSED_WITH_ERROR}`,
        ...minus(...UPGRADED, 'text {"type":9,"sequenceId":2}␞'),
        ...plus(...NO_CONNECTION),
      ],
    },
  },
  {
    reason: "the relay keeps 1 MiB for a client, and ends who acks too little instead of waiting",
    cases: {
      "stateful: more than is kept": [
        `-text in fragments ${big("1")}`,
        `-text in fragments ${big("2")}`,
        `+text ${big("1")}`,
        `+text ${big("2")}`,
        `+text ${big("3")}`, // before the Ack
        `-text in fragments ${big("3")}`,
      ],
    },
  },
  {
    reason: "ASP.NET Core ends a client that has come back, when its old socket did not answer",
    cases: {
      "time: a stateful client whose old socket goes late": [
        "-close 1000",
        '+text {"type":3,"invocationId":"1","result":"a"}␞',
      ],
    },
  },
  {
    reason: "Bun does not wait for the old socket's answer, so the newer one has it at once",
    on: ["bun"],
    cases: {
      "stateful: the first socket answers that it closes": [
        "-404 Not Found (body by length, empty)",
        "-content-type: text/plain",
        ...plus(...UPGRADED),
        ...minus(...NO_CONNECTION),
        ...plus(...UPGRADED),
      ],
      "time: a stateful client whose old socket is silent": [
        "-in time",
        "-RST",
        "+early",
        "+close 1000",
        "+FIN",
      ],
      "time: a third socket while the second waits": [
        "-409 Conflict (body by length, empty)",
        "-content-type: text/plain",
        ...plus(...UPGRADED),
      ],
    },
  },

  // How WebSockets end

  {
    reason: "who shuts down says so, and that clients may come back; ASP.NET Core cuts them off",
    cases: {
      "shutdown: a WebSocket": [
        "-RST",
        ...plus('text {"type":7,"allowReconnect":true}␞', "close 1000", "FIN"),
      ],
      "shutdown: an event stream": ['+data: {"type":7,"allowReconnect":true}␞\\r\\n\\r\\n'],
    },
  },
  {
    reason: "5 s is how long an answer to a close frame is waited for, and it cannot be set",
    on: ["node"],
    cases: {
      "time: a client that does not answer the close frame": ["-RST", "-in time", "+FIN", "+late"],
      "time: a stateful client whose old socket is silent": ["-RST", "+close 1000", "+FIN"],
    },
  },
  {
    reason: "the runtime waits long for the answer to a close frame, and cannot be told otherwise",
    on: ["deno"],
    cases: {
      "time: a client that does not answer the close frame": [
        "-RST",
        "-in time",
        "+silence",
        "+late",
      ],
      "time: a stateful client whose old socket is silent": ["-RST", "+close 1000", "+silence"],
    },
  },
  {
    reason: "Bun does not wait for the answer to a close frame",
    on: ["bun"],
    cases: {
      "time: a client that does not answer the close frame": ["-RST", "-in time", "+FIN", "+early"],
    },
  },
  {
    reason: "the runtime answers the client's close frame with its own code and reason",
    on: ["bun", "deno"],
    cases: {
      ...same(
        ["-close 1000", "+close without a code"],
        "the client closes the WebSocket without a code",
        "stateful: nobody comes back after a close frame without a code",
      ),
      ...same(
        ["-close 1000", "+close 1001"],
        "the client closes the WebSocket with 1001",
        "stateful: nobody comes back after a close frame with 1001",
      ),
      "the client closes the WebSocket with 1000 and a reason": [
        "-close 1000",
        '+close 1000 "bye"',
      ],
      "the client closes the WebSocket with 1002": ["-close 1000", "+close 1002"],
      "the client closes the WebSocket with 1011": ["-close 1000", "+close 1011"],
      "the client closes the WebSocket with 3000": ["-close 1000", "+close 3000"],
      "the client closes the WebSocket with 4321": ["-close 1000", "+close 4321"],
      "stateful: nobody comes back after a close frame with 4000": ["-close 1000", "+close 4000"],
    },
  },
  {
    reason:
      "who breaks RFC 6455 is cut off by ASP.NET Core after a close frame; Bun says what is wrong",
    on: ["bun"],
    cases: {
      "text that is not UTF-8": broken('close 1007 "Received invalid UTF-8"'),
      "against RFC 6455: a reserved opcode": broken('close 1002 "Received invalid opcode"'),
      "against RFC 6455: a reserved control opcode": broken('close 1002 "Received invalid opcode"'),
      "against RFC 6455: a reserved bit": broken('close 1002 "Received unexpected RSV1 bit"'),
      "against RFC 6455: a continuation of nothing": broken(
        'close 1002 "Received continuation frame outside a fragmented message"',
      ),
      "against RFC 6455: a ping of 126 bytes": broken(
        'close 1002 "Received too big control frame"',
      ),
      "against RFC 6455: a ping in fragments": broken(
        'close 1002 "Received fragmented control frame"',
      ),
      "against RFC 6455: a message inside another": broken(
        'close 1002 "Received new message inside a fragmented message"',
      ),
      "against RFC 6455: a frame that is not masked": broken(),
      ...same(
        ["-close 1002", '+close 1002 "Received invalid close code"'],
        "the client closes the WebSocket with 999",
        "the client closes the WebSocket with 1005",
        "the client closes the WebSocket with 1006",
        "the client closes the WebSocket with 5000",
      ),
      "the client closes the WebSocket with one byte": [
        "-close 1002",
        '+close 1002 "Received invalid close payload"',
      ],
      "the client closes the WebSocket with a reason that is not UTF-8": [
        "-close 1002",
        '+close 1007 "Received invalid UTF-8"',
      ],
    },
  },
  {
    reason:
      "who breaks RFC 6455 is cut off by ASP.NET Core after a close frame; ws waits for the end",
    on: ["node"],
    cases: {
      "text that is not UTF-8": broken("close 1007"),
      ...same(
        broken("close 1002"),
        "against RFC 6455: a reserved opcode",
        "against RFC 6455: a reserved control opcode",
        "against RFC 6455: a reserved bit",
        "against RFC 6455: a continuation of nothing",
        "against RFC 6455: a ping of 126 bytes",
        "against RFC 6455: a ping in fragments",
        "against RFC 6455: a message inside another",
      ),
      "against RFC 6455: a frame that is not masked": broken(),
      "the client closes the WebSocket with a reason that is not UTF-8": [
        "-close 1002",
        "+close 1007",
      ],
    },
  },
  {
    reason: "Deno ends the connection of who breaks RFC 6455 without a close frame",
    on: ["deno"],
    cases: {
      ...same(
        broken(),
        "text that is not UTF-8",
        "against RFC 6455: a reserved opcode",
        "against RFC 6455: a reserved control opcode",
        "against RFC 6455: a reserved bit",
        "against RFC 6455: a continuation of nothing",
        "against RFC 6455: a ping of 126 bytes",
        "against RFC 6455: a ping in fragments",
        "against RFC 6455: a message inside another",
      ),
      ...same(
        ["-close 1002"],
        "the client closes the WebSocket with one byte",
        "the client closes the WebSocket with a reason that is not UTF-8",
      ),
    },
  },
  {
    reason: "Deno reads frames that are not masked",
    on: ["deno"],
    cases: { "against RFC 6455: a frame that is not masked": ["-RST", "+silence"] },
  },
  {
    reason: "to the relay, Bun's socket that broke RFC 6455 looks like one whose network broke",
    on: ["bun"],
    cases: cameBack('close 1002 "Received continuation frame outside a fragmented message"'),
  },
  {
    reason: "to the relay, Node's socket that broke RFC 6455 looks like one whose network broke",
    on: ["node"],
    cases: cameBack("close 1002"),
  },
  {
    reason: "to the relay, Deno's socket that broke RFC 6455 looks like one whose network broke",
    on: ["deno"],
    cases: cameBack(),
  },
];

function minus(...lines: readonly string[]): string[] {
  return lines.map((line) => `-${line}`);
}

function plus(...lines: readonly string[]): string[] {
  return lines.map((line) => `+${line}`);
}

function same(lines: readonly string[], ...cases: readonly string[]): Difference["cases"] {
  return Object.fromEntries(cases.map((name) => [name, lines]));
}

/** A text of ASP.NET Core's that ends with a detail, by case. */
function detailed(
  head: string,
  tail: string,
  details: Readonly<Record<string, string>>,
): Difference["cases"] {
  return Object.fromEntries(
    Object.entries(details).map(([name, detail]) => [
      name,
      [`-text ${head} ${detail}${tail}␞`, `+text ${head}${tail}␞`],
    ]),
  );
}

function whole(name: string, length: number): Difference["cases"] {
  return { [name]: [`-text in fragments ${big("1", length)}`, `+text ${big("1", length)}`] };
}

function big(invocationId: string, length = 60_000): string {
  return `{"type":3,"invocationId":"${invocationId}","result":"x{${length}}"}␞`;
}

/** Reset by ASP.NET Core; the relay's runtime sends what is given, and ends the connection. */
function broken(...close: readonly string[]): string[] {
  return ["-RST", ...plus(...close, "FIN")];
}

function cameBack(...close: readonly string[]): Difference["cases"] {
  const lines = [...broken(...close), ...minus(...NO_CONNECTION), ...plus(...UPGRADED)];
  return { "stateful: nobody comes back after a broken frame": lines };
}
