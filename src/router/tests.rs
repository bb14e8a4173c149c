use super::*;
use crate::platform::{Accept, Level, Limiter, Millis, SendError, Unanswered, UpstreamRequest, UpstreamResponse};

/// The table's rows need a platform as a type; none is used.
struct NoPlatform;

impl Platform for NoPlatform {
    fn now(&self) -> Millis {
        0
    }

    fn outlive(&self) {}

    async fn sleep(&self, _: u32) {}

    fn log(&self, _: Level, _: &str) {}

    async fn throttle(&self, _: Limiter, _: &str, _: Millis) -> Result<bool, Unanswered> {
        Err(Unanswered)
    }

    async fn verify(&self, _: &str, _: &[u8], _: &[u8]) -> Result<bool, Unanswered> {
        Err(Unanswered)
    }

    async fn asset(&self, _: &str, _: Millis) -> Result<Vec<u8>, Unanswered> {
        Err(Unanswered)
    }

    async fn send(&self, _: UpstreamRequest, _: Accept, _: Millis) -> Result<UpstreamResponse, SendError> {
        Err(SendError::Unreachable)
    }
}

const ID: &str = "7efe3d84-2d6a-4174-899e-8ffddea7a39a";
const ORG: &str = "0f0e0d0c-2d6a-4174-899e-8ffddea7a39a";

fn declaration() -> Declaration {
    Declaration::parse(
        r#"{"resources": {
            "cards": {"owner": "both", "publish": ["title"], "fields": {"title": "text(1..9)"}},
            "tasks": {"owner": "user", "fields": {"title": "text(1..9)"}},
            "plans": {"owner": "org", "fields": {"title": "text(1..9)"}}
        }}"#,
    )
    .unwrap()
}

/// The name of the request's route for the log, or the code of the problem.
fn route(declaration: &Declaration, method: &str, target: &str) -> Result<String, Code> {
    resolve::<NoPlatform>(declaration, method, target).map(|matched| matched.name()).map_err(|problem| problem.code())
}

/// All routes of this declaration, by their names in the log.
fn routes() -> Vec<String> {
    let mut names = Vec::new();
    let mut add = |base: &str, routes: &[Route<NoPlatform>]| {
        names.extend(routes.iter().map(|route| format!("{} {base}{}", route.method, route.pattern)));
    };
    add("", &Route::FIXED);
    for resource in declaration().resources {
        let (own, public) = (format!("/v1/{}", resource.name), format!("/v1/public/{}", resource.name));
        let org = format!("/v1/orgs/{{org_id}}/{}", resource.name);
        for (base, served) in [(own, resource.owner.is_users()), (org, resource.owner.is_orgs())] {
            if served {
                for (verb, route) in Route::RESOURCE {
                    if route.needs_user() && resource.routes.contains(&verb) {
                        add(&base, &[route]);
                    }
                }
            }
        }
        if resource.publish.is_some() {
            add(&public, &Route::PUBLISHED);
        }
    }
    names
}

#[test]
fn each_route_is_found_by_its_path() {
    let declaration = declaration();
    let routes = routes();
    assert_eq!(routes.len(), Route::<NoPlatform>::FIXED.len() + 2 * 9 + 1 + 2 * 7);
    for name in routes {
        let (method, path) = name.split_once(' ').unwrap();
        let path = path.replace("{org_id}", ORG).replace("{id}", ID).replace("{user_id}", ID);
        for target in [path.clone(), format!("{path}?"), format!("{path}?a=b-_.~%20&c+")] {
            assert_eq!(route(&declaration, method, &target), Ok(name.clone()), "{target}");
            if method == "GET" {
                assert_eq!(route(&declaration, "HEAD", &target), Ok(name.clone()), "{target}");
            }
        }
    }
}

