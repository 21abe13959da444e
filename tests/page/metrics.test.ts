import { expect, test } from "vitest";
import { parse, total } from "../../app/page/metrics.ts";

const TEXT = `# HELP keryx_clients Clients connected now
# TYPE keryx_clients gauge
keryx_clients{transport="websocket"} 812
keryx_clients{transport="sse",note="a } brace, a \\"quote\\"\\n"} 436 1700000000000

keryx_deliveries_total 1.5e+06
keryx_lag{quantile="0.5"} NaN
keryx_limit +Inf
not a sample at all
`;

test("a sample is its name, its labels and its value", () => {
  expect(parse(TEXT)).toEqual([
    { name: "keryx_clients", labels: { transport: "websocket" }, value: 812 },
    {
      name: "keryx_clients",
      labels: { transport: "sse", note: 'a } brace, a "quote"\n' },
      value: 436,
    },
    { name: "keryx_deliveries_total", labels: {}, value: 1_500_000 },
    { name: "keryx_lag", labels: { quantile: "0.5" }, value: Number.NaN },
    { name: "keryx_limit", labels: {}, value: Number.POSITIVE_INFINITY },
  ]);
});

test("a total sums over label sets, and is undefined where there is no sample", () => {
  const samples = parse(TEXT);
  expect(total(samples, "keryx_clients")).toBe(1248);
  expect(total(samples, "keryx_lag")).toBeUndefined();
  expect(total(samples, "keryx_client")).toBeUndefined();
});
