/**
 * Preloaded into a relay: at each SIGUSR2 it collects garbage and prints `heap {bytes} {how often}`,
 * so that what it shows is what is held, not what has not been collected yet. Buffers are in it.
 */

const { Bun } = globalThis as { Bun?: { gc(isSynchronous: boolean): void } };
let count = 0;

process.on("SIGUSR2", () => {
  if (Bun) Bun.gc(true);
  else globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  console.log(`heap ${heapUsed + external} ${++count}`);
});
