/** The ASP.NET Core origin of `tests/origin`: built once for its sources, and started. */

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Missing } from "./runtimes.ts";
import { runProgram } from "./spawn.ts";

/** The oldest SDK that builds the origin. */
const SDK_MAJOR = 10;

const SOURCES = fileURLToPath(new URL("../origin/", import.meta.url));

/** A .NET SDK. */
export interface Dotnet {
  readonly sdk: string;
}

export function findDotnet(): Dotnet | Missing {
  let sdk: string;
  try {
    sdk = execFileSync("dotnet", ["--version"], { encoding: "utf8", env: environment() }).trim();
  } catch {
    return { missing: "there is no dotnet on the PATH" };
  }
  if (Number.parseInt(sdk, 10) >= SDK_MAJOR) return { sdk };
  return { missing: `SDK ${sdk} is too old, ${SDK_MAJOR} is needed` };
}

/**
 * Builds the origin, unless these very sources have been built before.
 * @returns the command that starts it; options of its own may follow
 * @throws Error with the compiler's output
 */
export async function buildOrigin({ sdk }: Dotnet): Promise<readonly string[]> {
  const hash = createHash("sha256").update(sdk);
  for (const name of readdirSync(SOURCES).sort()) {
    if (/\.(cs|csproj)$/.test(name)) hash.update(name).update(readFileSync(join(SOURCES, name)));
  }
  const folder = join(tmpdir(), `keryx-origin-${hash.digest("hex").slice(0, 16)}`);
  const command = ["dotnet", join(folder, "bin/Origin/release/Origin.dll")];
  if (existsSync(folder)) return command;
  // Built beside and moved there whole: another suite may be building it at this moment.
  const work = mkdtempSync(`${folder}-`);
  try {
    const build = ["dotnet", "build", SOURCES, "-c", "Release", "--artifacts-path", work];
    const { code, output } = await runProgram([...build, "--nologo"], { env: environment() });
    if (code !== 0) throw new Error(`Cannot build the origin:\n${output}`);
    await rename(work, folder).catch((error: unknown) => {
      if (!existsSync(folder)) throw error; // the other was faster, which is as good
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return command;
}

function environment(): Record<string, string> {
  const { PATH = "", HOME = tmpdir() } = process.env;
  return {
    PATH,
    HOME,
    DOTNET_CLI_TELEMETRY_OPTOUT: "1",
    DOTNET_NOLOGO: "1",
    DOTNET_CLI_UI_LANGUAGE: "en",
  };
}
