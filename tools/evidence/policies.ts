// Rules about policies: which callers they admit, to which rows, and at what cost.
//
// The expressions are read as Postgres has parsed them. None of them is evaluated: that would run the database's code with
// the auditor's rights.

import { oneLine } from "../setup/output.ts";
import { type Called, isUnread } from "./bodies.ts";
import { branchesOf, type Catalogue, calls, holds, type Part, type Policy } from "./catalogue.ts";
import { escaped, type Fault, identifier, ROLES, type Rule } from "./finding.ts";
import { ofSupabase } from "./tables.ts";
import type { Use } from "./ties.ts";
import { bare, entries, inside, isQuery, type Node, nodesOf, once, relationsOf, type Value, word } from "./tree.ts";
import { verdictOf } from "./verdict.ts";

export const POLICY_RULES: Rule[] = [
  {
    id: "policy-for-everybody",
    level: "finding",
    why: "A policy without TO holds for every role, anon too, and for future roles.",
  },
  {
    id: "policy-true",
    level: "finding",
    why: "Policies are joined by OR: one that holds for everybody makes all others of its table useless. Being signed in must not give a right to a row, as anybody can sign up.",
  },
  {
    id: "policy-compares-itself",
    level: "finding",
    why: "A name without its table means the innermost table that has such a column. The condition compares a table with itself, and says nothing about the row.",
  },
  {
    id: "policy-any-tenant",
    level: "finding",
    why: "The policy finds a membership of the caller, but does not compare it with the tenant of the row. So a member of any team reaches the rows of all.",
  },
  {
    id: "policy-any-account",
    level: "finding",
    why: "The condition asks for a row that every user has or can make, so it holds for every user.",
  },
  {
    id: "policy-public",
    level: "note",
    why: "Rows marked as public are shown to everybody. Check that this is intended.",
  },
  {
    id: "request-header",
    level: "finding",
    why: "Headers, cookies and paths are written by the caller: a request with the right one is let in.",
  },
  {
    id: "policy-fails",
    level: "finding",
    why: "The role lacks a right that the policy needs, so each query of the table fails with 42501. A hasty fix grants too much.",
  },
  {
    id: "helper-escapes",
    level: "finding",
    why: "A function that policies call changes its role, runs dynamic SQL or starts programs. It does so with the rights of the table's reader.",
  },
  {
    id: "helper-unread",
    level: "note",
    why: "The function does more than evaluate one expression, or is in another language. Only its text was searched; read it yourself. It is a finding where a policy rests on it.",
  },
  {
    id: "call-per-row",
    level: "finding",
    why: "Without a sub-select the function runs once for each row, else once a statement. On large tables that is the difference between milliseconds and seconds.",
  },
  {
    id: "column-not-indexed",
    level: "finding",
    why: "The policy is part of every query. Without an index that begins with this column, each one reads the whole table, with the rows of all users.",
  },
  {
    id: "policy-recursion",
    level: "finding",
    why: "To read the table Postgres has to ask the policy, which reads the table: every query fails (42P17), or runs out of stack. A hasty fix is to turn Row Level Security off.",
  },
  {
    id: "check-looser",
    level: "finding",
    why: "A changed row has to meet WITH CHECK, which asks for less than USING does: a caller can give a row to another user.",
  },
  {
    id: "update-without-check",
    level: "note",
    why: "Without WITH CHECK a changed row has to meet USING. A later change of USING for reads would then loosen writes, too. Write it out.",
  },
  {
    id: "user-metadata",
    level: "finding",
    why: "user_metadata is written by the user: supabase.auth.updateUser({ data }) gives any user the value that the policy asks for. Users cannot write app_metadata.",
  },
];

export async function auditPolicies(catalogue: Catalogue): Promise<{ faults: Fault[]; policies: number }> {
  const policies = catalogue.policies.filter(({ audited }) => audited);
  const faults: Fault[] = [];
  for (const policy of policies) {
    // A restrictive policy only takes away.
    const open = policy.permissive ? [...openTo(policy, catalogue), ...headers(policy, catalogue)] : [];
    // Rows that are public are for anon, too.
    if (!open.some(({ rule }) => rule === "policy-public")) faults.push(...forEverybody(policy));
    faults.push(...metadata(policy, catalogue));
    faults.push(
      ...open,
      ...perRow(policy, catalogue),
      ...unindexed(policy, catalogue),
      ...fails(policy, catalogue),
      ...helpers(policy, catalogue),
    );
    if (open.length === 0 && policy.permissive) faults.push(...check(policy, catalogue));
  }
  faults.push(...recursion(catalogue));
  return { faults: unique(faults), policies: policies.length };
}

