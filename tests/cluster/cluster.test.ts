import { describe, expect, test } from "vitest";
import { createManualClock } from "../../lib/clock.ts";
import { createFakeCluster } from "../support/fake-cluster.ts";
import { createHubSpec } from "../support/hub-spec.ts";
import { createFakeOrigin, createMachine, LEASE_MS, type Machine } from "../support/machine.ts";

/** Longer than it takes another machine to be the owner and to have joined everything. */
const TAKE_OVER_MS = 2 * LEASE_MS + 500;

describe("machines that share a feed", () => {
  test("join a topic once, and tell all clients the same with the same positions", async () => {
    const { cluster, origin, machines } = await assemble(["a", "b", "c"]);
    const clients = machines.map((machine) => machine.connect());
    for (const client of clients) client.open("odds/1");
    await cluster.pass(100);
    for (const client of clients) client.lines();
    for (const price of [1, 2, 3]) {
      origin.push("odds/1", "Odds", 1, price);
      await cluster.pass(20);
    }
    const [first, ...others] = clients.map((client) => client.lines());
    expect(first?.map((line) => line.replace(/ @\d+$/, ""))).toEqual([
      "odds/1 Odds[1,1]",
      "odds/1 Odds[1,2]",
      "odds/1 Odds[1,3]",
    ]);
    for (const other of others) expect(other).toEqual(first);
    expect(origin.joins).toEqual(["odds/1"]);
    expect(origin.sources.size).toBe(1);
    expect(new Set(machines.map(({ feed }) => feed.position)).size).toBe(1);
  });

  test("give a client that comes from another one what it missed, without a reset", async () => {
    const { cluster, origin, machines, at } = await assemble(["a", "b"]);
    const before = at(0).connect();
    before.open("odds/1");
    await cluster.pass(100);
    origin.push("odds/1", "Odds", 1, 1);
    await cluster.pass(20);
    const since = at(0).feed.position;
    before.close();
    for (const price of [2, 3]) origin.push("odds/1", "Odds", 1, price);
    await cluster.pass(20);
    const after = at(1).connect();
    after.open({ topic: "odds/1", since });
    await cluster.pass(50);
    expect(after.lines()).toEqual([
      expect.stringMatching(/^odds\/1 Odds\[1,2\] @/),
      expect.stringMatching(/^odds\/1 Odds\[1,3\] @/),
      expect.stringMatching(/^odds\/1 subscribed recovered live @/),
    ]);
    expect(machines.map(({ stats }) => stats.resets)).toEqual([0, 0]);
  });

  test("do not let it recover across a time when nobody watched", async () => {
    const { cluster, origin, at } = await assemble(["a", "b"]);
    const before = at(0).connect();
    before.open("odds/1");
    await cluster.pass(100);
    const since = at(0).feed.position;
    before.close();
    await cluster.pass(1_000);
    at(0).connect().open("odds/1");
    await cluster.pass(100);
    origin.push("odds/1", "Odds", 1, 2);
    await cluster.pass(20);
    const after = at(1).connect();
    after.open({ topic: "odds/1", since });
    await cluster.pass(50);
    expect(after.lines()[0]).toBe("odds/1 reset evicted");
  });

  test("give a newcomer the snapshot and the newest of each key", async () => {
    const { cluster, origin, at } = await assemble(["a", "b"], () => '{"all":1}');
    at(0).connect().open("match/1");
    await cluster.pass(100);
    for (const [market, price] of [
      ["x", 1],
      ["y", 2],
      ["x", 3],
    ]) {
      origin.push("match/1", "Match", 1, market, price);
    }
    await cluster.pass(50);
    const client = at(1).connect();
    client.open("match/1");
    await cluster.pass(50);
    expect(client.lines()).toEqual([
      'match/1 reset new {"all":1}',
      'match/1 Match[1,"y",2]',
      'match/1 Match[1,"x",3]',
      expect.stringMatching(/^match\/1 subscribed reset live @/),
    ]);
  });

  test("take what is larger than a message of the log", async () => {
    const { cluster, origin, at } = await assemble(["a", "b"]);
    const clients = [at(0).connect(), at(1).connect()];
    for (const client of clients) client.open("odds/1");
    await cluster.pass(100);
    for (const client of clients) client.lines();
    const text = "0123456789".repeat(100);
    origin.push("odds/1", "Odds", 1, text);
    origin.push("odds/1", "Odds", 1, "next");
    await cluster.pass(50);
    for (const client of clients) {
      expect(client.lines()).toEqual([
        expect.stringContaining(text),
        expect.stringContaining("next"),
      ]);
    }
  });

  test("leave what nobody wants any more, and what only a dead machine wanted", async () => {
    const { cluster, at } = await assemble(["a", "b", "c"]);
    const owner = ownerOf([at(0), at(1), at(2)]);
    const [first, second] = [at(0), at(1), at(2)].filter((machine) => machine !== owner);
    const client = first?.connect();
    client?.open("odds/1");
    second?.connect().open("odds/2");
    await cluster.pass(100);
    expect([...(owner.source?.wanted.keys() ?? [])]).toEqual(["odds/1", "odds/2"]);
    client?.close();
    second?.crash();
    await cluster.pass(10_000);
    expect(owner.source?.wanted.size).toBe(0);
  });

  test("leave what a machine left while nobody heard it", async () => {
    const { cluster, machines } = await assemble(["a", "b"]);
    const owner = ownerOf(machines);
    const other = machines.find((machine) => machine !== owner) as Machine;
    const client = other.connect();
    client.open("odds/1");
    await cluster.pass(100);
    other.cut();
    client.close();
    await cluster.pass(1_000);
    other.heal();
    await cluster.pass(10_000);
    expect(owner.source?.wanted.size).toBe(1);
    await cluster.pass(60_000);
    expect(owner.source?.wanted.size).toBe(0);
  });

  test("tell all clients when the origin is away, and when it is back", async () => {
    const { cluster, origin, machines } = await assemble(["a", "b"]);
    const clients = machines.map((machine) => machine.connect());
    for (const client of clients) client.open("odds/1");
    await cluster.pass(100);
    for (const client of clients) client.lines();
    origin.isAway = true;
    await cluster.pass(50);
    for (const client of clients) expect(client.lines()).toEqual(["odds/1 stale"]);
    origin.isAway = false;
    await cluster.pass(50);
    for (const client of clients) {
      expect(client.lines()).toEqual(["odds/1 reset break", expect.stringMatching(/ live @/)]);
    }
  });

  test("ask the owner what one of them is asked, and pass on its refusal", async () => {
    const { cluster, at, machines } = await assemble(["a", "b"], (call) => `"${call.length}"`);
    const other = machines.find((machine) => machine !== ownerOf(machines)) ?? at(0);
    const answer = other.feed.call("Count", [1], 0);
    const second = other.feed.call("Count", [2], 0);
    await cluster.pass(50);
    expect((await answer).raw).toBe('"8"');
    await second;
    other.cut();
    await cluster.pass(10);
    await expect(other.feed.call("Count", [3], 0)).rejects.toThrow("The feed has no owner");
  });
});

