// Custom access token hooks: a claim that policies trust must not come from values that the user writes.

import { oneLine } from "../setup/output.ts";
import { type Called, withoutComments } from "./bodies.ts";
import type { Catalogue } from "./catalogue.ts";
import type { Fault, Sql } from "./finding.ts";
import { targetsOf } from "./ties.ts";
import { entries, inside, isQuery, type Node, nodesOf, type Placed, textOf, word } from "./tree.ts";
import { column as trustedColumn, writes } from "./trust.ts";

/** The functions that Supabase Auth calls for the claims of a token. */
export async function hooksOf(sql: Sql, functions: Map<string, Called>): Promise<Called[]> {
  const rows = await sql(
    `select p.oid::text from pg_proc p left join pg_roles r on rolname = 'supabase_auth_admin'
     where prorettype = 'jsonb'::regtype and pronargs = 1 and proargtypes[0] = 'jsonb'::regtype
       and (proname ~ 'access_token' or has_function_privilege(r.oid, p.oid, 'EXECUTE'))`,
  );
  return rows
    .flatMap(({ oid }) => functions.get(String(oid)) ?? [])
    .filter(({ foreign, source }) => !foreign && withoutComments(source).includes("'claims'"));
}

export function auditHooks(catalogue: Catalogue): Fault[] {
  const { hooks, reader, tables } = catalogue;
  const trusted = trustedNames(catalogue);
  return hooks.flatMap(({ identity, tree }) =>
    (tree ? nodesOf(tree) : []).flatMap((placed): Fault[] => {
      const claim = namesAround(placed).find((name) => trusted.has(name));
      if (claim === undefined) return [];
      const by = `claim ${claim} of ${identity}`;
      if (isMetadata(placed, catalogue)) {
        const mend = `-- Let ${oneLine(identity)} read app_metadata, or a table that its user cannot write.`;
        return [
          {
            rule: "user-metadata",
            object: identity,
            what: `copies user metadata to ${claim}, which policies ask for`,
            mend,
          },
        ];
      }
      const place = selected(placed);
      const known = place && tables.column(place.relation, place.column);
      if (!place || !known || known.key || !tables.isTable(place.relation)) return [];
      const one = { ...place, name: known.name, linksRow: false, by, besides: [] };
      const update = writes(one, "UPDATE", catalogue);
      const insert = tables.anybodyHasRow(place.relation) ? undefined : writes(one, "INSERT", catalogue);
      const commands = [...(update ? ["UPDATE"] : []), ...(insert ? ["INSERT"] : [])];
      const policy = update ?? insert;
      return policy ? [trustedColumn(one, policy, commands, catalogue)] : [];
    }),
  );

  function isMetadata({ node, within }: Placed, { tables }: Catalogue): boolean {
    const parent = within.at(-1);
    if (node.type === "CONST" && parent)
      return /^(->>?|#>>?)$/.test(reader.operator(parent)) && /\buser_metadata\b/.test(textOf(node) ?? "");
    const place = selected({ node, within });
    return place !== undefined && tables.columnName(place.relation, place.column) === "raw_user_meta_data";
  }
}

/** Texts in policies, and in the functions that they call, such as the names of claims. */
function trustedNames({ policies, reader }: Catalogue): Set<string> {
  const texts = policies.flatMap(({ parts }) =>
    parts.flatMap(({ text, tree }) => [text, ...reader.reached(tree).map(({ source }) => source)]),
  );
  return new Set(texts.flatMap((text) => [...text.matchAll(/'\{?(\w+)/g)].map(([, name = ""]) => name)));
}

/** Texts beside a value in the calls around it: `jsonb_set(claims, '{role}', value)`. */
function namesAround({ within }: Placed): string[] {
  return within
    .filter(({ type }) => type === "FUNCEXPR")
    .toReversed()
    .flatMap((call) => inside(call, "args").flatMap((arg) => /^\{?(\w+)\}?$/.exec(textOf(arg) ?? "")?.[1] ?? []));
}

/** The column of a table that a sub-query selects. */
function selected({ node, within }: Placed): { relation: string; column: string } | undefined {
  const queries = within.filter(isQuery);
  const query = queries.at(-1 - Number(word(node, "varlevelsup")));
  if (node.type !== "VAR" || !query || within.some(({ type }) => /^(RANGETBLENTRY|RTE|FROMEXPR)$/.test(type)))
    return undefined;
  return columnOf(node, query);
}

function columnOf(variable: Node, query: Node): { relation: string; column: string } | undefined {
  const entry = entries(query)[Number(word(variable, "varno")) - 1];
  const column = word(variable, "varattno");
  if (!entry) return undefined;
  if (word(entry, "rtekind") === "0") return { relation: word(entry, "relid"), column };
  const [sub] = inside(entry, "subquery");
  const target = sub && targetsOf(sub)[Number(column) - 1];
  return sub && target?.type === "VAR" ? columnOf(target, sub) : undefined;
}
