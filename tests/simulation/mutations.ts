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
        "    const waits = batch.flatMap(",
        `    const open = (one: Held) => one.feed.opening(one.entry, since.get(one.entry.topic.name));
    Object.assign(requests, { read: new Map(batch.map((one) => [one, open(one)])) });
    const waits = batch.flatMap(`,
      ],
      [
        "ready.map((held) => held.feed.opening(held.entry, wishOf(held)?.since))",
        "ready.map((held) => (requests as any).read.get(held) ?? [])",
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
    edits: [["if (!lapse) onEvent(event);", "onEvent(event);"]],
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
  {
    name: "what a replica has asked in another lapse is taken for an answer",
    file: "lib/feed/replica.ts",
    edits: [
      [
        "if (reply.lapse !== lapse?.id) return;",
        "if ((reply.lapse === undefined) !== (lapse === undefined)) return;",
      ],
    ],
  },
  {
    name: "of what is stale the publications are told, and not the loss",
    file: "lib/feed/server.ts",
    edits: [[`topic.state === "live" && topic.recovers`, "topic.recovers"]],
  },
  {
    name: "an entry needs only the right number, not the one before it",
    file: "tests/simulation/network.ts",
    edits: [["isNext: after === handed", "isNext: false"]],
  },
  {
    name: "an owner whose entry is refused goes on",
    file: "lib/cluster/writer.ts",
    edits: [["newest.catch(lose);", "newest.catch(() => {});"]],
  },
  {
    name: "an owner of which nothing is stored goes on",
    file: "lib/cluster/candidate.ts",
    edits: [[`return void depose("nothing that it writes is stored");`, ""]],
  },
  {
    name: "an owner that is silent for a moment is succeeded",
    file: "lib/cluster/engine.ts",
    edits: [["(isFree ? turn : leaseMs + turn)", "turn"]],
  },
  {
    name: "another owner is no break",
    file: "lib/cluster/engine.ts",
    edits: [
      [
        `    hasResigned = false;
    forget();`,
        "    hasResigned = false;",
      ],
    ],
  },
  {
    name: "another owner is not known by its beat",
    file: "lib/cluster/engine.ts",
    edits: [["if (event.term !== epoch) setTerm(event.term);", ""]],
  },
  {
    name: "a hole in the log is ignored",
    file: "lib/cluster/reader.ts",
    edits: [["if (isHole) miss();", ""]],
  },
  {
    name: "after a hole in the log the owner before is believed",
    file: "lib/cluster/engine.ts",
    edits: [
      [
        `    epoch = NOWHERE;
    forget();
  }

  /** Nothing`,
        `    forget();
  }

  /** Nothing`,
      ],
    ],
  },
  {
    name: "another log is taken for the same",
    file: "lib/cluster/reader.ts",
    edits: [["opened.life !== journal?.life || ", ""]],
  },
  {
    name: "a log that has lost its end is taken for the same",
    file: "lib/cluster/reader.ts",
    edits: [[" || opened.last < number", ""]],
  },
  {
    name: "what was numbered higher in the log before stays",
    file: "lib/cluster/engine.ts",
    edits: [["if (isAnother) {", `if (isAnother && names.log === "") {`]],
  },
  {
    name: "a log that has forgotten all it had is waited for",
    file: "lib/cluster/reader.ts",
    edits: [["if (opened.first > number + 1) {", "if (opened.first > Number.MAX_VALUE) {"]],
  },
  {
    name: "a machine that reads nothing takes what it knows for new",
    file: "lib/cluster/engine.ts",
    edits: [["if (now - reader.heardAt > 2 * leaseMs) goAway();", ""]],
  },
  {
    name: "a machine that reads again stays stale",
    file: "lib/cluster/engine.ts",
    edits: [["if (isNewest && isAway) comeBack();", "if (isNewest) isAway = false;"]],
  },
  {
    name: "an answer is given before it is stored",
    file: "lib/cluster/term.ts",
    edits: [
      [
        `        await writer.stored();
`,
        "",
      ],
    ],
  },
  {
    name: "an image of later than what was read is taken at once",
    file: "lib/cluster/unknowns.ts",
    edits: [
      [
        `if (images.asOf > number()) early.push({ ask: own, images });
          else know(images, own);`,
        "know(images, own);",
      ],
    ],
  },
  {
    name: "what happened since an image is forgotten",
    file: "lib/cluster/unknowns.ts",
    edits: [["missed.reduce(follow, image)", "image"]],
  },
  {
    name: "what is in an image happens again",
    file: "lib/cluster/unknowns.ts",
    edits: [["unknown.missed.filter(({ number }) => number > asOf)", "unknown.missed"]],
  },
  {
    name: "a reset does not move the floor of an image",
    file: "lib/cluster/image.ts",
    edits: [[`state: "live", floor: number`, `state: "live"`]],
  },
  {
    name: "a topic that was left while it was asked for is believed",
    file: "lib/cluster/unknowns.ts",
    edits: [[`if (event.type === "left") return add(topic);`, ""]],
  },
  {
    name: "a question that nobody answered is not asked again",
    file: "lib/cluster/unknowns.ts",
    edits: [
      ["for (const [, unknown] of some) if (unknown.ask === own) unknown.ask = undefined;", ""],
    ],
  },
  {
    name: "nobody is told that a topic was left",
    file: "lib/cluster/term.ts",
    edits: [
      [
        `    writer.write(names.topic(name), { type: "left", name });
`,
        "",
      ],
    ],
  },
  {
    name: "what a dead machine wanted stays wanted",
    file: "lib/cluster/term.ts",
    edits: [["!heardAt.has(from) || ", ""]],
  },
  {
    name: "what a machine left without a word stays wanted",
    file: "lib/cluster/term.ts",
    edits: [[" || now - at > INTEREST_TTL_MS", ""]],
  },
  {
    name: "a loss of the origin is not written",
    file: "lib/cluster/ledger.ts",
    edits: [
      [`if (state === "live") writer.write(names.topic(name), { type: "stalled", name });`, ""],
    ],
  },
  {
    name: "a snapshot has the number of another place",
    file: "lib/cluster/ledger.ts",
    edits: [["numbering.logged(snapshot.sequence)", "snapshot.sequence"]],
  },
  {
    name: "what comes while the owner joins a topic is not kept",
    file: "lib/cluster/engine.ts",
    edits: [
      [
        "for (const one of publications) if (one.sequence > known) table.publish(topic, one);",
        "void known;",
      ],
    ],
  },
  {
    name: "an owner that hears too late that it is one begins",
    file: "lib/cluster/candidate.ts",
    edits: [
      ['if (isLate(sentAt)) throw new Error("It was stored, and that was heard too late");', ""],
      ["storedAt: from.sentAt,", "storedAt: clock.monotonic(),"],
    ],
  },
  {
    name: "a position of a cluster is shown beside a topic of which nothing is known",
    file: "lib/cluster/engine.ts",
    edits: [["return quiet.size > 0 || unknowns.isShown ? NOWHERE : epoch;", "return epoch;"]],
  },
];
