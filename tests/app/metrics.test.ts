import { expect, test } from "vitest";
import { createMetrics, mergeMetrics } from "../../app/metrics.ts";
import { createSetting } from "../support/context.ts";

test("the dwell time is a histogram in seconds, each bucket with those below it", async () => {
  const { context, stats } = createSetting({});
  const metrics = createMetrics(context);
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
  const { context } = createSetting({});
  const metrics = createMetrics(context);
  const text = await metrics.getSingleMetricAsString("keryx_edge_dwell_seconds");
  expect(text).toMatch(/_bucket\{le="\+Inf"\} 0\n.*_sum 0\n.*_count 0$/);
});

test("what waits and what is kept can be seen", async () => {
  const { context } = createSetting({});
  const text = await createMetrics(context, { histories: { bytes: 1_234 } }).metrics();
  expect(text).toContain("\nkeryx_history_bytes 1234\n");
  expect(text).toContain("\nkeryx_queued_bytes 0\n");
  expect(text).toContain("\nkeryx_lagging_clients 0\n");
});

test("the metrics of several isolates are one text, in which each has series of its own", async () => {
  const samples = ["1", "2"].map((isolate, i) => {
    const { context, stats } = createSetting({});
    stats.publications = 3 + i;
    stats.dwell.observe(i, 7);
    const registry = createMetrics(context);
    registry.setDefaultLabels({ isolate });
    return registry.getMetricsAsJSON();
  });
  const text = await mergeMetrics(structuredClone(await Promise.all(samples)), {
    isolates: 3,
    silent: 1,
    restarts: 2,
  });
  expect(text).toContain(
    [
      "# TYPE keryx_publications_total counter",
      'keryx_publications_total{isolate="1"} 3',
      'keryx_publications_total{isolate="2"} 4',
      "",
    ].join("\n"),
  );
  expect(text).toContain('keryx_clients{transport="sse",isolate="2"} 0\n');
  expect(text).toContain('keryx_edge_dwell_seconds_bucket{le="0.0001",isolate="1"} 7\n');
  expect(text).toContain('keryx_edge_dwell_seconds_count{isolate="2"} 7\n');
  expect(text).toContain("\nkeryx_isolates 3\n");
  expect(text).toContain("\nkeryx_isolates_silent 1\n");
  expect(text).toContain("\nkeryx_isolate_restarts_total 2\n");
  expect(text.match(/^# HELP keryx_clients /gm)).toHaveLength(1);
});
