import { conformance } from "../conformance/suite.ts";
import { buildOrigin, findDotnet } from "../support/dotnet.ts";
import { declareWith } from "../support/needs.ts";
import { dotnetOrigin } from "../support/origins.ts";
import { findRuntime, type RuntimeName } from "../support/runtimes.ts";

/** The conformance suite in front of the ASP.NET Core origin. */
export function dotnetConformance(name: RuntimeName): void {
  declareWith("dotnet", findDotnet(), (dotnet) => {
    declareWith(name, findRuntime(name), (runtime) => {
      conformance(runtime, async (port) => dotnetOrigin(await buildOrigin(dotnet))(port));
    });
  });
}
