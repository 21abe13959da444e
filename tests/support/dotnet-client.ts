/** The official .NET client of `tests/dotnet-client`, built once for its sources. */

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Dotnet } from "./dotnet.ts";

const SOURCES = fileURLToPath(new URL("../dotnet-client/", import.meta.url));
/** A first build fetches the client's package. */
const BUILD_TIMEOUT_MS = 120_000;

/**
 * Builds the client, unless these very sources have been built before.
 * @returns the command that starts it; a cell as JSON follows
 * @throws Error with the compiler's output
 */
export async function buildDotnetClient({ sdk }: Dotnet): Promise<readonly string[]> {
  const hash = createHash("sha256").update(sdk);
  for (const name of readdirSync(SOURCES).sort()) {
    if (/\.(cs|csproj)$/.test(name)) hash.update(name).update(readFileSync(join(SOURCES, name)));
  }
  const folder = join(tmpdir(), `keryx-client-${hash.digest("hex").slice(0, 16)}`);
  const command = ["dotnet", join(folder, "bin/Client/release/Client.dll")];
  if (existsSync(folder)) return command;
  // Built beside and moved there whole: another suite may be building it at this moment.
  const work = mkdtempSync(`${folder}-`);
  try {
    await build(work);
    await rename(work, folder).catch((error: unknown) => {
      if (!existsSync(folder)) throw error; // the other was faster, which is as good
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return command;
}

function build(folder: string): Promise<void> {
  const args = ["build", SOURCES, "-c", "Release", "--artifacts-path", folder, "--nologo"];
  const env = { ...process.env, DOTNET_CLI_TELEMETRY_OPTOUT: "1", DOTNET_NOLOGO: "1" };
  return new Promise((resolve, reject) => {
    execFile("dotnet", args, { env, timeout: BUILD_TIMEOUT_MS }, (error, stdout, stderr) => {
      if (error) reject(new Error(`Cannot build the .NET client:\n${stdout}${stderr}`));
      else resolve();
    });
  });
}
