//! App Guard v1: which app sent this request?
//!
//! Under `enforce`, a [`GuardedRequest`] holds bytes that an app's key signed a moment ago: method,
//! target, token, body and the headers that change a write. It cannot be made elsewhere, and later
//! steps read the request from it alone. Missing, incomplete, repeated and wrong signatures and
//! unknown apps get one answer at one cost; then comes the clock. The nonce is not kept here: the
//! transaction that changes a row claims it ([`GuardedRequest::nonce`]). Where the operator asks
//! for it, a vendor's token then has to vouch for the installation ([`attestation`]).

mod attestation;
mod canonical;
mod keys;

use std::fmt;
use std::rc::Rc;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use attestation::Policy;
pub(crate) use attestation::{Attested, Sent, Tokens};
pub use canonical::Canonical;
use keys::Key;
pub(crate) use keys::{Apps, Mode};

use crate::error::{Code, Problem};
use crate::jwt::TokenDigest;
use crate::platform::{Header, Incoming, Platform};

/// How far a timestamp may be from the clock, either way, in seconds.
const WINDOW: i64 = 300;

/// Seconds after its timestamp for which a nonce is kept. Longer than [`WINDOW`], because the
/// clocks of the isolate and the database may differ.
const KEEP: i64 = WINDOW + 60;

/// The head of a request, as far as checks and validation read it.
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
            app_id: header(Header::AppId),
            timestamp: header(Header::Timestamp),
            nonce: header(Header::Nonce),
            signature: header(Header::Signature),
            authorization: header(Header::Authorization),
            idempotency_key: header(Header::IdempotencyKey),
            if_match: header(Header::IfMatch),
            if_none_match: header(Header::IfNoneMatch),
            content_type: header(Header::ContentType),
            content_encoding: header(Header::ContentEncoding),
        }
    }

    /// The app id that the request states, if it has the form of one.
    pub(crate) fn claimed_app_id(&self) -> Option<&str> {
        self.app_id.as_deref().filter(|id| is_app_id(id))
    }

    fn bearer(&self) -> Bearer<'_> {
        let Some(value) = self.authorization.as_deref() else {
            return Bearer::Absent;
        };
        match value.split_at_checked(7) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer ") && !token.is_empty() => {
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
        f.debug_struct("Head").field("method", &self.method).finish_non_exhaustive()
    }
}

/// The content of the `Authorization` header.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bearer<'a> {
    /// No such header.
    Absent,
    /// The characters after `Bearer `.
    Token(&'a str),
    /// Another scheme, or an empty token. The signature covers no token; authentication answers `token_invalid`.
    Other,
}

/// The finding, for the log. Clients never learn which refusal it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Mode `off`: not checked.
    Off,
    /// Good signature of this key, timestamp within the window.
    Verified { key: String },
    /// Good signature of a retired key, timestamp within the window.
    Retired { key: String },
    /// Good signature, timestamp outside the window.
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
            Self::Retired { .. } => "retired",
            Self::Skewed => "skewed",
            Self::Incomplete => "incomplete",
            Self::UnknownApp => "unknown_app",
            Self::BadSignature => "bad_signature",
        }
    }
}

/// A request whose signature App Guard let pass. Attestation comes next.
#[derive(Debug)]
pub(crate) struct SignedRequest {
    request: GuardedRequest,
    /// The attestation that the signing key asks for.
    attest: Option<Rc<Policy>>,
}

impl SignedRequest {
    /// The app id; `None` unless the signature was verified.
    pub(crate) fn app_id(&self) -> Option<&str> {
        self.request.app_id()
    }

    /// Verifies the attestation tokens, if the operator asks for them. `now` is in Unix seconds.
    pub(crate) async fn attest(
        &self,
        sent: Sent<'_>,
        app_check: &Tokens,
        now: i64,
        platform: &impl Platform,
    ) -> Option<Attested> {
        let authorization = self.request.head.authorization.as_deref();
        match &self.attest {
            // In a box, so that requests without attestation do not carry its state.
            Some(policy) => Some(Box::pin(policy.judge(sent, authorization, app_check, now, platform)).await),
            None => None,
        }
    }

