import { declareWith } from "../support/needs.ts";
import { embeddedOrigin } from "../support/origins.ts";
import { findRuntime } from "../support/runtimes.ts";
import { conformance } from "./suite.ts";

declareWith("deno", findRuntime("deno"), (deno) => conformance(deno, embeddedOrigin(deno)));
