//! CORS (the Fetch standard) for web builds of an app. Off unless `CORS_ORIGINS` names origins.
//!
//! Promise: an origin that is not named, byte for byte, gets no CORS header at all. It refuses
//! `*` and credentials: tokens travel in a header, not in cookies.

use crate::reply::{Response, empty, with};
use crate::route::{self, Path};
use crate::seam::{Field, Incoming};
use http::header;

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
    let response = with(
        empty(204),
        header::ACCESS_CONTROL_ALLOW_METHODS,
        path.allow(),
    );
    let response = with(
        response,
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        REQUEST_HEADERS,
    );
    Some(with(response, header::ACCESS_CONTROL_MAX_AGE, "7200"))
}

/// Lets a page of a named origin read the response.
pub(crate) fn expose(origins: &[String], request: &impl Incoming, response: Response) -> Response {
    if origins.is_empty() {
        return response;
    }
    let response = with(response, header::VARY, "Origin");
    match named(origins, request) {
        None => response,
        Some(origin) => {
            let response = with(response, header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            with(
                response,
                header::ACCESS_CONTROL_EXPOSE_HEADERS,
                RESPONSE_HEADERS,
            )
        }
    }
}

fn named<'a>(origins: &[String], request: &'a impl Incoming) -> Option<&'a str> {
    let origin = request.header(Field::Origin)?;
    origins.iter().any(|one| one == origin).then_some(origin)
}
