//! (method, target) to [`Route`].
//!
//! Promise: a path matches literally, byte for byte, as it was received and signed. It refuses,
//! before any door and at no cost: paths that name nothing (404), methods that a path does not have
//! (405), query bytes that a client must have percent-encoded (400).

use crate::note::{NoteId, Scope};
use crate::org::{InvitationId, OrgId, UserId};
use crate::problem::{Code, Problem};
use crate::wire::Id;

/// What a request wants. `HEAD` is the route of `GET`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// Behind no door.
    Public(Document),
    /// Behind the first door, or both.
    Guarded(Guarded),
}

/// What everybody may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Document {
    /// `GET /health`
    Health,
    /// `GET /openapi.json`
    OpenApi,
}

/// What needs an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guarded {
    /// `GET /v1/public/notes/{id}`: no user.
    Published(NoteId),
    /// A user besides.
    Authenticated(Resource),
}

/// What needs both proofs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource {
    /// `GET /v1/me`
    Me,
    /// Under `/v1/notes`, or `/v1/orgs/{org_id}/notes`.
    Notes(Scope, NotesRoute),
    /// The rest under `/v1/orgs`.
    Orgs(OrgsRoute),
}

/// Below a list of notes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotesRoute {
    /// `GET`
    List,
    /// `POST`
    Create,
    /// `GET /{id}`
    Read(NoteId),
    /// `PUT /{id}`
    Put(NoteId),
    /// `PATCH /{id}`
    Patch(NoteId),
    /// `DELETE /{id}`
    Delete(NoteId),
    /// `POST /{id}/restore`
    Restore(NoteId),
    /// `POST /{id}/publish`
    Publish(NoteId),
    /// `POST /{id}/unpublish`
    Unpublish(NoteId),
}

/// Below `/v1/orgs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OrgsRoute {
    /// `GET`
    List,
    /// `POST`
    Create,
    /// `POST /join`
    Join,
    /// `GET /{org_id}`
    Read(OrgId),
    /// `PATCH /{org_id}`
    Rename(OrgId),
    /// `DELETE /{org_id}`
    Delete(OrgId),
    /// `GET /{org_id}/members`
    Members(OrgId),
    /// `GET /{org_id}/members/{user_id}`
    Member(OrgId, UserId),
    /// `PATCH /{org_id}/members/{user_id}`
    SetRole(OrgId, UserId),
    /// `DELETE /{org_id}/members/{user_id}`
    RemoveMember(OrgId, UserId),
    /// `GET /{org_id}/invitations`
    Invitations(OrgId),
    /// `POST /{org_id}/invitations`
    Invite(OrgId),
    /// `DELETE /{org_id}/invitations/{id}`
    Revoke(OrgId, InvitationId),
}

impl Route {
    /// The route's name for the log: no ids, no query.
    pub(crate) fn pattern(self) -> &'static str {
        match self {
            Self::Public(Document::Health) => "GET /health",
            Self::Public(Document::OpenApi) => "GET /openapi.json",
            Self::Guarded(Guarded::Published(_)) => "GET /v1/public/notes/{id}",
            Self::Guarded(Guarded::Authenticated(resource)) => match resource {
                Resource::Me => "GET /v1/me",
                Resource::Notes(Scope::Own, route) => route.pattern().0,
                Resource::Notes(Scope::Org(_), route) => route.pattern().1,
                Resource::Orgs(route) => route.pattern(),
            },
        }
    }
}

impl NotesRoute {
    /// For the user's own notes, and for those of an organisation.
    fn pattern(self) -> (&'static str, &'static str) {
        match self {
            Self::List => ("GET /v1/notes", "GET /v1/orgs/{org_id}/notes"),
            Self::Create => ("POST /v1/notes", "POST /v1/orgs/{org_id}/notes"),
            Self::Read(_) => ("GET /v1/notes/{id}", "GET /v1/orgs/{org_id}/notes/{id}"),
            Self::Put(_) => ("PUT /v1/notes/{id}", "PUT /v1/orgs/{org_id}/notes/{id}"),
            Self::Patch(_) => ("PATCH /v1/notes/{id}", "PATCH /v1/orgs/{org_id}/notes/{id}"),
            Self::Delete(_) => (
                "DELETE /v1/notes/{id}",
                "DELETE /v1/orgs/{org_id}/notes/{id}",
            ),
            Self::Restore(_) => (
                "POST /v1/notes/{id}/restore",
                "POST /v1/orgs/{org_id}/notes/{id}/restore",
            ),
            Self::Publish(_) => (
                "POST /v1/notes/{id}/publish",
                "POST /v1/orgs/{org_id}/notes/{id}/publish",
            ),
            Self::Unpublish(_) => (
                "POST /v1/notes/{id}/unpublish",
                "POST /v1/orgs/{org_id}/notes/{id}/unpublish",
            ),
        }
    }
}

