/** The types of rows, made from the declaration's types, which `npm run generate` writes. */

import type { Declaration } from "./generated.ts";

/** The form of all generated types. */
export interface AnyDeclaration {
  organizations: boolean;
  resources: Record<string, AnyResource>;
  /** Database functions: their arguments, and the names of those that may be left out. */
  functions?: Record<string, { arguments: object; optional: string }>;
}

export interface AnyResource {
  /** The owners of rows. */
  owner: "user" | "org" | "both";
  /** The resource below whose rows these are. */
  under?: string;
  /** The id as calls take it: a UUID, a number, or `"me"` where the row is the user's only one. */
  id: string | number;
  searchable: boolean;
  /** The declared fields of a row. */
  fields: object;
  /** Names of the fields that a new row may leave out. */
  optional: string;
  /** Names of the fields that a published row shows; `never` if rows cannot be published. */
  publish: string;
  // The next members are there only where they differ from a table of new-resource.
  /** Without versions, or with times in their place. */
  version?: false | "timestamp";
  created?: false;
  updated?: false;
  deleted?: false;
  /** Names of the fields that are never written. */
  readOnly?: string;
  /** Query parameters of filters, such as `done.eq`. */
  filters?: string;
  sorts?: string;
  count?: true;
  /** The rows that can be embedded. */
  embed?: object;
}

/** For an app without generated types: any resource, with any fields. */
export interface LooseDeclaration {
  organizations: true;
  functions: Record<string, { arguments: Record<string, any>; optional: string }>;
  resources: Record<
    string,
    {
      owner: "both";
      id: any;
      searchable: true;
      fields: Record<string, any>;
      optional: string;
      publish: string;
      filters: string;
      sorts: string;
      count: true;
      embed: Record<string, any>;
    }
  >;
}

/** Functions that can be called. */
export type FunctionName<D extends AnyDeclaration> = keyof FunctionsOf<D> & string;

/** The arguments of a function. An argument with a default, or one that may be null, can be left out. */
export type ArgumentsOf<D extends AnyDeclaration, Name extends FunctionName<D>> = FunctionsOf<D>[Name] extends {
  arguments: infer Given;
  optional: infer Optional;
}
  ? Flat<Omit<Given, Optional & string> & Partial<Pick<Given, Optional & keyof Given>>>
  : never;

type FunctionsOf<D extends AnyDeclaration> = D extends { functions: infer Functions } ? Functions : unknown;

/** A row of the resource: `Row<"notes">`. Times are RFC 3339 in UTC with six fraction digits. */
export type Row<Name extends keyof D["resources"], D extends AnyDeclaration = Declaration> = RowOf<
  D["resources"][Name]
>;

/** A new or replaced row. A field with a default, or one that may be null, can be left out. */
export type Draft<Name extends keyof D["resources"], D extends AnyDeclaration = Declaration> = DraftOf<
  D["resources"][Name]
>;

/** The fields to change, at least one. */
export type Patch<Name extends keyof D["resources"], D extends AnyDeclaration = Declaration> = PatchOf<
  D["resources"][Name]
>;

/** A published row, as every user of the app may read it. */
export type PublishedRow<Name extends PublishedName<D>, D extends AnyDeclaration = Declaration> = PublishedRowOf<
  D["resources"][Name]
>;

/** Resources whose rows may be a user's. */
export type UserResourceName<D extends AnyDeclaration> = Exclude<
  NameOf<D>,
  NamesWith<D, { owner: "org" } | { under: string }>
>;

/** Resources whose rows may be an organisation's. */
export type OrgResourceName<D extends AnyDeclaration> = Exclude<NameOf<D>, NamesWith<D, { owner: "user" }>>;

/** Resources whose rows have others below them. */
export type ParentName<D extends AnyDeclaration> =
  string extends NameOf<D>
    ? string
    : { [Name in NameOf<D>]: D["resources"][Name] extends { under: infer Parent } ? Parent : never }[NameOf<D>] &
        NameOf<D>;

/** Resources whose rows are below those of this one. */
export type NameBelow<D extends AnyDeclaration, Parent extends string> =
  string extends NameOf<D> ? string : NamesWith<D, { under: Parent }>;

/** Resources whose rows can be published. */
export type PublishedName<D extends AnyDeclaration> = Exclude<NameOf<D>, NamesWith<D, { publish: never }>>;

type NameOf<D extends AnyDeclaration> = keyof D["resources"] & string;
type NamesWith<D extends AnyDeclaration, Part> = {
  [Name in NameOf<D>]: D["resources"][Name] extends Part ? Name : never;
}[NameOf<D>];

export type RowOf<R extends AnyResource> = Flat<
  RowId<R> &
    R["fields"] &
    VersionPart<R> &
    (R extends { created: false } ? unknown : { created_at: string }) &
    (R extends { updated: false } ? unknown : { updated_at: string }) &
    (R extends { deleted: false } ? unknown : { /** `null` while the row lives. */ deleted_at: string | null }) &
    (R extends { embed: infer Embedded } ? { /** What `include` names. */ included?: Partial<Embedded> } : unknown)
>;

export type DraftOf<R extends AnyResource> = Flat<
  Omit<R["fields"], R["optional"] | ReadOnly<R>> & Partial<Pick<R["fields"], R["optional"] & keyof R["fields"]>>
>;

export type PatchOf<R extends AnyResource> = Partial<Omit<R["fields"], ReadOnly<R>>>;

export type PublishedRowOf<R extends AnyResource> = Flat<
  RowId<R> &
    Pick<R["fields"], R["publish"] & keyof R["fields"]> &
    VersionPart<R> & { published_at: string } & (R extends { updated: false } ? unknown : { updated_at: string })
>;

type VersionPart<R extends AnyResource> = R extends { version: false }
  ? unknown
  : R extends { version: "timestamp" }
    ? { /** A time in microseconds. For `ifMatch` and `ifNoneMatch`. */ version: string }
    : RowVersion;
type ReadOnly<R extends AnyResource> = R extends { readOnly: infer Name extends string } ? Name : never;

export interface RowId<R extends AnyResource> {
  /** A UUID in lower case, or a number. */
  id: R["id"] extends number ? number : string;
}

export interface RowVersion {
  /** Starts at 1; every change adds 1. For `ifMatch` and `ifNoneMatch`. */
  version: number;
}

/** One object type in place of an intersection, for editors and error messages. */
export type Flat<T> = { [Name in keyof T]: T[Name] };
