/** Clients whose connections break all the time miss nothing, or are told what they missed. */

import { expect, onTestFinished, test } from "vitest";
import { createRandom } from "../../app/demo/random.ts";
import { eventually } from "../support/eventually.ts";
import { readMetric } from "../support/metrics.ts";
import type { Runtime } from "../support/runtimes.ts";
import { startRelay } from "../support/spawned-relay.ts";
import { choose, onEachRuntime, printTotals, SEED } from "./form.ts";
import { startNumberingHub } from "./hub.ts";
import { publishSteadily } from "./publisher.ts";
import { configOf } from "./relay.ts";
import { createWanderer } from "./wanderer.ts";
import { createTally, createWitness } from "./witness.ts";

const { CLIENTS, CUTS, DURATION_MS } = choose(
  { CLIENTS: 100, CUTS: 5, DURATION_MS: 8_000 },
  { CLIENTS: 500, CUTS: 20, DURATION_MS: 60_000 },
);
const PER_SECOND = 100;
const TOPICS_PER_CLIENT = 3;
/** Of every cycle of a client, which part it is away. */
const AWAY = 0.3;
/** Long enough that no topic is ever left before the end. */
const LINGER_MS = 2_000;
/** Until the last client has come back and caught up, ms. */
const PATIENCE_MS = 30_000;

/** Topics of each kind, and how many publications of one can be recovered. */
const KINDS = {
  deep: { topics: 16, history: 1_000 },
  shallow: { topics: 4, history: 3 },
} as const;

/** The origin is cut once in the middle, too. */
const WITH_BREAK = "bun";

onEachRuntime((runtime) => {
  const title = `${CLIENTS} clients, each cut ${CUTS} times, end with all that was published`;
  test(title, { timeout: DURATION_MS + 2 * PATIENCE_MS }, () => wander(runtime));
});

async function wander(runtime: Runtime): Promise<void> {
  const random = createRandom(SEED);
  const hub = await startNumberingHub();
  onTestFinished(hub.stop);
  const kindOf = ({ history }: { history: number }) => ({
    history: { size: history },
    lingerMs: LINGER_MS,
  });
  const kinds = { deep: kindOf(KINDS.deep), shallow: kindOf(KINDS.shallow) };
  const relay = await startRelay(runtime, configOf(hub.url, kinds));
  const names = Object.entries(KINDS).flatMap(([kind, { topics }]) =>
    Array.from({ length: topics }, (_, id) => `${kind}/${id}`),
  );

  const tally = createTally();
  const cycleMs = DURATION_MS / (CUTS + 1);
  const wanderers = Array.from({ length: CLIENTS }, (_, i) => {
    const via = i % 2 === 0 ? "ws" : "sse";
    const topics = new Set<string>();
    while (topics.size < TOPICS_PER_CLIENT) topics.add(random.pick(names));
    const witness = createWitness({
      hub,
      tally,
      isStream: via === "sse",
      historySize: (topic) => (topic.startsWith("deep") ? KINDS.deep : KINDS.shallow).history,
    });
    return createWanderer({
      url: relay.url,
      via,
      topics: [...topics],
      witness,
      tally,
      random,
      cuts: CUTS,
      stayMs: cycleMs * (1 - AWAY),
      awayMs: cycleMs * AWAY,
    });
  });
  onTestFinished(() => {
    for (const wanderer of wanderers) wanderer.stop();
  });

  const breaking = setTimeout(() => {
    if (runtime.name === WITH_BREAK) hub.cut();
  }, DURATION_MS / 2);
  const publications = await publishSteadily(hub, {
    perSecond: PER_SECOND,
    isOver: () => wanderers.every(({ isSettled }) => isSettled),
    pick: () => random.pick(names),
  });
  clearTimeout(breaking);
  await eventually(
    () =>
      wanderers
        .filter(({ witness }) => !witness.isComplete())
        .map(({ witness }) => witness.print()),
    ({ length }) => length === 0,
    PATIENCE_MS,
  );
  printTotals(`cuts on ${runtime.name}`, { publications, ...tally });
  expect(tally).toMatchObject({ gaps: 0, duplicates: 0, oddities: 0, findings: [] });
  if (runtime.name === WITH_BREAK) expect(tally.resets.get("break")).toBeGreaterThan(0);

  for (const wanderer of wanderers) wanderer.stop();
  await eventually(
    () => readMetric(relay.url, "keryx_clients"),
    (clients) => clients === 0,
    PATIENCE_MS,
  );
  await eventually(
    () => readMetric(relay.url, "keryx_topics"),
    (topics) => topics === 0,
  );
  await relay.program.stop();
}
