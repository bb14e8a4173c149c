//! All routes: one table for the paths that are always there, one for those of every resource.
//!
//! A row is (method, pattern, accepts, handler). The type of its handler says who may call it. The
//! router matches paths literally, byte for byte, as they were received and signed. Path matching,
//! `Allow`, the name in the log and dispatch follow from the rows. A path that matches no row is
//! 404, another method 405, a query byte that must be percent-encoded 400. All of that comes before
//! any check of the request.

use crate::documents;
use crate::error::{Code, Problem};
use crate::handlers::{Answer, AppCall, PathMatch, Scope, UserCall, functions, me, orgs, resources};
use crate::platform::Platform;
use crate::request::{Accepts, split_target};
use crate::resources::{Declaration, IdKind, Readers, Verb};
use crate::types::{is_number, parse_uuid};

/// One route.
pub(crate) struct Route<P: Platform> {
    method: &'static str,
    /// Literal segments and ids in braces; below its collection for a route of a resource.
    pattern: &'static str,
    /// The parts that a request may have beside its path.
    pub(crate) accepts: Accepts,
    /// Answers the request.
    pub(crate) handler: Handler<P>,
}

/// The kinds of routes.
pub(crate) enum Handler<P: Platform> {
    /// Operators and monitoring ask it, without any proof.
    Probe(Probe),
    /// A public document, without any proof.
    Public(for<'a> fn(&'a P) -> Answer<'a>),
    /// The caller proves an app, and for most routes a user.
    Guarded(Guarded<P>),
}

/// The kinds of probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    /// Whether this isolate is configured.
    Health,
    /// Whether Supabase's key set and database are ready.
    Ready,
}

/// The handler of a guarded route. The variant tells which proofs it needs.
pub(crate) enum Guarded<P: Platform> {
    /// An app's signature.
    App(for<'a> fn(AppCall<'a, P>) -> Answer<'a>),
    /// An app's signature and a user's token.
    User(for<'a> fn(UserCall<'a, P>) -> Answer<'a>),
}

/// A row of a table below.
macro_rules! route {
    ($method:ident $pattern:literal, Probe::$probe:ident) => {
        Route {
            method: stringify!($method),
            pattern: $pattern,
            accepts: Accepts::NOTHING,
            handler: Handler::Probe(Probe::$probe),
        }
    };
    ($method:ident $pattern:literal, Public, $handler:path) => {
        Route {
            method: stringify!($method),
            pattern: $pattern,
            accepts: Accepts::NOTHING,
            handler: Handler::Public(|platform| Box::pin($handler(platform))),
        }
    };
    ($method:ident $pattern:literal, $access:ident, $accepts:ident, $handler:path) => {
        Route {
            method: stringify!($method),
            pattern: $pattern,
            accepts: Accepts::$accepts,
            handler: Handler::Guarded(Guarded::$access(|call| Box::pin($handler(call)))),
        }
    };
}

impl<P: Platform> Route<P> {
    /// The paths that are always there. Add a route of your own here.
    const FIXED: [Self; 17] = [
        route!(GET "/health", Probe::Health),
        route!(GET "/ready", Probe::Ready),
        route!(GET "/openapi.json", Public, documents::openapi),
        route!(GET "/v1/me", User, NOTHING, me::read),
        route!(GET "/v1/orgs", User, LIST, orgs::list),
        route!(POST "/v1/orgs", User, CREATE, orgs::create),
        route!(POST "/v1/orgs/join", User, JSON, orgs::join),
        route!(GET "/v1/orgs/{org_id}", User, READ, orgs::read),
        route!(PATCH "/v1/orgs/{org_id}", User, PATCH, orgs::rename),
        route!(DELETE "/v1/orgs/{org_id}", User, CHANGE, orgs::delete),
        route!(GET "/v1/orgs/{org_id}/members", User, LIST, orgs::members),
        route!(GET "/v1/orgs/{org_id}/members/{user_id}", User, READ, orgs::member),
        route!(PATCH "/v1/orgs/{org_id}/members/{user_id}", User, PATCH, orgs::set_role),
        route!(DELETE "/v1/orgs/{org_id}/members/{user_id}", User, NOTHING, orgs::remove_member),
        route!(GET "/v1/orgs/{org_id}/invitations", User, LIST, orgs::invitations),
        route!(POST "/v1/orgs/{org_id}/invitations", User, CREATE, orgs::invite),
        route!(DELETE "/v1/orgs/{org_id}/invitations/{id}", User, NOTHING, orgs::revoke),
    ];

