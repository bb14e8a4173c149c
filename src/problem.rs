//! Every failure a client can meet, as RFC 9457 problem details.
//!
//! Promise: one exhaustive table ([`Code::row`]) from failure to status, title and `retryable`;
//! nothing an upstream said and nothing about the inside goes out. It refuses free text: a `detail`
//! is a constant of this program. What happened exactly goes to the log through
//! [`Problem::because`], which no serialiser reads.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::reply::{self, Response};
use crate::seam::Level;
use crate::wire::Version;

/// The stable `code` of a problem; its `type` is `urn:airlock:problem:<code>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// 400: the body is not JSON, or not UTF-8.
    MalformedJson,
    /// 400: the request itself (query bytes, a conditional header, a body where none belongs).
    MalformedRequest,
    /// 401: no, incomplete or wrong App Guard signature; unknown app. One answer for all of them.
    AppGuardRejected,
    /// 401: a good signature with a timestamp outside the window; carries `server_time`.
    ClockSkew,
    /// 401: no `Authorization` header.
    TokenMissing,
    /// 401: a good token that is past its `exp`.
    TokenExpired,
    /// 401: any other token.
    TokenInvalid,
    /// 403: Row Level Security said no.
    Forbidden,
    /// 404: no such route, or no such note for this user.
    NotFound,
    /// 405: the path exists, with other methods; see `Allow`.
    MethodNotAllowed,
    /// 409: the nonce was used before. What became of that request is not known here.
    RequestReplayed,
    /// 409: the id is taken by something that is not a live note of the caller; what the
    /// `Idempotency-Key` made is deleted; or an organisation's last owner would go.
    Conflict,
    /// 412: a precondition did not hold; carries what is there as `current`.
    VersionMismatch,
    /// 413: a body over 256 KiB.
    PayloadTooLarge,
    /// 415: a body that is not `application/json`, or is compressed.
    UnsupportedMediaType,
    /// 422: valid JSON that is no valid note, or a query parameter out of its range.
    ValidationFailed,
    /// 422: this `Idempotency-Key` was used with another body.
    IdempotencyKeyReused,
    /// 429: over the limit of this address or this user.
    RateLimited,
    /// 500: a fault of ours, such as a migration that was not applied.
    Internal,
    /// 502: Supabase answered something that makes no sense here.
    UpstreamInvalid,
    /// 503: Supabase can't be reached or says that it is unavailable.
    UpstreamUnavailable,
    /// 503: this Worker's configuration is incomplete or wrong.
    Misconfigured,
    /// 503: the key set, the rate limiter or the nonce store can't be asked.
    DependencyUnavailable,
    /// 504: Supabase did not answer in time.
    UpstreamTimeout,
}

/// One line of the table: what [`Code`] means on the wire.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// HTTP status.
    pub status: u16,
    /// The `code` member.
    pub code: &'static str,
    /// The `title` member: the same for every occurrence (RFC 9457 section 3.1.3).
    pub title: &'static str,
    /// Whether the same method, path and body, freshly signed, may succeed later. An app's queue
    /// of unsent changes keeps an entry on `true` and gives it up on `false`.
    pub retryable: bool,
}

impl Code {
    /// All codes, in the order of the table.
    pub const ALL: [Code; 24] = [
        Code::MalformedJson,
        Code::MalformedRequest,
        Code::AppGuardRejected,
        Code::ClockSkew,
        Code::TokenMissing,
        Code::TokenExpired,
        Code::TokenInvalid,
        Code::Forbidden,
        Code::NotFound,
        Code::MethodNotAllowed,
        Code::RequestReplayed,
        Code::Conflict,
        Code::VersionMismatch,
        Code::PayloadTooLarge,
        Code::UnsupportedMediaType,
        Code::ValidationFailed,
        Code::IdempotencyKeyReused,
        Code::RateLimited,
        Code::Internal,
        Code::UpstreamInvalid,
        Code::UpstreamUnavailable,
        Code::Misconfigured,
        Code::DependencyUnavailable,
        Code::UpstreamTimeout,
    ];