#[test]
fn ids_and_scope_are_those_of_the_path() {
    let declaration = declaration();
    let target = format!("/v1/orgs/{ORG}/cards/{ID}/publish?x=1");
    let matched = resolve::<NoPlatform>(&declaration, "POST", &target).unwrap_or_else(|_| panic!("no route"));
    assert_eq!(matched.path.ids, [("id", ID.to_owned())]);
    let scope = matched.path.scope.unwrap();
    assert_eq!((scope.resource.name.as_str(), scope.org), ("cards", parse_uuid(ORG)));
    assert_eq!(scope.path(), format!("/v1/orgs/{ORG}/cards"));

    let target = format!("/v1/orgs/{ORG}/members/{ID}");
    let matched = resolve::<NoPlatform>(&declaration, "GET", &target).unwrap_or_else(|_| panic!("no route"));
    assert_eq!(matched.path.ids, [("org_id", ORG.to_owned()), ("user_id", ID.to_owned())]);
    assert!(matched.path.scope.is_none());
}

#[test]
fn rows_are_served_only_where_their_owner_and_publish_allow() {
    let declaration = declaration();
    for (target, served) in [
        ("/v1/tasks".to_owned(), true),
        (format!("/v1/orgs/{ORG}/tasks"), false),
        ("/v1/plans".to_owned(), false),
        (format!("/v1/orgs/{ORG}/plans"), true),
        (format!("/v1/public/cards/{ID}"), true),
        (format!("/v1/public/tasks/{ID}"), false),
        ("/v1/others".to_owned(), false),
    ] {
        assert_eq!(route(&declaration, "GET", &target).is_ok(), served, "{target}");
    }
    let publish = format!("/v1/tasks/{ID}/publish");
    assert_eq!(route(&declaration, "POST", &publish), Err(Code::NotFound));
}

#[test]
fn organizations_can_be_left_out() {
    let text = r#"{"organizations": false,
        "resources": {"tasks": {"owner": "user", "fields": {"title": "text(1..9)"}}}}"#;
    let declaration = Declaration::parse(text).unwrap();
    for target in ["/v1/orgs".to_owned(), format!("/v1/orgs/{ORG}"), format!("/v1/orgs/{ORG}/tasks")] {
        assert_eq!(route(&declaration, "GET", &target), Err(Code::NotFound), "{target}");
        assert_eq!(methods::<NoPlatform>(&declaration, &target), None);
    }
    assert!(route(&declaration, "GET", "/v1/tasks").is_ok());
}

#[test]
fn path_in_another_spelling_is_not_found() {
    let declaration = declaration();
    let upper = ID.to_uppercase();
    for path in [
        "",
        "/",
        "/v1",
        "/v1/",
        "/v1/cards/",
        "//v1/cards",
        "/v1//cards",
        "/v1/cards//",
        "/V1/cards",
        "/v1/Cards",
        "/v1/cards/..",
        "/v1/./cards",
        "/v1/%63ards",
        "/v1/cards%2F",
        "/v1/cards;x",
        "/v1/cards#x",
        "/health/",
        "/openapi.json/",
        "v1/cards",
        "/v1/cards/x",
        "/v1/cards/restore",
        &format!("/v1/cards/{upper}"),
        &format!("/v1/cards/{ID}/"),
        &format!("/v1/cards/{ID}/restore/"),
        "/v1/cards/7efe3d84-2d6a-4174-899e-8ffddea7a39%61",
        &format!("/v1/cards/{ID}/restore/restore"),
        "/v1/caf\u{e9}",
        "/v1/orgs/",
        "/v1/orgs/join/",
        "/v1/orgs/x",
        &format!("/v1/orgs/{upper}/cards"),
        &format!("/v1/orgs/{ORG}/"),
        &format!("/v1/orgs/{ORG}/x"),
        &format!("/v1/orgs/{ORG}/members/"),
        &format!("/v1/orgs/{ORG}/cards/"),
        &format!("/v1/orgs/{ORG}/cards/join"),
        "/v1/orgs//cards",
        "/v1/public",
        "/v1/public/",
        "/v1/public/cards",
        "/v1/public/cards/",
        &format!("/v1/public/{ID}"),
        "/v1/me/",
    ] {
        assert_eq!(route(&declaration, "GET", path), Err(Code::NotFound), "{path}");
    }
}

