/** Content codings, as far as they are spoken here. */

/**
 * Whether a client wants gzip rather than the plain text.
 * @param header `Accept-Encoding`; absent, anything would do, but who can decode says so
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-12.5.3
 */
export function acceptsGzip(header: string | undefined): boolean {
  const weights = new Map((header ?? "").split(",").map(readCoding));
  const gzip = weights.get("gzip") ?? weights.get("x-gzip") ?? weights.get("*") ?? 0;
  return gzip > 0 && gzip >= (weights.get("identity") ?? 0);
}

/** `gzip`, or `gzip;q=0.5`. What cannot be read weighs nothing. */
function readCoding(item: string): [coding: string, weight: number] {
  const [coding = "", ...parameters] = item.split(";").map((part) => part.trim().toLowerCase());
  const weight = parameters.find((parameter) => /^q\s*=/.test(parameter));
  if (weight === undefined) return [coding, 1];
  const value = weight.slice(weight.indexOf("=") + 1).trim();
  return [coding, /^(0(\.\d{0,3})?|1(\.0{0,3})?)$/.test(value) ? Number(value) : 0];
}