const unique = (faults: Fault[]) =>
  faults.filter(
    ({ rule, object, mend }, at) =>
      faults.findIndex((other) => other.rule === rule && other.object === object && other.mend === mend) === at,
  );

const fault = (rule: string, { schema, relname, name }: Policy, what: string, mend: string): Fault => ({
  rule,
  object: `${schema}.${relname}.${name}`,
  what,
  mend,
});
const on = ({ schema, relname, name }: Policy) =>
  `policy ${identifier(name)} on ${identifier(schema)}.${identifier(relname)}`;
const writes = ({ command }: Policy) => command === "w" || command === "*";

function forEverybody(policy: Policy): Fault[] {
  if (!policy.permissive || !policy.roles.includes("public")) return [];
  return [fault("policy-for-everybody", policy, "it names no role", `alter ${on(policy)} to authenticated;`)];
}

/** Whether a restrictive policy leaves only rows that are tied to the caller. */
const isRestricted = ({ relation, command, roles }: Policy, clause: Part["clause"], { policies }: Catalogue) =>
  policies.some(({ parts, ...other }) => {
    const part = parts.find((one) => one.clause === clause) ?? parts[0];
    return (
      other.relation === relation &&
      !other.permissive &&
      ["*", command].includes(other.command) &&
      (other.roles.includes("public") || roles.every((role) => other.roles.includes(role))) &&
      part?.verdicts.every(({ kind }) => kind === "tied" || kind === "never")
    );
  });

/** Branches that admit more than the row's people. */
function openTo(policy: Policy, catalogue: Catalogue): Fault[] {
  const { tables } = catalogue;
  if (!["public", ...ROLES].some((role) => policy.roles.includes(role))) return [];
  const faults: Fault[] = [];
  for (const { clause, text, verdicts } of policy.parts) {
    if (isRestricted(policy, clause, catalogue)) continue;
    const drop = `drop ${on(policy)}; -- or let it name the row's owner: (select auth.uid()) = user_id`;
    const admits = verdicts.filter(({ kind }) => kind !== "never");
    const vain = admits.filter(({ kind }) => kind !== "tied").flatMap(({ ties }) => ties.vain);
    for (const use of vain)
      faults.push(
        fault(
          "policy-compares-itself",
          policy,
          `${clause} compares ${columnOf(use, tables)} with its own table`,
          `drop ${on(policy)}; -- and name the table of each column`,
        ),
      );
    for (const { open } of vain.length > 0 ? [] : admits) {
      if (!open) continue;
      const what =
        open.rule === "any-tenant"
          ? `${clause} asks for a row of ${tables.name(open.relation)}, of any ${open.column}`
          : `${clause} asks for a row of ${tables.name(open.relation)}, which everybody has`;
      faults.push(fault(`policy-${open.rule}`, policy, what, drop));
    }
    const reference = policy.command === "r" && tables.isReference(policy.relation);
    const plain = reference ? [] : admits.filter(({ kind, open }) => kind === "open" && !open);
    if (plain.length > 0 && vain.length === 0)
      faults.push(fault("policy-true", policy, `${clause} ${text} holds for anybody`, drop));
    const shown = admits.filter(({ kind, open }) => kind === "public" || (reference && kind === "open" && !open));
    const reads = policy.command === "r";
    if (shown.length > 0 && plain.length === 0)
      faults.push(
        fault(
          reads ? "policy-public" : "policy-true",
          policy,
          `${clause} ${text} holds for anybody, of rows that are public`,
          drop,
        ),
      );
  }
  // WITH CHECK adds nothing where USING is open already.
  return faults.slice(0, 1);
}

const columnOf = ({ relation, column }: Use, tables: Catalogue["tables"]) =>
  `${tables.name(relation)}.${tables.columnName(relation, column)}`;

const CALLERS_OWN = /request\.(headers|cookies|path|method)/;