impl OrgsRoute {
    fn pattern(self) -> &'static str {
        match self {
            Self::List => "GET /v1/orgs",
            Self::Create => "POST /v1/orgs",
            Self::Join => "POST /v1/orgs/join",
            Self::Read(_) => "GET /v1/orgs/{org_id}",
            Self::Rename(_) => "PATCH /v1/orgs/{org_id}",
            Self::Delete(_) => "DELETE /v1/orgs/{org_id}",
            Self::Members(_) => "GET /v1/orgs/{org_id}/members",
            Self::Member(..) => "GET /v1/orgs/{org_id}/members/{user_id}",
            Self::SetRole(..) => "PATCH /v1/orgs/{org_id}/members/{user_id}",
            Self::RemoveMember(..) => "DELETE /v1/orgs/{org_id}/members/{user_id}",
            Self::Invitations(_) => "GET /v1/orgs/{org_id}/invitations",
            Self::Invite(_) => "POST /v1/orgs/{org_id}/invitations",
            Self::Revoke(..) => "DELETE /v1/orgs/{org_id}/invitations/{id}",
        }
    }
}

/// A path that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    Health,
    OpenApi,
    Me,
    Published(NoteId),
    Notes(Scope, NotesPath),
    Orgs,
    Join,
    Org(OrgId),
    Members(OrgId),
    Member(OrgId, UserId),
    Invitations(OrgId),
    Invitation(OrgId, InvitationId),
}

/// What may follow `notes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotesPath {
    List,
    One(NoteId),
    Restore(NoteId),
    Publish(NoteId),
    Unpublish(NoteId),
}

impl Path {
    pub(crate) fn parse(path: &str) -> Option<Self> {
        Some(match path {
            "/health" => Self::Health,
            "/openapi.json" => Self::OpenApi,
            _ => {
                let rest = path.strip_prefix("/v1/")?;
                let (first, rest) = segment(rest);
                match (first, rest) {
                    ("me", None) => Self::Me,
                    ("notes", rest) => Self::Notes(Scope::Own, NotesPath::parse(rest)?),
                    ("public", Some(rest)) => {
                        Self::Published(Id::parse(rest.strip_prefix("notes/")?)?)
                    }
                    ("orgs", None) => Self::Orgs,
                    ("orgs", Some("join")) => Self::Join,
                    ("orgs", Some(rest)) => {
                        let (id, rest) = segment(rest);
                        Self::of_org(Id::parse(id)?, rest)?
                    }
                    _ => return None,
                }
            }
        })
    }

    fn of_org(org: OrgId, rest: Option<&str>) -> Option<Self> {
        let Some(rest) = rest else {
            return Some(Self::Org(org));
        };
        Some(match segment(rest) {
            ("notes", rest) => Self::Notes(Scope::Org(org), NotesPath::parse(rest)?),
            ("members", None) => Self::Members(org),
            ("members", Some(id)) => Self::Member(org, Id::parse(id)?),
            ("invitations", None) => Self::Invitations(org),
            ("invitations", Some(id)) => Self::Invitation(org, Id::parse(id)?),
            _ => return None,
        })
    }

    fn route(self, method: &str) -> Option<Route> {
        let method = if method == "HEAD" { "GET" } else { method };
        let orgs = match (self, method) {
            (Self::Health, "GET") => return Some(Route::Public(Document::Health)),
            (Self::OpenApi, "GET") => return Some(Route::Public(Document::OpenApi)),
            (Self::Published(id), "GET") => return Some(Route::Guarded(Guarded::Published(id))),
            (Self::Me, "GET") => return Some(Route::of_user(Resource::Me)),
            (Self::Notes(scope, path), method) => {
                return Some(Route::of_user(Resource::Notes(scope, path.route(method)?)));
            }
            (Self::Orgs, "GET") => OrgsRoute::List,
            (Self::Orgs, "POST") => OrgsRoute::Create,
            (Self::Join, "POST") => OrgsRoute::Join,
            (Self::Org(id), "GET") => OrgsRoute::Read(id),
            (Self::Org(id), "PATCH") => OrgsRoute::Rename(id),
            (Self::Org(id), "DELETE") => OrgsRoute::Delete(id),
            (Self::Members(org), "GET") => OrgsRoute::Members(org),
            (Self::Member(org, user), "GET") => OrgsRoute::Member(org, user),
            (Self::Member(org, user), "PATCH") => OrgsRoute::SetRole(org, user),
            (Self::Member(org, user), "DELETE") => OrgsRoute::RemoveMember(org, user),
            (Self::Invitations(org), "GET") => OrgsRoute::Invitations(org),
            (Self::Invitations(org), "POST") => OrgsRoute::Invite(org),
            (Self::Invitation(org, id), "DELETE") => OrgsRoute::Revoke(org, id),
            _ => return None,
        };
        Some(Route::of_user(Resource::Orgs(orgs)))
    }

