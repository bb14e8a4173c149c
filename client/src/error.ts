/**
 * The error of a call without a good answer.
 *
 * All of it is an {@link AirlockError}; only misuse (a `TypeError`), the caller's own abort, and
 * errors of `getToken` pass by.
 */

/** `code` of a problem. A newer server may know more: keep a default branch. */
export type ProblemCode =
  | "malformed_json"
  | "malformed_request"
  | "app_guard_rejected"
  | "clock_skew"
  | "attestation_missing"
  | "attestation_expired"
  | "attestation_invalid"
  | "token_missing"
  | "token_expired"
  | "token_invalid"
  | "forbidden"
  | "not_found"
  | "method_not_allowed"
  | "request_replayed"
  | "conflict"
  | "version_mismatch"
  | "payload_too_large"
  | "unsupported_media_type"
  | "validation_failed"
  | "idempotency_key_reused"
  | "upgrade_required"
  | "rate_limited"
  | "internal"
  | "upstream_invalid"
  | "upstream_unavailable"
  | "misconfigured"
  | "dependency_unavailable"
  | "upstream_timeout";

/** `code` of a {@link FieldError}. A newer server may know more. */
export type FieldErrorCode =
  | "required"
  | "type"
  | "unknown"
  | "duplicate"
  | "value"
  | "length"
  | "characters"
  | "range"
  | "format"
  | "one_of"
  | "items"
  | "size"
  | "depth"
  | "reference"
  | "unique"
  | "rule";

/** One error of a request: in its body (`pointer`) or in its query (`parameter`). */
export interface FieldError {
  /** JSON Pointer (RFC 6901) into the body; `""` is the whole of it. */
  pointer?: string;
  /** Name of a query parameter. */
  parameter?: string;
  code: FieldErrorCode;
  /** A sentence for people, not for programs. */
  message: string;
}

/** A row of any resource; in an app, `problem.current as Row<"notes">`. */
export interface CurrentRow {
  version: number;
  [member: string]: any;
}

/** An {@link AirlockProblem}, an {@link AirlockNetworkError} or an {@link AirlockUserError}. */
export abstract class AirlockError extends Error {
  /** Stable: the member to branch on. */
  abstract readonly code: ProblemCode | NetworkErrorCode | "user_changed";
  /** The same call may succeed later. Every call is signed afresh, so nothing else is needed. */
  abstract readonly retryable: boolean;
  /** Seconds to wait before the same call is made again; `null` when the server asked for no delay. */
  readonly retryAfter: number | null = null;
}

/** `timeout`: the call's `timeoutMs` was up. `network_error`: there is no connection, or it broke. */
export type NetworkErrorCode = "network_error" | "timeout";

/**
 * No answer arrived: no connection, it broke, or the time was up. Whether the request was carried out is unknown.
 * `cause` is the error of `fetch`, if there is one.
 */
export class AirlockNetworkError extends AirlockError {
  override readonly name = "AirlockNetworkError";
  readonly code: NetworkErrorCode;
  readonly retryable = true;

  constructor(
    cause?: unknown,
    message = "No answer: no connection, or it broke.",
    code: NetworkErrorCode = "network_error",
  ) {
    super(message, { cause });
    this.code = code;
  }
}

/**
 * Another user has signed in since the call began, or than the one that the option `user` names. Nothing was sent with
 * that user's token. The edit is still the first user's: keep it for them, or drop it.
 */
export class AirlockUserError extends AirlockError {
  override readonly name = "AirlockUserError";
  readonly code = "user_changed";
  readonly retryable = false;
}