    /// The table.
    pub const fn row(self) -> Row {
        let (status, code, title, retryable) = match self {
            Code::MalformedJson => (400, "malformed_json", "The body is not JSON", false),
            Code::MalformedRequest => (400, "malformed_request", "The request is malformed", false),
            Code::AppGuardRejected => (
                401,
                "app_guard_rejected",
                "The app's signature was not accepted",
                false,
            ),
            Code::ClockSkew => (401, "clock_skew", "The device's clock is off", true),
            Code::TokenMissing => (401, "token_missing", "No access token", false),
            Code::TokenExpired => (401, "token_expired", "The access token has expired", true),
            Code::TokenInvalid => (
                401,
                "token_invalid",
                "The access token was not accepted",
                false,
            ),
            Code::Forbidden => (403, "forbidden", "Not allowed for this user", false),
            Code::NotFound => (404, "not_found", "Not found", false),
            Code::MethodNotAllowed => (405, "method_not_allowed", "Method not allowed", false),
            Code::RequestReplayed => (
                409,
                "request_replayed",
                "This signed request was sent before",
                true,
            ),
            Code::Conflict => (409, "conflict", "In conflict with what is there", false),
            Code::VersionMismatch => (412, "version_mismatch", "It has changed since", false),
            Code::PayloadTooLarge => (413, "payload_too_large", "The body is too large", false),
            Code::UnsupportedMediaType => (
                415,
                "unsupported_media_type",
                "The body's media type is not supported",
                false,
            ),
            Code::ValidationFailed => (422, "validation_failed", "The request is not valid", false),
            Code::IdempotencyKeyReused => (
                422,
                "idempotency_key_reused",
                "The Idempotency-Key was used before",
                false,
            ),
            Code::RateLimited => (429, "rate_limited", "Too many requests", true),
            Code::Internal => (500, "internal", "Internal error", true),
            Code::UpstreamInvalid => (
                502,
                "upstream_invalid",
                "The database gave an unusable answer",
                true,
            ),
            Code::UpstreamUnavailable => (
                503,
                "upstream_unavailable",
                "The database is not available",
                true,
            ),
            Code::Misconfigured => (503, "misconfigured", "The service is not configured", true),
            Code::DependencyUnavailable => (
                503,
                "dependency_unavailable",
                "The service can't decide right now",
                true,
            ),
            Code::UpstreamTimeout => (
                504,
                "upstream_timeout",
                "The database did not answer in time",
                true,
            ),
        };
        Row {
            status,
            code,
            title,
            retryable,
        }
    }

    /// Seconds for `Retry-After`, where the status carries one.
    const fn retry_after(self) -> Option<u32> {
        match self {
            // The rate limiting bindings count by the minute and don't tell how much of it is left.
            Code::RateLimited => Some(60),
            Code::Misconfigured => Some(60),
            Code::UpstreamUnavailable | Code::DependencyUnavailable | Code::UpstreamTimeout => {
                Some(5)
            }
            _ => None,
        }
    }

    /// The scheme for `WWW-Authenticate` (RFC 9110 section 11.6.1; RFC 6750 section 3 for Bearer,
    /// where a request without a token gets no error code).
    const fn challenge(self) -> Option<&'static str> {
        match self {
            Code::AppGuardRejected | Code::ClockSkew => Some("AppGuard"),
            Code::TokenMissing => Some("Bearer realm=\"airlock\""),
            Code::TokenExpired => Some(
                "Bearer realm=\"airlock\", error=\"invalid_token\", error_description=\"expired\"",
            ),
            Code::TokenInvalid => Some("Bearer realm=\"airlock\", error=\"invalid_token\""),
            _ => None,
        }
    }
}

/// One entry of `errors` in a `validation_failed` problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct FieldError {
    /// Where in the body, or which query parameter.
    #[serde(flatten)]
    pub(crate) at: At,
    /// Stable: `required`, `type`, `unknown`, `duplicate`, `length`, `characters`, `value`.
    pub(crate) code: &'static str,
    /// For people.
    pub(crate) message: &'static str,
}

impl FieldError {
    /// A query parameter whose value is out of its range.
    pub(crate) fn parameter(name: &str, message: &'static str) -> Self {
        Self {
            at: At::Parameter(name.to_owned()),
            code: "value",
            message,
        }
    }
}

