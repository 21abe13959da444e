/** A hub as an operator declares it, compiled. */

import { type ConfigInput, parseConfig } from "../../app/config.ts";
import { compileHubs } from "../../app/spec.ts";
import type { HubSpec } from "../../lib/feed/spec.ts";

type HubInput = ConfigInput["hubs"][string];

const PATH = "/hubs/test";

/** @param options of the hub and of the whole configuration */
export function createHubSpec(
  topics: NonNullable<HubInput["topics"]>,
  options: Omit<ConfigInput, "hubs"> & Pick<HubInput, "calls"> = {},
): HubSpec {
  const { calls, ...rest } = options;
  const hub = { origin: "http://origin.test/hub", topics, calls };
  const spec = compileHubs(parseConfig({ ...rest, hubs: { [PATH]: hub } })).get(PATH);
  if (!spec) throw new Error("It was declared above");
  return spec;
}
