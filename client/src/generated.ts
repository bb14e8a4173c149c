// Generated from airlock.toml by `npm run generate`. Do not edit.

export interface Declaration {
  organizations: true;
  resources: {
    notes: {
      owner: "both";
      id: string;
      searchable: true;
      fields: {
        /** 1 to 200 characters, trimmed. */
        title: string;
        /** 0 to 20000 characters. Default: "". */
        body: string;
      };
      optional: "body";
      publish: "title" | "body";
    };
  };
}

/** The kinds of ids, for the client's option of this name. */
export const ids = { notes: "uuid" } as const;