/// What a [`FieldError`] speaks of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum At {
    /// JSON Pointer (RFC 6901) into the body; `""` is the whole of it.
    Pointer(String),
    /// Name of a query parameter.
    Parameter(String),
}

/// What only some problems carry.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Extra {
    Nothing,
    ServerTime(i64),
    Errors(Vec<FieldError>),
    Current(String, Version),
    Allow(&'static str),
    RetryAfter(u32),
}

/// A failure on its way to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    code: Code,
    detail: &'static str,
    reason: Option<&'static str>,
    alarming: bool,
    extra: Extra,
}

impl Problem {
    /// A problem with a `detail` for the app's developer.
    pub(crate) const fn new(code: Code, detail: &'static str) -> Self {
        Self {
            code,
            detail,
            reason: None,
            alarming: false,
            extra: Extra::Nothing,
        }
    }

    /// Adds what the log is to say and the client is not to learn.
    #[must_use]
    pub(crate) const fn because(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }

    /// Marks a refusal that an operator should know of, though the client is told that it is wrong.
    #[must_use]
    pub(crate) const fn alarming(mut self) -> Self {
        self.alarming = true;
        self
    }

    /// 401 `token_expired`.
    pub(crate) const fn token_expired() -> Self {
        Self::new(
            Code::TokenExpired,
            "Refresh the session (supabase.auth.refreshSession()) and send the new token.",
        )
    }

    /// 401 `token_invalid`; `reason` is for the log.
    pub(crate) const fn token_invalid(reason: &'static str) -> Self {
        Self::new(
            Code::TokenInvalid,
            "Send a valid Supabase access token of a signed-in user of this project.",
        )
        .because(reason)
    }

    /// 404: not there, not the user's, or not in the state that the route is about. One answer.
    pub(crate) const fn no_such_note() -> Self {
        Self::new(Code::NotFound, "This user has no such note.")
    }

    /// 404 for what belongs to an organisation: not there, or not the user's to see. One answer.
    pub(crate) const fn no_such_org() -> Self {
        Self::new(
            Code::NotFound,
            "This user has no such organisation, or it has no such thing.",
        )
    }

    /// 403: the user may see it, and not do this to it.
    pub(crate) const fn forbidden() -> Self {
        Self::new(
            Code::Forbidden,
            "The database's policies do not allow this for this user.",
        )
    }

    /// 409 `conflict`: a rule about members.
    pub(crate) const fn membership() -> Self {
        Self::new(
            Code::Conflict,
            "An organisation keeps its last owner, and nobody joins it twice.",
        )
    }

    /// 409 `conflict`.
    pub(crate) const fn conflict() -> Self {
        Self::new(
            Code::Conflict,
            "This id is taken by something that is no live note of this user.",
        )
    }

    /// 409 `conflict`: the note that the key made is deleted.
    pub(crate) const fn made_and_deleted() -> Self {
        Self::new(
            Code::Conflict,
            "The note that this Idempotency-Key made was deleted since. For another note use another key.",
        )
    }

    /// 422 `idempotency_key_reused`.
    pub(crate) const fn idempotency_key_reused() -> Self {
        Self::new(
            Code::IdempotencyKeyReused,
            "This Idempotency-Key was used with another body in the last 24 hours. For another note use \
             another key.",
        )
    }

    /// 500 `internal`; `reason` is for the log.
    pub(crate) const fn internal(reason: &'static str) -> Self {
        Self::new(
            Code::Internal,
            "Something is wrong on our side; it has been logged.",
        )
        .because(reason)
    }

    /// 502 `upstream_invalid`; `reason` is for the log.
    pub(crate) const fn upstream_invalid(reason: &'static str) -> Self {
        Self::new(
            Code::UpstreamInvalid,
            "The database's answer made no sense. If this was a write, its outcome is unknown.",
        )
        .because(reason)
    }

    /// 503 `upstream_unavailable`; `reason` is for the log.
    pub(crate) const fn upstream_unavailable(reason: &'static str) -> Self {
        Self::new(
            Code::UpstreamUnavailable,
            "The database can't serve this now. If this was a write, its outcome is unknown.",
        )
        .because(reason)
    }

