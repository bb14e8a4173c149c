//! App Guard v1: the first door. Which app sent this request?
//!
//! Promise: under `enforce`, whoever holds a [`GuardedRequest`] holds bytes that an app's key signed
//! a moment ago: method, target, token, body and the headers that change a write's meaning. It
//! cannot be made elsewhere, and what comes after reads the request from it alone. It refuses a
//! missing, incomplete, repeated or wrong signature and an unknown app with one and the same
//! answer at one and the same cost, then a timestamp outside the window. It does not keep nonces:
//! it says which one is to be claimed ([`GuardedRequest::claim`]).

mod apps;
mod canonical;

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

pub(crate) use apps::{Apps, Mode};
pub use canonical::{Canonical, TokenDigest};

use crate::problem::{Code, Problem};
use crate::seam::{Claim, Field, Incoming};

/// How far a timestamp may be from the clock, either way, in seconds.
const WINDOW: i64 = 300;

/// How long beyond its timestamp a nonce is remembered, in seconds: longer than [`WINDOW`], so that
/// no clock difference between the isolate and the store reopens it.
const REMEMBER: i64 = 360;

/// The parts of a request that the doors and the validation look at, read once.
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) app_id: Option<String>,
    pub(crate) timestamp: Option<String>,
    pub(crate) nonce: Option<String>,
    pub(crate) signature: Option<String>,
    pub(crate) authorization: Option<String>,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) if_match: Option<String>,
    pub(crate) if_none_match: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) content_encoding: Option<String>,
}

impl Head {
    pub(crate) fn read(request: &impl Incoming) -> Self {
        let header = |field| request.header(field).map(str::to_owned);
        Self {
            method: request.method().to_owned(),
            target: request.target().to_owned(),
            app_id: header(Field::AppId),
            timestamp: header(Field::Timestamp),
            nonce: header(Field::Nonce),
            signature: header(Field::Signature),
            authorization: header(Field::Authorization),
            idempotency_key: header(Field::IdempotencyKey),
            if_match: header(Field::IfMatch),
            if_none_match: header(Field::IfNoneMatch),
            content_type: header(Field::ContentType),
            content_encoding: header(Field::ContentEncoding),
        }
    }

    fn bearer(&self) -> Bearer<'_> {
        let Some(value) = self.authorization.as_deref() else {
            return Bearer::Absent;
        };
        match value.split_at_checked(7) {
            Some((scheme, token))
                if scheme.eq_ignore_ascii_case("bearer ") && !token.is_empty() =>
            {
                Bearer::Token(token)
            }
            _ => Bearer::Other,
        }
    }

    fn token_digest(&self) -> Option<TokenDigest> {
        match self.bearer() {
            Bearer::Token(token) => Some(TokenDigest::of(token)),
            Bearer::Absent | Bearer::Other => None,
        }
    }

    fn mutates(&self) -> bool {
        matches!(self.method.as_str(), "POST" | "PUT" | "PATCH" | "DELETE")
    }
}

/// The headers hold a token and signatures, which `Debug` does not print.
impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// What the `Authorization` header holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bearer<'a> {
    /// No such header.
    Absent,
    /// The characters after `Bearer `.
    Token(&'a str),
    /// Another scheme, or no token: none for the signature, invalid for the second door.
    Other,
}

/// What App Guard found, for the log. Clients never learn which refusal it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Mode `off`: not looked at.
    Off,
    /// Good signature of this key, in time.
    Verified { key: String },
    /// Good signature, outside the window.
    Skewed,
    /// A header is absent, repeated or not of its form.
    Incomplete,
    /// No such app.
    UnknownApp,
    /// No live key made this signature.
    BadSignature,
}

impl Finding {
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Verified { .. } => "verified",
            Self::Skewed => "skewed",
            Self::Incomplete => "incomplete",
            Self::UnknownApp => "unknown_app",
            Self::BadSignature => "bad_signature",
        }
    }
}

/// A request that passed the first door, with the bytes that were signed.
pub(crate) struct GuardedRequest {
    head: Head,
    body: Vec<u8>,
    token_digest: Option<TokenDigest>,
    app_id: Option<String>,
    claim: Option<Claim>,
}

/// Nor does it print what a user wrote.
impl fmt::Debug for GuardedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedRequest")
            .field("head", &self.head)
            .field("app_id", &self.app_id)
            .finish_non_exhaustive()
    }
}

impl GuardedRequest {
    /// Null unless its signature was verified.
    pub(crate) fn app_id(&self) -> Option<&str> {
        self.app_id.as_deref()
    }

    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    pub(crate) fn bearer(&self) -> Bearer<'_> {
        self.head.bearer()
    }

    /// SHA-256 of the raw body, in hex.
    pub(crate) fn body_digest(&self) -> String {
        canonical::digest(&self.body)
    }

    /// Of the bearer token, if there is one.
    pub(crate) fn token_digest(&self) -> Option<TokenDigest> {
        self.token_digest
    }

    /// The nonce that this request uses up. `None` where nothing is changed, and in the modes
    /// `report` and `off`.
    pub(crate) fn claim(&self) -> Option<&Claim> {
        self.claim.as_ref()
    }
}

