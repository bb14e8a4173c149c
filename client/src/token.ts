/** What a token says, unverified: the server verifies it. */

import { decodeBase64url } from "./bytes.ts";
import { parseJson } from "./error.ts";

/** The claims of a JWT; none of anything else. Texts that are not ASCII are garbled. */
export function payloadOf(token: string | null): any {
  const [, payload = ""] = token?.split(".") ?? [];
  return Object(parseJson(String.fromCharCode(...(decodeBase64url(payload) ?? []))));
}
