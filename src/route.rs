//! (method, target) to [`Route`].
//!
//! Promise: a path matches literally, byte for byte, as it was received and signed. It refuses,
//! before any door and at no cost: paths that name nothing (404), methods that a path does not have
//! (405), query bytes that a client must have percent-encoded (400).

use crate::note::NoteId;
use crate::problem::{Code, Problem};

/// What a request wants. `HEAD` is the route of `GET`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// Behind no door.
    Public(Document),
    /// Behind both.
    Guarded(Resource),
}

/// What everybody may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Document {
    /// `GET /health`
    Health,
    /// `GET /openapi.json`
    OpenApi,
}

/// What needs both proofs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource {
    /// `GET /v1/me`
    Me,
    /// `GET /v1/notes`
    ListNotes,
    /// `POST /v1/notes`
    CreateNote,
    /// `GET /v1/notes/{id}`
    ReadNote(NoteId),
    /// `PUT /v1/notes/{id}`
    PutNote(NoteId),
    /// `PATCH /v1/notes/{id}`
    PatchNote(NoteId),
    /// `DELETE /v1/notes/{id}`
    DeleteNote(NoteId),
    /// `POST /v1/notes/{id}/restore`
    RestoreNote(NoteId),
}

impl Route {
    /// The route's name for the log: no ids, no query.
    pub(crate) fn pattern(self) -> &'static str {
        match self {
            Self::Public(Document::Health) => "GET /health",
            Self::Public(Document::OpenApi) => "GET /openapi.json",
            Self::Guarded(Resource::Me) => "GET /v1/me",
            Self::Guarded(Resource::ListNotes) => "GET /v1/notes",
            Self::Guarded(Resource::CreateNote) => "POST /v1/notes",
            Self::Guarded(Resource::ReadNote(_)) => "GET /v1/notes/{id}",
            Self::Guarded(Resource::PutNote(_)) => "PUT /v1/notes/{id}",
            Self::Guarded(Resource::PatchNote(_)) => "PATCH /v1/notes/{id}",
            Self::Guarded(Resource::DeleteNote(_)) => "DELETE /v1/notes/{id}",
            Self::Guarded(Resource::RestoreNote(_)) => "POST /v1/notes/{id}/restore",
        }
    }
}

/// A path that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    Health,
    OpenApi,
    Me,
    Notes,
    Note(NoteId),
    Restore(NoteId),
}

impl Path {
    pub(crate) fn parse(path: &str) -> Option<Self> {
        Some(match path {
            "/health" => Self::Health,
            "/openapi.json" => Self::OpenApi,
            "/v1/me" => Self::Me,
            "/v1/notes" => Self::Notes,
            _ => {
                let rest = path.strip_prefix("/v1/notes/")?;
                match rest.strip_suffix("/restore") {
                    Some(id) => Self::Restore(NoteId::parse(id)?),
                    None => Self::Note(NoteId::parse(rest)?),
                }
            }
        })
    }

    fn route(self, method: &str) -> Option<Route> {
        let method = if method == "HEAD" { "GET" } else { method };
        let resource = match (self, method) {
            (Self::Health, "GET") => return Some(Route::Public(Document::Health)),
            (Self::OpenApi, "GET") => return Some(Route::Public(Document::OpenApi)),
            (Self::Me, "GET") => Resource::Me,
            (Self::Notes, "GET") => Resource::ListNotes,
            (Self::Notes, "POST") => Resource::CreateNote,
            (Self::Note(id), "GET") => Resource::ReadNote(id),
            (Self::Note(id), "PUT") => Resource::PutNote(id),
            (Self::Note(id), "PATCH") => Resource::PatchNote(id),
            (Self::Note(id), "DELETE") => Resource::DeleteNote(id),
            (Self::Restore(id), "POST") => Resource::RestoreNote(id),
            _ => return None,
        };
        Some(Route::Guarded(resource))
    }

    /// The methods of this path, for `Allow`.
    pub(crate) fn allow(self) -> &'static str {
        match self {
            Self::Health | Self::OpenApi | Self::Me => "GET, HEAD",
            Self::Notes => "GET, HEAD, POST",
            Self::Note(_) => "GET, HEAD, PUT, PATCH, DELETE",
            Self::Restore(_) => "POST",
        }
    }
}

/// Splits a target into path and query (without its `?`; absent is empty).
pub(crate) fn split(target: &str) -> (&str, &str) {
    target.split_once('?').unwrap_or((target, ""))
}

