/** Which web pages may connect. */

/**
 * @param origin the `Origin` header
 * @param url of the request: its own origin is always allowed
 * @param allowed further origins; a `*` in place of the port allows any port
 */
export function isAllowedOrigin(origin: string, url: string, allowed: readonly string[]): boolean {
  // Compared by host: behind a proxy that ends TLS, the scheme that is seen here is not the page's.
  if (hostOf(origin) === new URL(url).host) return true;
  return allowed.some((one) =>
    one.endsWith(":*") ? origin.replace(/:\d+$/, "") === one.slice(0, -2) : origin === one,
  );
}

function hostOf(origin: string): string | undefined {
  try {
    return new URL(origin).host;
  } catch {
    return undefined; // "null", as sandboxed pages send it
  }
}
