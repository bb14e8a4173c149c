//! Responses, before the pipeline adds the headers that every response has.

use serde::Serialize;

use crate::platform::HeaderLines;

/// A response of the Worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// All headers.
    pub headers: HeaderLines,
    /// The body.
    pub body: Body,
}

/// The body of a [`Response`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Bytes in memory.
    Bytes(Vec<u8>),
    /// The body of the upstream response that this request has open, as it streams.
    Upstream,
}

impl Response {
    /// The response with one more header.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push(name, value);
        self
    }
}

/// A response without a body.
pub(crate) fn empty(status: u16) -> Response {
    Response { status, headers: HeaderLines::default(), body: Body::Bytes(Vec::new()) }
}

/// A JSON response.
pub(crate) fn json(status: u16, body: &impl Serialize) -> Response {
    document(status, "application/json", to_bytes(body))
}

/// Problem details (RFC 9457).
pub(crate) fn problem(status: u16, body: &impl Serialize) -> Response {
    document(status, "application/problem+json", to_bytes(body))
}

/// A response whose body has this media type.
pub(crate) fn document(status: u16, media_type: &'static str, body: Vec<u8>) -> Response {
    Response { body: Body::Bytes(body), ..empty(status) }.with("content-type", media_type)
}

/// A 200 with JSON whose bytes stream from PostgREST.
pub(crate) fn streamed() -> Response {
    Response { body: Body::Upstream, ..empty(200) }.with("content-type", "application/json")
}

/// Our bodies have string keys and no failing `Serialize`, so this cannot fail.
fn to_bytes(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_default()
}
