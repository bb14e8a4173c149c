/** Signed requests to an Airlock. Start at {@link createAirlock}. */

export {
  createAirlock,
  type Airlock,
  type AirlockCalls,
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
  type NotesCalls,
  type OrgCalls,
  type Orgs,
  type PageOptions,
  type PublishCalls,
  type RequestOptions,
  type ResourceClient,
  type RowCalls,
} from "./client.ts";
export type { AnyDeclaration, Draft, LooseDeclaration, Patch, PublishedRow, Row } from "./declaration.ts";
export {
  AirlockError,
  AirlockNetworkError,
  AirlockProblem,
  type CurrentRow,
  type FieldError,
  type FieldErrorCode,
  type ProblemCode,
} from "./error.ts";
export type { Declaration } from "./generated.ts";
export type { Invitation, Member, NewInvitation, Org, Role } from "./org.ts";
export type { Page } from "./row.ts";
export {
  canonicalString,
  createNonce,
  signRequest,
  type SignatureHeaders,
  type SignedFields,
  type SignInput,
} from "./sign.ts";