#[test]
fn another_method_is_405_with_the_methods_of_the_path() {
    let declaration = declaration();
    for (method, target, allow) in [
        ("POST", "/health".to_owned(), "GET, HEAD"),
        ("get", "/health".to_owned(), "GET, HEAD"),
        ("OPTIONS", "/v1/cards".to_owned(), "GET, HEAD, POST"),
        ("POST", format!("/v1/cards/{ID}"), "GET, HEAD, PUT, PATCH, DELETE"),
        ("GET", format!("/v1/cards/{ID}/restore"), "POST"),
        ("DELETE", "/v1/orgs".to_owned(), "GET, HEAD, POST"),
        // Before a malformed query.
        ("PUT", "/v1/me?\"".to_owned(), "GET, HEAD"),
    ] {
        let problem = resolve::<NoPlatform>(&declaration, method, &target).err().unwrap();
        let response = problem.into_response("-");
        assert_eq!(response.status, 405);
        assert_eq!(response.headers.get("allow"), Some(allow), "{method} {target}");
        assert_eq!(methods::<NoPlatform>(&declaration, &target).as_deref(), Some(allow));
    }
}

#[test]
fn raw_bytes_in_the_query_are_malformed() {
    let declaration = declaration();
    for query in ["a b", "a\"", "caf\u{e9}", "a/b", "a:b", "a,b", "a;b", "a?b", "a#b", "a[]=1", "a'", "a\0"] {
        let target = format!("/v1/cards?{query}");
        assert_eq!(route(&declaration, "GET", &target), Err(Code::MalformedRequest), "{query}");
    }
}

#[test]
fn every_fixed_route_is_documented() {
    let documents = ["base.json", "own.json"].map(|name| {
        let path = format!("{}/tools/openapi/{name}", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str::<serde_json::Value>(&std::fs::read_to_string(path).unwrap()).unwrap()
    });
    for Route { method, pattern, .. } in Route::<NoPlatform>::FIXED {
        let documented = documents.iter().any(|one| one["paths"][pattern][method.to_lowercase()].is_object());
        assert!(documented, "add {method} {pattern} to tools/openapi/own.json");
    }
}

#[test]
fn routes_and_ids_are_those_of_the_resource() {
    let declaration = Declaration::parse(
        r#"{"resources": {
            "todos": {"owner": "user", "id": "bigint", "deleted": false, "fields": {"a": "date"}},
            "profiles": {"owner": "user", "id": "owner", "deleted": false, "fields": {"a": "date"}},
            "plans": {"owner": {"set": "none"}, "read": "app", "deleted": false, "fields": {"a": "date"}},
            "posts": {"owner": {"set": "none"}, "read": "user", "deleted": false, "fields": {"a": "date"}},
            "views": {"owner": "user", "routes": ["list", "read"], "fields": {"a": "date"}}
        }}"#,
    )
    .unwrap();
    let allowed = |target: &str| methods::<NoPlatform>(&declaration, target);
    let all = |methods: &str| Some(methods.to_owned());
    assert_eq!(allowed("/v1/todos"), all("GET, HEAD, POST"));
    assert_eq!(allowed("/v1/todos/7"), all("GET, HEAD, PUT, PATCH, DELETE"));
    for other in ["/v1/todos/0", "/v1/todos/07", "/v1/todos/me", "/v1/todos/7/restore", "/v1/todos/7/publish"] {
        assert_eq!(allowed(other), None, "{other}");
    }
    assert_eq!(allowed(&format!("/v1/todos/{ID}")), None);
    assert_eq!(allowed("/v1/profiles/me"), all("GET, HEAD, PUT, PATCH"));
    for other in ["/v1/profiles", "/v1/profiles/7", &format!("/v1/profiles/{ID}")] {
        assert_eq!(allowed(other), None, "{other}");
    }
    assert_eq!(allowed("/v1/views"), all("GET, HEAD"));
    assert_eq!(allowed(&format!("/v1/views/{ID}")), all("GET, HEAD"));
    for name in ["plans", "posts"] {
        for path in [format!("/v1/{name}"), format!("/v1/{name}/{ID}")] {
            assert_eq!(allowed(&path), all("GET, HEAD"), "{path}");
            let matched = resolve::<NoPlatform>(&declaration, "GET", &path).unwrap();
            assert_eq!(matched.route.needs_user(), name == "posts", "{path}");
        }
    }
    assert_eq!(route(&declaration, "GET", "/v1/profiles/me"), Ok("GET /v1/profiles/{id}".to_owned()));
}

