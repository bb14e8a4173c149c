// Rules about columns that policies trust: callers must not write facts about themselves, such as a role, into their
// own rows.

import { oneLine } from "../setup/output.ts";
import { branchesOf, type Catalogue, holds, type Part, type Policy } from "./catalogue.ts";
import { escaped, type Fault, identifier, ROLES, type Rule } from "./finding.ts";
import { ofSupabase, type Tables } from "./tables.ts";
import { CALLER, type Condition, outward, type Reader, ROW, Ties, targetsOf } from "./ties.ts";
import { conditionsOf, entries, inside, isQuery, isTop, type Node, nodesOf, word } from "./tree.ts";
import { trusted, type Verdict } from "./verdict.ts";

export const TRUST_RULES: Rule[] = [
  {
    id: "trusted-column",
    level: "finding",
    why: "Policies decide by this column of the caller's own row, and the caller may write it. So any user can take the role or right that the policy asks for.",
  },
  {
    id: "self-made-membership",
    level: "finding",
    why: "Rows of this table let their user reach rows of a tenant. The policy checks the row's user, and not the tenant's consent: any user can join any tenant.",
  },
  {
    id: "tenant-unchecked",
    level: "finding",
    why: "The column names the row's tenant, whose members read it. WITH CHECK checks the row's user, and not the caller's membership: any user can add rows to any tenant.",
  },
  {
    id: "membership-ended",
    level: "finding",
    why: "The table says when a membership or a share ends, and the policy does not ask for it: who was removed still reaches the rows.",
  },
  {
    id: "signup-metadata",
    level: "finding",
    why: "raw_user_meta_data is written by the user who signs up: signUp({ options: { data } }). Policies decide by the column that the trigger copies it to.",
  },
];

interface Place {
  relation: string;
  column: string;
}

export interface Trusted extends Place {
  name: string;
  linksRow: boolean;
  /** Asked of a membership of the caller, or of the tenant that one leads to. */
  asked?: "membership" | "tenant" | undefined;
  by: string;
  /** The values that a column of the same row has to have too, for each branch. */
  besides: Map<string, string[]>[];
}

export function auditTrust(catalogue: Catalogue): Fault[] {
  const faults: Fault[] = [];
  const all = trustedColumns(catalogue);
  for (const one of all) {
    const { relation } = one;
    faults.push(...byTrigger(one, catalogue), ...byOtherTable(one, catalogue));
    const insert = writes(one, "INSERT", catalogue);
    const pinned = all.some(
      (other) =>
        other.relation === relation &&
        other.linksRow &&
        writes(other, "INSERT", catalogue) === undefined &&
        asksTenant(insert, other, catalogue) &&
        !isByMember(insert, one),
    );
    const update = ofOtherSide(one, catalogue) ? undefined : writes(one, "UPDATE", catalogue);
    const filled = isFilled(relation, catalogue);
    const commands = [...(update ? ["UPDATE"] : []), ...(insert && !filled && !pinned ? ["INSERT"] : [])];
    const by = update ?? insert;
    if (insert && isConsented(one, catalogue)) continue;
    if (insert && one.linksRow) faults.push(membership(one, insert, catalogue));
    else if (by && commands.length > 0) faults.push(column(one, by, commands, catalogue));
  }
  faults.push(...unchecked(catalogue, all), ...ended(catalogue));
  return faults.filter(
    (fault, at) => faults.findIndex((other) => other.rule === fault.rule && other.object === fault.object) === at,
  );
}

