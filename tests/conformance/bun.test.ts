import { declareWith } from "../support/needs.ts";
import { embeddedOrigin } from "../support/origins.ts";
import { findRuntime } from "../support/runtimes.ts";
import { conformance } from "./suite.ts";

declareWith("bun", findRuntime("bun"), (bun) => conformance(bun, embeddedOrigin(bun)));
