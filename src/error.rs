//! Every failure that a client can meet, as RFC 9457 problem details.
//!
//! One table maps each [`Code`] to its status, title and `retryable`. A `detail` is a constant of this
//! program, so no text of an upstream can reach a client. The exact reason goes to the log
//! ([`Problem::because`]).

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::platform::Level;
use crate::response::{self, Response};
use crate::types::Version;

/// A [`Code`] as clients see it.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    /// HTTP status.
    pub status: u16,
    /// The `code` member.
    pub code: &'static str,
    /// The `title` member: the same for every occurrence (RFC 9457 section 3.1.3).
    pub title: &'static str,
    /// Whether the same method, path, body and `Idempotency-Key`, freshly signed, may succeed later. An
    /// app's queue of unsent changes keeps an entry on `true` and drops it on `false`.
    pub retryable: bool,
}

/// Writes the enum and its table from one list.
macro_rules! codes {
    ($(
        $(#[$doc:meta])*
        $variant:ident: $status:literal $code:literal, retryable: $retryable:literal, $title:literal $(, $detail:literal)?;
    )*) => {
        /// The stable `code` of a problem; its `type` is `urn:airlock:problem:<code>`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// All codes, in the order of the table.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];

            /// The table.
            pub const fn definition(self) -> Definition {
                let (status, code, title, retryable) = match self {
                    $(Code::$variant => ($status, $code, $title, $retryable),)*
                };
                Definition { status, code, title, retryable }
            }

            /// The `detail` of a problem that has none of its own.
            const fn detail(self) -> &'static str {
                match self {
                    $(Code::$variant => concat!("" $(, $detail)?),)*
                }
            }
        }
    };
}

codes! {
    /// The body is not JSON, or not UTF-8.
    MalformedJson: 400 "malformed_json", retryable: false, "The body is not JSON";
    /// The request itself: query bytes, a conditional header, a body where none belongs.
    MalformedRequest: 400 "malformed_request", retryable: false, "The request is malformed";
    /// Missing, incomplete or wrong signature, or unknown app. One answer for all of them.
    AppGuardRejected: 401 "app_guard_rejected", retryable: false, "The app's signature was not accepted",
        "Sign the request as App Guard v1 describes, with a live key of this app.";
    /// A good signature with a timestamp outside the window; carries `server_time`.
    ClockSkew: 401 "clock_skew", retryable: true, "The device's clock is off",
        "The signature is good, but its timestamp is more than 300 seconds off. Correct the clock by server_time \
         and sign again.";
    /// No attestation token where the app's key asks for one.
    AttestationMissing: 401 "attestation_missing", retryable: true, "No attestation of the app",
        "Send a token of Firebase App Check as X-Firebase-AppCheck, or of Approov as Approov-Token.";
    /// An attestation token with which nothing is wrong but the time.
    AttestationExpired: 401 "attestation_expired", retryable: true, "The attestation of the app has expired",
        "Fetch a new attestation token and send the request again.";
    /// Any other attestation token.
    AttestationInvalid: 401 "attestation_invalid", retryable: false, "The attestation of the app was not accepted",
        "Send an attestation token of a genuine installation of this app.";
    /// No `Authorization` header.
    TokenMissing: 401 "token_missing", retryable: false, "No access token",
        "Send the user's Supabase access token as Authorization: Bearer.";
    /// A good token that is past its `exp`.
    TokenExpired: 401 "token_expired", retryable: true, "The access token has expired",
        "Refresh the session (supabase.auth.refreshSession()) and send the new token.";
    /// Any other token.
    TokenInvalid: 401 "token_invalid", retryable: false, "The access token was not accepted",
        "Send a valid Supabase access token of a signed-in user of this project.";
    /// A policy of Row Level Security refuses it.
    Forbidden: 403 "forbidden", retryable: false, "Not allowed for this user",
        "The database's policies do not allow this for this user.";
    /// No such route, or no such row for this user.
    NotFound: 404 "not_found", retryable: false, "Not found",
        "It does not exist, or this user may not see it.";
    /// The path exists, with other methods; see `Allow`.
    MethodNotAllowed: 405 "method_not_allowed", retryable: false, "Method not allowed",
        "This path exists, but not with this method; see Allow.";
    /// This signed request was carried out before; its answer may be lost.
    RequestReplayed: 409 "request_replayed", retryable: false, "This signed request was carried out before",
        "This request was carried out; its answer may be lost. Read the row to see the outcome.";
    /// The id or a unique value is taken, the row of the `Idempotency-Key` is deleted, or an
    /// organisation would lose its last owner.
    Conflict: 409 "conflict", retryable: false, "The request conflicts with the current state";
    /// A precondition did not hold; carries the row as it is as `current`.
    VersionMismatch: 412 "version_mismatch", retryable: false, "The row has changed",
        "The precondition does not hold for the row as it is now; see current.";
    /// A body over 256 KiB.
    PayloadTooLarge: 413 "payload_too_large", retryable: false, "The body is too large",
        "A request body is at most 256 KiB (262144 bytes).";
    /// A body that is not `application/json`, or is compressed.
    UnsupportedMediaType: 415 "unsupported_media_type", retryable: false, "The body's media type is not supported";
    /// Valid JSON that breaks a rule of the resource, or a query parameter out of its range.
    ValidationFailed: 422 "validation_failed", retryable: false, "The request is not valid",
        "See errors: each entry names the place and the rule that is broken.";
    /// This `Idempotency-Key` was used for something else.
    IdempotencyKeyReused: 422 "idempotency_key_reused", retryable: false, "The Idempotency-Key was used before",
        "This Idempotency-Key was used for another request in the last 24 hours. Use a new key.";
    /// A good signature of a key that the operator retired; carries the key's `message`, if it has one.
    UpgradeRequired: 426 "upgrade_required", retryable: false, "The app must be updated",
        "This version of the app is no longer supported. Ask its user to update it.";
    /// Over the limit of this address or this user.
    RateLimited: 429 "rate_limited", retryable: true, "Too many requests";
    /// A fault on our side, such as a migration that was not applied.
    Internal: 500 "internal", retryable: true, "Internal error",
        "Something is wrong on our side. It has been logged.";
    /// Supabase gave an unusable answer.
    UpstreamInvalid: 502 "upstream_invalid", retryable: true, "The database gave an unusable answer",
        "The database's answer is unusable. The outcome of a write is unknown.";
    /// Supabase cannot be reached or says that it is unavailable.
    UpstreamUnavailable: 503 "upstream_unavailable", retryable: true, "The database is not available",
        "The database cannot serve this now. The outcome of a write is unknown.";
    /// This Worker's configuration is incomplete or wrong.
    Misconfigured: 503 "misconfigured", retryable: true, "The service is not configured",
        "The service is not configured completely. Its log says what is missing.";
    /// The key set or a rate limiter gives no answer, or the isolate is busy.
    DependencyUnavailable: 503 "dependency_unavailable", retryable: true, "The service cannot decide now",
        "Something that is needed to decide on this request gives no answer, so it was refused.";
    /// Supabase did not answer in time.
    UpstreamTimeout: 504 "upstream_timeout", retryable: true, "The database did not answer in time",
        "The database took too long. The outcome of a write is unknown.";
}

