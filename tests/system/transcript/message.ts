/** Hub messages over WebSockets: what they are answered with, and which end the connection. */

import { sleep } from "../../support/transcript/peer.ts";
import { OPCODE } from "../../support/transcript/websocket.ts";
import { type Cases, each } from "./case.ts";

const HUB = "/hubs/plain";

function call(target: string, ...args: readonly unknown[]) {
  return { type: 1, invocationId: "1", target, arguments: args };
}

function stream(target: string, ...args: readonly unknown[]) {
  return { ...call(target, ...args), type: 4 };
}

/** A call of Echo of so many bytes, its separator not counted. */
function sized(bytes: number): string {
  const empty = JSON.stringify(call("Echo", ""));
  return JSON.stringify(call("Echo", "x".repeat(bytes - empty.length)));
}

function nested(depth: number): string {
  const value = `${"[".repeat(depth)}${"]".repeat(depth)}`;
  return `{"type":1,"invocationId":"1","target":"EchoJson","arguments":[${value}]}`;
}

/** Records that are answered, or not, and after which the connection goes on. */
const ACCEPTED: Readonly<Record<string, object | string>> = {
  "a result": call("Echo", "a"),
  "a null result": call("Echo", null),
  "a method without a result": call("Void"),
  "a method in other capitals": call("eCHO", "a"),
  "no such method": call("Nope"),
  "no such method, its name in quotes": call('No"pe<é\u2028😀'),
  "an empty target": call(""),
  "too few arguments": call("Add", 1),
  "too many arguments": call("Add", 1, 2, 3),
  "arguments of a wrong type": call("Add", "1", 2),
  "a number with a fraction": '{"type":1,"invocationId":"1","target":"Add","arguments":[1.0,2]}',
  "a failure that is told": call("Fail"),
  "a failure that is not told": call("Crash"),
  "an unauthorized method": call("Restricted"),
  "a stream without streaming": call("Count", 3, 0),
  "a method with streaming": stream("Echo", "a"),
  "a stream": stream("Count", 3, 0),
  "an empty stream": stream("Count", 0, 0),
  "a stream that fails": stream("FailingStream"),
  "a stream with wrong arguments": stream("Count", "x"),
  "no such stream": stream("Nope"),
  "an upload without its stream": call("Sum"),
  "a call with a stream that is not wanted": { ...call("Echo", "a"), streamIds: ["u"] },
  "an empty list of streams": { ...call("Echo", "a"), streamIds: [] },
  "an empty invocationId": { ...call("Echo", "a"), invocationId: "" },
  "no invocationId": { type: 1, target: "Echo", arguments: ["a"] },
  "no invocationId, no such method": { type: 1, target: "Nope", arguments: [] },
  "no invocationId, a failure": { type: 1, target: "Fail", arguments: [] },
  "no invocationId, wrong arguments": { type: 1, target: "Add", arguments: ["x"] },
  "an invocationId that has to be escaped": {
    ...call("Echo", "a"),
    invocationId: '"\\<é\u2028\u007f😀\n',
  },
  "characters that .NET escapes": call("Echo", "é\u2028\u2029\u007f\u0000😀\"\\<>&'+`/\n\t\u00a0"),
  headers: { ...call("Echo", "a"), headers: { a: "b" } },
  "an unknown field": { ...call("Echo", "a"), x: [1, { y: 2 }] },
  "a stray error": { ...call("Echo", "a"), error: "e" },
  "a stray result": { ...call("Echo", "a"), result: 1 },
  "fields in another order": '{"arguments":["a"],"target":"Echo","invocationId":"1","type":1}',
  "the target twice":
    '{"type":1,"invocationId":"1","target":"Nope","target":"Echo","arguments":["a"]}',
  "the type twice": '{"type":99,"invocationId":"1","target":"Echo","arguments":["a"],"type":1}',
  "space around": `\n\t ${JSON.stringify(call("Echo", "a"))} \r\n`,
  "something behind the object": `${JSON.stringify(call("Echo", "a"))}x`,
  "escapes in a name": '{"type":1,"invocationId":"1","t\\u0061rget":"Echo","arguments":["a"]}',
  "raw arguments":
    '{"type":1,"invocationId":"1","target":"EchoJson","arguments":[ {"B":1.10,"a":12345678901234567890} ]}',
  "62 arrays in each other": nested(62),
  "the largest message": sized(32_767),
  "a result of 1,000 characters": call("Big", 1_000),
  "a ping": { type: 6 },
  "a ping with fields": { type: 6, error: "e", x: 1 },
  "cancelling what is not there": { type: 5, invocationId: "9" },
  "an item of no stream": { type: 2, invocationId: "9", item: 1 },
  "a null item of no stream": { type: 2, invocationId: "9", item: null },
  "a completion of no stream": { type: 3, invocationId: "9" },
  "an Ack without a stateful connection": { type: 8, sequenceId: 1 },
  "a Sequence without a stateful connection": { type: 9, sequenceId: 1 },
  "a huge Ack without a stateful connection": '{"type":8,"sequenceId":9007199254740993}',
};

