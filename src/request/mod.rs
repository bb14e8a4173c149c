//! The parts of a guarded request that routes accept.
//!
//! A route refuses unsupported parameters, conditional headers, bodies and an `Idempotency-Key`
//! instead of ignoring them.

pub(crate) mod conditional;
pub(crate) mod page;
pub(crate) mod query;

use crate::app_guard::GuardedRequest;
use crate::error::{Code, Problem};
use crate::resources::{IdKind, Resource};
use conditional::{IfMatch, IfNoneMatch};

/// The parts of a request that a route accepts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Accepts {
    parameters: bool,
    /// Media types of the body; empty if the route takes none.
    body: &'static [&'static str],
    idempotency_key: bool,
    conditions: Conditions,
    versioned: bool,
}

/// The conditional headers that a route accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conditions {
    None,
    IfMatch,
    IfNoneMatch,
    /// `If-Match`, or `If-None-Match: *`.
    Put,
    /// `If-None-Match: *`.
    CreateOnly,
}

const JSON: &[&str] = &["application/json"];

impl Accepts {
    /// Nothing but the path.
    pub(crate) const NOTHING: Self =
        Self { parameters: false, body: &[], idempotency_key: false, conditions: Conditions::None, versioned: true };
    /// Query parameters.
    pub(crate) const LIST: Self = Self { parameters: true, ..Self::NOTHING };
    /// `If-None-Match`.
    pub(crate) const READ: Self = Self { conditions: Conditions::IfNoneMatch, ..Self::NOTHING };
    /// `If-None-Match`, or query parameters.
    pub(crate) const ROW: Self = Self { parameters: true, ..Self::READ };
    /// A body.
    pub(crate) const JSON: Self = Self { body: JSON, ..Self::NOTHING };
    /// A body and an `Idempotency-Key`.
    pub(crate) const CREATE: Self = Self { idempotency_key: true, ..Self::JSON };
    /// A body under `If-Match` or `If-None-Match: *`.
    pub(crate) const PUT: Self = Self { conditions: Conditions::Put, ..Self::JSON };
    /// A body under `If-Match`; also as a merge patch (RFC 7396).
    pub(crate) const PATCH: Self = Self {
        body: &["application/json", "application/merge-patch+json"],
        conditions: Conditions::IfMatch,
        ..Self::NOTHING
    };
    /// `If-Match`.
    pub(crate) const CHANGE: Self = Self { conditions: Conditions::IfMatch, ..Self::NOTHING };

    /// The same for this resource. Without a version there is no tag to compare. A PUT never
    /// creates a row whose id the database makes.
    pub(crate) fn of(mut self, resource: &Resource) -> Self {
        let creates = self.conditions == Conditions::Put && resource.id.kind != IdKind::Bigint;
        self.versioned = resource.version.is_some();
        self.conditions = match (self.conditions, self.versioned) {
            (Conditions::Put, true) if !creates => Conditions::IfMatch,
            (Conditions::Put, false) if creates => Conditions::CreateOnly,
            (conditions, true) => conditions,
            (_, false) => Conditions::None,
        };
        self
    }
}

/// A request as far as its route accepts it.
#[derive(Debug)]
pub(crate) struct Input<'a> {
    /// The query string as received.
    pub(crate) query: &'a str,
    /// The body; empty where the route takes none.
    pub(crate) body: &'a [u8],
    /// 8 to 64 of `A-Z a-z 0-9 _ -`.
    pub(crate) idempotency_key: Option<&'a str>,
    /// A precondition of a write.
    pub(crate) if_match: Option<IfMatch>,
    /// A condition of a read, or `*` of a PUT.
    pub(crate) if_none_match: Option<IfNoneMatch>,
    /// Whether rows of the route have versions.
    pub(crate) versioned: bool,
}

impl<'a> Input<'a> {
    /// 400, 415 or 422 for a part that the route does not accept.
    pub(crate) fn read(accepts: Accepts, request: &'a GuardedRequest) -> Result<Self, Problem> {
        let head = request.head();
        let (_, query) = split_target(&head.target);
        let mut conditions = accepts.conditions;
        if conditions == Conditions::IfNoneMatch && accepts.parameters && !query.is_empty() {
            // Embedded rows have no tag: they change without the row.
            conditions = Conditions::None;
        }
        if !accepts.parameters {
            query::none(query)?;
        }
        let idempotency_key = head.idempotency_key.as_deref();
        let idempotency_key = idempotency_key.map(parse_idempotency_key).transpose()?;
        if idempotency_key.is_some() && !accepts.idempotency_key {
            return Err(Problem::new(Code::MalformedRequest, "Only a POST that creates takes an Idempotency-Key."));
        }
        let body = match accepts.body {
            [] => no_body(request),
            types => media_type(request, types),
        }?;
        let if_match = head.if_match.as_deref().map(IfMatch::parse).transpose()?;
        let if_none_match = match head.if_none_match.as_deref().map(IfNoneMatch::parse) {
            // A cache added it after the client signed: of use to a route with a tag, and else ignored.
            condition if request.condition_is_unsigned() => {
                condition.and_then(Result::ok).filter(|_| conditions == Conditions::IfNoneMatch)
            }
            condition => condition.transpose()?,
        };
        let supported = matches!(
            (conditions, &if_match, &if_none_match),
            (_, None, None)
                | (Conditions::IfMatch | Conditions::Put, Some(_), None)
                | (Conditions::IfNoneMatch, None, Some(_))
                | (Conditions::Put | Conditions::CreateOnly, None, Some(IfNoneMatch::Any))
        );
        if !supported {
            return Err(Problem::new(
                Code::MalformedRequest,
                "This route does not support this conditional header. Ignoring it would be unsafe.",
            ));
        }
        Ok(Self { query, body, idempotency_key, if_match, if_none_match, versioned: accepts.versioned })
    }
}

/// Splits a target into path and query. The query is without its `?`; an absent one is empty.
pub(crate) fn split_target(target: &str) -> (&str, &str) {
    target.split_once('?').unwrap_or((target, ""))
}

fn parse_idempotency_key(key: &str) -> Result<&str, Problem> {
    let good =
        (8..=64).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    good.then_some(key)
        .ok_or(Problem::new(Code::MalformedRequest, "Idempotency-Key must be 8 to 64 of A-Z a-z 0-9 _ -."))
}

/// The body, if it is declared as one of `types` and not compressed.
fn media_type<'a>(request: &'a GuardedRequest, types: &[&str]) -> Result<&'a [u8], Problem> {
    let unsupported = |detail| Err(Problem::new(Code::UnsupportedMediaType, detail));
    let head = request.head();
    if head.content_encoding.is_some() {
        return unsupported("Send the body without a Content-Encoding.");
    }
    let declared = head.content_type.as_deref().unwrap_or_default();
    let essence = declared.split_once(';').map_or(declared, |(essence, _)| essence).trim();
    if types.iter().any(|one| essence.eq_ignore_ascii_case(one)) {
        Ok(request.body())
    } else {
        unsupported("Send the body as application/json.")
    }
}

fn no_body(request: &GuardedRequest) -> Result<&[u8], Problem> {
    if request.body().is_empty() {
        Ok(&[])
    } else {
        Err(Problem::new(Code::MalformedRequest, "This route takes no body."))
    }
}
