//! The API's own description, `openapi.json`, as this binary serves it.
//!
//! The document is a file that people read; `tests/openapi.rs` and the end-to-end tests hold it
//! and the code against each other.

use crate::reply::{self, Response};

/// OpenAPI 3.1, as text.
pub const DOCUMENT: &str = include_str!("../openapi.json");

/// The response to `GET /openapi.json`, which may be cached.
pub(crate) fn document() -> Response {
    reply::document(200, "application/json", DOCUMENT.as_bytes().to_vec())
        .with("cache-control", "public, max-age=300")
}
