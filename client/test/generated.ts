// Generated from the resources of the tests by `npm run generate`. Do not edit.

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
    things: {
      owner: "both";
      id: string;
      searchable: true;
      fields: {
        /** 1 to 50 characters, trimmed. */
        label: string;
        /** 0 to 500 characters. Default: "". */
        memo: string;
        /** 0 to 80 characters, trimmed. */
        remark: string | null;
        /** A whole number from -10 to 1000. */
        rank: number | null;
        /** From -1.5 to 1000000. Default: 0.5. */
        score: number;
        /** Default: false. */
        done: boolean;
        /** A UUID, lower case. */
        token: string | null;
        /** A date, `YYYY-MM-DD`. Default: "2026-01-31". */
        due: string;
        /** A time, RFC 3339. Answers are in UTC. */
        starts: string | null;
        /** Default: "red". */
        color: "red" | "green" | "light blue";
        /** At most 5 texts of 1 to 20 characters. Default: []. */
        tags: string[];
        /** At most 2000 bytes. Default: {}. */
        extra: JsonObject;
        /** A number of at most 10 digits, 2 of them after the point. Default: "0.50". */
        price: string;
        /** A time of day, `HH:MM:SS`. */
        opens: string | null;
        /** At most 5 whole numbers from -10 to 1000. Default: []. */
        ranks: number[];
        /** At most 5 UUIDs, lower case. */
        links: string[] | null;
        /** Id of a row of things. */
        parent: string | null;
      };
      optional: "memo" | "remark" | "rank" | "score" | "done" | "token" | "due" | "starts" | "color" | "tags" | "extra" | "price" | "opens" | "ranks" | "links" | "parent";
      publish: "label" | "rank" | "starts" | "color" | "tags" | "extra" | "price";
    };
    records: {
      owner: "org";
      id: string;
      searchable: false;
      fields: {
        /** 1 to 200 characters, trimmed. */
        name: string;
        /** 1 to 20000 characters. */
        text: string;
        /** A whole number from 0 to 9007199254740991. */
        position: number;
        /** From -1e+308 to 1e+308. */
        precision: number;
        exists: boolean;
        /** A UUID, lower case. */
        uuid: string;
        /** A date, `YYYY-MM-DD`. */
        day: string;
        /** A time, RFC 3339. Answers are in UTC. */
        time: string;
        type: "a" | "b";
        /** At most 3 texts of 1 to 1000 characters. */
        values: string[];
        /** At most 100 bytes. */
        format: JsonObject;
        /** A number of at most 38 digits, 10 of them after the point. */
        decimal: string;
        /** A time of day, `HH:MM:SS`. */
        interval: string;
        /** At most 3 whole numbers from 0 to 9007199254740991. */
        ranks: number[];
        /** At most 3 UUIDs, lower case. */
        uuids: string[];
        /** Id of a row of things. */
        thing: string;
        /** Id of a row of records. */
        next_record: string | null;
      };
      optional: "next_record";
      publish: never;
    };
    errands: {
      owner: "user";
      id: string;
      searchable: false;
      fields: {
        /** 1 to 200 characters, trimmed. */
        title: string;
        /** Id of a row of things. */
        thing: string;
        /** Id of a row of things. */
        other_thing: string | null;
        /** Id of a row of errands. */
        after: string | null;
      };
      optional: "other_thing" | "after";
      publish: "title";
      embed: {
        steps: { data: { id: string; label: string }[]; more: boolean };
        thing: { label: string; rank: number | null } | null;
      };
    };
    steps: {
      owner: "user";
      under: "errands";
      id: string;
      searchable: true;
      fields: {
        /** 1 to 50 characters, trimmed. */
        label: string;
        /** A whole number from 0 to 1000. */
        rank: number | null;
        /** Default: false. */
        done: boolean;
        /** Id of a row of things. */
        thing: string | null;
      };
      optional: "rank" | "done" | "thing";
      publish: never;
    };
  };
}

/** The kinds of ids, for the client's option of this name. */
export const ids = { notes: "uuid", things: "uuid", records: "uuid", errands: "uuid", steps: "uuid" } as const;

type Json = string | number | boolean | null | Json[] | JsonObject;
type JsonObject = { [name: string]: Json };
