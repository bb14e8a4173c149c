/** An organisation and the shapes around it, named as on the wire. */

/** A viewer reads rows, an editor writes them too, an owner manages the organisation as well. */
export type Role = "owner" | "editor" | "viewer";

/** An organisation as the signed-in user, who is one of its members, sees it. */
export interface Org {
  /** UUID, lower case. */
  id: string;
  /** 1-200 characters, trimmed. */
  name: string;
  /** The user's own. */
  role: Role;
  /** Starts at 1; every change of its name or its members adds to it. */
  version: number;
  created_at: string;
  updated_at: string;
}

/** A user in an organisation. */
export interface Member {
  /** UUID, lower case: `sub` of their token. */
  user_id: string;
  role: Role;
  /** Starts at 1; every change adds 1. */
  version: number;
  created_at: string;
  updated_at: string;
}

/** An invitation, without its token. */
export interface Invitation {
  /** UUID, lower case. */
  id: string;
  /** The role of the user who joins. */
  role: Role;
  created_at: string;
  expires_at: string;
  /** `null` until a user has joined. */
  accepted_at: string | null;
}

/** An invitation and its token, which is shown only now and lets its holder join once. */
export interface NewInvitation extends Invitation {
  token: string;
}
