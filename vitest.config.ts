import { defineConfig } from "vitest/config";

/** `fast` needs nothing but the machine; each other project is a slower suite of `.ci/run`. */
export default defineConfig({
  test: {
    reporters: ["default"],
    testTimeout: 20_000,
    hookTimeout: 60_000,
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: [
            "tests/{wire,topic,fanout,upstream,downstream,client,demo,app}/**/*.test.ts",
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
    ],
  },
});
