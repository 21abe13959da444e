/** Messages as lines that a test can compare: `match/1 Odds[2.1] @7`, `match/1 live @8`. */

import type { Format } from "../../lib/fanout/format.ts";
import type { Message } from "../../lib/topic/publication.ts";

export function printLine(message: Message): string {
  switch (message.type) {
    case "publication":
      return `${message.topic} ${message.event}${message.raw} ${at(message.position)}`;
    case "newest":
      return `${printLine(message.publication)} newest`;
    case "conflated":
      return `${message.topic} conflated ${message.skipped}`;
    case "value": {
      const { topic, event, raw } = message.publication;
      return `${topic} ${event}${raw}`;
    }
    case "reset": {
      const snapshot = message.snapshot === undefined ? "" : ` ${message.snapshot}`;
      return `${message.topic} reset ${message.reason}${snapshot}`;
    }
    case "subscribed": {
      const outcome = message.recovered ? "recovered" : "reset";
      return `${message.topic} subscribed ${outcome} ${message.state} ${at(message.position)}`;
    }
    case "stale":
      return `${message.topic} stale`;
    case "live":
      return `${message.topic} live ${at(message.position)}`;
    case "unsubscribed": {
      const error = message.error === undefined ? "" : `: ${message.error}`;
      return `${message.topic} unsubscribed ${message.reason}${error}`;
    }
  }
}

function at(position: string): string {
  return position.replace(/^.*:/, "@");
}

/** A line for each message; like the plain protocols it knows states. */
export const lineFormat: Format = {
  name: "line",
  stateful: true,
  kept: true,
  publication: printLine,
  whole: (publication) => printLine({ type: "newest", publication }),
  notice: printLine,
  frame: (lines) => lines.join("\n"),
};

/** Like SignalR it knows publications only, and the end. */
export const barePublications: Format = {
  ...lineFormat,
  name: "bare",
  stateful: false,
  notice: (notice) => (notice.type === "unsubscribed" ? printLine(notice) : undefined),
};
