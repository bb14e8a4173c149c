//! Responses, before the gateway adds what every response has.

use serde::Serialize;

use crate::seam::HeaderLines;

/// A response whose body is in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// All headers.
    pub headers: HeaderLines,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Response {
    /// The response with one header more.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push(name, value);
        self
    }
}

/// A response without a body.
pub(crate) fn empty(status: u16) -> Response {
    Response {
        status,
        headers: HeaderLines::default(),
        body: Vec::new(),
    }
}

/// A JSON response.
pub(crate) fn json(status: u16, body: &impl Serialize) -> Response {
    document(status, "application/json", to_bytes(body))
}

/// Problem details (RFC 9457).
pub(crate) fn problem(status: u16, body: &impl Serialize) -> Response {
    document(status, "application/problem+json", to_bytes(body))
}

/// A response with a body of this media type.
pub(crate) fn document(status: u16, media_type: &'static str, body: Vec<u8>) -> Response {
    Response {
        body,
        ..empty(status)
    }
    .with("content-type", media_type)
}

/// Our bodies have string keys and no failing `Serialize`, which is all that can go wrong.
fn to_bytes(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_default()
}