/// Knocks at the first door. `now` is in Unix seconds.
pub(crate) fn check(
    apps: &Apps,
    head: Head,
    body: Vec<u8>,
    now: i64,
) -> (Finding, Result<GuardedRequest, Problem>) {
    let mode = apps.mode(head.app_id.as_deref());
    let token_digest = head.token_digest();
    let admit = |head, body, app_id, claim| GuardedRequest {
        head,
        body,
        token_digest,
        app_id,
        claim,
    };
    if mode == Mode::Off {
        return (Finding::Off, Ok(admit(head, body, None, None)));
    }
    match judge(apps, &head, token_digest, &body, now) {
        (finding @ Finding::Verified { .. }, Some(signed)) => {
            let app_id = signed.app_id.to_owned();
            let claim = (mode == Mode::Enforce && head.mutates()).then(|| Claim {
                key: format!("{app_id}:{}", signed.nonce),
                keep_until: signed.timestamp.saturating_add(REMEMBER),
            });
            (finding, Ok(admit(head, body, Some(app_id), claim)))
        }
        (finding, _) if mode == Mode::Report => (finding, Ok(admit(head, body, None, None))),
        (Finding::Skewed, _) => (Finding::Skewed, Err(Problem::clock_skew(now))),
        (finding, _) => {
            let problem = Problem::new(
                Code::AppGuardRejected,
                "Sign the request as App Guard v1 describes, with a live key of this app.",
            );
            (finding, Err(problem))
        }
    }
}

/// The signature first, then the clock: `clock_skew` tells a server time to holders of a key only,
/// and a client that sees it knows that correcting its clock will do.
fn judge<'a>(
    apps: &Apps,
    head: &'a Head,
    token_digest: Option<TokenDigest>,
    body: &[u8],
    now: i64,
) -> (Finding, Option<Signed<'a>>) {
    let Some(signed) = Signed::read(head) else {
        return (Finding::Incomplete, None);
    };
    let Some(canonical) = signed.canonical(head, token_digest, body) else {
        return (Finding::Incomplete, None);
    };
    let keys = apps.keys(signed.app_id);
    let mut matched = u32::MAX;
    for (place, mac) in (0_u32..).zip(keys.macs) {
        let expected = sign(mac, &canonical);
        let mut any = Choice::from(0);
        for signature in &signed.signatures {
            any |= expected.ct_eq(signature);
        }
        matched.conditional_assign(&place, any);
    }
    // Padding and the keys of the dummy app were computed like any other; they just have no name.
    let name = usize::try_from(matched)
        .ok()
        .and_then(|place| keys.names.get(place));
    match name {
        None if !keys.known => (Finding::UnknownApp, None),
        None => (Finding::BadSignature, None),
        Some(_) if signed.timestamp.abs_diff(now) > WINDOW.unsigned_abs() => {
            (Finding::Skewed, None)
        }
        Some(key) => (Finding::Verified { key: key.clone() }, Some(signed)),
    }
}

fn sign(mac: &Hmac<Sha256>, canonical: &str) -> [u8; 32] {
    mac.clone()
        .chain_update(canonical.as_bytes())
        .finalize()
        .into_bytes()
        .into()
}

/// The four headers of App Guard, each of its form.
struct Signed<'a> {
    app_id: &'a str,
    timestamp: i64,
    timestamp_text: &'a str,
    nonce: &'a str,
    signatures: Vec<[u8; 32]>,
}

impl<'a> Signed<'a> {
    fn read(head: &'a Head) -> Option<Self> {
        let app_id = head.app_id.as_deref().filter(|id| is_app_id(id))?;
        let timestamp_text = head.timestamp.as_deref().filter(|t| is_timestamp(t))?;
        let nonce = head.nonce.as_deref().filter(|n| is_nonce(n))?;
        Some(Self {
            app_id,
            timestamp: timestamp_text.parse().ok()?,
            timestamp_text,
            nonce,
            signatures: signatures(head.signature.as_deref()?)?,
        })
    }

    fn canonical(
        &self,
        head: &Head,
        token_digest: Option<TokenDigest>,
        body: &[u8],
    ) -> Option<String> {
        // Two Authorization headers, joined on the way: which one was meant?
        if matches!(head.bearer(), Bearer::Token(token) if token.contains(',')) {
            return None;
        }
        Canonical {
            app_id: self.app_id,
            timestamp: self.timestamp_text,
            nonce: self.nonce,
            method: &head.method,
            target: &head.target,
            token_digest,
            body,
            idempotency_key: head.idempotency_key.as_deref(),
            if_match: head.if_match.as_deref(),
            if_none_match: head.if_none_match.as_deref(),
        }
        .text()
    }
}

/// 1 to 64 of `A-Z a-z 0-9 . _ -`.
fn is_app_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// `[1-9][0-9]{0,10}`.
fn is_timestamp(text: &str) -> bool {
    (1..=11).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_digit())
        && !text.starts_with('0')
}

/// 22 to 64 of `A-Z a-z 0-9 _ -`: room for at least 128 bits.
fn is_nonce(text: &str) -> bool {
    (22..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// One to four of `v1=` and 64 lower-case hex digits, one space between: during a rotation a
/// client may sign with two keys.
fn signatures(text: &str) -> Option<Vec<[u8; 32]>> {
    let signatures: Vec<_> = text
        .split(' ')
        .take(5)
        .map(|one| {
            let hex = one.strip_prefix("v1=")?;
            let mut bytes = [0; 32];
            (base16ct::lower::decode(hex, &mut bytes).ok()?.len() == bytes.len()).then_some(bytes)
        })
        .collect::<Option<_>>()?;
    (signatures.len() <= 4).then_some(signatures)
}

#[cfg(test)]
mod tests;