/// Finds the route.
pub(crate) fn resolve(method: &str, target: &str) -> Result<Route, Problem> {
    let (path, query) = split(target);
    let path = Path::parse(path)
        .ok_or_else(|| Problem::new(Code::NotFound, "There is nothing at this path."))?;
    let route = path
        .route(method)
        .ok_or_else(|| Problem::method_not_allowed(path.allow()))?;
    let unreserved_or_pair = |b: u8| {
        b.is_ascii_alphanumeric()
            || matches!(b, b'-' | b'.' | b'_' | b'~' | b'%' | b'=' | b'&' | b'+')
    };
    if query.bytes().all(unreserved_or_pair) {
        Ok(route)
    } else {
        Err(Problem::new(
            Code::MalformedRequest,
            "Percent-encode everything in the query but unreserved characters.",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "7efe3d84-2d6a-4174-899e-8ffddea7a39a";

    fn code(method: &str, target: &str) -> Code {
        resolve(method, target).unwrap_err().code()
    }

    #[test]
    fn every_route_is_found_and_head_goes_where_get_does() {
        let id = NoteId::parse(ID).unwrap();
        for (method, target, route) in [
            ("GET", "/health".to_owned(), Route::Public(Document::Health)),
            (
                "GET",
                "/openapi.json".to_owned(),
                Route::Public(Document::OpenApi),
            ),
            ("GET", "/v1/me".to_owned(), Route::Guarded(Resource::Me)),
            (
                "GET",
                "/v1/notes".to_owned(),
                Route::Guarded(Resource::ListNotes),
            ),
            (
                "GET",
                "/v1/notes?".to_owned(),
                Route::Guarded(Resource::ListNotes),
            ),
            (
                "GET",
                "/v1/notes?limit=1&cursor=a-b_%20+~.".to_owned(),
                Route::Guarded(Resource::ListNotes),
            ),
            (
                "POST",
                "/v1/notes".to_owned(),
                Route::Guarded(Resource::CreateNote),
            ),
            (
                "GET",
                format!("/v1/notes/{ID}"),
                Route::Guarded(Resource::ReadNote(id)),
            ),
            (
                "PUT",
                format!("/v1/notes/{ID}"),
                Route::Guarded(Resource::PutNote(id)),
            ),
            (
                "PATCH",
                format!("/v1/notes/{ID}"),
                Route::Guarded(Resource::PatchNote(id)),
            ),
            (
                "DELETE",
                format!("/v1/notes/{ID}"),
                Route::Guarded(Resource::DeleteNote(id)),
            ),
            (
                "POST",
                format!("/v1/notes/{ID}/restore"),
                Route::Guarded(Resource::RestoreNote(id)),
            ),
        ] {
            assert_eq!(resolve(method, &target), Ok(route), "{method} {target}");
            if method == "GET" {
                assert_eq!(resolve("HEAD", &target), Ok(route), "HEAD {target}");
            }
        }
    }

    #[test]
    fn a_path_in_any_other_spelling_names_nothing() {
        for path in [
            "",
            "/",
            "/v1",
            "/v1/",
            "/v1/notes/",
            "//v1/notes",
            "/v1//notes",
            "/v1/notes//",
            "/V1/notes",
            "/v1/notes/..",
            "/v1/./notes",
            "/v1/%6eotes",
            "/v1/notes%2F",
            "/v1/notes;x",
            "/v1/notes#x",
            "/health/",
            "/openapi.json/",
            "v1/notes",
            "/v1/notes/x",
            "/v1/notes/restore",
            "/v1/notes/7EFE3D84-2D6A-4174-899E-8FFDDEA7A39A",
            "/v1/notes/7efe3d84-2d6a-4174-899e-8ffddea7a39a/",
            "/v1/notes/7efe3d84-2d6a-4174-899e-8ffddea7a39a/restore/",
            "/v1/notes/7efe3d84-2d6a-4174-899e-8ffddea7a39%61",
            "/v1/notes/7efe3d84-2d6a-4174-899e-8ffddea7a39a/restore/restore",
            "/v1/caf\u{e9}",
        ] {
            assert_eq!(code("GET", path), Code::NotFound, "{path}");
        }
    }

    #[test]
    fn another_method_is_405_with_what_is_allowed() {
        for (method, target, allow) in [
            ("POST", "/health".to_owned(), "GET, HEAD"),
            ("get", "/health".to_owned(), "GET, HEAD"),
            ("OPTIONS", "/v1/notes".to_owned(), "GET, HEAD, POST"),
            (
                "POST",
                format!("/v1/notes/{ID}"),
                "GET, HEAD, PUT, PATCH, DELETE",
            ),
            ("GET", format!("/v1/notes/{ID}/restore"), "POST"),
        ] {
            let response = resolve(method, &target).unwrap_err().into_response("-");
            assert_eq!(response.status, 405);
            assert_eq!(
                response.headers.get("allow"),
                Some(allow),
                "{method} {target}"
            );
        }
    }

    #[test]
    fn raw_bytes_in_the_query_are_malformed() {
        for query in [
            "a b",
            "a\"",
            "caf\u{e9}",
            "a/b",
            "a:b",
            "a,b",
            "a;b",
            "a?b",
            "a#b",
            "a[]=1",
            "a'",
        ] {
            assert_eq!(
                code("GET", &format!("/v1/notes?{query}")),
                Code::MalformedRequest,
                "{query}"
            );
        }
    }
}
