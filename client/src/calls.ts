/** The calls of a client, as an app sees them. client.ts makes them. */

import type {
  AnyDeclaration,
  AnyResource,
  ArgumentsOf,
  DraftOf,
  FunctionName,
  NameBelow,
  OrgResourceName,
  ParentName,
  PatchOf,
  PublishedName,
  PublishedRowOf,
  RowOf,
  UserResourceName,
} from "./declaration.ts";
import type { Declaration } from "./generated.ts";
import type { Invitation, Member, NewInvitation, Org, Role } from "./org.ts";
import type { Page } from "./row.ts";
import type { Answer } from "./transport.ts";

/** The client of a declaration; of the project's own unless given. */
export type Airlock<D extends AnyDeclaration = Declaration> = AirlockCalls<D> &
  (D["organizations"] extends true ? OrgCalls<D> : unknown) &
  ("notes" extends UserResourceName<D> ? NotesCalls<D> : unknown);

export interface AirlockCalls<D extends AnyDeclaration> {
  /** The user that the token names. */
  me(options?: CallOptions): Promise<Me>;
  /** The user's own rows of a resource. */
  resource<Name extends UserResourceName<D>>(name: Name): ResourceClient<D["resources"][Name]>;
  /** The resources below one row. */
  under<Parent extends ParentName<D>>(
    parent: Parent,
    id: D["resources"][Parent]["id"],
  ): {
    /** The rows of a resource that belong to it. */
    resource<Name extends NameBelow<D, Parent>>(name: Name): ResourceClient<D["resources"][Name]>;
  };
  /** A published row, which takes no user. */
  published<Name extends PublishedName<D>>(
    name: Name,
    id: D["resources"][Name]["id"],
    options?: CallOptions,
  ): Promise<PublishedRowOf<D["resources"][Name]>>;
  /** `undefined` when it still has the version `ifNoneMatch`. */
  published<Name extends PublishedName<D>>(
    name: Name,
    id: D["resources"][Name]["id"],
    options: GetOptions,
  ): Promise<PublishedRowOf<D["resources"][Name]> | undefined>;
  /**
   * Calls a database function; `undefined` if it returns nothing. A call whose answer was lost is `request_replayed`
   * when the network repeats it: its change was made.
   */
  call<Name extends FunctionName<D>>(name: Name, given: ArgumentsOf<D, Name>, options?: CallOptions): Promise<any>;
  /**
   * Signs and sends one request, repairs it as all calls, and returns any answer.
   *
   * @param target path and query, already percent-encoded
   * @throws AirlockNetworkError when there is no answer
   * @throws TypeError when `target` is not a path
   */
  request(method: string, target: string, options?: RequestOptions): Promise<Answer>;
}

export interface OrgCalls<D extends AnyDeclaration> {
  orgs: Orgs;
  /** The resources of one organisation. */
  org(id: string): {
    /** The organisation's rows of a resource. */
    resource<Name extends OrgResourceName<D>>(name: Name): ResourceClient<D["resources"][Name]>;
  };
}

export interface NotesCalls<D extends AnyDeclaration> {
  /** `resource("notes")`. */
  notes: ResourceClient<D["resources"]["notes"] & AnyResource>;
}

/** A list, newest first. */
export interface List<T, Options extends PageOptions = PageOptions> {
  /** One page. */
  list(options?: Options & { cursor?: string | null }): Promise<Page<T>>;
  /** All rows. Each page is fetched when the iteration reaches it. `limit` is the size of a page. */
  all(options?: Options): AsyncGenerator<T, void, undefined>;
}

/** The calls for the rows of one resource. */
export type ResourceClient<R extends AnyResource> = RowCalls<R> &
  ([R["publish"]] extends [never] ? unknown : PublishCalls<R>);

/** All of them throw {@link AirlockError}; an `ifMatch` that no longer holds is `version_mismatch`. */
export interface RowCalls<R extends AnyResource> extends List<RowOf<R>, ListOptions<R>> {
  /**
   * The database makes the id. With an `idempotencyKey`, kept with the edit, a later retry of the same draft makes no
   * second row for 24 hours; without one it may.
   */
  create(draft: DraftOf<R>, options?: CreateOptions): Promise<RowOf<R>>;
  get(id: R["id"], options?: CallOptions & IncludeOption<R>): Promise<RowOf<R>>;
  /** `undefined` when the row still has the version `ifNoneMatch`. */
  get(id: R["id"], options: GetOptions): Promise<RowOf<R> | undefined>;
  /**
   * Creates or replaces the row under a UUID of your making (lower case). Repeating it makes no
   * second row. `ifNoneMatch: "*"` only creates, `ifMatch` only replaces.
   */
  put(id: R["id"], draft: DraftOf<R>, options?: MatchOptions & { ifNoneMatch?: "*" }): Promise<RowOf<R>>;
  /** Changes the given fields. */
  patch(id: R["id"], changes: PatchOf<R>, options?: MatchOptions): Promise<RowOf<R>>;
  /**
   * Soft delete; a second time is fine too. For good where rows have no `deleted_at`; then a second time is
   * `not_found`.
   */
  remove(id: R["id"], options?: MatchOptions): Promise<void>;
  /** Undoes {@link remove}. */
  restore(id: R["id"], options?: MatchOptions): Promise<RowOf<R>>;
}