    /// 504 `upstream_timeout`; `reason` is for the log.
    pub(crate) const fn upstream_timeout(reason: &'static str) -> Self {
        Self::new(
            Code::UpstreamTimeout,
            "The database took too long. If this was a write, its outcome is unknown.",
        )
        .because(reason)
    }

    /// 401 `clock_skew`: `server_time` in Unix seconds lets the client correct itself.
    pub(crate) fn clock_skew(server_time: i64) -> Self {
        let mut problem = Self::new(
            Code::ClockSkew,
            "The signature is good but its timestamp is more than 300 seconds off; sign again with \
             the clock corrected by server_time.",
        );
        problem.extra = Extra::ServerTime(server_time);
        problem
    }

    /// 422 `validation_failed` with one entry for each flaw.
    pub(crate) fn validation(errors: Vec<FieldError>) -> Self {
        let mut problem = Self::new(
            Code::ValidationFailed,
            "See errors: each names the place and what is wrong there.",
        );
        problem.extra = Extra::Errors(errors);
        problem
    }

    /// 412 `version_mismatch` with what is there now, as JSON, and its version.
    pub(crate) fn version_mismatch(current: String, version: Version) -> Self {
        let mut problem = Self::new(
            Code::VersionMismatch,
            "The precondition does not hold for what is there now; see current.",
        );
        problem.extra = Extra::Current(current, version);
        problem
    }

    /// 405 with the methods that the path has.
    pub(crate) fn method_not_allowed(allow: &'static str) -> Self {
        let mut problem = Self::new(
            Code::MethodNotAllowed,
            "This path exists, but not with this method; see Allow.",
        );
        problem.extra = Extra::Allow(allow);
        problem
    }

    /// 503 `dependency_unavailable`, worth trying again after `seconds`.
    pub(crate) fn dependency(reason: &'static str, seconds: u32) -> Self {
        let mut problem = Self::new(
            Code::DependencyUnavailable,
            "Something that is needed to decide on this request can't be asked; it was refused.",
        )
        .because(reason);
        problem.extra = Extra::RetryAfter(seconds);
        problem
    }

    /// Its code.
    pub(crate) fn code(&self) -> Code {
        self.code
    }

    /// How much this matters to an operator.
    pub(crate) fn level(&self) -> Level {
        match self.code {
            Code::Internal | Code::UpstreamInvalid | Code::Misconfigured => Level::Error,
            code if self.alarming || code.row().status >= 500 => Level::Warn,
            _ => Level::Info,
        }
    }

    /// What the log is to say beyond the code.
    pub(crate) fn reason(&self) -> Option<&'static str> {
        self.reason
    }

    /// The response, without the headers that every response has.
    pub(crate) fn into_response(self, request_id: &str) -> Response {
        let Row {
            status,
            code,
            title,
            retryable,
        } = self.code.row();

        let mut body = Body {
            kind: format!("urn:airlock:problem:{code}"),
            title,
            status,
            code,
            detail: self.detail,
            request_id,
            retryable,
            server_time: None,
            errors: None,
            current: None,
        };
        let mut retry_after = self.code.retry_after();
        let mut header = None;
        match self.extra {
            Extra::Nothing => {}
            Extra::ServerTime(seconds) => body.server_time = Some(seconds),
            Extra::Errors(errors) => body.errors = Some(errors),
            Extra::Current(json, version) => {
                header = Some(("etag", version.etag()));
                body.current = RawValue::from_string(json).ok();
            }
            Extra::Allow(methods) => header = Some(("allow", methods.to_owned())),
            Extra::RetryAfter(seconds) => retry_after = Some(seconds),
        }
        let mut response = reply::problem(status, &body);
        if let Some((name, value)) = header {
            response = response.with(name, &value);
        }
        if let Some(challenge) = self.code.challenge() {
            response = response.with("www-authenticate", challenge);
        }
        if let Some(seconds) = retry_after {
            response = response.with("retry-after", &seconds.to_string());
        }
        response
    }
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: &'static str,
    request_id: &'a str,
    retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<Vec<FieldError>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<Box<RawValue>>,
}
