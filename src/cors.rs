//! CORS (the Fetch standard) for web builds of an app. Off unless `CORS_ORIGINS` names origins.
//!
//! Promise: an origin that is not named, byte for byte, gets no CORS header at all. It refuses
//! `*` and credentials: tokens travel in a header, not in cookies.

use crate::reply::{Response, empty};
use crate::route::{self, Path};
use crate::seam::{Field, Incoming};

const REQUEST_HEADERS: &str = "authorization, content-type, idempotency-key, if-match, \
     if-none-match, x-app-id, x-app-nonce, x-app-signature, x-app-timestamp";
const RESPONSE_HEADERS: &str = "allow, etag, location, retry-after, www-authenticate, x-request-id";

/// The answer to a preflight of a named origin for a path that exists. Anything else goes on, and
/// ends as the 405 that OPTIONS is.
pub(crate) fn preflight(origins: &[String], request: &impl Incoming) -> Option<Response> {
    if origins.is_empty() || request.method() != "OPTIONS" {
        return None;
    }
    named(origins, request)?;
    request.header(Field::RequestMethod)?;
    let path = Path::parse(route::split(request.target()).0)?;
    Some(
        empty(204)
            .with("access-control-allow-methods", path.allow())
            .with("access-control-allow-headers", REQUEST_HEADERS)
            .with("access-control-max-age", "7200"),
    )
}

/// Lets a page of a named origin read the response.
pub(crate) fn expose(origins: &[String], request: &impl Incoming, response: Response) -> Response {
    if origins.is_empty() {
        return response;
    }
    let response = response.with("vary", "Origin");
    match named(origins, request) {
        None => response,
        Some(origin) => response
            .with("access-control-allow-origin", origin)
            .with("access-control-expose-headers", RESPONSE_HEADERS),
    }
}

fn named<'a>(origins: &[String], request: &'a impl Incoming) -> Option<&'a str> {
    let origin = request.header(Field::Origin)?;
    origins.iter().any(|one| one == origin).then_some(origin)
}
