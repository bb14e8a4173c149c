//! The text that an App Guard signature covers.
//!
//! No two different requests have the same text. There are always eleven lines, each from a part
//! that cannot hold a line feed, and only an absent part is `-`.

use sha2::{Digest, Sha256};

use crate::jwt::TokenDigest;

/// The signed parts, one line each.
#[derive(Debug, Clone, Copy)]
pub struct Canonical<'a> {
    /// `X-App-Id`
    pub app_id: &'a str,
    /// `X-App-Timestamp`, as sent
    pub timestamp: &'a str,
    /// `X-App-Nonce`
    pub nonce: &'a str,
    /// The method, upper case
    pub method: &'a str,
    /// Path and query as received, never re-encoded
    pub target: &'a str,
    /// The digest of the bearer token, if there is one
    pub token_digest: Option<TokenDigest>,
    /// The raw body; empty when there is none
    pub body: &'a [u8],
    /// `Idempotency-Key`
    pub idempotency_key: Option<&'a str>,
    /// `If-Match`
    pub if_match: Option<&'a str>,
    /// `If-None-Match`
    pub if_none_match: Option<&'a str>,
}

impl Canonical<'_> {
    /// The eleven lines, joined by line feeds. `None` if a part could be mistaken for another.
    pub fn text(&self) -> Option<String> {
        let lines = [
            "v1",
            self.app_id,
            self.timestamp,
            self.nonce,
            self.method,
            self.target,
            &self.token_digest.map_or("-".to_owned(), |digest| hex(&digest.0)),
            &digest(self.body),
            optional(self.idempotency_key)?,
            optional(self.if_match)?,
            optional(self.if_none_match)?,
        ];
        lines.iter().all(|line| !line.contains('\n')).then(|| lines.join("\n"))
    }
}

/// A header that is absent is `-`. One that *is* `-` has no line of its own; no route accepts such
/// a value. Beyond printable ASCII, runtimes disagree on how bytes become text.
fn optional(header: Option<&str>) -> Option<&str> {
    match header {
        None => Some("-"),
        Some("-") => None,
        Some(value) => value.bytes().all(|b| matches!(b, b'\t' | 0x20..=0x7e)).then_some(value),
    }
}

/// SHA-256, in hex.
fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(digest: &[u8]) -> String {
    base16ct::lower::encode_string(digest)
}
