/** Bytes and text: hex, UTF-8, base64url without padding (RFC 4648, section 5). */

export const encodeHex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

export const encodeUtf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

// By hand, because `atob` and `Buffer` accept texts that the Worker refuses.
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** The bytes, or `null` for anything but the one canonical spelling of some bytes. */
export function decodeBase64url(text: string): Uint8Array | null {
  const bytes = new Uint8Array(Math.floor((text.length * 6) / 8));
  let written = 0;
  let bits = 0;
  let held = 0;
  for (const character of text) {
    const value = ALPHABET.indexOf(character);
    if (value < 0) return null;
    bits = ((bits << 6) | value) & 0xffff;
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes[written++] = bits >> held;
    }
  }
  const spare = bits & ((1 << held) - 1);
  return held < 6 && spare === 0 ? bytes : null;
}
