//! Responses, before the gateway adds what every response has.

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use serde::Serialize;

/// A response whose body is in memory.
pub(crate) type Response = http::Response<Vec<u8>>;

/// A response without a body.
pub(crate) fn empty(status: u16) -> Response {
    let mut response = Response::new(Vec::new());
    // Statuses are constants of this program; 500 stands for a typo in one.
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
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
    let mut response = empty(status);
    *response.body_mut() = body;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// The response with one header more, in place of any of that name.
pub(crate) fn with(mut response: Response, name: HeaderName, value: &str) -> Response {
    // Values are numbers, ids and constants; one that is no header value is left out.
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// Our bodies have string keys and no failing `Serialize`, which is all that can go wrong.
fn to_bytes(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_default()
}
