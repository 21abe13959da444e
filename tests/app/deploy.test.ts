/** What `deploy/` says of the relay, and the Dockerfile, holds together; containers are not started here. */

import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parseConfig } from "../../app/config.ts";
import { demoConfig } from "../../app/demo/config.ts";
import { declareWith } from "../support/needs.ts";
import { findRuntime, type Runtime } from "../support/runtimes.ts";

const ROOT = new URL("../../", import.meta.url);
const DEPLOY = new URL("deploy/", ROOT);

/** What of a compose file is looked at. */
interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

interface Service {
  readonly build?: string;
  readonly image?: string;
  readonly command?: readonly string[];
  readonly deploy?: { readonly replicas: number };
  readonly ports?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly stop_grace_period?: string;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
}

/** What of `keryx.json` is looked at before it is parsed. */
interface Written {
  readonly workers: number;
  readonly cluster: { readonly nats: string; readonly name: string };
  readonly hubs: Readonly<Record<string, { readonly origin: string }>>;
}

const written = JSON.parse(read("deploy/keryx.json")) as Written; // looked at below

declareWith("bun", findRuntime("bun"), (bun) => {
  describe("deploy/compose.yaml", () => declareCompose(parseYaml(bun, "deploy/compose.yaml")));
});

function declareCompose({ services, volumes }: Compose): void {
  const { relay, nats, origin } = services as Record<"relay" | "nats" | "origin", Service>;

  test("has three relays, NATS and an origin, each relay with a port of its own", () => {
    expect(Object.keys(services).sort()).toEqual(["nats", "origin", "relay"]);
    expect(relay.deploy?.replicas).toBe(3);
    const [, from, to] = /^127\.0\.0\.1:(\d+)-(\d+):8787$/.exec(relay.ports?.[0] ?? "") ?? [];
    expect(Number(to) - Number(from) + 1).toBe(3);
    expect(nats.command).toContain("-js");
    expect(origin.command).toEqual(["bun", "app/entry/bun.ts", "--origin"]);
    expect(relay.command).toBeUndefined();
  });

  test("names nothing that is not there", () => {
    for (const { build, depends_on = {}, volumes: mounts = [] } of Object.values(services)) {
      if (build) expect(existsSync(new URL(`${build}/Dockerfile`, DEPLOY))).toBe(true);
      for (const [name, { condition }] of Object.entries(depends_on)) {
        expect([name, condition]).toEqual([name, "service_healthy"]);
        expect(services[name]?.healthcheck?.test[0]).toBe("CMD");
      }
      for (const [from = ""] of mounts.map((mount) => mount.split(":"))) {
        const isThere = from.startsWith(".") ? existsSync(new URL(from, DEPLOY)) : from in volumes;
        expect([from, isThere]).toEqual([from, true]);
      }
    }
    expect(relay.volumes).toContain(`./keryx.json:${relay.environment?.KERYX_CONFIG}:ro`);
  });

  test("the configuration leads to the services", () => {
    const hub = new URL(written.hubs["/hubs/live"]?.origin ?? "");
    expect([hub.hostname, hub.port]).toEqual(["origin", origin.environment?.ORIGIN_PORT]);
    const bus = new URL(written.cluster.nats);
    expect([bus.protocol, bus.hostname, bus.port]).toEqual(["nats:", "nats", "4222"]);
  });

  test("the secret is in no file", () => {
    expect(relay.environment?.KERYX_SECRET).toMatch(/^\$\{KERYX_SECRET:\?.+\}$/);
    expect(written).not.toHaveProperty("secret");
  });

  test("a relay is not killed before its clients have gone", () => {
    const graceMs = Number.parseInt(relay.stop_grace_period ?? "", 10) * 1_000;
    expect(graceMs).toBeGreaterThan(parse(written).drainMs + 2_000);
  });

  test("says nothing to the programs that they do not hear", () => {
    const sources = sourcesOf("app/");
    for (const { build, environment = {} } of Object.values(services)) {
      if (!build) continue;
      const unheard = Object.keys(environment).filter((name) => !sources.includes(name));
      expect(unheard).toEqual([]);
    }
  });
}

describe("deploy/keryx.json", () => {
  test("is a configuration, and declares of the demo hub what the demo declares", () => {
    const { hubs } = parse(written);
    expect(hubs).toEqual(parseConfig(demoConfig("http://origin:5000/hubs/live")).hubs);
  });
});

describe("the Dockerfile", () => {
  const text = read("Dockerfile");

  test("copies what is there, and starts what it has copied", () => {
    const copied = [...text.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, files = ""]) =>
      files.split(" "),
    );
    expect(copied).toEqual(
      expect.arrayContaining(["package-lock.json", "bunfig.toml", "lib", "app"]),
    );
    const missing = copied.filter((file) => !existsSync(new URL(file, ROOT)));
    expect(missing).toEqual([]);
    expect(text).toContain('CMD ["bun", "app/entry/bun.ts"]');
  });

  test("has the Bun that everything is tested with", () => {
    const { devDependencies } = JSON.parse(read("package.json")) as {
      devDependencies: { bun: string };
    };
    const versions = [...text.matchAll(/^FROM oven\/bun:([\d.]+)/gm)].map(([, version]) => version);
    expect(versions).toEqual([devDependencies.bun, devDependencies.bun]);
  });
});

test.for(["deploy.md", "scale.md", "speed.md"])("the links of docs/%s lead somewhere", (name) => {
  const page = `docs/${name}`;
  const links = [...read(page).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)/g)];
  expect(links.length).toBeGreaterThan(0);
  for (const [link, file = "", anchor] of links) {
    const target = new URL(file || name, new URL(page, ROOT));
    expect([link, existsSync(target)]).toEqual([link, true]);
    if (anchor !== undefined) expect(anchorsOf(readFileSync(target, "utf8"))).toContain(anchor);
  }
});

/** Of the headings of a page, as they are linked to. */
function anchorsOf(page: string): string[] {
  return [...page.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w -]/g, "")
      .replaceAll(" ", "-"),
  );
}

/** As the relay reads it, with `KERYX_SECRET`. */
function parse(input: Written): ReturnType<typeof parseConfig> {
  return parseConfig({ ...input, secret: "comes of the environment" });
}

function read(path: string): string {
  return readFileSync(new URL(path, ROOT), "utf8");
}

/** All TypeScript in a folder, as one text. */
function sourcesOf(folder: string): string {
  const names = readdirSync(new URL(folder, ROOT), { recursive: true, encoding: "utf8" });
  const sources = names.filter((name) => name.endsWith(".ts"));
  return sources.map((name) => read(folder + name)).join("\n");
}

/** Bun has a parser for YAML; Node has none. */
function parseYaml(bun: Runtime, path: string): Compose {
  const [command = ""] = bun.command();
  const script = "console.log(JSON.stringify(Bun.YAML.parse(await Bun.stdin.text())))";
  const json = execFileSync(command, ["-e", script], { input: read(path), encoding: "utf8" });
  return JSON.parse(json) as Compose; // looked at above
}
