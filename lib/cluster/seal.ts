/**
 * Finds machines that sign connection tokens with another secret. Nothing else would tell: each
 * takes the clients of the other for unknown, and answers them 404.
 */

import { decode, encode } from "@msgpack/msgpack";
import type { Clock } from "../clock.ts";
import type { ClusterPort } from "./port.ts";

/** How often a machine shows its seal, ms. */
const SHOW_MS = 30_000;

/** Machines of which it has been told; those before are told of again. */
const MAX_TOLD = 1_000;

/**
 * Shows the others what this machine's secret makes of a text that all know, and looks at theirs.
 * @param options.subject where machines do so
 * @param options.onOther called once for each machine that has another secret
 * @returns stops it
 */
export function showSeal(options: {
  readonly machine: string;
  readonly secret: string;
  readonly port: ClusterPort;
  readonly subject: string;
  onOther(machine: string): void;
  readonly clock: Clock;
}): () => void {
  const { machine, port, subject, clock } = options;
  const told = new Set<string>();
  let stops: (() => void)[] = [];
  let isStopped = false;

  function begin(own: string): void {
    if (isStopped) return;
    const show = () => {
      if (port.connected) port.post(subject, encode([machine, own]));
    };
    const hear = (bytes: Uint8Array) => {
      const [other, seal] = decode(bytes) as [string, string]; // nobody else writes there
      if (seal === own || told.has(other)) return;
      if (told.size >= MAX_TOLD) told.clear();
      told.add(other);
      options.onOther(other);
      show(); // it may have come after this one had shown its own
    };
    const timer = clock.every(SHOW_MS, show);
    stops = [() => timer.cancel(), port.watch(show), port.listen(subject, hear)];
    show();
  }

  void sealOf(options.secret).then(begin);
  return () => {
    isStopped = true;
    for (const stop of stops) stop();
  };
}

/** @returns 16 hexadecimal digits that nobody can make without the secret */
async function sealOf(secret: string): Promise<string> {
  const encoder = new TextEncoder();
  const hmac = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", encoder.encode(secret), hmac, false, ["sign"]);
  const mac = await crypto.subtle.sign("HMAC", key, encoder.encode("keryx cluster"));
  return Array.from(new Uint8Array(mac, 0, 8), (byte) => byte.toString(16).padStart(2, "0")).join(
    "",
  );
}
