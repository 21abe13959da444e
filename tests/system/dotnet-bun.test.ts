import { dotnetConformance } from "./dotnet.ts";

dotnetConformance("bun");
