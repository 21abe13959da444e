import { dotnetConformance } from "./dotnet.ts";

dotnetConformance("node");
