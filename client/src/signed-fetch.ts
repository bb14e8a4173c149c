/** `fetch` with a signature, for openapi-fetch and other clients. */

import { encode, splitUrl } from "./encode.ts";
import { type AirlockOptions, bytesOf, createTransport } from "./transport.ts";

/**
 * A `fetch` for one Airlock: signs, corrects the clock, refreshes the token, and returns the response of any
 * status, with its body read. Paths that begin with `/` are the Airlock's. Bodies are strings or bytes.
 *
 * It throws a TypeError for another origin, AirlockNetworkError when there is no answer, and AirlockUserError when another
 * user has signed in before a repetition.
 *
 * @throws TypeError when an option is invalid
 */
export function createSignedFetch(options: AirlockOptions): typeof globalThis.fetch {
  const transport = createTransport(options);

  function targetOf(url: string): string {
    const { origin, rest } = /^\/(?!\/)/.test(url) ? { origin: transport.origin, rest: url } : splitUrl(url);
    if (origin !== transport.origin) throw new TypeError(`This fetch signs requests to ${transport.origin} alone.`);
    const [path = "", search] = rest.replace(/#.*/s, "").split(/\?(.*)/s);
    // The platform would send another path than the signed one.
    if (/(^|\/)\.\.?(\/|$)/.test(path)) throw new TypeError("The path has . or .. in it.");
    return encode(path || "/", "/%") + (search === undefined ? "" : `?${encode(search, "%=&+")}`);
  }

  return async (input, init = {}) => {
    const request = typeof input === "string" || input instanceof URL ? null : input;
    const method = (init.method ?? request?.method ?? "GET").toUpperCase();
    const target = targetOf(request?.url ?? String(input));
    return transport.call(init.signal ?? request?.signal, async (signal) => {
      // `text`, since React Native cannot read a Request's bytes.
      const text = init.body == null && request !== null ? await request.text() : undefined;
      const body = bytesOf(bodyOf(init.body) ?? (text || undefined));
      const answer = await transport.send({ method, target, headers: init.headers ?? request?.headers, body }, signal);
      const empty = [204, 205, 304].includes(answer.status);
      return new Response(empty ? null : answer.body, answer);
    });
  };
}

function bodyOf(body: unknown): string | Uint8Array | undefined {
  if (body == null) return undefined;
  if (typeof body === "string" || body instanceof Uint8Array) return body;
  if (body instanceof ArrayBuffer) return new Uint8Array(body);
  throw new TypeError("The body must be a string, Uint8Array or ArrayBuffer.");
}