describe("when the owner dies", () => {
  test("another breaks, joins what any machine wants, and nothing is lost without a word", async () => {
    const { cluster, origin, machines } = await assemble(["a", "b", "c"]);
    const owner = ownerOf(machines);
    const others = machines.filter((machine) => machine !== owner);
    const clients = others.map((machine, i) => {
      const client = machine.connect();
      client.open(`odds/${i + 1}`, "odds/9");
      return client;
    });
    await cluster.pass(100);
    for (const client of clients) client.lines();
    const epoch = owner.feed.line.epoch;
    owner.crash();
    await cluster.pass(TAKE_OVER_MS);
    for (const [i, client] of clients.entries()) {
      const lines = client.lines();
      for (const topic of [`odds/${i + 1}`, "odds/9"]) {
        expect(lines.filter((line) => line.startsWith(`${topic} `))).toEqual([
          `${topic} stale`,
          `${topic} reset break`,
          expect.stringMatching(/ live @\d+$/),
        ]);
      }
    }
    expect(origin.sources.size).toBe(1);
    expect(origin.joins.filter((topic) => topic === "odds/9")).toHaveLength(2);
    for (const other of others) expect(other.feed.line.epoch).not.toBe(epoch);
    origin.push("odds/9", "Odds", 9, 1);
    await cluster.pass(50);
    expect(clients.map((client) => client.lines().length)).toEqual([1, 1]);
  });

  test("says so when it stops, and another takes over at once", async () => {
    const { cluster, origin, machines } = await assemble(["a", "b"]);
    const owner = ownerOf(machines);
    const other = machines.find((machine) => machine !== owner) as Machine;
    other.connect().open("odds/1");
    await cluster.pass(100);
    void owner.relay.stop();
    await cluster.pass(LEASE_MS / 2);
    expect(other.source?.wanted.has("odds/1")).toBe(true);
    expect(origin.sources.size).toBe(1);
  });
});

