// Finding secrets in text: what must be in no file, no commit and no build.

/** What was found, without the secret itself. */
export interface Finding {
  kind: string;
  /** Enough to find it again. */
  begins: string;
}

const PATTERNS: [kind: string, pattern: RegExp][] = [
  ["a Supabase secret key", /\bsb_secret_[A-Za-z0-9_-]{16,}/g],
  ["a private key", /-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=\s]{40,}/g],
  ["a Cloudflare API token", /\bCLOUDFLARE_API_TOKEN\s*=\s*\S{20,}/g],
];
const JWT = /\beyJ[A-Za-z0-9_-]{5,}\.(eyJ[A-Za-z0-9_-]{5,})\.[A-Za-z0-9_-]{20,}/g;

/** All secrets in a text. A JWT counts by its role: the legacy anon key is public, any other is not. */
export function findSecrets(text: string): Finding[] {
  const findings = PATTERNS.flatMap(([kind, pattern]) => [...text.matchAll(pattern)].map(([match]) => ({ kind, begins: begin(match) })));
  for (const [match, payload = ""] of text.matchAll(JWT)) {
    const role = roleOf(payload);
    if (role !== undefined && role !== "anon") findings.push({ kind: `a token of role ${role}`, begins: begin(match) });
  }
  return findings;
}

function begin(secret: string): string {
  return `${secret.slice(0, 16)}...`;
}

function roleOf(payload: string): string | undefined {
  try {
    const { role } = JSON.parse(Buffer.from(payload, "base64url").toString()) as { role?: unknown };
    return role === undefined ? undefined : String(role);
  } catch {
    return undefined;
  }
}
