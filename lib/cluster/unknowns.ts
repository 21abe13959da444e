/** Topics of which nothing is known here yet: the owner is asked for them until it has told. */

import type { Clock } from "../clock.ts";
import type { Image } from "../feed/message.ts";
import type { Topic } from "../topic/topic.ts";
import { follow, type Numbered } from "./image.ts";
import type { Images, TopicEvent } from "./message.ts";

export interface Unknowns {
  has(topic: Topic): boolean;
  /** Whether somebody was shown something of one of them, which may not be what others know. */
  readonly isShown: boolean;
  /** Nothing is known of a topic from here on. */
  add(topic: Topic): void;
  delete(topic: Topic): void;
  /** Takes what happened to a topic, to be told once the rest is known. @returns whether it did */
  note(topic: Topic, happened: Numbered): boolean;
  /** To be called after each entry of the log. */
  advance(): void;
  /** Asks for those that are not asked for. */
  ask(): void;
  /** What the owner did not take on is to be asked for again. */
  retry(): void;
}

export interface UnknownsOptions {
  /** Asks the owner; `undefined` while there is none to be asked. */
  ask(names: readonly string[]): Promise<Images> | undefined;
  /** Number of the newest entry that was read. */
  number(): number;
  /** The topic of this name, if it is wanted still. */
  find(name: string): Topic | undefined;
  /** All that the owner knows of a topic, as of the newest entry. */
  onKnown(topic: Topic, image: Image): void;
  onEnded(topic: Topic, event: Extract<TopicEvent, { type: "ended" }>): void;
  readonly clock: Clock;
}

/** Names in one question. */
const NAMES_PER_ASK = 256;

/** What may happen to a topic while its image is on the way; beyond, it is asked for anew. */
const MAX_MISSED = 1_000;

interface Unknown {
  /** Which question asks for it; `undefined` when none does. */
  ask: number | undefined;
  /** What happened to it since it was asked for. */
  missed: Numbered[];
}

/** In place of a question: the owner has not taken the topic on. */
const REFUSED = -1;

export function createUnknowns(options: UnknownsOptions): Unknowns {
  const { number, find, onKnown, onEnded, clock } = options;
  const unknowns = new Map<Topic, Unknown>();
  /** Images of a time that has not been read yet. */
  let early: { readonly ask: number; readonly images: Images }[] = [];
  let askCount = 0;
  let isAskDue = false;

  function add(topic: Topic): void {
    unknowns.set(topic, { ask: undefined, missed: [] });
    if (isAskDue) return;
    isAskDue = true;
    clock.soon(() => {
      isAskDue = false;
      ask();
    });
  }

  function ask(): void {
    for (const topic of unknowns.keys()) if (find(topic.name) !== topic) unknowns.delete(topic);
    const due = [...unknowns].filter(([, { ask }]) => ask === undefined);
    for (let i = 0; i < due.length; i += NAMES_PER_ASK) {
      const some = due.slice(i, i + NAMES_PER_ASK);
      const asked = options.ask(some.map(([{ name }]) => name));
      if (!asked) return;
      const own = ++askCount;
      for (const [, unknown] of some) Object.assign(unknown, { ask: own, missed: [] });
      asked.then(
        (images) => {
          if (images.asOf > number()) early.push({ ask: own, images });
          else know(images, own);
        },
        () => {
          for (const [, unknown] of some) if (unknown.ask === own) unknown.ask = undefined;
        },
      );
    }
  }

  /** What was asked for is known; of another question's topics nothing is believed. */
  function know({ images, asOf }: Images, own: number): void {
    for (const image of images) {
      const topic = find(image.name);
      const unknown = topic && unknowns.get(topic);
      if (!topic || unknown?.ask !== own) continue;
      bring(
        topic,
        image,
        unknown.missed.filter(({ number }) => number > asOf),
      );
    }
    for (const unknown of unknowns.values()) if (unknown.ask === own) unknown.ask = REFUSED;
  }

  /** Takes the image of a topic to where the log has been read. */
  function bring(topic: Topic, image: Image, missed: readonly Numbered[]): void {
    for (const { event } of missed) {
      if (event.type === "left") return add(topic);
      if (event.type !== "ended") continue;
      unknowns.delete(topic);
      return onEnded(topic, event);
    }
    unknowns.delete(topic);
    onKnown(topic, missed.reduce(follow, image));
  }

  return {
    has: (topic) => unknowns.has(topic),
    get isShown() {
      for (const topic of unknowns.keys()) {
        if (topic.state === "stale" || topic.isShownBlank) return true;
      }
      return false;
    },
    add,
    delete: (topic) => void unknowns.delete(topic),
    note(topic, happened) {
      const unknown = unknowns.get(topic);
      if (!unknown) return false;
      // Before it is asked for, it is in the image.
      if (unknown.ask !== undefined) unknown.missed.push(happened);
      if (unknown.missed.length > MAX_MISSED) add(topic);
      return true;
    },
    advance() {
      if (early.length === 0) return;
      const due = early.filter(({ images }) => images.asOf <= number());
      early = early.filter(({ images }) => images.asOf > number());
      for (const { ask, images } of due) know(images, ask);
    },
    ask,
    retry() {
      for (const unknown of unknowns.values()) if (unknown.ask === REFUSED) unknown.ask = undefined;
    },
  };
}
