/** Signed requests to an Airlock. Start at {@link createAirlock}. */

export {
  createAirlock,
  type Airlock,
  type AirlockOptions,
  type Answer,
  type CallOptions,
  type CreateOptions,
  type GetOptions,
  type Invitations,
  type List,
  type ListOptions,
  type MatchOptions,
  type Me,
  type Members,
  type Notes,
  type Orgs,
  type PageOptions,
  type RequestOptions,
} from "./client.ts";
export {
  AirlockError,
  AirlockNetworkError,
  AirlockProblem,
  type FieldError,
  type ProblemCode,
} from "./error.ts";
export type { Note, NoteChanges, NoteDraft, NotePage, Page, PublishedNote } from "./note.ts";
export type { Invitation, Member, NewInvitation, Org, Role } from "./org.ts";
export {
  canonicalString,
  createNonce,
  signRequest,
  type SignatureHeaders,
  type SignedFields,
  type SignInput,
} from "./sign.ts";
