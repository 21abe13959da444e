import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ConfigError } from "../../app/config.ts";
import { readDemand } from "../../app/plan/demand.ts";
import { type Demand, MEASURED, plan, TRANSPORTS } from "../../app/plan/plan.ts";
import { answerPlan } from "../../app/plan/print.ts";
import { pushFormat } from "../../lib/downstream/hub-format.ts";
import { sseFormat } from "../../lib/downstream/sse.ts";
import { wsFormat } from "../../lib/downstream/ws.ts";
import { type Format, render } from "../../lib/fanout/format.ts";
import { messagepackProtocol } from "../../lib/wire/messagepack.ts";
import { createPublication } from "../support/publication.ts";

const SCALE = new URL("../../docs/scale.md", import.meta.url);

const demand = (options = "") => readDemand(options.split(" ").filter(Boolean));

describe("a plan", () => {
  test("follows the formula", () => {
    const given = demand(
      "--clients 100k --publications 1k --topics 100 --topics-per-client 2 --bytes 200 --joined 4 --share ws=100 --send 4",
    );
    const { updates, deliveries, writes, busyCores, isolates, bandwidth } = plan(given);
    expect([updates, deliveries, writes]).toEqual([20, 2_000_000, 500_000]);
    // 1.2 + 3 · 0.03 + 0.2 sends of 4 µs.
    expect(busyCores).toBeCloseTo(500_000 * 1.49 * 4e-6);
    // Each isolate takes 1,000 publications of 2.6 sends, and leaves half of itself free.
    expect(isolates).toBe(Math.ceil(busyCores / (0.5 - 1_000 * 2.6 * 4e-6)));
    // Four messages of 298 bytes in one frame of one segment.
    expect(bandwidth.whole).toBeCloseTo(8 * 500_000 * (4 * 298 + 4 + 90));
  });

  test("of a single machine needs no bus", () => {
    expect(plan(demand("--clients 1k"))).toMatchObject({ machines: 1, nats: undefined });
    const { machines, nats } = plan(demand("--clients 10M"));
    expect(nats).toMatchObject({ messagesIn: 4_000, messagesOut: 4_000 * machines });
  });

  test("has one connection to the origin for each hub protocol", () => {
    const connections = (share: string) => plan(demand(`--share ${share}`)).origin.connections;
    expect(connections("ws=100")).toBe(1);
    expect(connections("messagepack=100")).toBe(1);
    expect(connections("signalr=90,messagepack=10")).toBe(2);
  });

  test("says what decides the number of machines", () => {
    expect(plan(demand()).limit).toBe("cores");
    expect(plan(demand("--network 0.1")).limit).toBe("network");
    expect(plan(demand("--memory 0.25")).limit).toBe("memory");
  });

  test("is for idle clients, too", () => {
    const { isolates, machines } = plan(demand("--clients 1M --publications 0.001"));
    expect([isolates, machines]).toEqual([5, 1]);
  });

  test("refuses a feed that one isolate cannot take", () => {
    expect(() => plan(demand("--publications 100k"))).toThrow(
      /^Invalid --publications: one isolate can take 49,?309 a second$/,
    );
  });

  test("grows with what is asked for, and shrinks with what is given", () => {
    const more = ["clients", "publications", "bytes", "topicsPerClient", "reserve"] as const;
    const less = ["topics", "joined", "cores", "memory", "network"] as const;
    const small = demand();
    const needs = ({ machines, isolates, bandwidth, busyCores }: ReturnType<typeof plan>) => [
      machines,
      isolates,
      bandwidth.whole,
      busyCores,
    ];
    fc.assert(
      fc.property(
        fc.constantFrom(...more, ...less),
        fc.double({ min: 1, max: 1.7, noNaN: true }),
        (name, factor) => {
          const large: Demand = { ...small, [name]: small[name] * factor };
          const [one, other] = (more as readonly string[]).includes(name)
            ? [small, large]
            : [large, small];
          const pairs = needs(plan(one)).map((need, i) => [need, needs(plan(other))[i]]);
          for (const [a = 0, b = 0] of pairs) expect(a).toBeLessThanOrEqual(b * (1 + 1e-9));
        },
      ),
    );
  });

  test("knows what stands around a publication", () => {
    const values = [{ matchId: 42, price: 1.85 }];
    const text = JSON.stringify(values);
    const packed = messagepackProtocol.encode(values);
    const json = { event: "OddsChanged", topic: "match/42", position: "k3v9x2ma:1234" };
    const size = (format: Format, raw: string | Uint8Array) =>
      render(format, createPublication({ ...json, raw, argumentCount: 1 }))?.length ?? 0;
    const around = {
      ws: size(wsFormat, text) - text.length,
      sse: size(sseFormat, text) - text.length,
      signalr: size(pushFormat("json", "websocket"), text) - text.length,
      messagepack: size(pushFormat("messagepack", "websocket"), packed) - packed.length,
    };
    for (const transport of TRANSPORTS) {
      const distance = Math.abs(around[transport] - MEASURED.envelope[transport]);
      expect([transport, distance <= 4]).toEqual([transport, true]);
    }
  });
});

