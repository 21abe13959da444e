/**
 * Connection tokens, the `id` of a SignalR URL. A token says itself, signed, to whom it belongs, so
 * that any isolate can pass a request on to the right one, and a negotiated connection that nobody
 * claims costs no memory.
 *
 * ```
 * token = base64url(body mac)             URL-safe: clients put it into URLs without escaping
 * body  = flags issuedAt id ownerLength owner origin
 * mac   = first 16 bytes of HMAC-SHA-256(secret, body)
 * flags = 1 byte: 1 stateful, 2 with an origin; other bits are 0
 * ```
 * `issuedAt` is 6 bytes, big-endian; `id` 16 bytes; `ownerLength` one byte; `owner` and `origin` are
 * UTF-8. Signed is not hidden: who holds a token can read it.
 */

/** What a token carries. */
export interface Token {
  /** Id of the isolate that issued it and serves its connection; 1 to 32 characters. */
  readonly owner: string;
  /** Unix time, ms. A token does not age by itself: how long it holds is for the reader to judge. */
  readonly issuedAt: number;
  /** What tells the owner's connections apart: 16 random bytes, 22 characters of base64url. */
  readonly id: string;
  /** The connection may outlive its socket. */
  readonly stateful: boolean;
  /** The origin's own token of the connection behind; opaque, well-formed, at most 512 characters. */
  readonly origin: string | undefined;
}

export interface Tokens {
  /**
   * A new token, with a new id.
   * @returns at most 2,230 characters out of `A–Z a–z 0–9 - _`; 64 without an `origin`, when the
   * owner has 8 of ASCII
   * @throws {RangeError} when `origin` is too long
   */
  issue(connection: {
    readonly stateful: boolean;
    readonly origin?: string | undefined;
  }): Promise<string>;
  /** @returns `undefined` for any text that was not issued with this secret */
  read(token: string): Promise<Token | undefined>;
}

/**
 * @param secret at least 16 bytes, text as UTF-8; isolates that share it read each other's tokens
 * @param now Unix time, ms
 * @param random so many random bytes; of the runtime's cryptographic source unless told
 * @throws {RangeError} when the secret or the owner has a wrong length
 */
export function createTokens(options: {
  readonly secret: Uint8Array | string;
  readonly owner: string;
  now(): number;
  random?(length: number): Uint8Array;
}): Tokens {
  const { owner, now, random = randomBytes } = options;
  const secret = encode(options.secret);
  if (secret.length < MIN_SECRET_BYTES) {
    throw new RangeError(`The secret needs at least ${MIN_SECRET_BYTES} bytes: ${secret.length}`);
  }
  if (owner === "" || owner.length > MAX_OWNER_LENGTH) {
    throw new RangeError(`The owner needs 1 to ${MAX_OWNER_LENGTH} characters: "${owner}"`);
  }
  const key = crypto.subtle.importKey("raw", secret, HMAC, false, ["sign", "verify"]);

  return {
    async issue({ stateful, origin }) {
      if (origin !== undefined && origin.length > MAX_ORIGIN_LENGTH) {
        throw new RangeError(`Cannot issue a token: origin has ${origin.length} characters`);
      }
      const body = print({ owner, issuedAt: now(), stateful, origin }, random(ID_BYTES));
      const mac = await crypto.subtle.sign("HMAC", await key, body);
      return toBase64Url(concat(body, new Uint8Array(mac, 0, MAC_BYTES)));
    },

    async read(token) {
      const bytes = token.length <= MAX_TOKEN_LENGTH ? fromBase64Url(token) : undefined;
      if (!bytes || bytes.length < HEAD_BYTES + MAC_BYTES) return undefined;
      const body = bytes.slice(0, -MAC_BYTES);
      // Only `verify` compares in constant time, and it takes whole signatures: what the token left
      // out of its own is filled in from ours.
      const mac = new Uint8Array(await crypto.subtle.sign("HMAC", await key, body));
      mac.set(bytes.subarray(-MAC_BYTES));
      return (await crypto.subtle.verify("HMAC", await key, mac, body)) ? parse(body) : undefined;
    },
  };
}

const HMAC = { name: "HMAC", hash: "SHA-256" };
const MAC_BYTES = 16;
const ID_BYTES = 16;
const MIN_SECRET_BYTES = 16;
const MAX_OWNER_LENGTH = 32;
const MAX_ORIGIN_LENGTH = 512;

/** Where the fields of a body begin. */
const ISSUED_AT = 1;
const ID = ISSUED_AT + 6;
const OWNER_LENGTH = ID + ID_BYTES;
const HEAD_BYTES = OWNER_LENGTH + 1;

/** A character has at most 3 bytes of UTF-8; 3 bytes are 4 characters of base64url. */
const MAX_TOKEN_LENGTH = Math.ceil(
  ((HEAD_BYTES + 3 * (MAX_OWNER_LENGTH + MAX_ORIGIN_LENGTH) + MAC_BYTES) * 4) / 3,
);

const STATEFUL = 1;
const WITH_ORIGIN = 2;

function print(token: Omit<Token, "id">, id: Uint8Array): Uint8Array<ArrayBuffer> {
  const owner = encode(token.owner);
  const head = new Uint8Array(HEAD_BYTES);
  const view = new DataView(head.buffer);
  head[0] = (token.stateful ? STATEFUL : 0) | (token.origin === undefined ? 0 : WITH_ORIGIN);
  view.setUint16(ISSUED_AT, Math.floor(token.issuedAt / 2 ** 32));
  view.setUint32(ISSUED_AT + 2, token.issuedAt % 2 ** 32);
  head.set(id, ID);
  head[OWNER_LENGTH] = owner.length;
  return concat(head, owner, encode(token.origin ?? ""));
}

/** @param body one whose signature is good, so that it is as `print` has written it */
function parse(body: Uint8Array<ArrayBuffer>): Token {
  const view = new DataView(body.buffer);
  const flags = view.getUint8(0);
  const originStart = HEAD_BYTES + view.getUint8(OWNER_LENGTH);
  return {
    owner: decoder.decode(body.subarray(HEAD_BYTES, originStart)),
    issuedAt: view.getUint16(ISSUED_AT) * 2 ** 32 + view.getUint32(ISSUED_AT + 2),
    id: toBase64Url(body.subarray(ID, OWNER_LENGTH)),
    stateful: (flags & STATEFUL) !== 0,
    origin: flags & WITH_ORIGIN ? decoder.decode(body.subarray(originStart)) : undefined,
  };
}

const encoder = new TextEncoder();
// Opaque text shall come back as it was, also when it begins with U+FEFF.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** A copy of its own, as `crypto.subtle` and its types want it. */
function encode(text: Uint8Array | string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(typeof text === "string" ? encoder.encode(text) : text);
}

function randomBytes(length: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(length));
}

function concat(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function toBase64Url(bytes: Uint8Array): string {
  const text = btoa(String.fromCharCode(...bytes));
  return text.replace(/=+$/, "").replaceAll("+", "-").replaceAll("/", "_");
}

/** @returns `undefined` for anything that `toBase64Url` does not write */
function fromBase64Url(text: string): Uint8Array<ArrayBuffer> | undefined {
  let binary: string;
  try {
    binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  } catch {
    return undefined; // not base64
  }
  const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
  // `atob` overlooks white space, padding and the last character's unused bits: one token would
  // have several spellings.
  return toBase64Url(bytes) === text ? bytes : undefined;
}