function headers(policy: Policy, { reader }: Catalogue): Fault[] {
  return policy.parts.flatMap(({ clause, tree, text }) => {
    const by = CALLERS_OWN.test(text)
      ? ""
      : reader.reached(tree).find((called) => !called.foreign && CALLERS_OWN.test(called.source))?.identity;
    if (by === undefined) return [];
    return [
      fault(
        "request-header",
        policy,
        `${clause} trusts a request header${by && `, in ${by}`}`,
        `drop ${on(policy)}; -- and ask for a claim of the token: auth.uid(), auth.jwt()`,
      ),
    ];
  });
}

/** The rights that a policy needs and its role lacks. Functions that run as their owner need less. */
function fails(policy: Policy, { functions, tables }: Catalogue): Fault[] {
  const roles = ROLES.filter(
    (role) => policy.roles.includes(role) || (policy.roles.includes("public") && role === "authenticated"),
  );
  return policy.parts.flatMap(({ clause, tree }) =>
    roles.flatMap((role) => {
      const used = calls(tree)
        .flatMap(({ node }) => functions.get(word(node, "funcid")) ?? [])
        .find((called) => !called.foreign && !called.callers.includes(role));
      const read = relationsOf(tree).find(
        (relation) => tables.name(relation) !== "" && !tables.readable(relation, role),
      );
      const drop = `drop ${on(policy)};`;
      if (used)
        return [
          fault(
            "policy-fails",
            policy,
            `${clause}: ${role} may not execute ${used.identity}`,
            `${drop} -- or grant execute on the function to ${role}`,
          ),
        ];
      return read
        ? [
            fault(
              "policy-fails",
              policy,
              `${clause}: ${role} may not read ${tables.name(read)}`,
              `${drop} -- or read the table in a helper: security definer, stable, set search_path = ''`,
            ),
          ]
        : [];
    }),
  );
}

