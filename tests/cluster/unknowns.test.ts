import { expect, test } from "vitest";
import { createManualClock } from "../../lib/clock.ts";
import type { Images } from "../../lib/cluster/message.ts";
import { createUnknowns } from "../../lib/cluster/unknowns.ts";
import type { Image } from "../../lib/feed/message.ts";
import { findTopic } from "../../lib/feed/spec.ts";
import { createHistoryBudget } from "../../lib/topic/budget.ts";
import { Topic } from "../../lib/topic/topic.ts";
import { createHubSpec } from "../support/hub-spec.ts";
import { turn } from "../support/turn.ts";

const NAME = "odds/1";
const IMAGE: Image = {
  name: NAME,
  accepted: true,
  joinResult: undefined,
  snapshot: undefined,
  state: "live",
  publications: [],
  floor: 3,
  brokenAt: -1,
};

test("a topic that was left while it was asked for is asked for anew, and not believed", async () => {
  const { unknowns, topic, answers, known, read } = create();
  unknowns.add(topic);
  unknowns.ask();
  // The owner has answered, lost sight of this machine, and let go of the topic: the answer is late.
  read(4);
  expect(unknowns.note(topic, { number: 4, event: { type: "left", name: NAME } })).toBe(true);
  answers[0]?.({ asOf: 3, images: [IMAGE] });
  await turn();
  expect(known).toEqual([]);
  unknowns.ask();
  expect(answers).toHaveLength(2);
  answers[1]?.({ asOf: 4, images: [{ ...IMAGE, floor: 4 }] });
  await turn();
  expect(known).toEqual([{ ...IMAGE, floor: 4 }]);
  expect(unknowns.has(topic)).toBe(false);
});

test("an image of later than what was read waits until that is read", async () => {
  const { unknowns, topic, answers, known, read } = create();
  unknowns.add(topic);
  unknowns.ask();
  answers[0]?.({ asOf: 5, images: [IMAGE] });
  await turn();
  read(4);
  expect(known).toEqual([]);
  read(5);
  expect(known).toEqual([IMAGE]);
});

function create() {
  const declared = findTopic(
    createHubSpec({ "odds/{id}": { events: { Odds: "odds/{0}" } } }),
    NAME,
  );
  if (!declared) throw new Error("It was declared above");
  const { spec, parameters } = declared;
  const topic = new Topic(NAME, spec, parameters, 0, createHistoryBudget(1_000));
  const answers: ((images: Images) => void)[] = [];
  const known: Image[] = [];
  let number = 3;
  const unknowns = createUnknowns({
    ask: () => new Promise((resolve) => void answers.push(resolve)),
    number: () => number,
    find: () => topic,
    onKnown: (_, image) => void known.push(image),
    onEnded: () => {},
    clock: createManualClock(),
  });
  const read = (next: number) => {
    number = next;
    unknowns.advance();
  };
  return { unknowns, topic, answers, known, read };
}
