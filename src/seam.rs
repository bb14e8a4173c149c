//! The seam between the gateway and the platform it runs on.
//!
//! Promise: everything the gateway can do to the outside world is a method here, so that the whole
//! path runs natively under `cargo test` with another [`Edge`] behind it. It refuses policy: what
//! an outcome *means* (fail closed, retry, a status) is decided by the caller.

use std::fmt;

pub use crate::token::{Alg, PublicKey};

/// Milliseconds since the Unix epoch.
pub type Millis = i64;

/// What the platform does for the gateway. All of it may fail, and says so.
#[expect(
    async_fn_in_trait,
    reason = "one thread: nothing here is ever Send, and callers are generic"
)]
pub trait Edge {
    /// The one clock.
    fn now(&self) -> Millis;

    /// From here on the request goes on to its end though its client may leave before. Without this a
    /// client that leaves ends it wherever it is.
    fn outlive(&self);

    /// Comes back after `millis`.
    async fn sleep(&self, millis: u32);

    /// Writes one line to the log.
    fn log(&self, level: Level, line: &str);

    /// Asks a limiter whether one more event of `key` fits; `deadline` bounds the question.
    async fn throttle(
        &self,
        limiter: Limiter,
        key: &str,
        deadline: Millis,
    ) -> Result<Verdict, Unanswered>;

    /// Claims a nonce. Of all claims of one nonce before `keep_until` exactly one is
    /// [`Verdict::Granted`].
    async fn claim(&self, claim: &Claim, deadline: Millis) -> Result<Verdict, Unanswered>;

    /// Whether `key` made `signature` over `message`. The platform's Web Crypto takes a twentieth of
    /// the time that the same arithmetic takes in WASM.
    async fn verify(
        &self,
        key: &PublicKey,
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, Unanswered>;

    /// Sends a request and reads the whole reply, at most `max_body` bytes of it, before
    /// `deadline`. Redirects are not followed.
    async fn send(
        &self,
        request: Outbound,
        max_body: usize,
        deadline: Millis,
    ) -> Result<Reply, SendError>;
}

/// A request as it arrived.
#[expect(
    async_fn_in_trait,
    reason = "one thread: nothing here is ever Send, and callers are generic"
)]
pub trait Incoming {
    /// The method, as sent.
    fn method(&self) -> &str;

    /// Path and query exactly as received: not decoded, not normalised.
    fn target(&self) -> &str;

    /// A header's value; several lines of one name come joined by `, ` (RFC 9110 section 5.3).
    fn header(&self, field: Field) -> Option<&str>;

    /// Reads the body, counting while it reads; an absent one is empty.
    async fn body(&mut self, max: usize, deadline: Millis) -> Result<Vec<u8>, BodyError>;
}

/// The headers that are read: these and no others, so that the platform can hand them over in one
/// piece. Each one asked for by itself would be a step over the boundary of the WASM module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the headers")]
pub enum Field {
    AppId,
    Timestamp,
    Nonce,
    Signature,
    Authorization,
    IdempotencyKey,
    IfMatch,
    IfNoneMatch,
    ContentType,
    ContentEncoding,
    ContentLength,
    ConnectingIp,
    Origin,
    RequestMethod,
}

impl Field {
    /// All there are, in the order of their discriminants.
    pub const ALL: [Self; 14] = [
        Self::AppId,
        Self::Timestamp,
        Self::Nonce,
        Self::Signature,
        Self::Authorization,
        Self::IdempotencyKey,
        Self::IfMatch,
        Self::IfNoneMatch,
        Self::ContentType,
        Self::ContentEncoding,
        Self::ContentLength,
        Self::ConnectingIp,
        Self::Origin,
        Self::RequestMethod,
    ];

    /// The name on the wire, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::AppId => "x-app-id",
            Self::Timestamp => "x-app-timestamp",
            Self::Nonce => "x-app-nonce",
            Self::Signature => "x-app-signature",
            Self::Authorization => "authorization",
            Self::IdempotencyKey => "idempotency-key",
            Self::IfMatch => "if-match",
            Self::IfNoneMatch => "if-none-match",
            Self::ContentType => "content-type",
            Self::ContentEncoding => "content-encoding",
            Self::ContentLength => "content-length",
            Self::ConnectingIp => "cf-connecting-ip",
            Self::Origin => "origin",
            Self::RequestMethod => "access-control-request-method",
        }
    }
}