describe("an owner that was frozen for longer than its lease", () => {
  test("publishes nothing when it wakes, leaves the origin, and follows", async () => {
    const { cluster, origin, machines } = await assemble(["a", "b", "c"]);
    const owner = ownerOf(machines);
    const clients = machines.map((machine) => {
      const client = machine.connect();
      client.open("odds/1");
      return client;
    });
    await cluster.pass(100);
    const old = owner.source;
    const epoch = owner.feed.line.epoch;
    owner.freeze();
    await cluster.pass(TAKE_OVER_MS);
    const next = ownerOf(machines.filter((machine) => machine !== owner));
    for (const client of clients) client.lines();
    // What the origin sent meanwhile is what it reads first.
    old?.push("Odds", 1, "from the past");
    owner.thaw();
    old?.push("Odds", 1, "from the past, too");
    await cluster.pass(500);
    expect(old).not.toBe(next.source);
    expect(owner.source).toBeUndefined();
    expect([...origin.sources]).toEqual([next.source]);
    expect(JSON.stringify(cluster.written)).not.toContain("from the past");
    origin.push("odds/1", "Odds", 1, "now");
    await cluster.pass(50);
    for (const client of clients) {
      const lines = client.lines();
      expect(lines.at(-1)).toContain("now");
      expect(lines.join()).not.toContain("from the past");
    }
    expect(owner.feed.line.epoch).toBe(next.feed.line.epoch);
    expect(owner.feed.line.epoch).not.toBe(epoch);
  });
});

