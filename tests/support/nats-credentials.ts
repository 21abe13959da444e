/** An operator of NATS with one account and one user, as `nsc` would make them. */

import { createAccount, createOperator, createUser, type KeyPair } from "@nats-io/nkeys";

export interface Credentials {
  /** Configuration of a server that knows the account, and nobody else. */
  readonly server: string;
  /** The file that a client shows. */
  readonly file: string;
}

/** @see https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/jwt */
export function createCredentials(): Credentials {
  const [operator, account, user] = [createOperator(), createAccount(), createUser()];
  const system = createAccount(); // JetStream wants one
  const limits = { subs: -1, data: -1, payload: -1, imports: -1, exports: -1, conn: -1, leaf: -1 };
  const storage = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };
  const operatorToken = sign(operator, operator, {
    type: "operator",
    system_account: system.getPublicKey(),
  });
  const systemToken = sign(operator, system, { type: "account", limits });
  const accountToken = sign(operator, account, {
    type: "account",
    limits: { ...limits, ...storage, wildcards: true },
  });
  const userToken = sign(account, user, { type: "user", subs: -1, data: -1, payload: -1 });
  return {
    server: `
      operator: ${operatorToken}
      resolver: MEMORY
      resolver_preload: {
        ${system.getPublicKey()}: ${systemToken}
        ${account.getPublicKey()}: ${accountToken}
      }`,
    file: [
      "-----BEGIN NATS USER JWT-----",
      userToken,
      "------END NATS USER JWT------",
      "",
      "-----BEGIN USER NKEY SEED-----",
      new TextDecoder().decode(user.getSeed()),
      "------END USER NKEY SEED------",
      "",
    ].join("\n"),
  };
}

/** A JWT. */
function sign(issuer: KeyPair, subject: KeyPair, nats: object): string {
  const claims = {
    jti: crypto.randomUUID(),
    iat: Math.floor(Date.now() / 1_000),
    iss: issuer.getPublicKey(),
    sub: subject.getPublicKey(),
    name: "test",
    nats: { ...nats, version: 2 },
  };
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString("base64url");
  const body = `${encode({ typ: "JWT", alg: "ed25519-nkey" })}.${encode(claims)}`;
  const signature = issuer.sign(new TextEncoder().encode(body));
  return `${body}.${Buffer.from(signature).toString("base64url")}`;
}
