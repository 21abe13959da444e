import { describe, expect, test } from "vitest";
import { createManualClock } from "../../lib/clock.ts";
import { createStreamSink } from "../../lib/downstream/stream-sink.ts";
import { FAREWELL_MS } from "../../lib/socket.ts";
import { createWheel } from "../../lib/wheel.ts";
import { turn } from "../support/turn.ts";

const bytes = (length: number) => new Uint8Array(length);

describe("a stream's sink", () => {
  test("says what waits to be read", async () => {
    const sink = createStreamSink(expect.unreachable);
    expect(Math.abs(sink.bufferedBytes)).toBe(0);
    expect(sink.send(bytes(10))).toBe(false);
    expect(sink.send("é")).toBe(false);
    expect(sink.bufferedBytes).toBe(12);
    const reader = sink.body.getReader();
    await reader.read();
    expect(sink.bufferedBytes).toBe(2);
    await reader.read();
    expect(Math.abs(sink.bufferedBytes)).toBe(0);
    const waiting = reader.read();
    expect(sink.send(bytes(5))).toBe(true);
    expect((await waiting).value).toHaveLength(5);
    expect(Math.abs(sink.bufferedBytes)).toBe(0);
  });

  test("brings what was sent, text as UTF-8, and then ends", async () => {
    const sink = createStreamSink(expect.unreachable);
    sink.send("é");
    sink.send(new TextEncoder().encode("a"));
    sink.close();
    sink.close();
    sink.send("late");
    expect(await new Response(sink.body).text()).toBe("éa");
  });

  test("tells once that the client has gone, and takes no notice of anything after", async () => {
    let gone = 0;
    const sink = createStreamSink(() => gone++);
    sink.send("a");
    await sink.body.cancel();
    expect(gone).toBe(1);
    expect(sink.send("b")).toBe(true);
    expect(Math.abs(sink.bufferedBytes)).toBe(0);
    sink.close();
    await turn();
    expect(gone).toBe(1);
  });

  test("does not tell so when it was closed here", async () => {
    const sink = createStreamSink(expect.unreachable);
    sink.send("a");
    sink.close();
    await sink.body.cancel();
  });

  describe("that is closed while something waits", () => {
    /** The wheel's tick. */
    const TICK_MS = 100;

    function setUp(options: { readonly cut?: () => void } = {}) {
      const clock = createManualClock();
      const sink = createStreamSink(expect.unreachable, {
        wheel: createWheel(clock, { tickMs: TICK_MS }),
        cut: options.cut,
      });
      sink.send("a");
      return { clock, sink };
    }

    test("gives its client a while to read, and then has it cut", async () => {
      let cuts = 0;
      const { clock, sink } = setUp({ cut: () => void cuts++ });
      sink.close();
      clock.advance(FAREWELL_MS - 1);
      expect(cuts).toBe(0);
      clock.advance(TICK_MS);
      expect(cuts).toBe(1);
    });

    test("drops it after that where nobody can be cut", async () => {
      const { clock, sink } = setUp();
      sink.close();
      clock.advance(FAREWELL_MS + TICK_MS);
      await expect(new Response(sink.body).text()).rejects.toThrow("did not read to the end");
    });

    test("is whole for a client that reads within that time", async () => {
      const { clock, sink } = setUp();
      sink.close();
      clock.advance(FAREWELL_MS - 1);
      const text = new Response(sink.body).text();
      await turn();
      clock.advance(TICK_MS);
      expect(await text).toBe("a");
    });

    test("has nobody cut who has read all", async () => {
      const { clock, sink } = setUp({ cut: expect.unreachable });
      const reader = sink.body.getReader();
      await reader.read();
      const last = reader.read();
      sink.close();
      expect((await last).done).toBe(true);
      clock.advance(FAREWELL_MS + TICK_MS);
    });
  });
});