/** The answer was a problem (RFC 9457). Members are named as on the wire. */
export class AirlockProblem extends AirlockError {
  override readonly name: string = "AirlockProblem";
  /** `urn:airlock:problem:<code>`. */
  declare readonly type: string;
  declare readonly title: string;
  /** HTTP status. */
  declare readonly status: number;
  /** Stable: the member to branch on. */
  declare readonly code: ProblemCode;
  /** A sentence for people, not for programs. */
  declare readonly detail: string;
  /** Quote it in a bug report: the server's log has the same one. */
  declare readonly request_id: string | null;
  declare readonly retryable: boolean;
  /** With `validation_failed`: each invalid value. With `conflict`: each value that is taken. Empty otherwise. */
  declare readonly errors: readonly FieldError[];
  /** With `version_mismatch`: the row, organisation or member as it is now, if the answer has it. */
  declare readonly current: CurrentRow | null;
  /** With `clock_skew`: the server's Unix time in seconds. */
  declare readonly server_time: number | null;
  /** From the `Retry-After` header. */
  declare readonly retryAfter: number | null;

  constructor(
    problem: ProblemBody,
    retryAfter: number | null,
    message = `${problem.status} ${problem.code}: ${problem.detail}`,
  ) {
    super(message);
    // The client corrects its clock by this value for all later requests.
    const server_time = Number.isSafeInteger(problem.server_time) ? problem.server_time : null;
    Object.assign(this, { errors: [], current: null, ...problem, message, server_time, retryAfter });
  }
}

/** The app's key is retired: this version of the app must be updated. `message` is for its user. */
export class AirlockUpgradeRequired extends AirlockProblem {
  override readonly name = "AirlockUpgradeRequired";

  constructor(problem: ProblemBody) {
    super(problem, null, problem.message ?? "This version is too old. Please update the app.");
  }
}

/** A problem as the server sends it. */
export interface ProblemBody {
  type: string;
  title: string;
  status: number;
  code: ProblemCode;
  detail: string;
  request_id: string | null;
  retryable: boolean;
  errors?: FieldError[];
  current?: CurrentRow;
  server_time?: number;
  message?: string;
}

/** The problem that an answer is. */
export function problemFrom(answer: { status: number; headers: Headers; body: string }): AirlockProblem {
  const [retryAfter] = /^\d{1,9}$/.exec(answer.headers.get("Retry-After") ?? "") ?? [];
  const body = Object(parseJson(answer.body)) as ProblemBody;
  const problem = body.type === PROBLEM + body.code ? body : foreignProblem(answer);
  return problem.code === "upgrade_required"
    ? new AirlockUpgradeRequired(problem)
    : new AirlockProblem(problem, retryAfter === undefined ? null : Number(retryAfter));
}

/** The prefix of each problem's type. */
const PROBLEM = "urn:airlock:problem:";

/** The value, or `undefined` when the text is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A parameter that no URL can have, with the server's answer to the same value in a body. */
export function unsendable(parameter: string, message: string): AirlockProblem {
  const code = "validation_failed";
  const errors: FieldError[] = [{ parameter, code: "value", message }];
  const detail = "The request was not sent.";
  return new AirlockProblem(
    { type: PROBLEM + code, title: detail, status: 422, code, detail, request_id: null, retryable: false, errors },
    null,
  );
}

/**
 * The answer is not Airlock's: a gateway's HTML, a captive portal. Retryable with any status: Airlock has not refused
 * the request, so the edit must not be dropped.
 */
function foreignProblem({ status, headers }: { status: number; headers: Headers }): ProblemBody {
  const code = FOREIGN_CODES[status] ?? "upstream_invalid";
  const media = headers.get("Content-Type") ?? "no media type";
  return {
    type: PROBLEM + code,
    title: "Not an answer of Airlock",
    status,
    code,
    detail: `This answer (${status}, ${media}) is a proxy's or a captive portal's, or the url is wrong.`,
    request_id: headers.get("X-Request-Id"),
    retryable: true,
  };
}

const FOREIGN_CODES: Partial<Record<number, ProblemCode>> = {
  429: "rate_limited",
  503: "upstream_unavailable",
  504: "upstream_timeout",
};
