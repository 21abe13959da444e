/** `POST {hub}/negotiate`. */

import { type Cases, each } from "./case.ts";

export const negotiation: Cases = {
  ...each(
    {
      "version 1": "?negotiateVersion=1",
      "no version": "",
      "version 2": "?negotiateVersion=2",
      "version abc": "?negotiateVersion=abc",
      "an empty version": "?negotiateVersion=",
      "version 1.0": "?negotiateVersion=1.0",
      "version twice": "?negotiateVersion=1&negotiateVersion=1",
      "a version above 32 bits": "?negotiateVersion=99999999999",
      "a version behind a blank": "?negotiateVersion=%201",
      "a version with a plus": "?negotiateVersion=%2B1",
      "a version with a zero": "?negotiateVersion=01",
      "version -1": "?negotiateVersion=-1",
      "a query of its own": "?a=b&negotiateVersion=1&c",
      "a name in capitals": "?NEGOTIATEVERSION=1",
      "stateful, where it is not allowed": "?negotiateVersion=1&useStatefulReconnect=true",
    },
    (name) => `negotiate: ${name}`,
    (query) => (peer) => peer.ask(`POST /hubs/plain/negotiate${query}`),
  ),
  ...each(
    {
      "stateful TRUE": "?negotiateVersion=1&useStatefulReconnect=TRUE",
      "stateful 1": "?negotiateVersion=1&useStatefulReconnect=1",
      "stateful, empty": "?negotiateVersion=1&useStatefulReconnect=",
      "stateful false": "?negotiateVersion=1&useStatefulReconnect=false",
      "stateful twice": "?negotiateVersion=1&useStatefulReconnect=true&useStatefulReconnect=true",
      "stateful in version 0": "?useStatefulReconnect=true",
      "stateful not asked for": "?negotiateVersion=1",
    },
    (name) => `negotiate: ${name}`,
    (query) => (peer) => peer.ask(`POST /hubs/stateful/negotiate${query}`),
  ),
  ...each(
    ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"],
    (method) => `negotiate: ${method}`,
    (method) => (peer) => peer.ask(`${method} /hubs/plain/negotiate?negotiateVersion=1`),
  ),
  ...each(
    ["/hubs/ws-only", "/hubs/sse-only", "/hubs/lp-only"],
    (hub) => `negotiate: ${hub}`,
    (hub) => (peer) => peer.ask(`POST ${hub}/negotiate?negotiateVersion=1`),
  ),
  "negotiate: a path in capitals": (peer) =>
    peer.ask("POST /HUBS/PLAIN/NEGOTIATE?negotiateVersion=1"),
  "negotiate: a slash behind": (peer) => peer.ask("POST /hubs/plain/negotiate/?negotiateVersion=1"),
  "negotiate: a slash too many": (peer) => peer.ask("POST /hubs/plain//negotiate"),
  "negotiate: a body, which is not looked at": (peer) =>
    peer.ask("POST /hubs/plain/negotiate?negotiateVersion=1", {
      headers: { "Content-Type": "image/png", Accept: "image/png" },
      body: "{garbage",
    }),
  "negotiate: an empty body with its length": (peer) =>
    peer.ask("POST /hubs/plain/negotiate?negotiateVersion=1", { body: "" }),
  "negotiate: a chunked body": (peer) =>
    peer.ask("POST /hubs/plain/negotiate?negotiateVersion=1", {
      headers: { "Transfer-Encoding": "chunked" },
      body: "2\r\n{}\r\n0\r\n\r\n",
    }),
  "negotiate: below the hub's least version": (peer) => peer.ask("POST /hubs/modern/negotiate"),
  "negotiate: no user": (peer) => peer.ask("POST /hubs/secure/negotiate?negotiateVersion=1"),
  "negotiate: an unknown user": (peer) =>
    peer.ask("POST /hubs/secure/negotiate?negotiateVersion=1", {
      headers: { Authorization: "Bearer nobody" },
    }),
  "negotiate: a user": (peer) =>
    peer.ask("POST /hubs/secure/negotiate?negotiateVersion=1", {
      headers: { Authorization: "Bearer ada" },
    }),
  "negotiate: a user in the query": (peer) =>
    peer.ask("POST /hubs/secure/negotiate?negotiateVersion=1&access_token=ada"),
  "negotiate: no hub": (peer) => peer.ask("POST /hubs/none/negotiate?negotiateVersion=1"),
  "negotiate: a preflight": (peer) =>
    peer.ask("OPTIONS /hubs/plain/negotiate?negotiateVersion=1", {
      headers: { Origin: "http://example.com", "Access-Control-Request-Method": "POST" },
    }),
  "negotiate: from another web origin": (peer) =>
    peer.ask("POST /hubs/plain/negotiate?negotiateVersion=1", {
      headers: { Origin: "http://example.com" },
    }),
  "refresh, which version 10 does not have": async (peer) => {
    const target = await peer.negotiate("/hubs/plain");
    await peer.ask(`POST ${target.replace("?", "/refresh?")}`);
  },
};