    /// The methods of this path, for `Allow`.
    pub(crate) fn allow(self) -> &'static str {
        match self {
            Self::Health | Self::OpenApi | Self::Me | Self::Published(_) | Self::Members(_) => {
                "GET, HEAD"
            }
            Self::Notes(_, NotesPath::List) | Self::Orgs | Self::Invitations(_) => {
                "GET, HEAD, POST"
            }
            Self::Notes(_, NotesPath::One(_)) => "GET, HEAD, PUT, PATCH, DELETE",
            Self::Org(_) | Self::Member(..) => "GET, HEAD, PATCH, DELETE",
            Self::Notes(..) | Self::Join => "POST",
            Self::Invitation(..) => "DELETE",
        }
    }
}

impl NotesPath {
    /// From what follows `notes/`, if anything does.
    fn parse(rest: Option<&str>) -> Option<Self> {
        let Some(rest) = rest else {
            return Some(Self::List);
        };
        let (id, action) = segment(rest);
        let id = Id::parse(id)?;
        Some(match action {
            None => Self::One(id),
            Some("restore") => Self::Restore(id),
            Some("publish") => Self::Publish(id),
            Some("unpublish") => Self::Unpublish(id),
            Some(_) => return None,
        })
    }

    fn route(self, method: &str) -> Option<NotesRoute> {
        Some(match (self, method) {
            (Self::List, "GET") => NotesRoute::List,
            (Self::List, "POST") => NotesRoute::Create,
            (Self::One(id), "GET") => NotesRoute::Read(id),
            (Self::One(id), "PUT") => NotesRoute::Put(id),
            (Self::One(id), "PATCH") => NotesRoute::Patch(id),
            (Self::One(id), "DELETE") => NotesRoute::Delete(id),
            (Self::Restore(id), "POST") => NotesRoute::Restore(id),
            (Self::Publish(id), "POST") => NotesRoute::Publish(id),
            (Self::Unpublish(id), "POST") => NotesRoute::Unpublish(id),
            _ => return None,
        })
    }
}

impl Route {
    fn of_user(resource: Resource) -> Self {
        Self::Guarded(Guarded::Authenticated(resource))
    }
}