impl Code {
    /// A problem with a reason for the log; the client does not get it.
    pub(crate) fn because(self, reason: &'static str) -> Problem {
        Problem::from(self).because(reason)
    }

    /// Whether honest phones cause this, too: some cannot attest.
    pub(crate) fn is_unattested(self) -> bool {
        matches!(self, Self::AttestationMissing | Self::AttestationExpired)
    }

    /// Seconds for `Retry-After`, where the status carries one.
    const fn retry_after(self) -> Option<u32> {
        match self {
            // The rate limiting binding counts by the minute and does not tell how much of it is left.
            Code::RateLimited | Code::Misconfigured => Some(60),
            Code::UpstreamUnavailable | Code::DependencyUnavailable | Code::UpstreamTimeout => Some(5),
            _ => None,
        }
    }

    /// The scheme for `WWW-Authenticate` (RFC 9110 section 11.6.1; RFC 6750 section 3 for Bearer,
    /// where a request without a token gets no error code).
    const fn challenge(self) -> Option<&'static str> {
        match self {
            Code::AppGuardRejected
            | Code::ClockSkew
            | Code::AttestationMissing
            | Code::AttestationExpired
            | Code::AttestationInvalid => Some("AppGuard"),
            Code::TokenMissing => Some("Bearer realm=\"airlock\""),
            Code::TokenExpired => {
                Some("Bearer realm=\"airlock\", error=\"invalid_token\", error_description=\"expired\"")
            }
            Code::TokenInvalid => Some("Bearer realm=\"airlock\", error=\"invalid_token\""),
            _ => None,
        }
    }
}

/// One entry of `errors` in a problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct FieldError {
    /// The member of the body or the query parameter.
    #[serde(flatten)]
    pub(crate) at: At,
    /// Stable, such as `required`, `type`, `length` or `unique`; docs/protocol.md lists them.
    pub(crate) code: &'static str,
    /// A sentence for people, not for programs.
    pub(crate) message: Cow<'static, str>,
}

impl FieldError {
    /// An error at a JSON Pointer.
    pub(crate) fn pointer(
        pointer: impl Into<String>,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { at: At::Pointer(pointer.into()), code, message: message.into() }
    }
}

/// The place of a [`FieldError`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum At {
    /// JSON Pointer (RFC 6901) into the body; `""` is the whole of it.
    Pointer(String),
    /// Name of a query parameter.
    Parameter(String),
}

/// The members that only some problems have.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Extra {
    Nothing,
    ServerTime(i64),
    Errors(Vec<FieldError>),
    Current(String, Version),
    Allow(String),
    RetryAfter(u32),
    Message(Option<String>),
}

/// A failure on its way to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    code: Code,
    detail: &'static str,
    reason: Option<&'static str>,
    answered: Option<Box<Answered>>,
    alarming: bool,
    against_address: bool,
    extra: Extra,
}