    /// Below `/v1/{resource}`, `/v1/orgs/{org_id}/{resource}` and `/v1/{parent}/{id}/{resource}`, as far as the
    /// resource has these routes. A resource that every app reads has those that need no user, another one the others.
    const RESOURCE: [(Verb, Self); 11] = [
        (Verb::List, route!(GET "", User, LIST, resources::list)),
        (Verb::Create, route!(POST "", User, CREATE, resources::create)),
        (Verb::Read, route!(GET "/{id}", User, ROW, resources::read)),
        (Verb::Put, route!(PUT "/{id}", User, PUT, resources::put)),
        (Verb::Patch, route!(PATCH "/{id}", User, PATCH, resources::patch)),
        (Verb::Delete, route!(DELETE "/{id}", User, CHANGE, resources::delete)),
        (Verb::Restore, route!(POST "/{id}/restore", User, CHANGE, resources::restore)),
        (Verb::Publish, route!(POST "/{id}/publish", User, CHANGE, resources::publish)),
        (Verb::Publish, route!(POST "/{id}/unpublish", User, CHANGE, resources::unpublish)),
        (Verb::List, route!(GET "", App, LIST, resources::open_list)),
        (Verb::Read, route!(GET "/{id}", App, ROW, resources::open_read)),
    ];

    /// At `/v1/functions/{function}`.
    const CALL: Self = route!(POST "", User, JSON, functions::call);

    /// Below `/v1/public/{resource}`.
    const PUBLISHED: [Self; 1] = [route!(GET "/{id}", App, READ, resources::published)];

    fn needs_user(&self) -> bool {
        matches!(self.handler, Handler::Guarded(Guarded::User(_)))
    }
}

/// A request's route.
pub(crate) struct Matched<'a, P: Platform> {
    /// The route.
    pub(crate) route: Route<P>,
    /// The ids, resource or function that the path names.
    pub(crate) path: PathMatch<'a>,
    base: &'static str,
}

impl<P: Platform> Matched<'_, P> {
    /// The route's name for the log: no ids of the request, no query.
    pub(crate) fn name(&self) -> String {
        let Route { method, pattern, .. } = self.route;
        let resource = self.path.scope.as_ref().map(|scope| scope.resource);
        let parent = resource.and_then(|resource| resource.under.as_ref());
        let parent = parent.map(|under| format!("{}/{{{}}}/", under.resource, under.column)).unwrap_or_default();
        let named = resource.map(|resource| &resource.name).or(self.path.function.map(|function| &function.name));
        let (base, resource) = (self.base, named.map_or("", String::as_str));
        format!("{method} {base}{parent}{resource}{pattern}")
    }
}

/// Finds the route of a request.
pub(crate) fn resolve<'a, P: Platform>(
    declaration: &'a Declaration,
    method: &str,
    target: &str,
) -> Result<Matched<'a, P>, Problem> {
    let (path, query) = split_target(target);
    let method = if method == "HEAD" { "GET" } else { method };
    let mut candidates = candidates(declaration, path);
    if candidates.is_empty() {
        return Err(Problem::new(Code::NotFound, "There is nothing at this path."));
    }
    let place = candidates.iter().position(|one| one.route.method == method);
    let Some(place) = place else {
        return Err(Problem::method_not_allowed(allow(&candidates)));
    };
    let unreserved_or_pair =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'%' | b'=' | b'&' | b'+');
    if query.bytes().all(unreserved_or_pair) {
        Ok(candidates.swap_remove(place))
    } else {
        Err(Problem::new(Code::MalformedRequest, "Percent-encode all characters of the query but the unreserved ones."))
    }
}

/// The methods of a path, as `Allow` has them; `None` if there is no such path.
pub(crate) fn methods<P: Platform>(declaration: &Declaration, target: &str) -> Option<String> {
    let candidates = candidates::<P>(declaration, split_target(target).0);
    (!candidates.is_empty()).then(|| allow(&candidates))
}

fn allow<P: Platform>(candidates: &[Matched<'_, P>]) -> String {
    let methods = candidates.iter().map(|one| match one.route.method {
        "GET" => "GET, HEAD",
        other => other,
    });
    methods.collect::<Vec<_>>().join(", ")
}

/// All routes whose pattern matches the path.
fn candidates<'a, P: Platform>(declaration: &'a Declaration, path: &str) -> Vec<Matched<'a, P>> {
    let fixed = Route::<P>::FIXED
        .into_iter()
        .filter(|route| declaration.organizations || !route.pattern.starts_with("/v1/orgs"));
    let mut found = matching(fixed, path, "", None);
    let called = path.strip_prefix(FUNCTIONS);
    let function = called.and_then(|name| declaration.functions.iter().find(|function| function.name == name));
    if function.is_some() {
        let path = PathMatch { function, ..PathMatch::default() };
        found.push(Matched { route: Route::CALL, path, base: FUNCTIONS });
    }
    let collection = path.strip_prefix("/v1/");
    if let Some((base, scope, rest)) = collection.and_then(|path| scope(declaration, path)) {
        if base == PUBLIC {
            found.extend(matching(Route::<P>::PUBLISHED.into_iter(), rest, base, Some(scope)));
        } else {
            let needs_user = scope.resource.read != Some(Readers::App);
            let served = |verb: &Verb, route: &Route<P>| {
                route.needs_user() == needs_user && scope.resource.routes.contains(verb)
            };
            let routes = Route::<P>::RESOURCE.into_iter();
            let routes = routes.filter(|(verb, route)| served(verb, route)).map(|(_, route)| route);
            found.extend(matching(routes, rest, base, Some(scope)));
        }
    }
    found
}