describe("a machine that is cut off", () => {
  test("for a moment makes good for what it missed, and nobody is told", async () => {
    const { cluster, origin, machines } = await assemble(["a", "b"]);
    const other = machines.find((machine) => machine !== ownerOf(machines)) as Machine;
    const client = other.connect();
    client.open("odds/1");
    await cluster.pass(100);
    client.lines();
    other.cut();
    for (const price of [1, 2]) origin.push("odds/1", "Odds", 1, price);
    await cluster.pass(LEASE_MS);
    expect(client.lines()).toEqual([]);
    other.heal();
    await cluster.pass(100);
    expect(client.lines()).toEqual([
      expect.stringMatching(/^odds\/1 Odds\[1,1\]/),
      expect.stringMatching(/^odds\/1 Odds\[1,2\]/),
    ]);
  });

  test("for longer says stale, and begins anew when it is back", async () => {
    const { cluster, origin, machines } = await assemble(["a", "b"]);
    const other = machines.find((machine) => machine !== ownerOf(machines)) as Machine;
    const client = other.connect();
    client.open("odds/1");
    await cluster.pass(100);
    const since = other.feed.position;
    client.lines();
    other.cut();
    await cluster.pass(3 * LEASE_MS);
    expect(client.lines()).toEqual(["odds/1 stale"]);
    expect(other.feed.line.connected).toBe(false);
    origin.push("odds/1", "Odds", 1, 1);
    other.heal();
    await cluster.pass(LEASE_MS);
    expect(client.lines()).toEqual([
      "odds/1 reset break",
      "odds/1 Odds[1,1]",
      expect.stringMatching(/ live @/),
    ]);
    // Nothing is missing in its history: who comes back does not begin anew.
    const late = other.connect();
    late.open({ topic: "odds/1", since });
    await cluster.pass(10);
    expect(late.lines()).toEqual([
      expect.stringMatching(/^odds\/1 Odds\[1,1\]/),
      expect.stringMatching(/ subscribed recovered live @/),
    ]);
  });

  test("begins anew when the log has forgotten what it missed", async () => {
    const { cluster, origin, machines } = await assemble(["a", "b"]);
    cluster.maxPerSubject = 3;
    const other = machines.find((machine) => machine !== ownerOf(machines)) as Machine;
    const client = other.connect();
    client.open("odds/1");
    await cluster.pass(100);
    client.lines();
    other.cut();
    for (let price = 1; price <= 5; price++) origin.push("odds/1", "Odds", 1, price);
    await cluster.pass(LEASE_MS);
    other.heal();
    await cluster.pass(LEASE_MS);
    expect(client.lines()).toEqual([
      "odds/1 stale",
      "odds/1 reset break",
      "odds/1 Odds[1,5]",
      expect.stringMatching(/ live @/),
    ]);
  });

  test("asks again for what the owner could not tell it", async () => {
    const { cluster, machines } = await assemble(["a", "b"]);
    const other = machines.find((machine) => machine !== ownerOf(machines)) as Machine;
    other.connect().open("odds/1");
    await cluster.pass(1);
    other.cut();
    await cluster.pass(5);
    other.heal();
    await cluster.pass(6_000);
    expect(
      other.relay.find("odds/1").feed.hold("odds/1", other.relay.find("odds/1")).topic.state,
    ).toBe("live");
  });

  test("asks anew for what was left meanwhile", async () => {
    const { cluster, origin, machines } = await assemble(["a", "b"]);
    const other = machines.find((machine) => machine !== ownerOf(machines)) as Machine;
    const client = other.connect();
    client.open("odds/1");
    await cluster.pass(100);
    client.lines();
    other.cut();
    await cluster.pass(10_000);
    expect(ownerOf(machines).source?.wanted.size).toBe(0);
    other.heal();
    await cluster.pass(LEASE_MS);
    origin.push("odds/1", "Odds", 1, 1);
    await cluster.pass(50);
    expect(client.lines()).toEqual([
      "odds/1 stale",
      "odds/1 reset break",
      expect.stringMatching(/ live @/),
      expect.stringMatching(/^odds\/1 Odds\[1,1\]/),
    ]);
  });

  test("steps down when it was the owner, before another takes over", async () => {
    const { cluster, origin, machines } = await assemble(["a", "b"]);
    const owner = ownerOf(machines);
    const client = machines.find((machine) => machine !== owner)?.connect();
    client?.open("odds/1");
    await cluster.pass(100);
    owner.cut();
    let most = 0;
    for (let i = 0; i < 100; i++) {
      await cluster.pass(50);
      most = Math.max(most, origin.sources.size);
    }
    expect(most).toBe(1);
    expect(owner.source).toBeUndefined();
    owner.heal();
    await cluster.pass(TAKE_OVER_MS);
    expect(origin.sources.size).toBe(1);
    expect(machines.map(({ feed }) => feed.line.connected)).toEqual([true, true]);
  });
});

