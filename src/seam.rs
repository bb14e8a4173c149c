//! The seam between the gateway and the platform it runs on.
//!
//! Promise: everything the gateway can do to the outside world is a method here, so that the whole
//! path runs natively under `cargo test` with another [`Edge`] behind it. It refuses policy: what
//! an outcome *means* (fail closed, retry, a status) is decided by the caller.

use http::HeaderMap;

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

    /// Sends a request and reads the whole reply, at most `max_body` bytes of it, before
    /// `deadline`. Redirects are not followed.
    async fn send(
        &self,
        request: Outbound,
        max_body: usize,
        deadline: Millis,
    ) -> Result<Reply, SendError>;
}

/// A request as it arrived. Headers are asked for one by one because each one read is a step over
/// the boundary of the WASM module, and a request that is refused early should not pay for them.
#[expect(
    async_fn_in_trait,
    reason = "one thread: nothing here is ever Send, and callers are generic"
)]
pub trait Incoming {
    /// The method, as sent.
    fn method(&self) -> &str;

    /// Path and query exactly as received: not decoded, not normalised.
    fn target(&self) -> &str;

    /// A header's value; several fields of one name come joined by `, ` (RFC 9110 section 5.3).
    fn header(&self, name: &'static str) -> Option<String>;

    /// Reads the body, counting while it reads; an absent one is empty.
    async fn body(&mut self, max: usize, deadline: Millis) -> Result<Vec<u8>, BodyError>;
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

/// A request to Supabase.
#[derive(Debug, Clone)]
pub struct Outbound {
    /// Method.
    pub method: http::Method,
    /// Absolute URL.
    pub url: String,
    /// All headers.
    pub headers: HeaderMap,
    /// Body, `None` for methods that have none.
    pub body: Option<Vec<u8>>,
}

/// Supabase's answer, read to its end.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The whole body.
    pub body: Vec<u8>,
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