    /// The request, if the verdict of [`SignedRequest::attest`] allows it.
    pub(crate) fn admit(self, attested: Option<&Attested>) -> Result<GuardedRequest, Problem> {
        match &self.attest {
            Some(policy) => policy.admit(attested).map(|()| self.request),
            None => Ok(self.request),
        }
    }
}

/// A request that App Guard let pass, with the bytes that were signed. Only [`SignedRequest::admit`]
/// hands one out.
pub(crate) struct GuardedRequest {
    head: Head,
    body: Vec<u8>,
    token_digest: Option<TokenDigest>,
    app_id: Option<String>,
    nonce: Option<Nonce>,
    enforced: bool,
    unsigned_condition: bool,
}

/// The nonce of a write, to be claimed by the transaction that changes a row.
pub(crate) struct Nonce {
    /// `<app id>:<nonce>`
    pub(crate) key: String,
    /// Unix seconds until which a claim must be kept.
    pub(crate) keep_until: i64,
}

/// Leaves the body out: it holds a user's data.
impl fmt::Debug for GuardedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedRequest").field("head", &self.head).field("app_id", &self.app_id).finish_non_exhaustive()
    }
}

impl GuardedRequest {
    /// The app id; `None` unless the signature was verified.
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

    /// The digest of the bearer token, if there is one.
    pub(crate) fn token_digest(&self) -> Option<TokenDigest> {
        self.token_digest
    }

    /// The nonce of a write under `enforce`. `None` for reads, and in the modes `report` and `off`.
    pub(crate) fn nonce(&self) -> Option<&Nonce> {
        self.nonce.as_ref()
    }

    /// Whether only a signed request could come here.
    pub(crate) fn is_enforced(&self) -> bool {
        self.enforced
    }

    /// Whether `If-None-Match` was added after the client signed, as HTTP caches below `fetch` do. It
    /// may only turn a 200 into a 304.
    pub(crate) fn condition_is_unsigned(&self) -> bool {
        self.unsigned_condition
    }
}

/// Refuses missing and malformed app headers where the app is enforced, before the body is read.
pub(crate) fn require_headers(apps: &Apps, head: &Head) -> Result<(), Problem> {
    if apps.mode(head.app_id.as_deref()) == Mode::Enforce && Signed::read(head).is_none() {
        Err(rejected())
    } else {
        Ok(())
    }
}

fn rejected() -> Problem {
    Problem::from(Code::AppGuardRejected).against_address()
}

/// Verifies the app signature. `now` is in Unix seconds.
pub(crate) fn check(apps: &Apps, head: Head, body: Vec<u8>, now: i64) -> (Finding, Result<SignedRequest, Problem>) {
    let mode = apps.mode(head.app_id.as_deref());
    let token_digest = head.token_digest();
    let admit = |head, body, app_id, nonce, unsigned_condition, attest| {
        let enforced = mode == Mode::Enforce;
        let request = GuardedRequest { head, body, token_digest, app_id, nonce, enforced, unsigned_condition };
        SignedRequest { request, attest }
    };
    if mode == Mode::Off {
        return (Finding::Off, Ok(admit(head, body, None, None, false, None)));
    }
    match judge(apps, &head, token_digest, &body, now) {
        Ok(Good { signed, key, unsigned_condition }) if !key.retired || mode == Mode::Report => {
            let finding = Finding::Verified { key: key.id.clone() };
            let app_id = signed.app_id.to_owned();
            let nonce = (mode == Mode::Enforce && head.mutates()).then(|| Nonce {
                key: format!("{app_id}:{}", signed.nonce),
                keep_until: signed.timestamp.saturating_add(KEEP),
            });
            let attest = key.attest.clone();
            (finding, Ok(admit(head, body, Some(app_id), nonce, unsigned_condition, attest)))
        }
        Ok(Good { key, .. }) => {
            let finding = Finding::Retired { key: key.id.clone() };
            (finding, Err(Problem::upgrade_required(key.message.clone())))
        }
        Err(finding) if mode == Mode::Report => (finding, Ok(admit(head, body, None, None, false, None))),
        Err(Finding::Skewed) => (Finding::Skewed, Err(Problem::clock_skew(now))),
        Err(finding) => (finding, Err(rejected())),
    }
}

