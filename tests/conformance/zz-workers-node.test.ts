import { declareWith } from "../support/needs.ts";
import { embeddedOrigin } from "../support/origins.ts";
import { findRuntime } from "../support/runtimes.ts";
import { conformance } from "./suite.ts";

// Several isolates keep the promises of one.
declareWith("node", findRuntime("node"), (node) => {
  conformance({ ...node, env: { KERYX_WORKERS: "2" } }, embeddedOrigin(node));
});
