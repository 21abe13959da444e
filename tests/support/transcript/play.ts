/** Scripts, played to a server. */

import { createPeer, type Peer } from "./peer.ts";
import { NoWebSocketError } from "./socket-peer.ts";
import { createTranscript, type Transcript } from "./transcript.ts";

/** Whatever a peer writes down is what counts. */
export type Script = (peer: Peer) => Promise<unknown>;

/** What scripts have seen, by their names. */
export type Transcripts = ReadonlyMap<string, Transcript>;

/** Begins the last line of a script that has thrown. */
export const FAILED = "failed: ";

/** Scripts that are played at one time: most of them wait most of the time. */
const AT_ONCE = 12;

/** Plays scripts to a server, several at one time. */
export async function play(
  url: string,
  scripts: Readonly<Record<string, Script>>,
): Promise<Transcripts> {
  const transcripts = new Map<string, Transcript>();
  const waiting = Object.entries(scripts);
  async function work(): Promise<void> {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [name, script] = next;
      const { transcript, ended } = playOne(url, script);
      transcripts.set(name, transcript);
      await ended;
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return transcripts;
}

/**
 * Plays scripts to a server that is told to end in the middle of each.
 * @param scripts each calls `told` when it is ready for that, and goes on when it was done
 * @param tell tells the server
 */
export async function playToEnd(
  url: string,
  scripts: Readonly<Record<string, (peer: Peer, told: () => Promise<void>) => Promise<unknown>>>,
  tell: () => void,
): Promise<Transcripts> {
  const transcripts = new Map<string, Transcript>();
  const all = Object.entries(scripts);
  let waiting = 0;
  let goOn = () => {};
  const done = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const told = () => {
    if (++waiting === all.length) {
      tell();
      goOn();
    }
    return done;
  };
  const played = all.map(([name, script]) => {
    const { transcript, ended } = playOne(url, (peer) => script(peer, told));
    transcripts.set(name, transcript);
    return ended;
  });
  await Promise.all(played);
  return transcripts;
}

function playOne(url: string, script: Script): { transcript: Transcript; ended: Promise<void> } {
  const transcript = createTranscript();
  const peer = createPeer(url, transcript);
  const ended = script(peer)
    .catch((error) => {
      if (!(error instanceof NoWebSocketError)) transcript.add(`${FAILED}${error}`);
    })
    .then(peer.close);
  return { transcript, ended };
}
