// Apps whose requests need no attestation. They are in the secret APP_GUARD, which no database has.

import { existsSync } from "node:fs";

import { inspector } from "../declaration.ts";
import { policies } from "../doctor/attestation.ts";
import { callers, Failure, read } from "../setup/shell.ts";
import { buildModule } from "../setup/worker.ts";
import { appGuardIn } from "../stack/app-guard.ts";
import type { Finding } from "./finding.ts";

/** A note for each app key that enforces no attestation, or one for all of them where none does. */
export async function unattested(file: string): Promise<Finding[]> {
  if (!existsSync(inspector)) await buildModule();
  const guard = await appGuardIn(await read(callers(file)));
  if (!guard) throw new Failure(`${file} has no APP_GUARD.`);
  const live = policies(guard).filter(({ key }) => !key.retired);
  const weak = live.filter(({ attest }) => attest?.mode !== "enforce");
  const note = (object: string, what: string): Finding => ({
    rule: "app-not-attested",
    level: "note",
    object,
    what,
    why: "An app key can be extracted from a release, and an attacker takes the one that asks for least.",
    mend: '-- docs/operations/keys.md, "Attestation".',
  });
  if (weak.length === live.length) return [note("APP_GUARD", "no app enforces attestation")];
  return weak.map(({ app, key, attest }) =>
    note(
      `${app} ${key.id}`,
      attest?.mode === "report" ? "attestation is reported, not enforced" : "needs no attestation",
    ),
  );
}