const OWN: &str = "/v1/";
const FUNCTIONS: &str = "/v1/functions/";
const PUBLIC: &str = "/v1/public/";
const OF_ORGANIZATION: &str = "/v1/orgs/{org_id}/";

/// The collection that a path below `/v1/` goes into, and the rest of the path.
fn scope<'a, 'p>(declaration: &'a Declaration, path: &'p str) -> Option<(&'static str, Scope<'a>, &'p str)> {
    let (first, rest) = first_segment(path);
    let next = |rest: &'p str| Some(first_segment(rest.strip_prefix('/')?));
    match first {
        "orgs" if declaration.organizations => {
            let (org, rest) = next(rest)?;
            let (name, rest) = next(rest)?;
            let resource = declaration.resource(name)?;
            let org = Some(parse_uuid(org)?);
            let scope = Scope { resource, org, parent: None };
            resource.owner.is_orgs().then_some((OF_ORGANIZATION, scope, rest))
        }
        "public" => {
            let (name, rest) = next(rest)?;
            let resource = declaration.resource(name)?;
            let scope = Scope { resource, org: None, parent: None };
            resource.publish.is_some().then_some((PUBLIC, scope, rest))
        }
        name => {
            let above = declaration.resource(name)?;
            let below = || {
                let (parent, rest) = next(rest)?;
                let (name, rest) = next(rest)?;
                let resource = declaration.resource(name)?;
                let under = resource.under.as_ref().is_some_and(|under| under.resource == above.name);
                let parent = Some(parent.to_owned());
                (under && is_id(parent.as_deref()?, above.id.kind)).then_some((resource, parent, rest))
            };
            let own = (above.under.is_none() && above.owner.is_users()).then_some((above, None, rest));
            let (resource, parent, rest) = below().or(own)?;
            Some((OWN, Scope { resource, org: None, parent }, rest))
        }
    }
}

/// The first segment of a path, and the rest with its slash.
fn first_segment(path: &str) -> (&str, &str) {
    path.split_at(path.find('/').unwrap_or(path.len()))
}

fn matching<'a, P: Platform>(
    routes: impl Iterator<Item = Route<P>>,
    path: &str,
    base: &'static str,
    scope: Option<Scope<'a>>,
) -> Vec<Matched<'a, P>> {
    let matched = |mut route: Route<P>| {
        let kind = scope.as_ref().map_or(IdKind::Uuid, |scope| scope.resource.id.kind);
        let ids = ids(route.pattern, path, kind)?;
        if let Some(scope) = &scope {
            route.accepts = route.accepts.of(scope.resource);
        }
        let path = PathMatch { ids, scope: scope.clone(), function: None };
        Some(Matched { route, path, base })
    };
    routes.filter_map(matched).collect()
}

/// Whether a segment is an id of this kind, in canonical form.
fn is_id(segment: &str, kind: IdKind) -> bool {
    match kind {
        IdKind::Uuid => parse_uuid(segment).is_some(),
        IdKind::Bigint => is_number(segment),
        IdKind::Owner => segment == "me",
    }
}

/// The ids of a path that matches a pattern, all of one kind.
fn ids(pattern: &'static str, path: &str, kind: IdKind) -> Option<Vec<(&'static str, String)>> {
    // Most patterns differ before their first id: to split all of them takes a hundredth of a request's time.
    let fixed = pattern.split_once('{').map_or(pattern, |(fixed, _)| fixed);
    if !path.starts_with(fixed) {
        return None;
    }
    let mut ids = Vec::new();
    let mut segments = path.split('/');
    for expected in pattern.split('/') {
        let segment = segments.next()?;
        match expected.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) => {
                ids.push((name, is_id(segment, kind).then(|| segment.to_owned())?));
            }
            None if segment == expected => {}
            None => return None,
        }
    }
    segments.next().is_none().then_some(ids)
}

#[cfg(test)]
mod tests;
