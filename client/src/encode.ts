/** Percent-encoding, and the parts of a URL. By hand, since a `URL` would mend what was meant otherwise. */

/**
 * Percent-encodes all but RFC 3986's unreserved characters and those in `also`. Half a surrogate pair becomes bytes that
 * the server refuses as a validation problem; `encodeURIComponent` throws a URIError.
 */
export function encode(text: string, also = ""): string {
  return Array.from(text, (character) =>
    /[\w.~-]/.test(character) || also.includes(character) ? character : percent(character),
  ).join("");
}

function percent(character: string): string {
  const code = character.codePointAt(0)!;
  const bytes =
    code < 0x80
      ? [code]
      : code < 0x800
        ? [0xc0 | (code >> 6), 0x80 | (code & 63)]
        : code < 0x10000
          ? [0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63)]
          : [0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63)];
  return bytes.map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join("");
}

/** `?name=value&...` of the parameters that have a value. */
export function query(parameters: Record<string, string | number | null | undefined>): string {
  const pairs = Object.entries(parameters).flatMap(([name, value]) =>
    value == null ? [] : [`${encode(name)}=${encode(String(value))}`],
  );
  return pairs.length === 0 ? "" : `?${pairs.join("&")}`;
}

/** Origin and the rest of an absolute URL. The origin is lower case and without the default port, as in `Request.url`. */
export function splitUrl(url: string): { origin?: string; rest: string } {
  const [, origin, rest = url] = /^(https?:\/\/[^\s/?#@\\]+)(.*)$/is.exec(url) ?? [];
  return { rest, ...(origin && { origin: origin.toLowerCase().replace(/^(http:.*):80$|^(https:.*):443$/, "$1$2") }) };
}