test("a log that was lost and made anew is another life of the feed", async () => {
  const { cluster, origin, machines } = await assemble(["a", "b"]);
  const clients = machines.map((machine) => {
    const client = machine.connect();
    client.open("odds/1");
    machine.connect().open("match/1");
    return client;
  });
  await cluster.pass(100);
  for (let price = 1; price <= 50; price++) origin.push("odds/1", "Odds", 1, price);
  origin.push("match/1", "Match", 1, "x", 1);
  await cluster.pass(100);
  for (const client of clients) client.lines();
  const since = machines[0]?.feed.position ?? "";
  for (const machine of machines) machine.cut();
  cluster.lose();
  await cluster.pass(100);
  for (const machine of machines) machine.heal();
  await cluster.pass(2 * TAKE_OVER_MS);
  origin.push("odds/1", "Odds", 1, "new");
  await cluster.pass(50);
  for (const client of clients) {
    const lines = client.lines();
    expect(lines[0]).toBe("odds/1 stale");
    expect(lines.filter((line) => line.includes(" reset "))).toHaveLength(1);
    expect(lines.at(-1)).toContain("new");
  }
  const late = machines[1]?.connect();
  late?.open({ topic: "odds/1", since });
  await cluster.pass(50);
  expect(late?.lines()[0]).toBe("odds/1 reset epoch");
  // What had a higher number in the log before is not newer than the snapshot.
  late?.open("match/1");
  await cluster.pass(50);
  expect(late?.lines()).toEqual(["match/1 reset new null", expect.stringMatching(/ subscribed /)]);
});

test("a log that was made anew is known as another one, even when it has grown longer than the first", async () => {
  const { cluster, origin, machines } = await assemble(["a", "b"]);
  const other = machines.find((machine) => machine !== ownerOf(machines)) as Machine;
  const owner = ownerOf(machines);
  const client = other.connect();
  client.open("odds/1");
  owner.connect().open("odds/1");
  await cluster.pass(100);
  origin.push("odds/1", "Odds", 1, "old");
  await cluster.pass(20);
  const since = other.feed.position;
  other.cut();
  cluster.lose();
  await cluster.pass(2 * TAKE_OVER_MS);
  for (let price = 1; price <= 50; price++) origin.push("odds/1", "Odds", 1, price);
  await cluster.pass(100);
  client.lines();
  other.heal();
  await cluster.pass(TAKE_OVER_MS);
  const late = other.connect();
  late.open({ topic: "odds/1", since });
  await cluster.pass(10);
  expect(late.lines()[0]).toBe("odds/1 reset epoch");
  expect(client.lines()).toEqual([
    "odds/1 reset new",
    "odds/1 Odds[1,50]",
    expect.stringMatching(/ live @/),
  ]);
});

test("a log that has forgotten all, also what nobody has read, is written on", async () => {
  // The owner stored its last words and was cut off before it could read them. When the log had
  // forgotten them, all machines waited for them forever.
  const { cluster, origin, machines } = await assemble(["a"]);
  const [machine] = machines as [Machine];
  const client = machine.connect();
  client.open("odds/1");
  await cluster.pass(100);
  machine.lag(1_000);
  await cluster.pass(800);
  machine.cut();
  machine.lag(0);
  cluster.forget();
  await cluster.pass(TAKE_OVER_MS);
  client.lines();
  machine.heal();
  await cluster.pass(TAKE_OVER_MS);
  origin.push("odds/1", "Odds", 1, "new");
  await cluster.pass(50);
  expect(client.lines()).toEqual([
    "odds/1 reset break",
    expect.stringMatching(/ live @/),
    expect.stringContaining("new"),
  ]);
});

async function assemble(ids: readonly string[], answer?: (call: string) => string) {
  const clock = createManualClock(1_700_000_000_000);
  const cluster = createFakeCluster(clock);
  const origin = createFakeOrigin(answer);
  clock.every(5, origin.act);
  const join = { method: "Join", args: ["{id}"] };
  const common = {
    params: { id: "integer" as const },
    join,
    history: { size: 100 },
    lingerMs: 500,
  };
  const spec = createHubSpec({
    "odds/{id}": { ...common, events: { Odds: "odds/{0}" } },
    "match/{id}": {
      ...common,
      events: { Match: "match/{0}" },
      key: { Match: "{1}" },
      snapshot: { method: "Get", args: ["{id}"] },
    },
  });
  const machines = ids.map((id) => createMachine(id, spec, { cluster, clock, origin }));
  await cluster.pass(TAKE_OVER_MS);
  return { cluster, origin, machines, at: (i: number) => machines[i] as Machine };
}

function ownerOf(machines: readonly Machine[]): Machine {
  const owners = machines.filter(({ source }) => source !== undefined);
  expect(owners).toHaveLength(1);
  return owners[0] as Machine;
}
