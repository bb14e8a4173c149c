/** Signed requests to an Airlock. Start at {@link createAirlock}. */

export { type Attest, firebaseAttest } from "./attest.ts";
export type {
  Airlock,
  AirlockCalls,
  CallOptions,
  CreateOptions,
  GetOptions,
  Invitations,
  List,
  ListOptions,
  MatchOptions,
  Me,
  Members,
  NotesCalls,
  OrgCalls,
  Orgs,
  PageOptions,
  PublishCalls,
  RequestOptions,
  ResourceClient,
  RowCalls,
  Version,
} from "./calls.ts";
export { type ClientOptions, createAirlock } from "./client.ts";
export type { AnyDeclaration, Draft, LooseDeclaration, Patch, PublishedRow, Row } from "./declaration.ts";
export {
  AirlockError,
  AirlockNetworkError,
  AirlockProblem,
  AirlockUpgradeRequired,
  AirlockUserError,
  type CurrentRow,
  type FieldError,
  type FieldErrorCode,
  type NetworkErrorCode,
  type ProblemCode,
} from "./error.ts";
export type { Declaration } from "./generated.ts";
export { createId, type IdKind, type Random, type ResourceIds } from "./id.ts";
export type { Invitation, Member, NewInvitation, Org, Role } from "./org.ts";
export type { Page } from "./row.ts";
export {
  canonicalString,
  createNonce,
  type SignatureHeaders,
  type SignedFields,
  type SignInput,
  signRequest,
} from "./sign.ts";
export { createSignedFetch } from "./signed-fetch.ts";
export { type SupabaseAuth, supabaseToken } from "./supabase.ts";
export type { AirlockOptions, Answer } from "./transport.ts";