/// A good signature in time.
struct Good<'a> {
    signed: Signed<'a>,
    key: &'a Key,
    unsigned_condition: bool,
}

/// The signature first, then the clock: `clock_skew` tells the server's time to holders of a key only,
/// and a client that sees it knows that a corrected clock is enough.
fn judge<'a>(
    apps: &'a Apps,
    head: &'a Head,
    token_digest: Option<TokenDigest>,
    body: &[u8],
    now: i64,
) -> Result<Good<'a>, Finding> {
    let Some(signed) = Signed::read(head) else {
        return Err(Finding::Incomplete);
    };
    // HTTP caches below `fetch` add `If-None-Match` to reads after the client signed.
    let may_add = matches!(head.method.as_str(), "GET" | "HEAD") && head.if_none_match.is_some();
    let as_sent = signed.canonical(head, head.if_none_match.as_deref(), token_digest, body);
    let without = may_add.then(|| signed.canonical(head, None, token_digest, body)).flatten();
    if as_sent.is_none() && without.is_none() {
        return Err(Finding::Incomplete);
    }
    let known = apps.keys(signed.app_id);
    let matches_sent = signed.matching(known.macs, as_sent.as_deref());
    let matches_without = signed.matching(known.macs, without.as_deref());
    let unsigned_condition = matches_sent == NO_KEY;
    let place = if unsigned_condition { matches_without } else { matches_sent };
    // Padding and the keys of the dummy app cost the same; they have no entry here.
    let key = usize::try_from(place).ok().and_then(|place| known.keys.get(place));
    match key {
        None if !known.known => Err(Finding::UnknownApp),
        None => Err(Finding::BadSignature),
        Some(_) if signed.timestamp.abs_diff(now) > WINDOW.unsigned_abs() => Err(Finding::Skewed),
        Some(key) => Ok(Good { signed, key, unsigned_condition }),
    }
}

/// The index that stands for "no key matched".
const NO_KEY: u32 = u32::MAX;

fn sign(mac: &Hmac<Sha256>, canonical: &str) -> [u8; 32] {
    mac.clone().chain_update(canonical.as_bytes()).finalize().into_bytes().into()
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
        let app_id = head.claimed_app_id()?;
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

    /// The place of the key that made one of the signatures over `canonical`. It takes as long for
    /// every key, signature and place.
    fn matching(&self, macs: &[Hmac<Sha256>], canonical: Option<&str>) -> u32 {
        let mut matched = NO_KEY;
        let Some(canonical) = canonical else { return matched };
        for (place, mac) in (0_u32..).zip(macs) {
            let expected = sign(mac, canonical);
            let mut any = Choice::from(0);
            for signature in &self.signatures {
                any |= expected.ct_eq(signature);
            }
            matched.conditional_assign(&place, any);
        }
        matched
    }

    fn canonical(
        &self,
        head: &Head,
        if_none_match: Option<&str>,
        token_digest: Option<TokenDigest>,
        body: &[u8],
    ) -> Option<String> {
        // Two Authorization headers, joined by a proxy: ambiguous, so refused.
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
            if_none_match,
        }
        .text()
    }
}

/// 1 to 64 of `A-Z a-z 0-9 . _ -`.
fn is_app_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// `[1-9][0-9]{0,10}`.
fn is_timestamp(text: &str) -> bool {
    (1..=11).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0')
}

/// 22 to 64 of `A-Z a-z 0-9 _ -`: at least 128 bits.
fn is_nonce(text: &str) -> bool {
    (22..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
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
