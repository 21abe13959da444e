/** The log on a real nats-server: who has been followed by another writes no more. */

import { afterAll, expect, test } from "vitest";
import { parseConfig } from "../../app/config.ts";
import { createNats } from "../../app/nats.ts";
import { systemClock } from "../../lib/clock.ts";
import { silentLog } from "../../lib/log.ts";
import { eventually } from "../support/eventually.ts";
import { findNats } from "../support/nats.ts";
import { declareWith } from "../support/needs.ts";
import { killAll } from "../support/spawn.ts";

const LIMITS = { maxAgeMs: 60_000, maxPerSubject: 1_000, maxBytes: 1_000_000 };

declareWith("nats-server", findNats(), ({ start }) => {
  afterAll(killAll);

  test("what one owner had on its way is refused whole when another has written as many", async () => {
    // By their numbers alone the last of them would have stood behind the other owner's: what a
    // frozen owner sent when it woke got into the log.
    const server = await start();
    const hubs = { "/hub": { origin: "http://127.0.0.1:9/hub" } };
    const { cluster } = parseConfig({
      hubs,
      secret: "the same on all machines",
      cluster: { nats: server.url },
    });
    if (!cluster) throw new Error("It was configured above");
    const options = { clock: systemClock, random: Math.random, log: silentLog };
    const machines = [createNats(cluster, options), createNats(cluster, options)] as const;
    try {
      await eventually(
        () => machines.every(({ connected }) => connected),
        (areConnected) => areConnected,
      );
      const open = (machine: (typeof machines)[number]) => machine.openLog("fence", LIMITS);
      const first = await open(machines[0]);
      const second = await open(machines[1]);
      const write = (log: typeof first, from: number, count: number) =>
        Promise.all(
          Array.from({ length: count }, (_, i) =>
            log.append("fence.a", new Uint8Array([i]), from + i).then(
              () => "stored",
              () => "refused",
            ),
          ),
        );
      expect(await write(first, 0, 3)).toEqual(Array(3).fill("stored"));
      expect(await write(second, 3, 4)).toEqual(Array(4).fill("stored"));
      expect(await write(first, 3, 8)).toEqual(Array(8).fill("refused"));
      expect(await write(second, 7, 2)).toEqual(Array(2).fill("stored"));
      expect(await open(machines[0])).toMatchObject({ first: 1, last: 9 });
    } finally {
      for (const machine of machines) await machine.close();
      await server.end();
    }
  });
});
