import { dotnetConformance } from "./dotnet.ts";

dotnetConformance("deno");
