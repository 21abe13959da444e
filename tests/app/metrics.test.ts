import { expect, test } from "vitest";
import { createMetrics } from "../../app/metrics.ts";
import { createSetting } from "../support/context.ts";

test("the dwell time is a histogram in seconds, each bucket with those below it", async () => {
  const { context, stats } = createSetting({});
  const metrics = createMetrics(stats, context.sessions, context.relay);
  stats.dwell.observe(0.05, 3);
  stats.dwell.observe(2, 10);
  stats.dwell.observe(9_000, 1);
  const text = await metrics.getSingleMetricAsString("keryx_edge_dwell_seconds");
  expect(text.split("\n")).toEqual([
    expect.stringMatching(/^# HELP keryx_edge_dwell_seconds ./),
    "# TYPE keryx_edge_dwell_seconds histogram",
    'keryx_edge_dwell_seconds_bucket{le="0.0001"} 3',
    'keryx_edge_dwell_seconds_bucket{le="0.00025"} 3',
    'keryx_edge_dwell_seconds_bucket{le="0.0005"} 3',
    'keryx_edge_dwell_seconds_bucket{le="0.001"} 3',
    'keryx_edge_dwell_seconds_bucket{le="0.0025"} 13',
    'keryx_edge_dwell_seconds_bucket{le="0.005"} 13',
    'keryx_edge_dwell_seconds_bucket{le="0.01"} 13',
    'keryx_edge_dwell_seconds_bucket{le="0.025"} 13',
    'keryx_edge_dwell_seconds_bucket{le="0.05"} 13',
    'keryx_edge_dwell_seconds_bucket{le="0.1"} 13',
    'keryx_edge_dwell_seconds_bucket{le="0.25"} 13',
    'keryx_edge_dwell_seconds_bucket{le="0.5"} 13',
    'keryx_edge_dwell_seconds_bucket{le="1"} 13',
    'keryx_edge_dwell_seconds_bucket{le="2.5"} 13',
    'keryx_edge_dwell_seconds_bucket{le="+Inf"} 14',
    "keryx_edge_dwell_seconds_sum 9.02015",
    "keryx_edge_dwell_seconds_count 14",
  ]);
  expect(await metrics.metrics()).toContain(text);
  expect(await metrics.getMetricsAsJSON()).toContainEqual(
    expect.objectContaining({ name: "keryx_edge_dwell_seconds", type: "histogram" }),
  );
});

test("the dwell time is a whole histogram before anything was counted", async () => {
  const { context, stats } = createSetting({});
  const metrics = createMetrics(stats, context.sessions, context.relay);
  const text = await metrics.getSingleMetricAsString("keryx_edge_dwell_seconds");
  expect(text).toMatch(/_bucket\{le="\+Inf"\} 0\n.*_sum 0\n.*_count 0$/);
});
