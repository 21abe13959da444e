import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ProtocolError } from "../../lib/errors.ts";
import {
  type NegotiateOffer,
  parseNegotiateResponse,
  parseNegotiateVersion,
  printNegotiateResponse,
} from "../../lib/wire/negotiate.ts";
import { jsonText } from "../support/json.ts";

const offer: NegotiateOffer = {
  negotiateVersion: 1,
  connectionId: "7rCZJ4R0hYyhWcqHHvqnkw",
  connectionToken: "t0ken7rCZJ4R0hYyhWcqHH",
  useStatefulReconnect: false,
  availableTransports: [
    { transport: "WebSockets", transferFormats: ["Text", "Binary"] },
    { transport: "ServerSentEvents", transferFormats: ["Text"] },
    { transport: "LongPolling", transferFormats: ["Text", "Binary"] },
  ],
};

const transports =
  '"availableTransports":[{"transport":"WebSockets","transferFormats":["Text","Binary"]},{"transport":"ServerSentEvents","transferFormats":["Text"]},{"transport":"LongPolling","transferFormats":["Text","Binary"]}]';

describe("the version that a client asks for", () => {
  const notInteger = { error: "The client requested a non-integer protocol version." };
  const tooLow = {
    error: "The client requested version '-1', but the server does not support this version.",
  };

  test.each([
    [[], 0],
    [["0"], 0],
    [["1"], 1],
    [["2"], 1],
    [["2147483647"], 1],
    [[" 1"], 1],
    [["+1"], 1],
    [["01"], 1],
    [["-1"], tooLow],
    [["abc"], notInteger],
    [[""], notInteger],
    [["1.0"], notInteger],
    [["1e0"], notInteger],
    [["0x1"], notInteger],
    [["1 1"], notInteger],
    [["99999999999"], notInteger],
    [["1", "1"], notInteger],
  ])("of %j is %j", (values, version) => {
    expect(parseNegotiateVersion(values)).toEqual(version);
  });
});

describe("an offer", () => {
  test("of version 1 has a token of its own, and the size of .NET's", () => {
    const body = printNegotiateResponse(offer);
    expect(body).toBe(
      `{"negotiateVersion":1,"connectionId":"7rCZJ4R0hYyhWcqHHvqnkw","connectionToken":"t0ken7rCZJ4R0hYyhWcqHH",${transports}}`,
    );
    expect(body).toHaveLength(316);
  });

  test("of version 0 has none", () => {
    const body = printNegotiateResponse({ ...offer, negotiateVersion: 0 });
    expect(body).toBe(
      `{"negotiateVersion":0,"connectionId":"7rCZJ4R0hYyhWcqHHvqnkw",${transports}}`,
    );
    expect(body).toHaveLength(273);
  });

  test("says that reconnect is stateful, and never that it is not", () => {
    const body = printNegotiateResponse({ ...offer, useStatefulReconnect: true });
    expect(body.startsWith('{"useStatefulReconnect":true,"negotiateVersion":1,')).toBe(true);
    expect(body).toHaveLength(344);
  });

  test("is read as it was written", () => {
    const { useStatefulReconnect, ...rest } = offer;
    expect(parseNegotiateResponse(printNegotiateResponse(offer))).toEqual(rest);
  });
});

describe("an origin's answer", () => {
  test("may be an error, a redirect or a connection, each with more than we know", () => {
    expect(parseNegotiateResponse('{"error":"no","x":1}')).toEqual({ error: "no" });
    expect(
      parseNegotiateResponse(
        '{"url":"https://b.test/h","accessToken":"t","availableTransports":[]}',
      ),
    ).toEqual({ url: "https://b.test/h", accessToken: "t" });
    expect(
      parseNegotiateResponse(
        '{"connectionId":"c","tokenLifetimeSeconds":1,"availableTransports":[{"transport":"Pigeon","transferFormats":["Seed"],"wings":2}]}',
      ),
    ).toEqual({
      connectionId: "c",
      availableTransports: [{ transport: "Pigeon", transferFormats: ["Seed"] }],
    });
  });

  test.each(["", "<html>", "[]", "null", "{}", '{"connectionId":"c"}', '{"error":1}'])(
    "%j is refused",
    (body) => {
      expect(() => parseNegotiateResponse(body)).toThrow(ProtocolError);
    },
  );

  test("garbage is refused as such or read, and nothing else", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), jsonText), (body) => {
        try {
          parseNegotiateResponse(body);
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError);
        }
      }),
    );
  });
});