/// The environment that the Worker was deployed with.
pub trait Bindings {
    /// A variable or secret.
    fn text(&self, name: &str) -> Option<String>;

    /// Whether something that is not a text is bound: a rate limiter, a Durable Object namespace.
    fn has(&self, name: &str) -> bool;
}

/// Severity of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// One a request.
    Info,
    /// An operator should know.
    Warn,
    /// An operator should act.
    Error,
}

/// The two rate limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limiter {
    /// Per client address, before anything is read or computed.
    Ip,
    /// Per `sub` of a verified token.
    User,
}

/// The answer of a limiter or of the nonce store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Within the limit; the first claim.
    Granted,
    /// Over the limit; claimed before.
    Refused,
}

/// No answer in time, or an error for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unanswered;

/// A nonce to be claimed for one mutating request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// App id and nonce, which together are claimed once.
    pub key: String,
    /// Unix seconds until which the claim must be remembered.
    pub keep_until: i64,
}

/// Headers as the platform takes them over in one piece: names and values by turns, a line each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderLines(String);

impl HeaderLines {
    /// Adds a header. A value that could end its line would be the beginning of another header, and is
    /// left out.
    pub fn push(&mut self, name: &'static str, value: &str) {
        if !value.contains(['\n', '\r', '\0']) {
            for part in [name, value] {
                self.0.push_str(part);
                self.0.push('\n');
            }
        }
    }

    /// All of them.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value of the first header of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let pair = pairs(&self.0).find(|(one, _)| *one == name);
        pair.map(|(_, value)| value)
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        pairs(&self.0)
    }
}

fn pairs(lines: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut lines = lines.lines();
    std::iter::from_fn(move || Some((lines.next()?, lines.next()?)))
}

/// A request to Supabase, all but its body in one text: the method, the URL, and then the names and
/// values of the headers by turns, a line each.
#[derive(Clone)]
pub struct Outbound {
    /// That text.
    pub head: String,
    /// Body, `None` for methods that have none.
    pub body: Option<Vec<u8>>,
}

/// Without query, headers and body: they hold the user's token and texts.
impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.url().split('?').next().unwrap_or_default();
        write!(f, "Outbound({} {place})", self.method())
    }
}

impl Outbound {
    /// Method.
    pub fn method(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    /// Absolute URL.
    pub fn url(&self) -> &str {
        self.head.lines().nth(1).unwrap_or_default()
    }

    /// The value of the first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let pair = self.headers().find(|(one, _)| *one == name);
        pair.map(|(_, value)| value)
    }

    /// Names and values of all headers.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let after_url = self.head.match_indices('\n').nth(1);
        pairs(after_url.map_or("", |(at, _)| {
            self.head.get(at.saturating_add(1)..).unwrap_or_default()
        }))
    }
}

/// Supabase's answer, read to its end.
#[derive(Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The whole body.
    pub body: Vec<u8>,
}

/// Without the body: it is a user's.
impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({}, {} bytes)", self.status, self.body.len())
    }
}

/// Why there is no [`Reply`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendError {
    /// The deadline passed, before or during the body.
    Timeout,
    /// No connection, or it broke.
    Unreachable,
    /// More bytes than allowed.
    TooLarge,
}

/// Why there is no request body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// More bytes than allowed.
    TooLarge,
    /// The client stopped in the middle.
    Broken,
    /// The deadline passed.
    Slow,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_token_and_no_text() {
        let request = Outbound {
            head: "POST\nhttps://x/rest?search=secret\nauthorization\nBearer secret\n".to_owned(),
            body: Some(b"secret".to_vec()),
        };
        let reply = Reply {
            status: 200,
            body: b"secret".to_vec(),
        };
        assert_eq!(format!("{request:?}"), "Outbound(POST https://x/rest)");
        assert_eq!(format!("{reply:?}"), "Reply(200, 6 bytes)");
    }

    #[test]
    fn a_value_that_could_end_its_line_is_left_out() {
        let mut lines = HeaderLines::default();
        for value in ["a\nb", "a\rb", "a\0b"] {
            lines.push("x-bad", value);
        }
        lines.push("x-good", "a");
        assert_eq!(lines.as_str(), "x-good\na\n");
    }

    #[test]
    fn each_field_is_found_at_its_own_place() {
        for (place, field) in Field::ALL.into_iter().enumerate() {
            assert_eq!(field as usize, place, "{field:?}");
        }
    }
}
