/** Percent-encoding, and the parts of a URL. By hand, since a `URL` would mend what was meant otherwise. */

import { unsendable } from "./error.ts";

/** Percent-encodes all but RFC 3986's unreserved characters and those in `also`; `encodeURIComponent` leaves five more. */
export function encode(text: string, also = ""): string {
  return Array.from(text, (character) => {
    if (also.includes(character)) return character;
    const sendable = isLoneSurrogate(character) ? "\ufffd" : character;
    return encodeURIComponent(sendable).replace(/[!'()*]/, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);
  }).join("");
}

/**
 * Of one character of `Array.from`. The pattern has no flag `u`: the one that Babel writes in its place takes the character
 * before it, too.
 */
const isLoneSurrogate = (character: string) => /^[\ud800-\udfff]$/.test(character);

/**
 * `?name=value&...` of the parameters that have a value.
 *
 * @throws AirlockProblem for half a surrogate pair, such as half an emoji: a URL cannot carry it to the server
 */
export function query(parameters: Record<string, string | number | null | undefined>): string {
  const pairs = Object.entries(parameters).flatMap(([name, value]) => {
    if (value == null) return [];
    if (Array.from(String(value)).some(isLoneSurrogate)) throw unsendable(name, "has half of a character");
    return [`${name}=${encode(String(value))}`];
  });
  return pairs.length === 0 ? "" : `?${pairs.join("&")}`;
}

/** Origin and the rest of an absolute URL. The origin is lower case and without the default port, as in `Request.url`. */
export function splitUrl(url: string): { origin?: string; rest: string } {
  const [, origin, rest = url] = /^(https?:\/\/[^\s/?#@\\]+)((?:[/?#].*)?)$/is.exec(url) ?? [];
  return { rest, ...(origin && { origin: origin.toLowerCase().replace(/^(http:.*):80$|^(https:.*):443$/, "$1$2") }) };
}
