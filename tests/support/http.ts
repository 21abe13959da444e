import { type IncomingHttpHeaders, request } from "node:http";

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The body's JSON. @throws SyntaxError */
  json(): unknown;
}

/**
 * One request on a connection of its own, with a path that goes out exactly as it is written, which
 * `fetch` would tidy up.
 */
export function ask(
  url: string,
  path: string,
  { method = "GET", headers = {} }: { method?: string; headers?: Record<string, string> } = {},
): Promise<Reply> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const sent = request({ hostname, port, path, method, headers, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("error", reject);
      response.on("end", () => {
        const { statusCode = 0 } = response;
        resolve({
          status: statusCode,
          headers: response.headers,
          text,
          json: () => JSON.parse(text),
        });
      });
    });
    sent.on("error", reject);
    sent.setTimeout(10_000, () => sent.destroy(new Error(`${method} ${path} took too long`)));
    sent.end();
  });
}