/** The calls of a resource whose rows can be published. */
export interface PublishCalls<R extends AnyResource> {
  /** Lets every user of the app read the row. Publishing a published row succeeds. */
  publish(id: R["id"], options?: MatchOptions): Promise<RowOf<R>>;
  /** Undoes {@link publish}; the row may be shown for a minute more. */
  unpublish(id: R["id"], options?: MatchOptions): Promise<RowOf<R>>;
}

/** The user's organisations. A call beyond the role is `forbidden`. */
export interface Orgs extends List<Org> {
  /** Makes the user its owner. */
  create(name: string, options?: CreateOptions): Promise<Org>;
  /** Accepts an invitation. The same token again gives the organisation again. */
  join(token: string, options?: CallOptions): Promise<Org>;
  get(id: string, options?: CallOptions): Promise<Org>;
  /** `undefined` when the organisation still has the version `ifNoneMatch`. */
  get(id: string, options: GetOptions): Promise<Org | undefined>;
  rename(id: string, name: string, options?: MatchOptions): Promise<Org>;
  /** Deletes the organisation with its rows, for all members. This client cannot undo it. */
  remove(id: string, options?: MatchOptions): Promise<void>;
  members(id: string): Members;
  invitations(id: string): Invitations;
}

/** The members of one organisation. A change that leaves it without an owner is a `conflict`. */
export interface Members extends List<Member> {
  get(userId: string, options?: CallOptions): Promise<Member>;
  /** `undefined` when the member still has the version `ifNoneMatch`. */
  get(userId: string, options: GetOptions): Promise<Member | undefined>;
  setRole(userId: string, role: Role, options?: MatchOptions): Promise<Member>;
  /** Removes a member. With the caller's own id, the caller leaves. */
  remove(userId: string, options?: CallOptions): Promise<void>;
}

/** The invitations of one organisation, for its owners. */
export interface Invitations extends List<Invitation> {
  /** The same `idempotencyKey` again gives the same invitation with a new token; the earlier token ends. */
  create(role: Role, options?: CreateOptions): Promise<NewInvitation>;
  /** Revokes the invitation. */
  remove(id: string, options?: CallOptions): Promise<void>;
}

export interface CallOptions {
  /** Ends the call at once. It throws the signal's reason. */
  signal?: AbortSignal;
  /**
   * The id of the user whose call this is: it throws an AirlockUserError while another one is signed in. For edits that
   * are kept and sent later. (Within one call the user never changes.)
   */
  user?: string | undefined;
}

export interface CreateOptions extends CallOptions {
  /** 8 to 64 of `A-Z a-z 0-9 _ -`, such as {@link createId} makes. One key is for one draft. Default: a new one. */
  idempotencyKey?: string;
}

export interface GetOptions extends CallOptions {
  /** Only if it has another version than this one, its `version` when it was last read. */
  ifNoneMatch: Version | undefined;
}

export interface MatchOptions extends CallOptions {
  /** Only if it still has this version (`row.version`), or `*`: if it exists. */
  ifMatch?: Version;
}

/** A `version`, or an entity tag: `3` and `"\"3\""` are the same. */
export type Version = number | string;

export interface PageOptions extends CallOptions {
  /** Rows per page, 1-100, by default 20. */
  limit?: number;
}

export interface IncludeOption<R extends AnyResource> {
  /** The member `included` of a row. */
  include?: (R extends { embed: infer Embedded } ? keyof Embedded & string : never)[];
}

export type ListOptions<R extends AnyResource> = PageOptions &
  IncludeOption<R> & {
    /** By default the live ones. */
    state?: "active" | "deleted" | ([R["publish"]] extends [never] ? never : "published");
  } & (R["searchable"] extends true
    ? {
        /** Only rows with these words, as in a web search: 1 to 200 characters. */
        q?: string;
      }
    : unknown) &
  (R extends { sorts: infer Sort extends string }
    ? {
        /** A declared sort; descending after `-`. */
        sort?: Sort;
      }
    : unknown) &
  (R extends { count: true }
    ? {
        /** Adds `count` to the page. */
        count?: "exact";
      }
    : unknown) &
  (R extends { filters: infer Filter extends string }
    ? {
        /** Such as `{ "done.eq": true, "rank.in": "1,2" }`. */
        filters?: { [Name in Filter]?: string | number | boolean };
      }
    : unknown);

export interface Me {
  /** UUID of the user. */
  sub: string;
  email: string | null;
  session_id: string | null;
  /** Authenticator assurance level. */
  aal: string | null;
  is_anonymous: boolean;
  /** When the token expires: Unix seconds. */
  exp: number;
  /** The app whose signature was verified. */
  app_id: string | null;
}

export interface RequestOptions extends CallOptions {
  /** Sent byte for byte; as `application/json` unless `headers` says otherwise. */
  body?: string | Uint8Array;
  /** `Idempotency-Key`, `If-Match` and `If-None-Match` are signed. These win over the client's own. */
  headers?: Record<string, string>;
  /** Default: the token of `getToken`. `null`: none. A given token is not refreshed. */
  token?: string | null;
  /** Default: a fresh one. With a given one, the request is not repeated after `request_replayed`. */
  nonce?: string;
  /** Unix seconds. Default: the client's clock, as corrected so far. A given one is not corrected. */
  timestamp?: number | string;
}
