import { defineConfig } from "vitest/config";

/** Where a machine-readable report shall go, beside what is printed. */
const report = process.env.KERYX_REPORT;

/**
 * `unit` and `conformance` need nothing that npm does not install; `system` needs the .NET SDK,
 * Chromium, nginx and nats-server. `load` is thousands of clients; `KERYX_LOAD=full` takes an hour.
 */
export default defineConfig({
  test: {
    reporters: report ? ["default", ["json", { outputFile: report }]] : ["default"],
    testTimeout: 20_000,
    hookTimeout: 60_000,
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: [
            "tests/{wire,topic,fanout,feed,bus,cluster,upstream,downstream,client,demo,app,page}/**/*.test.ts",
            "tests/simulation/*.test.ts",
            "tests/*.test.ts",
          ],
        },
      },
      {
        extends: true,
        test: {
          name: "conformance",
          include: ["tests/conformance/*.test.ts"],
          fileParallelism: false,
        },
      },
      {
        extends: true,
        test: {
          name: "system",
          include: ["tests/system/*.test.ts"],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 180_000,
        },
      },
      {
        extends: true,
        test: {
          name: "load",
          include: ["tests/load/*.test.ts"],
          fileParallelism: false,
          testTimeout: 1_200_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
});
