import { expect, test } from "vitest";
import { healthRoutes, type Standing } from "../../app/routes/health.ts";
import { createSetting } from "../support/context.ts";

const metrics = { contentType: "text/plain", metrics: async () => "" };

async function ask(standing?: Standing) {
  const { context } = createSetting({ bell: { events: { Bell: "bell" } } });
  const app = healthRoutes(context, metrics, standing && (() => standing));
  const response = await app.request("/readyz");
  return { status: response.status, answer: await response.json() };
}

test("readiness of a relay that is alone knows its hubs", async () => {
  const { status, answer } = await ask();
  expect(status).toBe(200);
  expect(answer).toEqual({ status: "ready", hubs: { "/hubs/test": "connected" } });
});

test.for<[Standing["bus"], number]>([
  ["owner", 200],
  ["heard", 200],
  ["silent", 503],
])("readiness of an isolate whose bus is %s: %i", async ([bus, expected]) => {
  const { status, answer } = await ask({ isolates: 2, bus });
  expect(status).toBe(expected);
  expect(answer).toMatchObject({ isolates: 2, bus, hubs: { "/hubs/test": "connected" } });
});