#[test]
fn declared_functions_are_called_by_their_exact_names() {
    let declaration = Declaration::parse(
        r#"{"resources": {}, "functions": {"create_team": {"arguments": {"name": "text(1..9)"}}, "nothing": {}}}"#,
    )
    .unwrap();
    let name = "POST /v1/functions/nothing";
    assert_eq!(route(&declaration, "POST", "/v1/functions/nothing").as_deref(), Ok(name));
    let matched = resolve::<NoPlatform>(&declaration, "POST", "/v1/functions/create_team");
    let matched = matched.unwrap_or_else(|_| panic!("no route"));
    assert_eq!(matched.path.function.map(|function| function.name.as_str()), Some("create_team"));
    for method in ["GET", "PUT", "DELETE"] {
        assert_eq!(route(&declaration, method, "/v1/functions/nothing"), Err(Code::MethodNotAllowed));
    }
    for path in ["", "/", "/Nothing", "/nothing/", "/nothing/x", "/%6eothing", "/public.nothing", "/airlock_call"] {
        assert_eq!(route(&declaration, "POST", &format!("/v1/functions{path}")), Err(Code::NotFound), "{path}");
    }
}

#[test]
fn rows_with_a_parent_are_only_below_it() {
    let declaration = Declaration::parse(
        r#"{"resources": {
            "teams": {"owner": "user", "id": "bigint", "fields": {"name": "text(1..9)"}},
            "projects": {"owner": "user", "under": "teams.teamId", "fields": {"name": "text(1..9)"}},
            "tasks": {"owner": "user", "under": "projects.project_id", "fields": {"name": "text(1..9)"}}
        }}"#,
    )
    .unwrap();
    let target = format!("/v1/teams/7/projects/{ID}/restore");
    let matched = resolve::<NoPlatform>(&declaration, "POST", &target).unwrap_or_else(|_| panic!("no route"));
    assert_eq!(matched.name(), "POST /v1/teams/{teamId}/projects/{id}/restore");
    assert_eq!(matched.path.ids, [("id", ID.to_owned())]);
    let scope = matched.path.scope.unwrap();
    assert_eq!((&*scope.path(), &*scope.collection()), ("/v1/teams/7/projects", "teams/7/projects"));
    for (method, target, name) in [
        ("GET", "/v1/teams/7/projects".to_owned(), "GET /v1/teams/{teamId}/projects"),
        ("HEAD", "/v1/teams/7/projects".to_owned(), "GET /v1/teams/{teamId}/projects"),
        ("GET", format!("/v1/projects/{ID}/tasks"), "GET /v1/projects/{project_id}/tasks"),
        ("POST", "/v1/teams".to_owned(), "POST /v1/teams"),
        ("GET", "/v1/teams/7".to_owned(), "GET /v1/teams/{id}"),
    ] {
        assert_eq!(route(&declaration, method, &target).as_deref(), Ok(name), "{target}");
    }
    assert_eq!(route(&declaration, "DELETE", "/v1/teams/7/projects"), Err(Code::MethodNotAllowed));
    for target in [
        "/v1/projects".to_owned(),
        format!("/v1/projects/{ID}"),
        "/v1/tasks".to_owned(),
        "/v1/teams/7/tasks".to_owned(),
        format!("/v1/teams/7/projects/{ID}/tasks"),
        format!("/v1/teams/{ID}/projects"),
        "/v1/teams/0/projects".to_owned(),
        "/v1/teams/07/projects".to_owned(),
        "/v1/teams/me/projects".to_owned(),
        "/v1/teams//projects".to_owned(),
        "/v1/teams/7/projects/".to_owned(),
        "/v1/teams/7/projects/7".to_owned(),
        "/v1/teams/7/teams".to_owned(),
        "/v1/projects/7/tasks".to_owned(),
        "/v1/public/projects".to_owned(),
    ] {
        assert_eq!(route(&declaration, "GET", &target), Err(Code::NotFound), "{target}");
    }
}