/// The answer of Supabase that a problem is about, for the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) status: Option<u16>,
    /// SQLSTATE or PostgREST's code.
    pub(crate) code: Option<String>,
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Self::new(code, code.detail())
    }
}

impl Problem {
    /// A problem with a `detail` of its own, for the app's developer.
    pub(crate) const fn new(code: Code, detail: &'static str) -> Self {
        Self {
            code,
            detail,
            reason: None,
            answered: None,
            alarming: false,
            against_address: false,
            extra: Extra::Nothing,
        }
    }

    /// Adds a reason for the log; the client does not get it.
    #[must_use]
    pub(crate) const fn because(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }

    /// Adds Supabase's answer for the log.
    #[must_use]
    pub(crate) fn about(mut self, answered: Answered) -> Self {
        self.answered = Some(Box::new(answered));
        self
    }

    /// Marks a 4xx that an operator should see, as a warning in the log.
    #[must_use]
    pub(crate) const fn alarming(mut self) -> Self {
        self.alarming = true;
        self
    }

    /// Marks a refusal that counts against the client's address: one that attackers cause, and
    /// honest clients do not.
    #[must_use]
    pub(crate) const fn against_address(mut self) -> Self {
        self.against_address = true;
        self
    }

    /// Whether it counts against the client's address.
    pub(crate) fn is_against_address(&self) -> bool {
        self.against_address
    }

    /// 401 `clock_skew`: `server_time` in Unix seconds lets the client correct itself.
    pub(crate) fn clock_skew(server_time: i64) -> Self {
        Self { extra: Extra::ServerTime(server_time), ..Code::ClockSkew.into() }
    }

    /// 426 `upgrade_required` with a message that the app may show.
    pub(crate) fn upgrade_required(message: Option<String>) -> Self {
        Self { extra: Extra::Message(message), ..Code::UpgradeRequired.into() }
    }

    /// 422 `validation_failed`.
    pub(crate) fn validation(errors: Vec<FieldError>) -> Self {
        Self::from(Code::ValidationFailed).with_errors(errors)
    }

    /// 422 `validation_failed` with one error.
    pub(crate) fn invalid(pointer: &str, code: &'static str, message: &'static str) -> Self {
        Self::validation(vec![FieldError::pointer(pointer, code, message)])
    }

    /// The problem with its `errors`.
    #[must_use]
    pub(crate) fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.extra = Extra::Errors(errors);
        self
    }

    /// 412 `version_mismatch` with the row as it is, as JSON, and its version.
    pub(crate) fn version_mismatch(current: String, version: Version) -> Self {
        Self { extra: Extra::Current(current, version), ..Code::VersionMismatch.into() }
    }

    /// 405 with the methods of the path.
    pub(crate) fn method_not_allowed(allow: String) -> Self {
        Self { extra: Extra::Allow(allow), ..Code::MethodNotAllowed.into() }
    }

    /// 503 `dependency_unavailable`, to be tried again after `seconds`.
    pub(crate) fn dependency(reason: &'static str, seconds: u32) -> Self {
        Self { extra: Extra::RetryAfter(seconds), ..Code::DependencyUnavailable.because(reason) }
    }

    /// The code of the problem.
    pub(crate) fn code(&self) -> Code {
        self.code
    }

    /// The level of the log line.
    pub(crate) fn level(&self) -> Level {
        match self.code {
            Code::Internal | Code::UpstreamInvalid | Code::Misconfigured => Level::Error,
            code if self.alarming || code.definition().status >= 500 => Level::Warn,
            _ => Level::Info,
        }
    }

    /// The reason for the log.
    pub(crate) fn reason(&self) -> Option<&'static str> {
        self.reason
    }

    /// Takes out Supabase's answer, for the log.
    pub(crate) fn answered(&mut self) -> Answered {
        self.answered.take().map(|answered| *answered).unwrap_or_default()
    }

    /// The SQLSTATE or PostgREST's code of that answer.
    pub(crate) fn upstream_code(&self) -> Option<&str> {
        self.answered.as_ref()?.code.as_deref()
    }

    /// The response, without the headers that every response has.
    pub(crate) fn into_response(self, request_id: &str) -> Response {
        let Definition { status, code, title, retryable } = self.code.definition();

        let current;
        let mut details = Details {
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
            message: None,
        };
        let mut retry_after = self.code.retry_after();
        let mut header = None;
        match self.extra {
            Extra::Nothing => {}
            Extra::ServerTime(seconds) => details.server_time = Some(seconds),
            Extra::Errors(errors) => details.errors = Some(errors),
            Extra::Current(json, version) => {
                header = Some(("etag", version.etag()));
                current = json;
                details.current = serde_json::from_str(&current).ok();
            }
            Extra::Allow(methods) => header = Some(("allow", methods)),
            Extra::RetryAfter(seconds) => retry_after = Some(seconds),
            Extra::Message(message) => details.message = message,
        }
        let mut response = response::problem(status, &details);
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
struct Details<'a> {
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
    current: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}
