//! CORS (the Fetch standard) for web builds of an app. Off unless `CORS_ORIGINS` names origins.
//!
//! Origins are compared byte for byte; another origin gets no CORS header at all. There is no `*` and
//! no credentials: tokens travel in a header, not in cookies.

use crate::config::Config;
use crate::platform::{Header, Incoming, Platform};
use crate::response::{Response, empty};
use crate::router;

const REQUEST_HEADERS: &str = "approov-token, authorization, content-type, idempotency-key, if-match, \
     if-none-match, x-app-id, x-app-nonce, x-app-signature, x-app-timestamp, x-client-info, x-firebase-appcheck";
const RESPONSE_HEADERS: &str = "allow, etag, location, retry-after, www-authenticate, x-airlock-version, x-request-id";

/// The answer to a preflight of a named origin for a path that exists. Any other OPTIONS request ends
/// as a 405.
pub(crate) fn preflight<P: Platform>(config: &Config, request: &impl Incoming) -> Option<Response> {
    if config.cors.is_empty() || request.method() != "OPTIONS" {
        return None;
    }
    named(&config.cors, request)?;
    request.header(Header::RequestMethod)?;
    let methods = router::methods::<P>(&config.declaration, request.target())?;
    Some(
        empty(204)
            .with("access-control-allow-methods", &methods)
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
        Some(origin) => {
            response.with("access-control-allow-origin", origin).with("access-control-expose-headers", RESPONSE_HEADERS)
        }
    }
}

fn named<'a>(origins: &[String], request: &'a impl Incoming) -> Option<&'a str> {
    let origin = request.header(Header::Origin)?;
    origins.iter().any(|one| one == origin).then_some(origin)
}
