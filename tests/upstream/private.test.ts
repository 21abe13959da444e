import { describe, expect, test } from "vitest";
import { createManualClock } from "../../lib/clock.ts";
import { silentLog } from "../../lib/log.ts";
import { createStats } from "../../lib/stats.ts";
import { createPrivateLanes, type Lane } from "../../lib/upstream/private.ts";
import { jsonProtocol } from "../../lib/wire/json.ts";
import { createScriptedHub } from "../support/scripted-hub.ts";
import { turn } from "../support/turn.ts";

const RS = "\u001e";
const PING = { type: 6 };
const call = (invocationId: string) => ({
  type: 1,
  invocationId,
  target: "Echo",
  arguments: [],
});

/** A client's lane to an origin that does what the test says. */
function setUp() {
  const hub = createScriptedHub();
  const stats = createStats();
  const lanes = createPrivateLanes({
    url: "http://origin.test/hub",
    fetch: hub.fetch,
    dial: hub.dial,
    clock: createManualClock(1_700_000_000_000),
    stats,
    log: silentLog,
    handshakeTimeoutMs: 15_000,
    keepAliveMs: 15_000,
    serverTimeoutMs: 30_000,
    maxMessageBytes: 1_000,
    maxQueueBytes: 200,
  });
  const client = { headers: { authorization: "Bearer mine" }, query: "?tenant=7" };
  const lane = lanes.createLane({ client, protocol: jsonProtocol, token: undefined });
  /** What its listener was told, in order. */
  const told: unknown[] = [];
  return {
    hub,
    stats,
    lane,
    told,
    listen: () =>
      lane.listen({
        onLaneMessage: (_, record) => told.push(record),
        onLaneEnd: (close) => told.push({ close }),
        onLaneRefused: (invocationIds, reason) => told.push({ invocationIds, reason }),
      }),
  };
}

function pass(lane: Lane, invocationId: string): boolean {
  return lane.pass(JSON.stringify(call(invocationId)) + RS, invocationId);
}

describe("a private lane", () => {
  test("is opened by the first message, with the client's credentials, and keeps the order", async () => {
    const { hub, lane, stats, listen } = setUp();
    listen();
    expect(hub.negotiations).toHaveLength(0);
    for (const id of ["1", "2"]) expect(pass(lane, id)).toBe(true);
    await turn();
    expect(lane.isOpen).toBe(false);
    hub.peer.take();
    hub.peer.send({});
    expect(lane.isOpen).toBe(true);
    pass(lane, "3");
    expect(hub.peers).toHaveLength(1);
    expect(hub.peer.url.search).toBe("?tenant=7&id=token-1");
    expect(hub.peer.headers).toMatchObject({ authorization: "Bearer mine" });
    expect(hub.peer.take()).toEqual([call("1"), call("2"), PING, call("3")]);
    expect(stats.privateConnections).toBe(1);
  });

  test("tells whoever comes to listen what came before, behind what it does at once", async () => {
    const { hub, lane, told, listen } = setUp();
    void lane.open();
    await turn();
    hub.peer.shake({ type: 1, target: "Welcome", arguments: [] });
    hub.peer.send({ type: 7, error: "Bye" });
    listen();
    expect(told).toEqual([]);
    await turn();
    expect(told).toEqual([
      '{"type":1,"target":"Welcome","arguments":[]}',
      { close: { error: "Bye" } },
    ]);
  });

  test("says which calls it could not pass on, and tries again for the next", async () => {
    const { hub, lane, told, listen } = setUp();
    listen();
    hub.connect = () => Promise.reject(new Error("no route"));
    for (const id of ["1", "2"]) pass(lane, id);
    await turn();
    expect(told).toEqual([{ invocationIds: ["1", "2"], reason: "Cannot connect: no route" }]);
    hub.connect = () => undefined;
    pass(lane, "3");
    await turn();
    hub.peer.take();
    hub.peer.send({});
    expect(hub.peer.take()).toEqual([call("3"), PING]);
  });

  test("takes no more than may wait", () => {
    const { lane, listen } = setUp();
    listen();
    expect(["1", "2", "3", "4", "5"].map((id) => pass(lane, id))).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
  });

  test.each(["before it is opened", "while it is opened", "when it is open"])(
    "that its client closes %s tells nothing more, and leaves the origin",
    async (when) => {
      const { hub, lane, told, stats, listen } = setUp();
      listen();
      if (when !== "before it is opened") void lane.open().catch(() => {});
      await turn();
      if (when === "when it is open") hub.peer.shake();
      lane.close();
      pass(lane, "1");
      await turn();
      expect(told).toEqual([]);
      expect(lane.isOpen).toBe(false);
      expect(stats.privateConnections).toBe(0);
      expect(hub.peers.map(({ closed }) => closed)).toEqual(hub.peers.map(() => 1000));
    },
  );
});
