/** A hub as an operator declares it, compiled. */

import { type ConfigInput, parseConfig } from "../../app/config.ts";
import { compileHub } from "../../app/spec.ts";
import type { HubSpec } from "../../lib/feed.ts";

type HubInput = ConfigInput["hubs"][string];

export const HUB_PATH = "/hubs/test";

export function createHubSpec(
  topics: NonNullable<HubInput["topics"]>,
  options: Omit<ConfigInput, "hubs"> & Omit<HubInput, "topics" | "origin"> = {},
): HubSpec {
  const { accessToken, headers, calls, ...rest } = options;
  const hub = { origin: "http://origin.test/hub", accessToken, headers, calls, topics };
  const config = parseConfig({ ...rest, hubs: { [HUB_PATH]: hub } });
  return compileHub(
    HUB_PATH,
    Object.values(config.hubs)[0] as (typeof config.hubs)[string],
    config,
  );
}