/** Records that end the connection. */
const FATAL: Readonly<Record<string, object | string>> = {
  "an empty record": "",
  "an empty object": {},
  "an array": "[]",
  null: "null",
  "a number": "1",
  "a string": '"a"',
  garbage: "garbage",
  "a mark of byte order": '\ufeff{"type":6}',
  "a comment": '/**/{"type":6}',
  "a trailing comma": '{"type":6,}',
  "half an object": '{"type":6',
  "no type": { target: "Echo", arguments: [] },
  "a type in a string": { ...call("Echo", "a"), type: "1" },
  "type null": { ...call("Echo", "a"), type: null },
  "type 1.0": '{"type":1.0,"invocationId":"1","target":"Echo","arguments":["a"]}',
  "no target": { type: 1, invocationId: "1", arguments: [] },
  "no arguments": { type: 1, invocationId: "1", target: "Echo" },
  "arguments that are an object": { ...call("Echo"), arguments: {} },
  "null arguments": { ...call("Echo"), arguments: null },
  "a null target": { ...call("Echo"), target: null },
  "a null invocationId": { ...call("Echo", "a"), invocationId: null },
  "a number for an invocationId": { ...call("Echo", "a"), invocationId: 1 },
  "null streamIds": { ...call("Echo", "a"), streamIds: null },
  "streamIds that are a string": { ...call("Echo", "a"), streamIds: "u" },
  "a number among streamIds": { ...call("Echo", "a"), streamIds: [1] },
  "null headers": { ...call("Echo", "a"), headers: null },
  "a number among headers": { ...call("Echo", "a"), headers: { a: 1 } },
  "a stream without an invocationId": { type: 4, target: "Count", arguments: [1, 0] },
  "a stream with an empty invocationId": { ...stream("Count", 1, 0), invocationId: "" },
  "an item without an id": { type: 2, item: 1 },
  "an item without an item": { type: 2, invocationId: "1" },
  "a completion without an id": { type: 3 },
  "a completion with result and error": { type: 3, invocationId: "1", result: 1, error: "e" },
  "a completion with a null error": { type: 3, invocationId: "1", error: null },
  "a cancellation without an id": { type: 5 },
  "a Close with a number for its error": { type: 7, error: 1 },
  "a Close with a string for allowReconnect": { type: 7, allowReconnect: "true" },
  "an Ack without an id": { type: 8 },
  "an Ack with a fraction": '{"type":8,"sequenceId":1.5}',
  "an Ack with a string": { type: 8, sequenceId: "1" },
  "a lone surrogate": '{"type":1,"invocationId":"\\ud800","target":"Echo","arguments":["a"]}',
  "63 arrays in each other": nested(63),
  "63 arrays in an unknown field": `{"type":6,"x":${"[".repeat(64)}${"]".repeat(64)}}`,
  "a message that is too large": sized(32_768),
  "a result that JSON cannot say": call("NotANumber"),
};

