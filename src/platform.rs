//! The platform as the Worker sees it: traits and plain data.
//!
//! Everything that reaches outside is a method here, so the whole path runs natively under
//! `cargo test` with another [`Platform`]. The caller decides whether an outcome is an error or is
//! retried.

use std::fmt;
use std::sync::OnceLock;

/// Milliseconds since the Unix epoch.
pub type Millis = i64;

/// The platform that the Worker runs on: workerd, or a test.
#[expect(async_fn_in_trait, reason = "one thread: nothing here is ever Send, and callers are generic")]
pub trait Platform {
    /// The one clock.
    fn now(&self) -> Millis;

    /// Lets the request run to its end even if its client disconnects. Without this a disconnect
    /// ends the request wherever it is.
    fn outlive(&self);

    /// Returns after `millis` milliseconds.
    async fn sleep(&self, millis: u32);

    /// Writes one line to the log.
    fn log(&self, level: Level, line: &str);

    /// Counts one event of `key` and says whether it is within the limit.
    async fn throttle(&self, limiter: Limiter, key: &str, deadline: Millis) -> Result<bool, Unanswered>;

    /// Whether the key of this JWK (JSON text: EC is ES256, RSA is RS256) made `signature` over
    /// `message`. Web Crypto takes a twentieth of the time that the same arithmetic takes in WASM.
    async fn verify(&self, jwk: &str, message: &[u8], signature: &[u8]) -> Result<bool, Unanswered>;

    /// Reads a static asset, which was deployed with the Worker.
    async fn asset(&self, path: &str, deadline: Millis) -> Result<Vec<u8>, Unanswered>;

    /// Sends a request and takes its response as `accept` says, before `deadline`. Redirects are not
    /// followed.
    async fn send(
        &self,
        request: UpstreamRequest,
        accept: Accept,
        deadline: Millis,
    ) -> Result<UpstreamResponse, SendError>;
}

/// A request as it arrived.
#[expect(async_fn_in_trait, reason = "one thread: nothing here is ever Send, and callers are generic")]
pub trait Incoming {
    /// The method, as sent.
    fn method(&self) -> &str;

    /// Path and query exactly as received: not decoded, not normalised.
    fn target(&self) -> &str;

    /// A header's value; several lines of one name come joined by `, ` (RFC 9110 section 5.3).
    fn header(&self, header: Header) -> Option<&str>;

    /// Reads the body and counts its bytes while it reads; an absent one is empty.
    async fn body(&mut self, max: usize, deadline: Millis) -> Result<Vec<u8>, BodyError>;
}

/// Writes the enum of the headers and their names from one list.
macro_rules! headers {
    ($($header:ident = $name:literal,)*) => {
        /// The headers that the Worker reads. There are no others, so the platform hands them over in one
        /// piece: each crossing between JavaScript and WASM costs more than most checks.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the names are those of the headers")]
        pub enum Header {
            $($header,)*
        }

        impl Header {
            /// All headers, in the order of their discriminants.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$header),*];

            /// The name on the wire, in lower case.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$header => $name,)*
                }
            }
        }
    };
}

headers! {
    AppId = "x-app-id",
    Timestamp = "x-app-timestamp",
    Nonce = "x-app-nonce",
    Signature = "x-app-signature",
    ClientInfo = "x-client-info",
    Authorization = "authorization",
    AppCheck = "x-firebase-appcheck",
    Approov = "approov-token",
    IdempotencyKey = "idempotency-key",
    IfMatch = "if-match",
    IfNoneMatch = "if-none-match",
    ContentType = "content-type",
    ContentEncoding = "content-encoding",
    ContentLength = "content-length",
    ConnectingIp = "cf-connecting-ip",
    Origin = "origin",
    RequestMethod = "access-control-request-method",
}

/// The environment that the Worker was deployed with.
pub trait Bindings {
    /// A variable or secret.
    fn text(&self, name: &str) -> Option<String>;

    /// Whether something other than a text is bound, such as a rate limiter.
    fn has(&self, name: &str) -> bool;
}

/// Severity of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// One line for each request.
    Info,
    /// An operator should know.
    Warn,
    /// An operator should act.
    Error,
}

/// The two rate limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limiter {
    /// Refused requests per client address.
    Ip,
    /// Requests per user.
    User,
}

/// No answer in time, or an error in place of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unanswered;

