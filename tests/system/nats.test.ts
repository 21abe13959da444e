/** How a relay comes into a NATS that does not let everybody in. */

import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { ConfigInput } from "../../app/config.ts";
import { eventually } from "../support/eventually.ts";
import { ask } from "../support/http.ts";
import { findNats, type Nats, type NatsServer } from "../support/nats.ts";
import { createCredentials } from "../support/nats-credentials.ts";
import { declareWith } from "../support/needs.ts";
import { findRuntime, type Missing, type Runtime } from "../support/runtimes.ts";
import { killAll, startProgram } from "../support/spawn.ts";
import { withConfig } from "../support/spawned-relay.ts";

const PASSWORD = "p@ss:w/rd%";

declareWith("nats-server", findNats(), (nats) => {
  declareWith("openssl", findOpenSsl(), (openssl) => {
    for (const name of ["bun", "deno", "node"] as const) {
      declareWith(name, findRuntime(name), (runtime) => {
        describe(`a relay on ${name}`, () => declareWays(nats, openssl, runtime));
      });
    }
  });
});

function declareWays(server: NatsServer, openssl: OpenSsl, runtime: Runtime): void {
  let folder: string;
  let open: Nats;
  let secured: Nats;
  let signed: Nats;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "keryx-nats-"));
    openssl.certify(folder);
    const path = join(folder, "nats.conf");
    await writeFile(path, `authorization { token: "${PASSWORD}" }`);
    open = await server.start("-c", path);
    const other = join(folder, "tls.conf");
    await writeFile(
      other,
      `authorization { user: relay, password: "${PASSWORD}" }
       tls { cert_file: "${folder}/server.pem", key_file: "${folder}/server.key" }`,
    );
    secured = await server.start("-c", other);
    const credentials = createCredentials();
    await writeFile(join(folder, "relay.creds"), credentials.file);
    await writeFile(join(folder, "other.creds"), createCredentials().file);
    const third = join(folder, "jwt.conf");
    await writeFile(third, credentials.server);
    signed = await server.start("-c", third);
  });
  afterAll(async () => {
    await killAll();
    await open?.end();
    await secured?.end();
    await signed?.end();
    await rm(folder, { recursive: true });
  });

  /** Starts a relay. @returns what it says of NATS once it is, or is not, connected, and its log */
  async function connect(cluster: NonNullable<ConfigInput["cluster"]>, until: RegExp) {
    const config: ConfigInput = {
      hubs: { "/hub": { origin: "http://127.0.0.1:9/hub" } },
      secret: "the same on all machines",
      cluster,
    };
    const program = await withConfig(JSON.stringify(config), (KERYX_CONFIG) =>
      startProgram(runtime.command(), {
        env: { PORT: "0", HOST: "127.0.0.1", KERYX_CONFIG },
        ready: /"url":"http:\/\/localhost:(\d+)"[^\n]*keryx is listening/,
      }),
    );
    onTestFinished(() => void program.kill());
    const url = `http://127.0.0.1:${program.ready[1]}`;
    await eventually(program.output, (output) => until.test(output));
    const { nats } = (await ask(url, "/readyz")).json() as { nats: string }; // of ours
    return { nats, log: program.output() };
  }

  const say = (password: string) => encodeURIComponent(password);

  test("shows its token, which stands in the URL", async () => {
    const url = `nats://${say(PASSWORD)}@127.0.0.1:${open.port}`;
    const { nats, log } = await connect({ nats: url }, /connected to NATS/);
    expect(nats).toBe("connected");
    expect(log).not.toContain(say(PASSWORD));
  });

  test("trusts an authority, and shows a user and a password in the URL", async () => {
    const url = `tls://relay:${say(PASSWORD)}@localhost:${secured.port}`;
    const ca = join(folder, "ca.pem");
    const { nats, log } = await connect({ nats: url, ca }, /connected to NATS/);
    expect(nats).toBe("connected");
    expect(log).not.toContain(say(PASSWORD));
  });

  test("shows those that are configured rather than those in the URL", async () => {
    const cluster = {
      nats: `tls://relay:wrong@localhost:${secured.port}`,
      password: PASSWORD,
      ca: join(folder, "ca.pem"),
    };
    expect((await connect(cluster, /connected to NATS/)).nats).toBe("connected");
  });

  test("shows a file of credentials", async () => {
    const connected = { nats: signed.url, credentials: join(folder, "relay.creds") };
    expect((await connect(connected, /connected to NATS/)).nats).toBe("connected");
    const refused = { nats: signed.url, credentials: join(folder, "other.creds") };
    expect((await connect(refused, /cannot connect to NATS/)).nats).toBe("away");
  });

  test.for<[name: string, reason: RegExp, cluster: (port: number) => object]>([
    ["a wrong password", /error":"[^"]*[Aa]uthorization/, () => ({ password: "wrong" })],
    ["no authority", /error":"[^"]*certificate/, () => ({ password: PASSWORD, ca: undefined })],
  ])("is not connected with %s, and says why", async ([, reason, change]) => {
    const nats = `tls://relay@localhost:${secured.port}`;
    const cluster = { nats, user: "relay", ca: join(folder, "ca.pem"), ...change(secured.port) };
    // By and by: the server may have cut it off before it was told.
    expect((await connect(cluster, reason)).nats).toBe("away");
  });
}

interface OpenSsl {
  /** Makes `ca.pem`, and `server.pem` with `server.key` for localhost, in a folder. */
  certify(folder: string): void;
}

function findOpenSsl(): OpenSsl | Missing {
  const path = "/usr/bin/openssl";
  if (!existsSync(path)) return { missing: `there is no ${path}` };
  const run = (folder: string, command: string) =>
    execFileSync(path, command.split(" "), { cwd: folder, stdio: "ignore" });
  const newKey = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1";
  return {
    certify(folder) {
      run(folder, `req -x509 ${newKey} -subj /CN=ca -keyout ca.key -out ca.pem`);
      run(
        folder,
        `req -x509 ${newKey} -subj /CN=server -addext subjectAltName=DNS:localhost -addext basicConstraints=CA:FALSE -CA ca.pem -CAkey ca.key -keyout server.key -out server.pem`,
      );
    },
  };
}