const ESCAPES =
  /\b(reset\s+(role|all|session)|set\s+(local\s+|session\s+)?(role|session\s+authorization)|set_config\s*\(\s*'(role|session_authorization)'|execute\s+(?!function|procedure)|to\s+program|from\s+program|dblink|pg_read_|lo_(im|ex)port|pg_ls_dir)/i;

/** Whether a branch would admit anybody, did the functions in it that were not read ask nothing. */
const restsOnUnread = (policy: Policy, part: Part, { strict, tables }: Catalogue) =>
  branchesOf(policy, part, strict).some((branch) => verdictOf(branch, policy.relation, strict, tables).kind === "open");

/** Functions that policies call and that were not read as an expression. */
function helpers(policy: Policy, catalogue: Catalogue): Fault[] {
  const { reader } = catalogue;
  return policy.parts.flatMap((part) =>
    reader.reached(part.tree).flatMap((called): Fault[] => {
      if (called.foreign) return [];
      const object = called.identity;
      const mend = `-- Read ${oneLine(object)}; as a helper, one expression in language sql is enough.`;
      if (["sql", "plpgsql"].includes(called.language) && ESCAPES.test(called.source))
        return [
          {
            rule: "helper-escapes",
            object,
            what: `policy ${policy.name} on ${policy.schema}.${policy.relname} calls it`,
            mend,
          },
        ];
      if (!isUnread(called)) return [];
      const rests = policy.permissive && restsOnUnread(policy, part, catalogue);
      const level = ["sql", "plpgsql"].includes(called.language) && !rests ? null : ("finding" as const);
      return [
        {
          rule: "helper-unread",
          object,
          what: `in ${called.language}; policy ${policy.name} on ${policy.schema}.${policy.relname} calls it`,
          mend,
          level,
        },
      ];
    }),
  );
}

function perRow(policy: Policy, { functions }: Catalogue): Fault[] {
  // Storage and Realtime ask about one row.
  if (ofSupabase(`${policy.schema}.${policy.relname}`)) return [];
  const faults: Fault[] = [];
  for (const { clause, tree, text } of policy.parts) {
    const bareCalls = calls(tree).filter(({ node, within }) => {
      const called = functions.get(word(node, "funcid"));
      if (!called?.stable || (called.schema === "pg_catalog" && called.name !== "current_setting")) return false;
      return !nodesOf(inside(node, "args")).some((arg) => arg.node.type === "VAR") && !once({ node, within });
    });
    const names = [...new Set(bareCalls.map(({ node }) => functions.get(word(node, "funcid"))))].flatMap((called) =>
      called ? [called] : [],
    );
    if (names.length === 0) continue;
    const what = `${clause} calls ${names.map(({ schema, name }) => `${schema}.${name}()`).join(", ")} for each row`;
    faults.push(fault("call-per-row", policy, what, `alter ${on(policy)} ${clause} (${names.reduce(wrapped, text)});`));
  }
  return faults;
}

/** Each bare call of a function in an expression put into a sub-select. */
function wrapped(text: string, { schema, name }: Called): string {
  const call = schema === "pg_catalog" ? `${name}(` : `${identifier(schema)}.${identifier(name)}(`;
  let done = "";
  let rest = text;
  for (let at = rest.indexOf(call); at >= 0; at = rest.indexOf(call)) {
    let end = at + call.length;
    for (let depth = 1; depth > 0 && end < rest.length; end++)
      depth += rest[end] === "(" ? 1 : rest[end] === ")" ? -1 : 0;
    const before = rest.slice(0, at);
    const found = rest.slice(at, end);
    done += before + (/select\s+$/i.test(before) ? found : `(select ${found})`);
    rest = rest.slice(end);
  }
  return done + rest;
}

interface Compared {
  relation: string;
  column: string;
  /** The branch of an OR that it is in, or the query. */
  arm: Node | undefined;
}

const constant = (value: Node) =>
  !nodesOf(value).some(({ node }) => ["VAR", "FUNCEXPR", "SUBLINK", "PARAM"].includes(node.type));

/** Columns that are compared with something that is neither a constant nor of the same table. */
function compared({ relation }: Policy, tree: Value, { equals }: Catalogue): Compared[] {
  return nodesOf(tree).flatMap(({ node, within }) => {
    if (!["OPEXPR", "SCALARARRAYOPEXPR"].includes(node.type) || !equals.has(word(node, "opno"))) return [];
    const query = within.findLast(isQuery);
    const own = (placed: Node) => placed.type === "VAR" && word(placed, "varlevelsup") === "0";
    const sides = inside(node, "args").map(bare);
    return sides.flatMap((side, at) => {
      const other = sides[1 - at];
      // No index serves a search in an array of the row's.
      if (node.type === "SCALARARRAYOPEXPR" && at === 1) return [];
      if (
        !own(side) ||
        !other ||
        constant(other) ||
        nodesOf(other).some(({ node, within }) => own(node) && !within.some(isQuery))
      )
        return [];
      const entry = query && entries(query)[Number(word(side, "varno")) - 1];
      const around = query ? within.slice(within.indexOf(query)) : within;
      const either = around.findLastIndex((outer) => outer.type === "BOOLEXPR" && word(outer, "boolop") === "or");
      const arm = either >= 0 ? (around[either + 1] ?? node) : query;
      return [
        { relation: query ? (entry ? word(entry, "relid") : "") : relation, column: word(side, "varattno"), arm },
      ];
    });
  });
}

function unindexed(policy: Policy, catalogue: Catalogue): Fault[] {
  const using = policy.parts.filter(({ clause }) => clause === "using");
  const { tables, indexed } = catalogue;
  const all = using.flatMap(({ tree }) => compared(policy, tree, catalogue));
  return all.flatMap(({ relation, column, arm }) => {
    // Of conditions that all have to hold, one index is enough.
    if (
      all.some(
        (other) => other.relation === relation && other.arm === arm && indexed.has(`${relation}.${other.column}`),
      )
    )
      return [];
    const [table, name] = [tables.name(relation), tables.columnName(relation, column)];
    if (!name || !tables.isTable(relation) || ofSupabase(table)) return [];
    return [
      {
        rule: "column-not-indexed",
        object: `${table}.${name}`,
        what: `${policy.name} compares it, and no index begins with it`,
        mend: `create index on ${tables.sql(relation)} (${identifier(name)});`,
      },
    ];
  });
}

function check(policy: Policy, catalogue: Catalogue): Fault[] {
  const [using, withCheck] = (["using", "with check"] as const).map((clause) =>
    policy.parts.find((part) => part.clause === clause),
  );
  if (!writes(policy) || !using) return [];
  if (!withCheck)
    return [
      fault(
        "update-without-check",
        policy,
        "no WITH CHECK of its own",
        `alter ${on(policy)} with check (${using.text});`,
      ),
    ];
  const columns = ({ tree }: Part) =>
    compared(policy, tree, catalogue)
      .filter(({ relation }) => relation === policy.relation)
      .map(({ column }) => column);
  // If each branch of WITH CHECK names the owner or a role, no update can give the row to another user.
  if (withCheck.verdicts.every(({ kind, ties }) => kind === "never" || kind === "role" || ties.owners.length > 0))
    return [];
  const kept = columns(withCheck);
  const writable = (column: string) =>
    catalogue.tables.column(policy.relation, column)?.granted.some((one) => one.endsWith("UPDATE"));
  const tied = withCheck.verdicts.every(({ kind }) => kind === "tied" || kind === "never");
  // Storage itself writes owner_id.
  if (tied && ofSupabase(`${policy.schema}.${policy.relname}`)) return [];
  const lost = columns(using)
    .filter((column) => !kept.includes(column) && (!tied || writable(column)))
    .map((column) => catalogue.tables.columnName(policy.relation, column));
  if (lost.length === 0) return [];
  return [
    fault(
      "check-looser",
      policy,
      `WITH CHECK leaves ${lost.join(", ")} open`,
      `alter ${on(policy)} with check (${using.text});`,
    ),
  ];
}

const USERS_OWN = /user_metadata|raw_user_meta_data/;

function metadata(policy: Policy, { reader }: Catalogue): Fault[] {
  return policy.parts.flatMap(({ clause, tree, text }) => {
    const trusting = reader.reached(tree).find((called) => !called.foreign && USERS_OWN.test(called.source));
    if (USERS_OWN.test(text)) {
      const trusted = text
        .replaceAll("raw_user_meta_data", "raw_app_meta_data")
        .replaceAll("user_metadata", "app_metadata");
      return [
        fault(
          "user-metadata",
          policy,
          `${clause} trusts user_metadata, which its user can write`,
          `alter ${on(policy)} ${clause} (${trusted});`,
        ),
      ];
    }
    return trusting
      ? [
          fault(
            "user-metadata",
            policy,
            `${clause} calls ${trusting.schema}.${trusting.name}(), which trusts user_metadata, which its user can write`,
            `drop ${on(policy)}; -- and let the function read app_metadata`,
          ),
        ]
      : [];
  });
}

const HELPER =
  "-- then read the table in a helper: security definer, stable, set search_path = '', in a schema that is not exposed";

/** Finds policies whose evaluation reads their own table again, as Postgres does. */
export function recursion({ policies, functions, views, tables }: Catalogue): Fault[] {
  const secured = policies.filter((policy) => policy.secured);
  const tablesOf = (oid: string): string[] => views.get(oid)?.flatMap(tablesOf) ?? [oid];
  // The policies apply to a function that runs as its caller. Only its text tells which tables it reads.
  const readBy = ({ definer, source, tree }: Called) =>
    definer
      ? []
      : tree
        ? relationsOf(tree)
        : tables
            .all()
            .filter((oid) =>
              new RegExp(
                `\\b(?:from|join)\\s+(?:\\w+\\.)?${escaped(tables.name(oid).split(".")[1] ?? "")}\\b`,
                "i",
              ).test(source),
            );
  const readOf = new Map(
    secured.map((policy) => [
      policy,
      policy.parts.flatMap(({ tree }) => {
        const called = calls(tree).flatMap(({ node }) => functions.get(word(node, "funcid")) ?? []);
        return [
          ...relationsOf(tree).flatMap(tablesOf),
          ...called.filter(({ schema }) => schema !== "pg_catalog" && schema !== "auth").flatMap(readBy),
        ];
      }),
    ]),
  );
  const reads = (policy: Policy) => readOf.get(policy) ?? [];
  const hasSelect = (policy: Policy) =>
    reads(policy).length > 0 ||
    policy.parts.some(({ tree }) => nodesOf(tree).some(({ node }) => node.type === "SUBLINK"));
  const meetsAgain = (relation: string, active: string[], role: string): boolean => {
    const applying = secured.filter(
      (one) => one.relation === relation && ["r", "*"].includes(one.command) && holds(one, role),
    );
    if (!applying.some(hasSelect)) return false;
    if (active.includes(relation)) return relation === active[0];
    return applying.flatMap(reads).some((next) => meetsAgain(next, [...active, relation], role));
  };
  return secured
    .filter(({ audited }) => audited)
    .flatMap((policy) => {
      const role = ROLES.find(
        (role) => holds(policy, role) && reads(policy).some((next) => meetsAgain(next, [policy.relation], role)),
      );
      return role
        ? [
            fault(
              "policy-recursion",
              policy,
              "it reads its own table, by itself or through another policy",
              `drop ${on(policy)}; ${HELPER}`,
            ),
          ]
        : [];
    });
}