/// The platform's parser of numbers, which the Worker sets before anything is parsed.
pub(crate) static PARSE_NUMBER: OnceLock<fn(&str) -> f64> = OnceLock::new();

/// The double that is nearest to a JSON number. (`serde_json` may be off by one in the last place.)
pub(crate) fn nearest_double(number: &str) -> f64 {
    // Rust's own parser would be a twentieth of the module, most of it a table.
    let own = if cfg!(target_arch = "wasm32") { None } else { number.parse().ok() };
    PARSE_NUMBER.get().map(|parse| parse(number)).or(own).unwrap_or(f64::NAN)
}

/// Headers as one text, which crosses to the platform in one piece: name and value alternate, one
/// line each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderLines(String);

impl HeaderLines {
    /// Adds a header. A value with a line end could begin another header, so it is left out.
    pub fn push(&mut self, name: &'static str, value: &str) {
        if !value.contains(['\n', '\r', '\0']) {
            for part in [name, value] {
                self.0.push_str(part);
                self.0.push('\n');
            }
        }
    }

    /// All headers as one text: names and values in turn, each before a line feed.
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

/// A request to Supabase. The head is one text: the method, the URL, then names and values of the
/// headers, one line each.
#[derive(Clone)]
pub struct UpstreamRequest {
    /// That text.
    pub head: String,
    /// Body, `None` for methods that have none. A text, which crosses to the platform more cheaply than bytes.
    pub body: Option<String>,
}

/// Leaves query, headers and body out: they hold the user's token and texts.
impl fmt::Debug for UpstreamRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.url().split('?').next().unwrap_or_default();
        write!(f, "UpstreamRequest({} {place})", self.method())
    }
}

impl UpstreamRequest {
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
        pairs(after_url.map_or("", |(at, _)| self.head.get(at.saturating_add(1)..).unwrap_or_default()))
    }
}

/// How much of a response is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accept {
    /// The whole body, at most `max` bytes.
    Whole {
        /// Bytes.
        max: usize,
    },
    /// For a 200 the status and headers: its body becomes the body of our own response. Any other
    /// status is read whole, at most `max_error` bytes.
    Stream {
        /// Bytes.
        max_error: usize,
    },
}

/// Supabase's response.
#[derive(Clone)]
pub struct UpstreamResponse {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type` of a body that streams; empty if absent.
    pub content_type: String,
    /// The body.
    pub content: Content,
}

/// The body of an [`UpstreamResponse`].
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// Read to its end.
    Whole(Vec<u8>),
    /// Not read: the platform holds it for [`Body::Upstream`](crate::response::Body::Upstream).
    Streaming {
        /// `Content-Length`, if there is one.
        declared_length: Option<u64>,
    },
}

/// Leaves the body out: it holds a user's data.
impl fmt::Debug for UpstreamResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UpstreamResponse({}, ", self.status)?;
        match &self.content {
            Content::Whole(body) => write!(f, "{} bytes)", body.len()),
            Content::Streaming { .. } => f.write_str("streaming)"),
        }
    }
}

/// Why there is no [`UpstreamResponse`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendError {
    /// The deadline passed, before or during the body.
    Timeout,
    /// The host is not in DNS, as far as the platform tells.
    NoHost,
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
    /// The isolate holds as many bytes of request bodies as it may.
    Busy,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_token_and_no_text() {
        let request = UpstreamRequest {
            head: "POST\nhttps://x/rest?search=secret\nauthorization\nBearer secret\n".to_owned(),
            body: Some("secret".to_owned()),
        };
        let response =
            UpstreamResponse { status: 200, content_type: String::new(), content: Content::Whole(b"secret".to_vec()) };
        assert_eq!(format!("{request:?}"), "UpstreamRequest(POST https://x/rest)");
        assert_eq!(format!("{response:?}"), "UpstreamResponse(200, 6 bytes)");
    }

    #[test]
    fn header_value_with_a_line_end_is_left_out() {
        let mut lines = HeaderLines::default();
        for value in ["a\nb", "a\rb", "a\0b"] {
            lines.push("x-bad", value);
        }
        lines.push("x-good", "a");
        assert_eq!(lines.as_str(), "x-good\na\n");
    }

    #[test]
    fn headers_are_numbered_in_the_order_of_all() {
        for (place, header) in Header::ALL.into_iter().enumerate() {
            assert_eq!(header as usize, place, "{header:?}");
        }
    }
}
