/**
 * One life of a stock SignalR client, and what it saw of it. The same file runs in Node, Bun and
 * Deno as a program, and in a browser as a module; it asserts nothing.
 *
 * As a program it takes the cells as JSON and prints `seen` and JSON: what it saw in each, in order.
 */

/**
 * @typedef {object} Cell
 * @property {string} live URL of a hub of the demo contract, on which a match's group is declared
 * @property {string} probe URL of a hub with the methods of ProbeHub
 * @property {number} match one that no other cell has
 * @property {string} publish a POST to here pushes `pushes` times to the match's group
 * @property {number} pushes
 * @property {readonly [count: number, delayMs: number]} shared arguments of a stream that is
 * declared, and that no other cell has
 * @property {unknown} value what the hub is to echo
 * @property {"WebSockets" | "ServerSentEvents" | "LongPolling"} transport
 * @property {"json" | "messagepack"} protocol
 */

/**
 * @param {typeof import("@microsoft/signalr")} signalR
 * @param {new () => import("@microsoft/signalr").IHubProtocol} MessagePack
 * @param {readonly Cell[]} cells
 * @returns what was seen in each cell; `{ error }` where it went no further
 */
export function observeAll(signalR, MessagePack, cells) {
  return Promise.all(
    cells.map((cell) => {
      const connect = (url, reconnect = false) => {
        const builder = new signalR.HubConnectionBuilder()
          .withUrl(url, signalR.HttpTransportType[cell.transport])
          .configureLogging(signalR.LogLevel.None);
        if (reconnect) builder.withAutomaticReconnect([0, 0, 200]);
        if (cell.protocol === "messagepack") builder.withHubProtocol(new MessagePack());
        return builder.build();
      };
      return observe(signalR, connect, cell);
    }),
  );
}

async function observe(signalR, connect, cell) {
  const seen = {};
  try {
    await observeShared(connect, cell, seen);
    await observePrivate(signalR, connect, cell, seen);
    await observeClose(connect, cell, seen);
  } catch (error) {
    seen.error = textOf(error);
  }
  return seen;
}

/** What is declared, and served to all from one connection. */
async function observeShared(connect, { live, probe, match, publish, pushes, shared }, seen) {
  const watcher = connect(live);
  const heard = [];
  const all = until((done) => {
    watcher.on("OddsChanged", (...args) => heard.push(args) === pushes && done());
  });
  await watcher.start();
  seen.join = await watcher.invoke("JoinMatch", match);
  await fetch(publish, { method: "POST", mode: "no-cors" }); // a page may ask, but not read the answer
  await all;
  seen.leave = await watcher.invoke("LeaveMatch", match);
  seen.pushes = heard;
  await watcher.stop();

  const reader = connect(probe);
  await reader.start();
  seen.sharedStream = await itemsOf(reader.stream("Count", ...shared));
  await reader.stop();
}

/** What goes over a connection to the origin of this client's own. */
async function observePrivate({ Subject }, connect, { probe, value }, seen) {
  const caller = connect(probe);
  const asked = until((done) => {
    caller.on("Ask", (question) => {
      done(question);
      return `${question}?`;
    });
  });
  const pushed = until((done) => caller.on("Note", (...args) => done(args)));
  await caller.start();
  seen.connectionId = caller.connectionId;
  seen.unknown = await textOfRefusal(caller.invoke("NoSuchMethod", 1));
  seen.failed = await textOfRefusal(caller.invoke("Fail"));
  seen.result = await caller.invoke("EchoJson", value);
  seen.stream = await itemsOf(caller.stream("Count", 4, 1));

  const numbers = new Subject();
  const sum = caller.invoke("Sum", numbers);
  for (const number of [1, 2, 3, 4]) numbers.next(number);
  numbers.complete();
  seen.upload = await sum;

  seen.clientResult = await caller.invoke("AskCaller");
  seen.asked = await asked;
  await caller.invoke("PushMe", "Note", [1, "two"]);
  seen.pushed = await pushed;

  const items = [];
  await until((done) => {
    const subscription = caller.stream("Count", 1_000_000, 2).subscribe({
      next(item) {
        if (items.push(item) !== 3) return;
        subscription.dispose();
        done();
      },
      error() {},
      complete() {},
    });
  });
  // What was under way when it was cancelled is here before the second answer.
  for (const text of ["a", "b"]) await caller.invoke("Echo", text);
  seen.cancelled = items;

  const closed = until((done) => caller.onclose((error) => done(textOf(error))));
  await caller.stop();
  seen.stopped = [await closed, caller.state];
}

/** How a connection ends that the client does not end itself. */
async function observeClose(connect, { probe }, seen) {
  const client = connect(probe, true);
  const events = [];
  const back = until((done) => {
    client.onreconnecting(() => events.push("reconnecting"));
    client.onreconnected((id) => {
      events.push("reconnected");
      done(id);
    });
  });
  const gone = until((done) => {
    client.onclose((error) => {
      events.push("closed");
      done(textOf(error));
    });
  });
  await client.start();
  const first = client.connectionId;
  // More than a message may have: answered with a Close that invites to come back.
  client.send("Echo", "x".repeat(40_000)).catch(() => {}); // it may be cut while it is sent
  const second = await back;
  seen.reconnected = {
    isAnother: typeof second === "string" && second !== first,
    echo: await client.invoke("Echo", "back"),
  };
  client.invoke("Abort").catch(() => {}); // never answered
  seen.closed = await gone;
  seen.events = events;
}

/** A promise of what `start` gives to `done`, in 10 s. */
function until(start) {
  return new Promise((resolve, reject) => {
    const stack = new Error("Did not happen");
    const timer = setTimeout(() => reject(stack), 10_000);
    start((value) => {
      clearTimeout(timer);
      resolve(value);
    });
  });
}

function itemsOf(stream) {
  const items = [];
  return until((done) => {
    stream.subscribe({
      next: (item) => items.push(item),
      error: (error) => done([...items, textOf(error)]),
      complete: () => done(items),
    });
  });
}

function textOfRefusal(work) {
  return work.then(
    () => "not refused",
    (error) => textOf(error),
  );
}

function textOf(error) {
  return error === undefined ? "" : error instanceof Error ? error.message : String(error);
}

const isProgram = typeof document === "undefined";
if (isProgram) {
  const signalR = await import("@microsoft/signalr");
  const { MessagePackHubProtocol } = await import("@microsoft/signalr-protocol-msgpack");
  const seen = await observeAll(signalR, MessagePackHubProtocol, JSON.parse(process.argv.at(-1)));
  console.log(`seen ${JSON.stringify(seen)}`);
  process.exit(0);
}
