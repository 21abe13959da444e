/** A topic as it was at one place of the log, taken on by what happened to it since. */

import type { Image } from "../feed/message.ts";
import type { TopicEvent } from "./message.ts";

/** An event with its number. */
export interface Numbered {
  readonly number: number;
  readonly event: TopicEvent;
}

/** @param event not `ended` and not `left`: there is no image after these */
export function follow(image: Image, { number, event }: Numbered): Image {
  switch (event.type) {
    case "published": {
      const publication = { ...event.publication, sequence: number };
      return { ...image, publications: [...image.publications, publication] };
    }
    case "reset":
      return { ...image, ...event.facts, state: "live", floor: number };
    case "changed":
      return { ...image, ...event.facts };
    case "stalled":
      return { ...image, state: "stale", brokenAt: number };
    case "ended":
    case "left":
      return image;
  }
}
