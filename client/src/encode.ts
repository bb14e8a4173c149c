/** Percent-encoding, and the parts of a URL. By hand, since a `URL` would mend what was meant otherwise. */

import { AirlockProblem } from "./error.ts";

/** Percent-encodes all but RFC 3986's unreserved characters and those in `also`; `encodeURIComponent` leaves five more. */
export function encode(text: string, also = ""): string {
  return Array.from(text.replace(LONE_SURROGATE, "\ufffd"), (character) =>
    also.includes(character)
      ? character
      : encodeURIComponent(character).replace(/[!'()*]/, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`),
  ).join("");
}

const LONE_SURROGATE = /[\ud800-\udfff]/gu;

/**
 * `?name=value&...` of the parameters that have a value.
 *
 * @throws AirlockProblem for half a surrogate pair, such as half an emoji: a URL cannot carry it to the server
 */
export function query(parameters: Record<string, string | number | null | undefined>): string {
  const pairs = Object.entries(parameters).flatMap(([name, value]) => {
    if (value == null) return [];
    if (String(value).search(LONE_SURROGATE) >= 0) throw halfCharacter(name);
    return [`${name}=${encode(String(value))}`];
  });
  return pairs.length === 0 ? "" : `?${pairs.join("&")}`;
}

/** What the server answers where the half character is in a body. */
function halfCharacter(parameter: string): AirlockProblem {
  return new AirlockProblem(
    {
      type: "urn:airlock:problem:validation_failed",
      title: "The request is not valid",
      status: 422,
      code: "validation_failed",
      detail: "The request was not sent.",
      request_id: null,
      retryable: false,
      errors: [{ parameter, code: "value", message: "has half of a character" }],
    },
    null,
  );
}

/** Origin and the rest of an absolute URL. The origin is lower case and without the default port, as in `Request.url`. */
export function splitUrl(url: string): { origin?: string; rest: string } {
  const [, origin, rest = url] = /^(https?:\/\/[^\s/?#@\\]+)((?:[/?#].*)?)$/is.exec(url) ?? [];
  return { rest, ...(origin && { origin: origin.toLowerCase().replace(/^(http:.*):80$|^(https:.*):443$/, "$1$2") }) };
}