describe("the command line", () => {
  test("takes values behind spaces and equals signs, with suffixes and separators", () => {
    expect(demand("--clients 600k --publications=1.5k --topics 2_000")).toMatchObject({
      clients: 600_000,
      publications: 1_500,
      topics: 2_000,
    });
    expect(demand("--clients 1,000 --share=ws=25,sse=75")).toMatchObject({
      clients: 1_000,
      share: { ws: 0.25, sse: 0.75, signalr: 0, messagepack: 0 },
    });
    expect(demand("--clients 1.5M").clients).toBe(1_500_000);
  });

  const refusals: readonly [options: string, message: string][] = [
    ["--clients abc", 'Invalid --clients: "abc" is not a whole number from 1 to 1,000,000,000'],
    ["--clients 0", 'Invalid --clients: "0" is not a whole number from 1 to 1,000,000,000'],
    ["--clients 1.5", 'Invalid --clients: "1.5" is not a whole number from 1 to 1,000,000,000'],
    ["--clients -5", 'Invalid --clients: "-5" is not a whole number from 1 to 1,000,000,000'],
    ["--reserve 95", 'Invalid --reserve: "95" is not a number from 0 to 0.9'],
    ["--clients", "Invalid --clients: it has no value"],
    ["--clients --topics 5", "Invalid --clients: it has no value"],
    ["--clients 5 --clients 6", "Invalid --clients: it is there twice"],
    ["--topics 2", "Invalid --topics-per-client: 3 is more than --topics, 2"],
    ["--client 5", 'Unknown option "--client"'],
    ["600k", 'Unknown option "600k"'],
    ["--runtime perl", 'Invalid --runtime: "perl" is not one of bun, node, deno'],
    ["--share ws=50", 'Invalid --share: "ws=50" makes 50, not 100'],
    [
      "--share tcp=100",
      'Invalid --share: "tcp=100" is not a transport with its percent, such as ws=25,sse=25,signalr=25,messagepack=25',
    ],
  ];
  test.for(refusals)("refuses %s", ([options, message]) => {
    expect(() => demand(options)).toThrow(new ConfigError(message));
  });

  test("is told by --help, each option with what it is when it is not said", () => {
    const usage = answerPlan(["--help"]);
    for (const name of Object.keys(demand())) {
      expect(usage).toContain(
        `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} `,
      );
    }
    expect(usage).toContain("clients; a whole number from 1 to 1,000,000,000, default 600,000");
  });
});

test("the examples of the documentation are what the command prints", () => {
  const blocks = [
    ...readFileSync(SCALE, "utf8").matchAll(/```\n\$ npm run plan -- (.*)\n([^`]*)```/g),
  ];
  expect(blocks).toHaveLength(3);
  for (const [, options = "", output] of blocks) {
    expect(output).toBe(`${answerPlan(options.split(" "))}\n`);
  }
});