export const messages: Cases = {
  ...each(
    ACCEPTED,
    (name) => `message: ${name}`,
    (record) => async (peer) => {
      const socket = await peer.open(HUB);
      socket.send(record);
      await sleep(50); // what streams is not waited for by what is called
      await socket.sync();
    },
  ),
  ...each(
    FATAL,
    (name) => `fatal: ${name}`,
    (record) => async (peer) => {
      const socket = await peer.open(HUB);
      socket.send(record);
      await socket.ended();
    },
  ),
  ...each(
    { "a failure": call("Crash"), "wrong arguments": call("Add", "x", 1), "a count": call("Add") },
    (name) => `details: ${name}`,
    (record) => async (peer) => {
      const socket = await peer.open("/hubs/detailed");
      socket.send(record);
      await socket.sync();
    },
  ),
  ...each(
    {
      "an empty object": {},
      "an array": "[]",
      garbage: "garbage",
      "a message that is too large": sized(32_768),
    },
    (name) => `fatal with details: ${name}`,
    (record) => async (peer) => {
      const socket = await peer.open("/hubs/detailed");
      socket.send(record);
      await socket.ended();
    },
  ),

  "fatal: a message of 2 MB": async (peer) => {
    const socket = await peer.open(HUB);
    socket.send(sized(2_000_000));
    await socket.take(1); // when a server that has not read it all cuts it off is chance
  },
  "a call behind a fatal record": async (peer) => {
    const socket = await peer.open(HUB);
    socket.send(call("Echo", "before"), {}, call("Echo", "behind"));
    await socket.ended();
  },
  ...each(
    {
      "": { type: 7 },
      " with an error": { type: 7, error: "e" },
      " that allows to reconnect": { type: 7, allowReconnect: true },
    },
    (name) => `the client's Close${name}`,
    (record) => async (peer) => {
      const socket = await peer.open(HUB);
      socket.send(record);
      await socket.ended();
    },
  ),
  "a call behind the client's Close": async (peer) => {
    const socket = await peer.open(HUB);
    socket.send({ type: 7 }, call("Echo", "a"));
    await socket.ended();
  },
  "the client's Close while a call runs": async (peer) => {
    const socket = await peer.open(HUB);
    socket.send(call("Slow", 300));
    await sleep(50);
    socket.send({ type: 7 });
    await socket.ended();
  },
  ...each(
    ["99", "0", "-1", "10"],
    (type) => `a message of type ${type}`,
    (type) => async (peer) => {
      const socket = await peer.open(HUB);
      socket.send(`{"type":${type}}`, call("Echo", "a"));
      await socket.during(400);
    },
  ),
  "a stray item in a call": async (peer) => {
    const socket = await peer.open(HUB);
    socket.send({ ...call("Echo", "a"), item: 1 });
    await socket.during(300);
    await socket.sync();
  },
  "the hub aborts": async (peer) => {
    const socket = await peer.open(HUB);
    socket.send(call("Abort"));
    await socket.ended();
  },
  "the hub fails at the end": async (peer) => {
    const socket = await peer.open(`${HUB}?fail=disconnect`);
    socket.send({ type: 7 });
    await socket.ended("close");
  },
  "calls are answered in order": async (peer) => {
    const socket = await peer.open(HUB);
    socket.send(call("Slow", 100), { ...call("Echo", "a"), invocationId: "2" });
    await socket.take(2);
  },
  "a stream does not wait for a call": async (peer) => {
    const socket = await peer.open(HUB);
    socket.send(call("Slow", 200), { ...stream("Count", 2, 0), invocationId: "2" });
    await socket.take(4);
  },
  "an id that is streaming already": async (peer) => {
    const socket = await peer.open(HUB);
    socket.send(stream("Count", 3, 150));
    await socket.take(1);
    socket.send(stream("Count", 1, 0));
    await socket.take(4);
  },
  "a stream that is cancelled": async (peer) => {
    const socket = await peer.open(HUB);
    socket.send(stream("Count", 100, 100));
    await socket.take(1);
    socket.send({ type: 5, invocationId: "1" });
    await socket.take(1);
    await socket.sync();
  },
  "an upload": async (peer) => {
    const socket = await peer.open(HUB);
    socket.send(
      { ...call("Sum"), streamIds: ["u"] },
      { type: 2, invocationId: "u", item: 1 },
      { type: 2, invocationId: "u", item: 2 },
      { type: 3, invocationId: "u" },
    );
    await socket.take(1);
  },
  "an upload that ends with a result": async (peer) => {
    const socket = await peer.open(HUB);
    socket.send(
      { ...call("Sum"), streamIds: ["u"] },
      { type: 2, invocationId: "u", item: 1 },
      { type: 3, invocationId: "u", result: 7 },
    );
    await socket.take(1);
  },
  "an upload that fails": async (peer) => {
    const socket = await peer.open(HUB);
    socket.send(
      { ...call("Sum"), streamIds: ["u"] },
      { type: 3, invocationId: "u", error: "client bad" },
    );
    await socket.take(1);
  },
  "an upload of a wrong type": async (peer) => {
    const socket = await peer.open(HUB);
    socket.send(
      { ...call("Sum"), streamIds: ["u"] },
      { type: 2, invocationId: "u", item: "x" },
      { type: 3, invocationId: "u" },
    );
    await socket.take(1);
  },
  "an upload of two streams for one": async (peer) => {
    const socket = await peer.open(HUB);
    socket.send({ ...call("Sum"), streamIds: ["u", "v"] });
    await socket.sync();
  },
  ...each(
    {
      "a result": { result: "a" },
      "a null result": { result: null },
      "an error": { error: "client bad" },
      "a result of a wrong type": { result: 1 },
      nothing: {},
    },
    (name) => `the client answers the hub with ${name}`,
    (outcome) => async (peer) => {
      const socket = await peer.open(HUB);
      socket.send(call("AskCaller"));
      const [asked = ""] = await socket.take(1);
      const [, id] = /"invocationId":"(s\d+)"/.exec(asked) ?? [];
      socket.send({ type: 3, invocationId: id, ...outcome });
      await socket.take(1);
      await socket.sync();
    },
  ),
  "a push without arguments": async (peer) => {
    const socket = await peer.open(HUB);
    socket.send(call("PushMe", "noargs", []));
    await socket.take(2);
  },
  "a push of everything": async (peer) => {
    const socket = await peer.open(HUB);
    socket.send(call("PushMe", "All<é", [1.5, "é😀\u2028", null, { a: [true], B: {} }]));
    await socket.take(2);
  },
  ...each(
    [3_900, 20_000, 300_000],
    (length) => `a result of ${length} characters`,
    (length) => async (peer) => {
      const socket = await peer.open(HUB);
      socket.send(call("Big", length));
      await socket.take(1);
    },
  ),
  "200,000 pings in one frame": async (peer) => {
    const socket = await peer.open(HUB);
    socket.text('{"type":6}\u001e'.repeat(200_000));
    await socket.sync();
  },
  "the user's authentication expires": async (peer) => {
    const socket = await peer.upgrade("/hubs/expiring?access_token=ada&expiresInMs=3000");
    socket.send({ protocol: "json", version: 1 });
    await socket.ended();
  },
  "a call in a binary frame": async (peer) => {
    const socket = await peer.open(HUB);
    socket.frame(OPCODE.binary, `${JSON.stringify(call("Echo", "é"))}\u001e`);
    await socket.take(1);
  },
};
