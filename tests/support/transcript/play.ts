import { createPeer, type Peer } from "./peer.ts";
import { createTranscript, type Transcript } from "./transcript.ts";

/** Scripts that are played at one time: most of them wait most of the time. */
const AT_ONCE = 12;

/** Plays scripts to a server. @returns what each of them has seen, by its name */
export async function play(
  url: string,
  scripts: Readonly<Record<string, (peer: Peer) => Promise<unknown>>>,
  atOnce: number = AT_ONCE,
): Promise<ReadonlyMap<string, Transcript>> {
  const transcripts = new Map<string, Transcript>();
  const waiting = Object.entries(scripts);
  async function work(): Promise<void> {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [name, script] = next;
      const transcript = createTranscript();
      transcripts.set(name, transcript);
      const peer = createPeer(url, transcript);
      try {
        await script(peer);
      } catch (error) {
        transcript.add(`failed: ${error}`);
      } finally {
        peer.close();
      }
    }
  }
  await Promise.all(Array.from({ length: atOnce }, work));
  return transcripts;
}