/** Whether sign-up makes the only row that a user can have, and its user cannot delete it. */
function isFilled(relation: string, { policies, tables }: Catalogue): boolean {
  const once = tables.filled.some(
    (one) =>
      one.relation === relation &&
      one.inserts &&
      tables
        .columns(relation)
        .some(({ name, unique }) => unique && /^\(*new\s*\.\s*"?id\b/i.test(one.values.get(name) ?? "")),
  );
  const deletes = ({ relation: on, permissive, command, parts }: Policy) =>
    on === relation && permissive && ["d", "*"].includes(command) && parts.some(({ verdicts }) => verdicts.some(isOwn));
  return once && !(tables.deletable(relation) && (!tables.secured(relation) || policies.some(deletes)));
}

/** Whether a branch admits to the caller's own row, or to any. */
const isOwn = ({ kind, ties }: Verdict) => kind === "open" || kind === "public" || ties.owners.length > 0;

/** What a policy asks of a new row. */
const checkOf = ({ parts }: Policy) => parts.find(({ clause }) => clause === "with check") ?? parts[0];

/**
 * Whether a policy asks about the tenant that a new row names, or about its members. An invitation says nothing about
 * the role.
 */
function asksTenant(policy: ReturnType<typeof writes>, { relation, column }: Place, { tables }: Catalogue): boolean {
  const tenant = tables.column(relation, column)?.references;
  if (typeof policy !== "object" || !tenant) return true;
  return (checkOf(policy)?.verdicts ?? []).some(({ ties }) =>
    ties.uses.some((use) => use.relation === tenant || use.relation === relation),
  );
}

/**
 * Whether those who may change a column are others than those who make the row, such as the one who is asked to be a
 * friend. They must not change who made it.
 */
function ofOtherSide({ relation, column }: Place, catalogue: Catalogue): boolean {
  const { tables } = catalogue;
  const granted = (number: string, command: string) =>
    tables.column(relation, number)?.granted.some((one) => one.endsWith(command)) ?? false;
  const makers = ownersOf(relation, "a", catalogue);
  const changers = ownersOf(relation, "w", catalogue);
  return (
    makers !== undefined &&
    changers !== undefined &&
    makers.length > 0 &&
    !granted(column, "INSERT") &&
    !makers.some((number) => changers.includes(number) || number === column || granted(number, "UPDATE"))
  );
}

/** The columns of which one names the caller who may write a row; undefined if others may, too. */
function ownersOf(relation: string, command: "a" | "w", { policies }: Catalogue): string[] | undefined {
  const verdicts = policies
    .filter((one) => one.relation === relation && one.permissive && [command, "*"].includes(one.command))
    .flatMap((policy) => {
      const using = policy.parts.find(({ clause }) => clause === "using") ?? policy.parts[0];
      return (command === "a" ? checkOf(policy) : using)?.verdicts ?? [];
    })
    .filter(({ kind }) => kind !== "never");
  return verdicts.every(({ ties }) => ties.owners.length > 0) ? verdicts.flatMap(({ ties }) => ties.owners) : undefined;
}

/**
 * Whether each branch that goes through a membership also asks for a value that its user cannot give, such as
 * `accepted`: the other side gives it, an admin, or the server.
 */
function isConsented(one: Trusted, catalogue: Catalogue): boolean {
  const { relation, besides } = one;
  return (
    one.linksRow &&
    besides.every((values) =>
      [...values].some(([number, accepted]) => {
        const column = catalogue.tables.column(relation, number);
        if (!column || accepted.some((value) => column.otherwise.includes(value))) return false;
        const place = { relation, column: number, name: column.name };
        return ofOtherSide(place, catalogue) || (!writes(one, "UPDATE", catalogue) && isOfOthers(place, catalogue));
      }),
    )
  );
}

/** Whether no client writes a column but those who are let in by other rows of theirs, such as an admin's. */
function isOfOthers(place: Place & { name: string }, catalogue: Catalogue): boolean {
  const { policies, tables } = catalogue;
  const { relation, column } = place;
  const isChanged = tables.column(relation, column)?.granted.some((one) => one.endsWith("UPDATE"));
  const changers = policies
    .filter((one) => one.relation === relation && one.permissive && ["w", "*"].includes(one.command))
    .flatMap(({ parts }) => parts.find(({ clause }) => clause === "using")?.verdicts ?? []);
  const isOther = (verdict: Verdict) =>
    ["never", "role"].includes(verdict.kind) ||
    (verdict.kind === "tied" &&
      !isOwn(verdict) &&
      verdict.ties.uses.some(({ against }) => against === "caller") &&
      !isMembers(verdict, relation));
  return tables.secured(relation) && !writes(place, "INSERT", catalogue) && (!isChanged || changers.every(isOther));
}

/** Whether a branch admits any member: a row of the caller's in this table that has no role. */
const isMembers = (verdict: Verdict, relation: string) =>
  verdict.kind === "tied" &&
  verdict.ties.uses.some((use) => use.relation === relation && use.against === "caller") &&
  trusted(verdict).every(({ against }) => against !== "constant");

/** Whether a branch admits those whom a column gives rights: any member to the roles, the tenant's members to its plan. */
const isOfGroup = (verdict: Verdict, { relation, asked }: Pick<Trusted, "relation" | "asked">) =>
  asked === "membership"
    ? isMembers(verdict, relation)
    : asked === "tenant" &&
      verdict.kind === "tied" &&
      !verdict.ties.uses.some((use) => use.relation === relation && use.against === "caller");

const isByMember = (policy: ReturnType<typeof writes>, one: Trusted) =>
  typeof policy === "object" && (checkOf(policy)?.verdicts ?? []).some((verdict) => isOfGroup(verdict, one));

/** Columns by which members read a row, and which its writer chooses freely. */
function unchecked(catalogue: Catalogue, all: Trusted[]): Fault[] {
  const { policies, tables } = catalogue;
  return policies
    .filter(({ permissive, audited, command }) => permissive && audited && ["a", "w", "*"].includes(command))
    .flatMap((policy) => {
      const { relation } = policy;
      const check = checkOf(policy);
      if (!check || !tables.secured(relation) || ofSupabase(tables.name(relation))) return [];
      const readers = policies
        .filter((one) => one.relation === relation && one.permissive && ["r", "*"].includes(one.command))
        .flatMap(({ parts }) => parts.find(({ clause }) => clause === "using")?.verdicts ?? []);
      const links = [
        ...new Set(
          readers
            .filter(({ kind, ties }) => kind === "tied" && ties.owners.length === 0)
            .flatMap(({ ties }) => ties.links),
        ),
      ];
      const commands =
        policy.command === "*"
          ? (["INSERT", "UPDATE"] as const)
          : policy.command === "a"
            ? (["INSERT"] as const)
            : (["UPDATE"] as const);
      return links.flatMap((number): Fault[] => {
        const column = tables.column(relation, number);
        const byOwner = ({ ties }: Verdict) => ties.owners.length > 0;
        // A request to join, which a member decides about.
        const asks = all.find((one) => one.relation === relation && one.column === number);
        if (asks && isConsented(asks, catalogue)) return [];
        if (!column || column.key || !leaves(policy, check, number, byOwner, catalogue)) return [];
        const command = commands.find(
          (one) =>
            ROLES.some((role) => holds(policy, role) && column.granted.includes(`${role} ${one}`)) &&
            !tables.guarded(relation, column.name, one),
        );
        if (!command) return [];
        const mend = `${revoked(tables, relation, column.name, command)} -- or let WITH CHECK ask for the membership, as the policy for SELECT does`;
        return [
          {
            rule: "tenant-unchecked",
            object: `${policy.schema}.${policy.relname}.${policy.name}`,
            what: `with check leaves ${column.name} to the caller`,
            mend,
          },
        ];
      });
    });
}

/** Whether a column of the caller's own row names the tenant, or the shared row. */
const isMembership = (
  { relation, column, linksRow }: Pick<Trusted, "relation" | "column" | "linksRow">,
  tables: Tables,
) => linksRow && tables.column(relation, column)?.key === false && tables.isTable(relation);

/** Columns by which a membership has ended: a time, or a flag. */
const ENDS =
  /^(deleted|removed|revoked|left|end(ed|s)?|expire[sd]?|expiry|expiration|valid_(until|to)|disabled|suspended|banned|deactivated)(_(at|on|date))?$/i;
const ENDED = /^(is_)?(deleted|removed|revoked|disabled|suspended|banned|deactivated)$/i;

/** Policies that go through memberships and do not ask whether these have ended. */
function ended({ policies, tables, reader }: Catalogue): Fault[] {
  return policies
    .filter(({ permissive, audited }) => permissive && audited)
    .flatMap((policy) =>
      policy.parts.flatMap(({ clause, tree, text, verdicts }): Fault[] => {
        const called = reader.reached(tree).filter(({ foreign }) => !foreign);
        const relations = new Set(
          verdicts
            .filter(({ kind }) => kind === "tied")
            .flatMap((verdict) => trusted(verdict).filter((use) => isMembership(use, tables)))
            .map(({ relation }) => relation),
        );
        return [...relations].flatMap((relation) => {
          // The table's own policies hold for a query that runs as the caller.
          const own = policies
            .filter((one) => one.relation === relation && !called.some(({ definer }) => definer))
            .flatMap(({ parts }) => parts.map((part) => part.text));
          const asked = [text, ...called.map(({ source }) => source), ...own].join(" ");
          const column = tables
            .columns(relation)
            .find(
              ({ name, type }) =>
                (/^(timestamp|date)/.test(type) ? ENDS.test(name) : type === "boolean" && ENDED.test(name)) &&
                !new RegExp(`\\b${name}\\b`, "i").test(asked),
            );
          if (!column) return [];
          const table = tables.name(relation);
          return [
            {
              rule: "membership-ended",
              object: `${policy.schema}.${policy.relname}.${policy.name}`,
              what: `${clause} goes through ${table} and does not ask for ${column.name}`,
              mend: `-- Let the condition, or the helper that it calls, also ask for ${table}.${oneLine(column.name)}.`,
            },
          ];
        });
      }),
    );
}

/** The columns that policies trust, each once. */
export function trustedColumns({ policies, tables }: Catalogue): Trusted[] {
  const found = new Map<string, Trusted>();
  for (const policy of policies.filter(({ permissive, audited }) => permissive && audited)) {
    for (const verdict of policy.parts
      .flatMap(({ verdicts }) => verdicts)
      .filter(({ kind }) => kind === "tied" || kind === "role" || kind === "open")) {
      const uses = trusted(verdict);
      for (const { relation, column, linksRow, source, against } of uses.flatMap((use) => made(use, tables))) {
        const known = tables.column(relation, column);
        // The owner of a deleted row may restore it; a removed member may not.
        if (against === "absent" && !uses.some((other) => other.source === source && isMembership(other, tables)))
          continue;
        if (!known || known.key || !tables.isTable(relation) || tables.name(relation).startsWith("auth.")) continue;
        const key = `${relation}.${column}`;
        const before = found.get(key);
        found.set(key, {
          relation,
          column,
          name: known.name,
          linksRow: linksRow || before?.linksRow === true,
          asked: before?.asked ?? (against === "constant" ? askedOf(source, known.name, verdict) : undefined),
          by: before?.by ?? `${policy.schema}.${policy.relname}.${policy.name}`,
          besides: [
            ...(before?.besides ?? []),
            new Map(
              uses.flatMap((other): [string, string[]][] =>
                other.source === source && other.against === "constant" && other.value && !other.sometimes
                  ? [[other.column, other.values ?? [other.value]]]
                  : [],
              ),
            ),
          ],
        });
      }
    }
  }
  return [...found.values()];
}

/** The columns that a generated column is made of; else the column itself. */
function made<One extends Place>(use: One, tables: Tables): One[] {
  const column = tables.column(use.relation, use.column);
  if (!column?.generated) return [use];
  const names = new Set(column.otherwise.match(/\w+/g));
  return tables
    .columns(use.relation)
    .filter(({ name, number }) => names.has(name) && number !== column.number)
    .map(({ number }) => ({ ...use, column: number }));
}

const PAID = /(^|_)(plan|tier|premium|paid|pro|subscription|billing|quota|credits)(_|$)/i;

/** Whose column a branch asks about: of the caller's membership, or of the tenant, whether or not the row has one. */
function askedOf(source: string, name: string, { ties }: Verdict): Trusted["asked"] {
  if (ties.uses.some((use) => use.source === source && use.against === "caller")) return "membership";
  return !ties.tied(source, ROW) || PAID.test(name) ? "tenant" : undefined;
}

/** The policy by which a client may write a column of its own row as it likes. */
export function writes(
  { relation, column, name, asked }: Pick<Trusted, "relation" | "column" | "name" | "asked">,
  command: "INSERT" | "UPDATE",
  catalogue: Catalogue,
): Policy | "row level security is off" | undefined {
  const { policies, tables } = catalogue;
  const roles = ROLES.filter((role) => tables.column(relation, column)?.granted.includes(`${role} ${command}`));
  if (roles.length === 0 || tables.guarded(relation, name, command)) return undefined;
  if (!tables.secured(relation)) return "row level security is off";
  const code = command === "INSERT" ? "a" : "w";
  return policies.find((policy) => {
    if (
      policy.relation !== relation ||
      !policy.permissive ||
      ![code, "*"].includes(policy.command) ||
      !roles.some((role) => holds(policy, role))
    )
      return false;
    const part = (clause: Part["clause"]) => policy.parts.find((one) => one.clause === clause);
    const check = part("with check") ?? part("using");
    const meets = command === "INSERT" ? check : part("using");
    const own = (verdict: Verdict) => isOwn(verdict) || isOfGroup(verdict, { relation, asked });
    if (!check || !meets?.verdicts.some(own)) return false;
    const any = ({ kind }: Verdict) => kind !== "never";
    return leaves(policy, check, column, check.verdicts.some(own) ? own : any, catalogue);
  });
}

/** Whether one of these branches of a condition on a new row lets the caller choose the column's value. */
const leaves = (
  policy: Policy,
  check: Part,
  column: string,
  which: (verdict: Verdict) => boolean,
  catalogue: Catalogue,
) =>
  branchesOf(policy, check, catalogue.reader).some((branch, at) => {
    const verdict = check.verdicts[at];
    return verdict && which(verdict) && !branch.some((one) => decides(one, column, catalogue.reader));
  });

/** Whether a condition decides about a column. That there is such a row in another table, or none, says nothing about the caller. */
function decides(condition: Condition, column: string, reader: Reader): boolean {
  const [arg] = condition.node.type === "BOOLEXPR" ? inside(condition.node, "args") : [];
  const isNone = arg?.type === "SUBLINK" && word(condition.node, "boolop") === "not";
  return mentions(condition, column) && !isNone && !isExistence(condition, reader);
}

/** Whether a condition only asks whether another table has the row that the new row names. */
function isExistence(condition: Condition, reader: Reader): boolean {
  const [query] = condition.node.type === "SUBLINK" ? inside(condition.node, "subselect") : [];
  if (!query || entries(query).length !== 1 || entries(query).some((entry) => word(entry, "rtekind") !== "0"))
    return false;
  const isIn = word(condition.node, "subLinkType") === "2";
  const asked = conditionsOf(query).filter(({ type }) => type !== "NULLTEST");
  if (asked.length > (isIn ? 0 : 1)) return false;
  // (select r.is_open from rooms r where ...): the row's value decides.
  if (word(condition.node, "subLinkType") === "4" && nodesOf(targetsOf(query)).some(({ node }) => node.type === "VAR"))
    return false;
  const ties = new Ties();
  reader.tie(condition, ties);
  return !ties.tied(ROW, CALLER) && ties.shown.size === 0;
}

/** Whether a condition names this column of the row, itself or as an argument, other than comparing it with itself. */
function mentions({ node: tree, scope }: Condition, column: string): boolean {
  const isColumn = (node: Node, within: Node[]): boolean => {
    if (node.type !== "VAR") return false;
    const { scope: found, left } = outward(scope, Number(word(node, "varlevelsup")) - within.filter(isQuery).length);
    if (left !== 0 || found.kind === "query") return false;
    if (found.kind === "row") return word(node, "varattno") === column;
    const value = found.values[Number(word(node, "varattno")) - 1];
    return value !== undefined && mentions(value, column);
  };
  return nodesOf(tree).some(({ node, within }) => {
    if (!isColumn(node, within)) return false;
    const comparison = within.at(-1);
    // Not null is any value.
    if (comparison?.type === "NULLTEST" && word(comparison, "nulltesttype") === "1") return false;
    const same =
      comparison?.type === "OPEXPR" &&
      nodesOf(comparison)
        .filter((placed) => placed.node.type === "VAR")
        .every((placed) => word(placed.node, "varattno") === column && isTop(placed)) &&
      !nodesOf(comparison).some((placed) => placed.node.type === "CONST");
    return !same || nodesOf(comparison).filter((placed) => placed.node.type === "VAR").length < 2;
  });
}

/**
 * Whether the policies decide about a column that `service-column` names. Either they compare it with the caller. Or it
 * names another user (the member of a team, the user that a document is shared with), and they tie the row to the
 * caller in another way.
 */
export function decided({ object, what }: Fault, { policies, tables }: Catalogue): boolean {
  const command = /may (INSERT|UPDATE)/.exec(what)?.[1] as "INSERT" | "UPDATE" | undefined;
  const relation = tables
    .all()
    .find(
      (one) =>
        object.startsWith(`${tables.name(one)}.`) &&
        tables.columns(one).some(({ name }) => object === `${tables.name(one)}.${name}`),
    );
  const column = tables.columns(relation ?? "").find(({ name }) => object === `${tables.name(relation ?? "")}.${name}`);
  // Clients do not send columns that a trigger writes.
  if (!command || !relation || !column || !tables.secured(relation) || tables.named(relation, column.name, command))
    return false;
  const applying = policies.filter(
    (policy) =>
      policy.relation === relation &&
      policy.permissive &&
      [command === "INSERT" ? "a" : "w", "*"].includes(policy.command) &&
      ROLES.some((role) => holds(policy, role)),
  );
  const verdicts = applying.flatMap((policy) => checkOf(policy)?.verdicts ?? []).filter(({ kind }) => kind !== "never");
  if (verdicts.every(({ ties }) => ties.owners.includes(column.number))) return true;
  return command === "INSERT" && column.shared && verdicts.every(({ kind }) => kind === "tied");
}

function byTrigger({ relation, name, by }: Trusted, { tables }: Catalogue): Fault[] {
  const copies = new RegExp(`raw_user_meta_data\\s*->>?\\s*'${escaped(name)}'`, "i");
  const filled = [...tables.filled, ...tables.set].find(
    (one) =>
      one.relation === relation &&
      one.values.has(name) &&
      (/raw_user_meta_data/.test(one.values.get(name) ?? "") ||
        (/^\w+$/.test(one.values.get(name) ?? "") && copies.test(one.source))),
  );
  if (!filled) return [];
  const mend = `-- Let ${oneLine(filled.by)} leave the column to its default, or read raw_app_meta_data.`;
  return [
    {
      rule: "signup-metadata",
      object: `${tables.name(relation)}.${name}`,
      what: `${filled.by} copies it from raw_user_meta_data; ${by} trusts it`,
      mend,
    },
  ];
}

/** Columns of other tables, which a definer trigger copies to the trusted one. */
function byOtherTable({ relation, name, linksRow, by }: Trusted, catalogue: Catalogue): Fault[] {
  const { tables } = catalogue;
  return tables.copied
    .filter((one) => one.relation === relation)
    .flatMap(({ values, trigger }): Fault[] => {
      const copied = /^\(*new\s*\.\s*"?(\w+)"?\)*$/i.exec(values.get(name) ?? "")?.[1]?.toLowerCase();
      const column = tables.columns(trigger.relation).find((one) => one.name === copied);
      // The key of the new row itself, such as an organization and its first member.
      if (!column || column.key) return [];
      const source = { relation: trigger.relation, column: column.number, name: column.name };
      return (["INSERT", "UPDATE"] as const).flatMap((command): Fault[] => {
        if (!(command === "INSERT" ? trigger.onInsert : trigger.onUpdate)) return [];
        const policy = writes(source, command, catalogue);
        if (!policy || tables.waits(trigger, command)) return [];
        return [
          {
            rule: linksRow ? "self-made-membership" : "trusted-column",
            object: `${tables.name(trigger.relation)}.${column.name}`,
            what: `its user may ${command} it (${policyOf(policy)}); ${trigger.called} copies it to ${tables.name(relation)}.${name}, which ${by} trusts`,
            mend: `${revoked(tables, trigger.relation, column.name, command)} -- or let WITH CHECK decide about it`,
          },
        ];
      });
    });
}

const policyOf = (policy: Policy | string) => (typeof policy === "string" ? policy : `policy ${policy.name}`);

export function column(
  { relation, name, by }: Trusted,
  policy: Policy | string,
  commands: string[],
  { tables }: Catalogue,
): Fault {
  const mend = commands.map((command) => revoked(tables, relation, name, command)).join(" ");
  return {
    rule: "trusted-column",
    object: `${tables.name(relation)}.${name}`,
    what: `its user may ${commands.join(" and ")} it (${policyOf(policy)}); ${by} trusts it`,
    mend,
  };
}

/** Takes the right to write a column. A grant on the whole table has to go, too; the other columns keep theirs. */
function revoked(tables: Catalogue["tables"], relation: string, name: string, command: string): string {
  const table = tables.sql(relation);
  const others = tables
    .columns(relation)
    .filter((one) => one.name !== name && one.granted.includes(`authenticated ${command}`))
    .map((one) => identifier(one.name));
  const again = others.length > 0 ? ` grant ${command} (${others.join(", ")}) on table ${table} to authenticated;` : "";
  return `revoke ${command} on table ${table} from anon, authenticated; revoke ${command} (${identifier(name)}) on table ${table} from anon, authenticated;${again}`;
}

function membership({ relation, name, by }: Trusted, policy: Policy | string, { tables }: Catalogue): Fault {
  const object =
    typeof policy === "string"
      ? `${tables.name(relation)}.${name}`
      : `${policy.schema}.${policy.relname}.${policy.name}`;
  const mend = `${revoked(tables, relation, name, "INSERT")} -- and let a function of the tenant's owner, or an invitation, add members`;
  return {
    rule: "self-made-membership",
    object,
    what: `${policyOf(policy)} leaves ${name} to the caller; ${by} trusts it`,
    mend,
  };
}
