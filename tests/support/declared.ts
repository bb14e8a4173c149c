// Checked declarations without the checker, for tests of their effects.

import type { Field, Kind, Resource } from "../../tools/declaration.ts";

/** A field as far as it differs from the usual. */
export type FieldPart = Kind &
  Pick<Field, "name" | "nullable"> &
  Partial<Pick<Field, "default" | "database_default" | "column" | "read_only">>;

/** A field whose column has its name. */
export function field(part: FieldPart): Field {
  return { database_default: false, column: part.name, read_only: false, ...part } as Field;
}

/** A resource with the columns of a table of new-resource. */
export function resource({
  fields,
  ...part
}: Omit<Partial<Resource>, "fields"> & Pick<Resource, "name" | "owner"> & { fields: FieldPart[] }): Resource {
  return {
    table: { schema: "public", name: part.name },
    owner_column: { column: "user_id", set: "default" },
    scope: "owner",
    read: null,
    id: { kind: "uuid", column: "id" },
    version: { kind: "integer", column: "version" },
    created: "created_at",
    updated: "updated_at",
    deleted: "deleted_at",
    routes: [
      "list",
      "read",
      "create",
      "put",
      "patch",
      "delete",
      "restore",
      ...(part.publish ? (["publish"] as const) : []),
    ],
    filters: {},
    sorts: [],
    count: false,
    search: [],
    publish: null,
    unique: {},
    ...part,
    fields: fields.map(field),
  };
}
