import { describe, expect, test } from "vitest";
import { createManualClock } from "../../lib/clock.ts";
import { createSlowWatch } from "../../lib/fanout/slow.ts";
import { createLimits } from "../support/limits.ts";
import { createSink, type FakeSink } from "../support/sink.ts";

function setUp(options: Parameters<typeof createLimits>[0] = {}) {
  const clock = createManualClock();
  const watch = createSlowWatch(clock, createLimits(options), () => {});
  const cut: FakeSink[] = [];
  return {
    clock,
    watch,
    cut,
    /** Sends so many bytes, none of which is taken yet. */
    send(sink: FakeSink, bytes: number) {
      sink.bufferedBytes += bytes;
      const sender = {
        sink,
        onSlow() {
          cut.push(sink);
          watch.remove(sender);
          sink.bufferedBytes = 0;
        },
      };
      watch.add(sender, bytes);
    },
  };
}

describe("a connection that takes nothing", () => {
  test("is cut after stuckMs, also while more is sent to it", () => {
    const { clock, cut, send } = setUp({ stuckMs: 1_000 });
    const sink = createSink();
    for (let ms = 0; ms < 900; ms += 100) {
      send(sink, 10);
      clock.advance(100);
    }
    expect(cut).toEqual([]);
    send(sink, 10);
    clock.advance(100);
    expect(cut).toEqual([sink]);
  });

  test("is left alone as long as it takes something now and then", () => {
    const { clock, cut, send } = setUp({ stuckMs: 1_000 });
    const sink = createSink();
    send(sink, 100);
    for (let round = 0; round < 10; round++) {
      clock.advance(900);
      send(sink, 5);
      sink.bufferedBytes -= 6; // it takes less than it is sent, but takes
    }
    expect(cut).toEqual([]);
    clock.advance(1_100);
    expect(cut).toEqual([sink]);
  });

  test("is forgotten once nothing waits for it", () => {
    const { clock, cut, send, watch } = setUp({ stuckMs: 1_000 });
    const sink = createSink();
    send(sink, 100);
    clock.advance(500);
    expect(watch.queuedBytes).toBe(100);
    sink.bufferedBytes = 0;
    clock.advance(100);
    expect(watch.queuedBytes).toBe(0);
    sink.bufferedBytes = 7; // of a heartbeat, which nobody reports
    clock.advance(5_000);
    expect(cut).toEqual([]);
  });
});

test("when too much waits in total, those go for whom most does", () => {
  const { clock, cut, send, watch } = setUp({ totalQueueBytes: 100 });
  const [small, large, middle] = [createSink(), createSink(), createSink()];
  send(small, 20);
  send(large, 60);
  send(middle, 50);
  clock.advance(100);
  expect(cut).toEqual([large]);
  expect(watch.queuedBytes).toBe(70);
  send(small, 90);
  clock.advance(100);
  expect(cut).toEqual([large, small]);
});