/// The first segment of a path, and what follows the slash after it.
fn segment(path: &str) -> (&str, Option<&str>) {
    match path.split_once('/') {
        Some((first, rest)) => (first, Some(rest)),
        None => (path, None),
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

    const OTHER: &str = "0f0e0d0c-2d6a-4174-899e-8ffddea7a39a";

    #[test]
    fn every_route_is_found_and_head_goes_where_get_does() {
        let notes = |scope, route| Route::of_user(Resource::Notes(scope, route));
        let orgs = |route| Route::of_user(Resource::Orgs(route));
        let note = NoteId::parse(ID).unwrap();
        let org = OrgId::parse(OTHER).unwrap();
        let user = UserId::parse(ID).unwrap();
        let mut routes = vec![
            ("GET", "/health".to_owned(), Route::Public(Document::Health)),
            (
                "GET",
                "/openapi.json".to_owned(),
                Route::Public(Document::OpenApi),
            ),
            ("GET", "/v1/me".to_owned(), Route::of_user(Resource::Me)),
            (
                "GET",
                format!("/v1/public/notes/{ID}"),
                Route::Guarded(Guarded::Published(note)),
            ),
            (
                "GET",
                "/v1/notes?".to_owned(),
                notes(Scope::Own, NotesRoute::List),
            ),
            (
                "GET",
                "/v1/notes?limit=1&cursor=a-b_%20+~.".to_owned(),
                notes(Scope::Own, NotesRoute::List),
            ),
            ("GET", "/v1/orgs".to_owned(), orgs(OrgsRoute::List)),
            ("POST", "/v1/orgs".to_owned(), orgs(OrgsRoute::Create)),
            ("POST", "/v1/orgs/join".to_owned(), orgs(OrgsRoute::Join)),
        ];
        for (scope, base) in [
            (Scope::Own, "/v1/notes".to_owned()),
            (Scope::Org(org), format!("/v1/orgs/{OTHER}/notes")),
        ] {
            for (method, suffix, route) in [
                ("GET", String::new(), NotesRoute::List),
                ("POST", String::new(), NotesRoute::Create),
                ("GET", format!("/{ID}"), NotesRoute::Read(note)),
                ("PUT", format!("/{ID}"), NotesRoute::Put(note)),
                ("PATCH", format!("/{ID}"), NotesRoute::Patch(note)),
                ("DELETE", format!("/{ID}"), NotesRoute::Delete(note)),
                ("POST", format!("/{ID}/restore"), NotesRoute::Restore(note)),
                ("POST", format!("/{ID}/publish"), NotesRoute::Publish(note)),
                (
                    "POST",
                    format!("/{ID}/unpublish"),
                    NotesRoute::Unpublish(note),
                ),
            ] {
                routes.push((method, format!("{base}{suffix}"), notes(scope, route)));
            }
        }
        for (method, suffix, route) in [
            ("GET", String::new(), OrgsRoute::Read(org)),
            ("PATCH", String::new(), OrgsRoute::Rename(org)),
            ("DELETE", String::new(), OrgsRoute::Delete(org)),
            ("GET", "/members".to_owned(), OrgsRoute::Members(org)),
            (
                "GET",
                format!("/members/{ID}"),
                OrgsRoute::Member(org, user),
            ),
            (
                "PATCH",
                format!("/members/{ID}"),
                OrgsRoute::SetRole(org, user),
            ),
            (
                "DELETE",
                format!("/members/{ID}"),
                OrgsRoute::RemoveMember(org, user),
            ),
            (
                "GET",
                "/invitations".to_owned(),
                OrgsRoute::Invitations(org),
            ),
            ("POST", "/invitations".to_owned(), OrgsRoute::Invite(org)),
            (
                "DELETE",
                format!("/invitations/{ID}"),
                OrgsRoute::Revoke(org, InvitationId::parse(ID).unwrap()),
            ),
        ] {
            routes.push((method, format!("/v1/orgs/{OTHER}{suffix}"), orgs(route)));
        }
        for (method, target, route) in routes {
            assert_eq!(resolve(method, &target), Ok(route), "{method} {target}");
            if method == "GET" {
                assert_eq!(resolve("HEAD", &target), Ok(route), "HEAD {target}");
            }
            let (path, _) = split(&target);
            let named = path.replace(OTHER, "{org_id}").replace(ID, "{id}");
            let pattern = route.pattern().replace("{user_id}", "{id}");
            assert_eq!(pattern, format!("{method} {named}"));
            let allow = Path::parse(path).unwrap().allow();
            assert!(
                allow.split(", ").any(|one| one == method),
                "{method} {path}"
            );
        }
    }

    #[test]
    fn what_a_path_allows_is_what_it_has() {
        for path in [
            "/health".to_owned(),
            "/v1/me".to_owned(),
            "/v1/notes".to_owned(),
            format!("/v1/notes/{ID}"),
            format!("/v1/notes/{ID}/publish"),
            format!("/v1/public/notes/{ID}"),
            "/v1/orgs".to_owned(),
            "/v1/orgs/join".to_owned(),
            format!("/v1/orgs/{ID}"),
            format!("/v1/orgs/{ID}/members"),
            format!("/v1/orgs/{ID}/members/{ID}"),
            format!("/v1/orgs/{ID}/invitations"),
            format!("/v1/orgs/{ID}/invitations/{ID}"),
            format!("/v1/orgs/{ID}/notes/{ID}"),
        ] {
            let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
            let has: Vec<&str> = methods
                .into_iter()
                .filter(|method| resolve(method, &path).is_ok())
                .collect();
            assert_eq!(
                has.join(", "),
                Path::parse(&path).unwrap().allow(),
                "{path}"
            );
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
            "/v1/orgs/",
            "/v1/orgs/join/",
            "/v1/orgs/x",
            "/v1/orgs/7efe3d84-2d6a-4174-899e-8ffddea7a39a/",
            "/v1/orgs/7efe3d84-2d6a-4174-899e-8ffddea7a39a/x",
            "/v1/orgs/7efe3d84-2d6a-4174-899e-8ffddea7a39a/members/",
            "/v1/orgs/7efe3d84-2d6a-4174-899e-8ffddea7a39a/notes/",
            "/v1/orgs/7efe3d84-2d6a-4174-899e-8ffddea7a39a/notes/join",
            "/v1/orgs//notes",
            "/v1/public",
            "/v1/public/notes",
            "/v1/public/notes/",
            "/v1/public/7efe3d84-2d6a-4174-899e-8ffddea7a39a",
            "/v1/me/",
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
