/** Errors that somebody might make, each of which the simulation has to see. */

export interface Mutation {
  readonly name: string;
  readonly file: string;
  /** Pieces of the file, each of which is in it once, and what takes their place. */
  readonly edits: readonly (readonly [from: string, to: string])[];
}

export const MUTATIONS: readonly Mutation[] = [
  {
    name: "history is read, and the audience joined some time later",
    file: "lib/subscriptions.ts",
    edits: [
      [
        "      const finish = () => {",
        `      const read = new Map(
        batch.map((one) => [one, one.feed.opening(one.entry, since.get(one.entry.topic.name))]),
      );
      const finish = () => {`,
      ],
      [
        "ready.map(({ feed, entry }) => feed.opening(entry, since.get(entry.topic.name)))",
        "ready.map((one) => read.get(one) ?? [])",
      ],
    ],
  },
  {
    name: "a replica believes whoever speaks",
    file: "lib/feed/replica.ts",
    edits: [["if (from !== owner) return;", ""]],
  },
  {
    name: "a replica takes what was meant for another",
    file: "lib/feed/replica.ts",
    edits: [["|| message.to !== channel.id", ""]],
  },
  {
    name: "a take-over is no break",
    file: "lib/feed/member.ts",
    edits: [["for (const topic of table.topics()) table.stall(topic, highest);", ""]],
  },
  {
    name: "a new owner is not asked for what is wanted",
    file: "lib/feed/member.ts",
    edits: [["for (const topic of table.topics()) engine.join(topic);", ""]],
  },
  {
    name: "a new owner begins at 0",
    file: "lib/feed/member.ts",
    edits: [["engine = create(table, highest + LEAP);", "engine = create(table, 0);"]],
  },
  {
    name: "a new owner begins where the old one was",
    file: "lib/feed/member.ts",
    edits: [["const LEAP = 1_000_000;", "const LEAP = 0;"]],
  },
  {
    name: "a new owner begins above what its last engine has seen",
    file: "lib/feed/member.ts",
    edits: [["highest = Math.max(highest, engine.sequence);", "highest = engine.sequence;"]],
  },
  {
    name: "a retired owner goes on publishing",
    file: "lib/feed/owner.ts",
    edits: [
      ["if (!topic || isRetired) {", "if (!topic) {"],
      [
        "      return source.stop();\n    },\n    join",
        "      return Promise.resolve();\n    },\n    join",
      ],
    ],
  },
  {
    name: "a roster that comes late is believed",
    file: "lib/feed/group.ts",
    edits: [
      [
        "if (roster?.term !== undefined && next.term !== undefined && next.term < roster.term) return;",
        "",
      ],
    ],
  },
  {
    name: "what the dead wanted stays wanted",
    file: "lib/feed/group.ts",
    edits: [["for (const part of parts) part.retain(new Set(next.isolates));", ""]],
  },
  {
    name: "a gap in the numbers of batches is ignored",
    file: "lib/feed/replica.ts",
    edits: [["} else notice(batch.number - 1);", "}"]],
  },
  {
    name: "publications go on while something is missing",
    file: "lib/feed/replica.ts",
    edits: [["if (wholeUntil === undefined) onEvent(event);", "onEvent(event);"]],
  },
  {
    name: "what was missed is told without what came before the request",
    file: "lib/feed/server.ts",
    edits: [["if (events.length > 0) flush();", ""]],
  },
  {
    name: "nobody is told that nobody wants a topic any more",
    file: "lib/feed/server.ts",
    edits: [[`note({ type: "dropped", name });`, ""]],
  },
  {
    name: "a lost leave is lost for good",
    file: "lib/feed/replica.ts",
    edits: [["if (++beats % INTEREST_BEATS === 0) {", "if (beats < 0) {"]],
  },
  {
    name: "an owner that says nothing is believed to be there",
    file: "lib/feed/replica.ts",
    edits: [["const PATIENCE_BEATS = 6;", "const PATIENCE_BEATS = 1_000;"]],
  },
  {
    name: "history is answered from beyond its floor",
    file: "lib/topic/history.ts",
    edits: [["if (sequence < floor) return undefined;", ""]],
  },
  {
    name: "a conflated run passes for a whole one",
    file: "lib/topic/topic.ts",
    edits: [["if (skipped === 0) return newest;", "return newest;"]],
  },
  {
    name: "a reset has no number of its own",
    file: "lib/feed/owner.ts",
    edits: [["table.goLive(topic, ++sequence);", "table.goLive(topic, sequence);"]],
  },
  {
    name: "who was shown nothing recovers as if it had been something",
    file: "lib/topic/topic.ts",
    edits: [["this.#isShownBlank ? sequence : 0", "0"]],
  },
  {
    name: "a position is shown before all states are",
    file: "lib/fanout/audience.ts",
    edits: [["if (runs.length <= 1) return runs[0] ?? [];", "return runs.flat();"]],
  },
  {
    name: "a newcomer to a capped cohort has no marks of its own",
    file: "lib/fanout/fanout.ts",
    edits: [
      [
        "    if (cohort.cap?.isBehind) {\n      subscriber.marks",
        "    if (cohort.cap?.isBehind && Date.now() === 0) {\n      subscriber.marks",
      ],
    ],
  },
  {
    name: "what waits for one client is not bounded",
    file: "lib/fanout/fanout.ts",
    edits: [["else if (waiting > queueBytes) member.onSlow();", ""]],
  },
  {
    name: "renderings are not kept",
    file: "lib/fanout/format.ts",
    edits: [["publication.rendered.set(print, rendering);", ""]],
  },
  {
    name: "a topic is not left after it has lingered",
    file: "lib/feed/feed.ts",
    edits: [["        line.leave(entry.topic);", ""]],
  },
  {
    name: "topics that begin anew one after the other show positions in between",
    file: "lib/feed/replica.ts",
    edits: [["isHalfway = i < found.length - 1;", "isHalfway = false;"]],
  },
  {
    name: "a state is shown with the position of the one before",
    file: "lib/feed/replica.ts",
    edits: [["sequence = Math.max(sequence, reply.sequence); // the state", "// the state"]],
  },
  {
    name: "a position is shown beside a topic of which nothing is known",
    file: "lib/feed/replica.ts",
    edits: [["if (topic.isShownBlank) return NOWHERE;", "void topic;"]],
  },
  {
    name: "what is as of another life of the feed is taken",
    file: "lib/feed/replica.ts",
    edits: [["reply.epoch !== heard?.epoch ||", "!heard ||"]],
  },
  {
    name: "an image lacks what was there when something before it had become too old",
    file: "lib/topic/topic.ts",
    edits: [["...history.all(now)]", "...(history.since(history.floor, now) ?? [])]"]],
  },
];
