//! The handlers of the routes.
//!
//! A handler gets its request as an [`AppCall`] or a [`UserCall`]. These hold the way to the database,
//! so a handler cannot reach it without the proofs that its route demands.

pub(crate) mod functions;
pub(crate) mod me;
pub(crate) mod orgs;
pub(crate) mod resources;

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;

use uuid::Uuid;

use crate::auth::Session;
use crate::error::{Code, Problem};
use crate::postgrest::{Reader, UserDatabase};
use crate::request::Input;
use crate::resources::{DeclaredFunction, Resource};
use crate::response::Response;

/// The answer of a handler.
pub(crate) type Answer<'a> = Pin<Box<dyn Future<Output = Result<Response, Problem>> + 'a>>;

/// A request of a known app.
pub(crate) struct AppCall<'a, P> {
    pub(crate) input: Input<'a>,
    /// The database, as the role `anon`.
    pub(crate) database: Reader<'a, P>,
    pub(crate) path: PathMatch<'a>,
}

/// A request of a known app and a known user.
pub(crate) struct UserCall<'a, P> {
    pub(crate) input: Input<'a>,
    pub(crate) session: &'a Session,
    /// The app, if its signature was verified.
    pub(crate) app_id: Option<&'a str>,
    /// The database, as this user.
    pub(crate) database: UserDatabase<'a, P>,
    pub(crate) path: PathMatch<'a>,
}

/// A path that matched a route.
#[derive(Default)]
pub(crate) struct PathMatch<'a> {
    /// The ids in the path, by their names in the pattern.
    pub(crate) ids: Vec<(&'static str, String)>,
    /// The rows that the path names, if the route is a resource's.
    pub(crate) scope: Option<Scope<'a>>,
    /// The function that the path names, if the route calls one.
    pub(crate) function: Option<&'a DeclaredFunction>,
}

/// The rows of one resource that belong to the user, to one organisation, or to one row of another resource.
#[derive(Clone)]
pub(crate) struct Scope<'a> {
    pub(crate) resource: &'a Resource,
    /// The organisation; absent for the user's own rows.
    pub(crate) org: Option<Uuid>,
    /// The parent's id, if the resource is under another.
    pub(crate) parent: Option<String>,
}

impl Scope<'_> {
    /// The name of the collection for the database: that of the resource, after its parent's place if it has one.
    pub(crate) fn collection(&self) -> Cow<'_, str> {
        let Resource { name, under, .. } = self.resource;
        match under.as_ref().zip(self.parent.as_ref()) {
            None => name.into(),
            Some((under, parent)) => format!("{}/{parent}/{name}", under.resource).into(),
        }
    }

    /// The path of the collection.
    pub(crate) fn path(&self) -> String {
        let collection = self.collection();
        match self.org {
            None => format!("/v1/{collection}"),
            Some(org) => format!("/v1/orgs/{org}/{collection}"),
        }
    }
}

impl<'a> PathMatch<'a> {
    /// An id of the path, by its name in the pattern.
    pub(crate) fn id(&self, name: &str) -> Result<&str, Problem> {
        let id = self.ids.iter().find(|(one, _)| *one == name);
        id.map(|(_, id)| id.as_str()).ok_or(Code::Internal.because("the route's pattern lacks this id"))
    }

    /// The rows of the path.
    pub(crate) fn scope(&self) -> Result<&Scope<'a>, Problem> {
        let scope = self.scope.as_ref();
        scope.ok_or(Code::Internal.because("the route is not one of a resource"))
    }
}
