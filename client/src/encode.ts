/** Percent-encoding, JSON, and the parts of a URL. By hand, since a `URL` would rewrite some paths. */

import { unsendable } from "./error.ts";

/**
 * Percent-encodes all but RFC 3986's unreserved characters and those in `also`; `encodeURIComponent` leaves five more.
 */
export function encode(text: string, also = ""): string {
  return Array.from(encodable(text), (character) =>
    also.includes(character)
      ? character
      : encodeURIComponent(character).replace(/[!'()*]/, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`),
  ).join("");
}

/** Without the flag `u`: the pattern that Babel writes in its place takes the character before half of a pair, too. */
function replaceLoneSurrogates(text: string, replacement: (half: string) => string): string {
  return text.replace(/[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]/g, (found) =>
    found.length > 1 ? found : replacement(found),
  );
}

const encodable = (text: string) => replaceLoneSurrogates(text, () => "\ufffd");

/** JSON that UTF-8 can carry: `JSON.stringify` escapes half of a surrogate pair, but not in every Hermes. */
export function toJson(value: unknown): string {
  return replaceLoneSurrogates(JSON.stringify(value), (half) => `\\u${half.charCodeAt(0).toString(16)}`);
}

/**
 * `?name=value&...` of the parameters that have a value.
 *
 * @throws AirlockProblem for half a surrogate pair, such as half an emoji: a URL cannot carry it to the server
 */
export function query(parameters: Record<string, string | number | readonly string[] | null | undefined>): string {
  const pairs = Object.entries(parameters).flatMap(([name, value]) => {
    if (value == null) return [];
    if (encodable(String(value)) !== String(value)) throw unsendable(name, "has half of a character");
    return [`${name}=${encode(String(value))}`];
  });
  return pairs.length === 0 ? "" : `?${pairs.join("&")}`;
}

/**
 * Origin and the rest of an absolute URL. The origin is lower case and without the default port, as in `Request.url`.
 */
export function splitUrl(url: string): { origin?: string; rest: string } {
  const [, origin, rest = url] = /^(https?:\/\/[^\s/?#@\\]+)((?:[/?#].*)?)$/is.exec(url) ?? [];
  return { rest, ...(origin && { origin: origin.toLowerCase().replace(/^(http:.*):80$|^(https:.*):443$/, "$1$2") }) };
}
