//! The document and the code hold each other: what `openapi.json` says is provoked through the whole
//! path, and what the path answers is looked up in `openapi.json`.

#![allow(
    missing_docs,
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

mod support;

use std::collections::BTreeSet;
use std::slice;

use airlock::Code;
use airlock::openapi::DOCUMENT;
use airlock::seam::{Unanswered, Verdict};
use serde_json::{Value, json};
use support::*;

/// Those that an operation may have (OpenAPI 3.1, Path Item Object), and one that none has.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND",
];

struct Document(Value);

const ORG: &str = "0f0e0d0c-2d6a-4174-899e-8ffddea7a39a";
const BOB: &str = "b0b00000-0000-4000-8000-000000000001";
const PLACES: [(&str, &str); 3] = [("{org_id}", ORG), ("{user_id}", BOB), ("{id}", NOTE)];

struct Operation<'a> {
    method: String,
    path: &'a str,
    object: &'a Value,
}

/// What an operation asks for before it does anything.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Proofs {
    None,
    App,
    AppAndUser,
}

impl Operation<'_> {
    /// As the log names it: `GET /v1/notes/{id}`.
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn proofs(&self) -> Proofs {
        let security = &self.object["security"];
        if security.is_null() {
            Proofs::AppAndUser
        } else if *security == json!([]) {
            Proofs::None
        } else {
            let app =
                json!([{"AppId": [], "AppTimestamp": [], "AppNonce": [], "AppSignature": []}]);
            assert_eq!(*security, app, "{}", self.name());
            Proofs::App
        }
    }

    /// Whether a refusal by a policy is followed by a look at the organisation.
    fn looks_at_its_org(&self) -> bool {
        self.path.starts_with("/v1/orgs/{org_id}/notes")
            || self.name() == "POST /v1/orgs/{org_id}/invitations"
    }
}

impl Document {
    fn read() -> Self {
        Self(serde_json::from_str(DOCUMENT).unwrap())
    }

    fn operations(&self) -> Vec<Operation<'_>> {
        let mut operations = Vec::new();
        for (path, item) in self.0["paths"].as_object().unwrap() {
            for (method, object) in item.as_object().unwrap() {
                let method = method.to_uppercase();
                if METHODS.contains(&method.as_str()) {
                    operations.push(Operation {
                        method,
                        path,
                        object,
                    });
                }
            }
        }
        operations
    }

    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => self.0.pointer(reference.trim_start_matches('#')).unwrap(),
            None => value,
        }
    }

    fn responses<'a>(&'a self, operation: &'a Operation<'_>) -> Vec<(u16, &'a Value)> {
        let responses = operation.object["responses"].as_object().unwrap();
        let resolve = |(status, response): (&String, &'a Value)| {
            (status.parse().unwrap(), self.resolve(response))
        };
        responses.iter().map(resolve).collect()
    }

    fn response(&self, operation: &str, status: u16) -> &Value {
        let (method, path) = operation.split_once(' ').unwrap();
        let item = &self.0["paths"][path][method.to_lowercase()];
        self.resolve(&item["responses"][status.to_string()])
    }

    /// A request with the example that the document has for its body.
    fn request_to(&self, operation: &Operation<'_>) -> Request {
        let request = Request::new(&operation.method, &filled(operation.path));
        let body = self.resolve(&operation.object["requestBody"]);
        match body["content"]["application/json"]["examples"].as_object() {
            Some(examples) => {
                let example = examples.values().next().unwrap();
                request.json(&example["value"].to_string())
            }
            None => request,
        }
    }

    fn request(&self, name: &str) -> Request {
        let operations = self.operations();
        let found = operations.iter().find(|operation| operation.name() == name);
        self.request_to(found.unwrap())
    }

    /// The examples of a content or a header.
    fn examples<'a>(&'a self, of: &'a Value) -> impl Iterator<Item = &'a Value> {
        let examples = of["examples"].as_object().into_iter();
        examples.flat_map(|all| all.values().map(|example| &self.resolve(example)["value"]))
    }

    /// The codes that a problem's schema narrows `code` to.
    fn codes(&self, schema: &Value) -> Vec<String> {
        if schema["$ref"] == "#/components/schemas/Problem" {
            return Vec::new();
        }
        let schema = self.resolve(schema);
        let parts = ["allOf", "oneOf"]
            .iter()
            .filter_map(|name| schema[name].as_array());
        let mut codes: Vec<String> = parts.flatten().flat_map(|part| self.codes(part)).collect();
        let code = &schema["properties"]["code"];
        let listed = code["enum"].as_array().into_iter().flatten();
        let named = listed.chain(code.get("const"));
        codes.extend(named.map(|name| name.as_str().unwrap().to_owned()));
        codes
    }

    fn schema(&self, name: &str) -> &Value {
        &self.0["components"]["schemas"][name]
    }

    fn parameter(&self, name: &str) -> &Value {
        &self.0["components"]["parameters"][name]["schema"]
    }

    /// The example of a response in `components`.
    fn example(&self, response: &str, name: &str) -> Value {
        let content = &self.0["components"]["responses"][response]["content"];
        content["application/json"]["examples"][name]["value"].clone()
    }
}

/// What a policy says.
fn denied() -> (u16, Value) {
    let message = "new row violates row-level security policy";
    (403, json!({ "code": "42501", "message": message }))
}

/// The organisation of the document's examples.
fn org_row() -> Value {
    Document::read().example("Org", "org")
}

fn problem_schema(response: &Value) -> &Value {
    &response["content"]["application/problem+json"]["schema"]
}

fn filled(path: &str) -> String {
    let fill = |path: String, (name, id): &(&str, &str)| path.replace(name, id);
    PLACES.iter().fold(path.to_owned(), fill)
}

/// The operation that a request is to.
fn operation(request: &Request) -> String {
    let path = request.target.split('?').next().unwrap();
    let name = |path: String, (name, id): &(&str, &str)| path.replace(id, name);
    let path = PLACES.iter().fold(path.to_owned(), name);
    format!("{} {path}", request.method)
}

#[test]
fn it_is_served_as_it_stands() {
    let world = World::new();
    let answer = Request::new("GET", "/openapi.json").send(&world.gateway(), &world);
    assert_eq!(answer.bytes, DOCUMENT.as_bytes());
    let version = &Document::read().0["info"]["version"];
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_codes_are_those_of_the_code() {
    let document = Document::read();
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.row().code).collect();
    assert_eq!(
        document.schema("Problem")["properties"]["code"]["enum"],
        json!(codes)
    );
}

#[test]
fn every_status_carries_the_codes_of_its_rows() {
    let document = Document::read();
    let row = |name: &str| {
        let mut rows = Code::ALL.iter().map(|code| code.row());
        rows.find(|row| row.code == name).unwrap()
    };
    let mut used = BTreeSet::new();
    for (name, response) in document.0["components"]["responses"].as_object().unwrap() {
        let codes = document.codes(problem_schema(response));
        for problem in document.examples(&response["content"]["application/problem+json"]) {
            let code = problem["code"].as_str().unwrap();
            assert!(codes.contains(&code.to_owned()), "{name}: {code}");
            assert_eq!(problem["type"], format!("urn:airlock:problem:{code}"));
            assert_eq!(problem["title"], row(code).title);
            assert_eq!(problem["status"], row(code).status);
            assert_eq!(problem["retryable"], row(code).retryable);
        }
        used.extend(codes);
    }
    assert_eq!(used.len(), Code::ALL.len(), "each has a response: {used:?}");

    for operation in document.operations() {
        for (status, response) in document.responses(&operation) {
            let codes = document.codes(problem_schema(response));
            assert_eq!(status >= 400, !codes.is_empty(), "{}", operation.name());
            for code in codes {
                assert_eq!(row(&code).status, status, "{}: {code}", operation.name());
            }
        }
    }
}

#[test]
fn the_documented_routes_are_those_that_are_served() {
    let document = Document::read();
    let documented: BTreeSet<String> = document.operations().iter().map(Operation::name).collect();
    // No request can find a route that is served in secret, so this reads the source.
    let source = include_str!("../src/route.rs");
    let (source, _tests) = source.split_once("#[cfg(test)]").unwrap();
    let texts = source.split('"').skip(1).step_by(2);
    let served: BTreeSet<String> = texts
        .filter(|text| text.contains(" /"))
        .map(str::to_owned)
        .collect();
    assert_eq!(documented, served);

    let world = World::new();
    let gateway = world.gateway();
    for (path, item) in document.0["paths"].as_object().unwrap() {
        let mut methods: BTreeSet<String> = METHODS
            .iter()
            .filter(|method| item.get(method.to_lowercase()).is_some())
            .map(|method| (*method).to_owned())
            .collect();
        if methods.contains("GET") {
            methods.insert("HEAD".to_owned());
        }
        for method in METHODS {
            let request = Request::new(method, &filled(path));
            let answer = request.send(&gateway, &world);
            if methods.contains(method) {
                let route = world.last_log()["route"].clone();
                let method = if method == "HEAD" { "GET" } else { method };
                assert_eq!(route, format!("{method} {path}"));
            } else {
                assert_eq!(answer.status, 405, "{method} {path}");
                let allow = answer.head("allow").split(", ").map(str::to_owned);
                assert_eq!(allow.collect::<BTreeSet<_>>(), methods, "{path}");
            }
        }
    }
}

#[test]
fn proofs_are_asked_for_where_the_document_says_so() {
    let document = Document::read();
    assert_eq!(document.0["security"].as_array().unwrap().len(), 1);
    for operation in document.operations() {
        let ask = |request: Request| {
            let world = World::new();
            world.will_reply(200, json!([]));
            request.send(&world.gateway(), &world).verdict()
        };
        let request = document.request_to(&operation);
        let expected = match operation.proofs() {
            Proofs::None => ["200", "200"],
            Proofs::App => ["401 app_guard_rejected", "404 not_found"],
            Proofs::AppAndUser => ["401 app_guard_rejected", "401 token_missing"],
        };
        let found = [ask(request.clone()), ask(request.signed())];
        assert_eq!(found, expected, "{}", operation.name());
    }
}

#[test]
fn the_bounds_are_those_of_the_code() {
    let document = Document::read();
    let accepts = |request: Request, reply_status: u16| {
        let world = World::new();
        world.will_reply(reply_status, json!([row(1)]));
        let answer = request.alice().signed().send(&world.gateway(), &world);
        if answer.status != reply_status {
            assert_eq!(answer.problem(), "422 validation_failed");
            assert!(world.sent.borrow().is_empty());
        }
        answer.status == reply_status
    };

    let title = document.schema("ShortText");
    let body = document.schema("NoteBody");
    let bound =
        |schema: &Value, name: &str| usize::try_from(schema[name].as_u64().unwrap()).unwrap();
    let (shortest, longest) = (bound(title, "minLength"), bound(title, "maxLength"));
    let longest_body = bound(body, "maxLength");
    assert_eq!((shortest, longest, longest_body), (1, 200, 20_000));
    // Characters are Unicode scalar values in JSON Schema, too; this one has two UTF-16 units.
    let text = |length: usize| "\u{1F4DD}".repeat(length);
    for (title, body, good) in [
        (shortest, 0, true),
        (longest, longest_body, true),
        (shortest - 1, 0, false),
        (longest + 1, 0, false),
        (longest, longest_body + 1, false),
    ] {
        let json = json!({ "title": text(title), "body": text(body) }).to_string();
        for (method, path, status) in [
            ("POST", "/v1/notes", 201),
            ("PUT", &*format!("/v1/notes/{NOTE}"), 200),
            ("PATCH", &*format!("/v1/notes/{NOTE}"), 200),
        ] {
            let request = Request::new(method, path).json(&json);
            assert_eq!(accepts(request, status), good, "{method} {title} {body}");
        }
    }

    for (length, good) in [(0, false), (1, true), (200, true), (201, false)] {
        let world = World::new();
        if good {
            world.will_reply(200, json!([{}]));
            world.will_reply(200, json!([document.example("Org", "org")]));
        }
        let rename = Request::new("PATCH", &format!("/v1/orgs/{ORG}"));
        let rename = rename.json(&json!({ "name": text(length) }).to_string());
        let answer = rename.alice().signed().send(&world.gateway(), &world);
        assert_eq!(answer.status == 200, good, "{length}");
    }

    let limit = document.parameter("Limit");
    let (least, most) = (bound(limit, "minimum"), bound(limit, "maximum"));
    assert_eq!((least, most), (1, 100));
    for (limit, good) in [
        (least, true),
        (most, true),
        (least - 1, false),
        (most + 1, false),
    ] {
        let request = Request::new("GET", &format!("/v1/notes?limit={limit}"));
        assert_eq!(accepts(request, 200), good, "{limit}");
    }
    let state = document.parameter("State");
    for name in state["enum"].as_array().unwrap() {
        let target = format!("/v1/notes?state={}", name.as_str().unwrap());
        assert!(accepts(Request::new("GET", &target), 200));
    }

    let sent = |target: &str| {
        let (_, sent) = ask(Request::new("GET", target), 200, json!([]));
        (
            sent[0].url().to_owned(),
            sent[0].header("range").unwrap_or_default().to_owned(),
        )
    };
    assert_eq!(limit["default"], 20);
    assert_eq!(
        sent("/v1/notes"),
        sent(&format!(
            "/v1/notes?limit={}&state={}",
            limit["default"],
            state["default"].as_str().unwrap()
        ))
    );
}

#[test]
fn the_flaws_are_those_of_the_code() {
    let document = Document::read();
    let mut found = BTreeSet::new();
    for (target, body) in [
        ("", r#"{}"#),
        ("", r#"{"title":1,"x":1,"body":"","body":""}"#),
        ("", r#"{"title":"","body":"\u0000"}"#),
        ("?limit=0", ""),
    ] {
        let method = if body.is_empty() { "GET" } else { "POST" };
        let mut request = Request::new(method, &format!("/v1/notes{target}"));
        if !body.is_empty() {
            request = request.json(body);
        }
        let world = World::new();
        let answer = request.alice().signed().send(&world.gateway(), &world);
        for error in answer.body["errors"].as_array().unwrap() {
            found.insert(error["code"].as_str().unwrap().to_owned());
        }
    }
    let listed = &document.schema("FieldError")["properties"]["code"]["enum"];
    let listed: BTreeSet<String> = serde_json::from_value(listed.clone()).unwrap();
    assert_eq!(found, listed);
}

/// What every operation answers, in every way that the document names.
struct Answers(Vec<(String, Answer)>);

impl Answers {
    /// Sends a request into a world with these replies of the database.
    fn ask(&mut self, request: Request, replies: &[(u16, Value)]) {
        self.ask_in(request, |world| {
            for (status, body) in replies {
                world.will_reply(*status, body.clone());
            }
        });
    }

    fn ask_in(&mut self, request: Request, prepare: impl FnOnce(&mut World)) {
        let mut world = World::new();
        prepare(&mut world);
        let answer = request.send(&world.gateway(), &world);
        assert!(world.replies.borrow().is_empty(), "{answer:?}");
        self.0.push((operation(&request), answer));
    }

    fn collect(document: &Document) -> Self {
        let mut answers = Self(Vec::new());
        for operation in document.operations() {
            let request = document.request_to(&operation);
            answers.common(&request);
            if operation.proofs() == Proofs::None {
                continue;
            }
            let request = match operation.proofs() {
                Proofs::AppAndUser => {
                    answers.second_door(&request);
                    request.alice()
                }
                _ => request,
            };
            answers.first_door(&request);
            if operation.path != "/v1/me" {
                answers.database(&request, operation.looks_at_its_org());
            }
            if operation.method != "GET" {
                answers.replay(&request.clone().signed());
            }
            if !operation.object["requestBody"].is_null() {
                answers.bodies(&request);
            }
        }
        answers.without_rows(document);
        answers.notes(document, "/v1/notes");
        answers.notes(document, &format!("/v1/orgs/{ORG}/notes"));
        answers.orgs(document);
        answers.published(document);
        answers
    }

    /// Before any door.
    fn common(&mut self, request: &Request) {
        let mut raw = request.clone();
        raw.target.push_str("?\"");
        self.ask(raw, &[]);
        self.ask_in(request.clone(), |world| {
            world.vars.remove("APP_GUARD");
        });
    }

    /// App Guard and what stands around it, for a request that lacks its signature alone.
    fn first_door(&mut self, request: &Request) {
        for refused in [
            request.clone(),
            request.clone().signed_at(NOW - 301),
            request.clone().header("content-length", "262145"),
        ] {
            self.ask(refused, &[]);
        }
        let mut unknown = request.clone();
        unknown.target.push_str("?x=1");
        self.ask(unknown.signed(), &[]);

        let good = request.clone().signed();
        self.ask_in(good.clone(), |world| world.limits.set(Ok(Verdict::Refused)));
        self.ask_in(good, |world| world.limits.set(Err(Unanswered)));
    }

    /// The token and what stands around it, for a request without one.
    fn second_door(&mut self, request: &Request) {
        let expired = hs256(&claims_with("exp", json!(NOW - 60)));
        for refused in [
            request.clone(),
            request.clone().token(&expired),
            request.clone().token("header.payload.signature"),
        ] {
            self.ask(refused.signed(), &[]);
        }
        let good = request.clone().alice().signed();
        self.ask_in(good.clone(), |world| {
            world.user_limit.set(Ok(Verdict::Refused))
        });
        self.ask_in(good, |world| world.user_limit.set(Err(Unanswered)));
    }

    /// What the database says instead of rows.
    fn database(&mut self, request: &Request, looks_at_its_org: bool) {
        let error = |code: &str, message: &str| json!({ "code": code, "message": message });
        let mut refused = vec![denied()];
        if looks_at_its_org {
            refused.push((200, json!([org_row()])));
        }
        self.ask(request.clone().signed(), &refused);
        for reply in [
            (403, error("42501", "permission denied for table notes")),
            (200, json!("no rows")),
            (503, error("PGRST000", "Could not connect")),
            (504, error("PGRST003", "Timed out acquiring connection")),
        ] {
            self.ask(request.clone().signed(), &[reply]);
        }
    }

    fn replay(&mut self, request: &Request) {
        self.ask_in(request.clone(), |world| {
            let (_, nonce) = request
                .headers
                .iter()
                .find(|(name, _)| *name == "x-app-nonce")
                .unwrap();
            world.claims.borrow_mut().insert(format!("rn-ios:{nonce}"));
        });
    }

    fn bodies(&mut self, request: &Request) {
        let invalid = json!({ "title": "x".repeat(201), "body": "\0" }).to_string();
        for refused in [
            request.clone().json("{"),
            request.clone().header("content-type", "text/plain"),
            request.clone().json(&invalid),
        ] {
            self.ask(refused.signed(), &[]);
        }
    }

    fn without_rows(&mut self, document: &Document) {
        let content = &document.response("GET /v1/me", 200)["content"]["application/json"];
        let me = &content["examples"]["me"]["value"];
        let claims = claims_with("session_id", me["session_id"].clone());
        let request = Request::new("GET", "/v1/me").token(&hs256(&claims));
        self.ask(request.signed(), &[]);
        self.ask(Request::new("GET", "/health"), &[]);
        self.ask(Request::new("GET", "/openapi.json"), &[]);
    }

    /// What depends on the notes that there are at a place.
    fn notes(&mut self, document: &Document, place: &str) {
        let note = document.example("Note", "note");
        let new = document.example("Created", "note");
        let mut deleted = note.clone();
        deleted["deleted_at"] = note["updated_at"].clone();
        let one = |note: &Value| (200, json!([note]));
        let none = || (200, json!([]));
        let created = || (201, json!([new]));
        let taken = || {
            (
                409,
                json!({"code": "23505", "message": "duplicate key value"}),
            )
        };

        let id = format!("{place}/{NOTE}");
        let to = |method: &str, target: &str| {
            let request = Request::new(method, target).alice();
            match method {
                "PUT" | "PATCH" => request.json(r#"{"title":"Packing list"}"#),
                _ => request,
            }
        };
        let stale = |request: Request| request.header("if-match", "\"2\"");
        let restore = format!("{id}/restore");
        let create = Request::new("POST", place)
            .alice()
            .json(r#"{"title":"Packing list"}"#);
        let create_only = to("PUT", &id).header("if-none-match", "*");
        let mut reused = vec![none()];
        // Whoever is in no such organisation is told nothing of keys.
        if place.contains("/orgs/") {
            reused.push(one(&org_row()));
        }
        for (request, replies) in [
            (
                to("GET", &format!("{place}?limit=1")),
                vec![(200, json!([note, new]))],
            ),
            (to("GET", &format!("{place}?limit=0")), vec![]),
            (create.clone(), vec![created()]),
            (create.clone(), vec![taken()]),
            (
                create.clone().header("idempotency-key", "order-0001"),
                vec![one(&new)],
            ),
            (
                create.clone().header("idempotency-key", "order-0001"),
                vec![one(&deleted)],
            ),
            (create.header("idempotency-key", "order-0001"), reused),
            (to("GET", &id), vec![one(&note)]),
            (to("GET", &id), vec![none()]),
            (
                to("GET", &id).header("if-none-match", "\"3\""),
                vec![one(&note)],
            ),
            (to("PUT", &id), vec![one(&note)]),
            (to("PUT", &id), vec![none(), created()]),
            (to("PUT", &id), vec![none(), taken(), none()]),
            (create_only, vec![taken(), one(&note)]),
            (stale(to("PUT", &id)), vec![none(), none()]),
            (stale(to("PUT", &id)), vec![none(), one(&note)]),
            (to("PATCH", &id), vec![one(&note)]),
            (to("PATCH", &id), vec![none(), none()]),
            (stale(to("PATCH", &id)), vec![none(), one(&note)]),
            (to("DELETE", &id), vec![one(&deleted)]),
            (to("DELETE", &id), vec![none(), none()]),
            (stale(to("DELETE", &id)), vec![none(), one(&note)]),
            (to("POST", &restore), vec![one(&note)]),
            (to("POST", &restore), vec![none(), none()]),
            (stale(to("POST", &restore)), vec![none(), one(&deleted)]),
        ] {
            self.ask(request.signed(), &replies);
        }
        for action in ["publish", "unpublish"] {
            let target = format!("{id}/{action}");
            let request = || to("POST", &target);
            self.ask(request().signed(), &[one(&note)]);
            self.ask(request().signed(), &[none(), none(), none()]);
            let replies = [none(), none(), one(&note)];
            self.ask(stale(request()).signed(), &replies);
        }
        if place != "/v1/notes" {
            self.ask(to("GET", place).signed(), &[none(), none()]);
            let request = to("POST", place).json(r#"{"title":"Packing list"}"#);
            self.ask(request.signed(), &[denied(), none()]);
        }
    }

    /// What depends on the organisations that there are, and on who is in them.
    fn orgs(&mut self, document: &Document) {
        let new = document.example("OrgCreated", "org");
        let member = document.example("Member", "member");
        let invitation = document.example("InvitationPage", "page")["data"][0].clone();
        let one = |row: &Value| (200, json!([row]));
        let org = || one(&org_row());
        let none = || (200, json!([]));
        let touched = || (200, json!([{ "id": ORG }]));
        let rule = || (409, json!({"code": "PT409", "message": "a rule"}));
        let to = |name: &str| document.request(name).alice();
        let stale = |request: Request| request.header("if-match", "\"2\"");

        let (orgs, join, id) = ("/v1/orgs", "/v1/orgs/join", "/v1/orgs/{org_id}");
        let members = &*format!("{id}/members");
        let invitations = &*format!("{id}/invitations");
        let someone = &*format!("{members}/{{user_id}}");
        let invited = &*format!("{invitations}/{{id}}");
        for (method, path, replies) in [
            ("GET", orgs, vec![org()]),
            ("POST", orgs, vec![touched(), one(&new)]),
            ("POST", orgs, vec![touched(), none()]),
            ("POST", join, vec![touched(), org()]),
            ("POST", join, vec![none()]),
            ("POST", join, vec![rule()]),
            ("GET", id, vec![org()]),
            ("GET", id, vec![none()]),
            ("PATCH", id, vec![touched(), org()]),
            ("PATCH", id, vec![none(), none()]),
            ("DELETE", id, vec![touched()]),
            ("DELETE", id, vec![none(), none()]),
            ("GET", members, vec![one(&member)]),
            ("GET", members, vec![none(), none()]),
            ("GET", someone, vec![one(&member)]),
            ("GET", someone, vec![none()]),
            ("PATCH", someone, vec![one(&member)]),
            ("PATCH", someone, vec![none(), none()]),
            ("PATCH", someone, vec![rule()]),
            ("DELETE", someone, vec![touched()]),
            ("DELETE", someone, vec![none(), none()]),
            ("DELETE", someone, vec![rule()]),
            ("GET", invitations, vec![one(&invitation)]),
            ("GET", invitations, vec![none(), none()]),
            ("POST", invitations, vec![(201, json!([invitation]))]),
            ("POST", invitations, vec![denied(), none()]),
            ("DELETE", invited, vec![touched()]),
            ("DELETE", invited, vec![none(), none()]),
        ] {
            self.ask(to(&format!("{method} {path}")).signed(), &replies);
        }
        for (path, row) in [(id, org()), (someone, one(&member))] {
            let tag = row.1[0]["version"].to_string();
            let read = to(&format!("GET {path}"));
            let read = read.header("if-none-match", &format!("\"{tag}\""));
            self.ask(read.signed(), slice::from_ref(&row));
            let patch = stale(to(&format!("PATCH {path}")));
            self.ask(patch.signed(), &[none(), row]);
        }
        let delete = stale(to(&format!("DELETE {id}")));
        self.ask(delete.signed(), &[none(), org()]);
    }

    fn published(&mut self, document: &Document) {
        let note = json!([document.example("Published", "note")]);
        let request = document.request("GET /v1/public/notes/{id}");
        let known = request.clone().header("if-none-match", "\"3\"");
        self.ask(request.clone().signed(), &[(200, note.clone())]);
        self.ask(known.signed(), &[(200, note)]);
        self.ask(request.signed(), &[(200, json!([]))]);
    }
}

#[test]
fn what_is_answered_is_documented_and_what_is_documented_is_answered() {
    let document = Document::read();
    let mut documented = BTreeSet::new();
    for operation in document.operations() {
        for (status, response) in document.responses(&operation) {
            let name = operation.name();
            let codes = document.codes(problem_schema(response));
            documented.extend(codes.iter().map(|code| format!("{name}: {status} {code}")));
            if codes.is_empty() {
                documented.insert(format!("{name}: {status}"));
            }
        }
    }
    let answered: BTreeSet<String> = Answers::collect(&document)
        .0
        .iter()
        .map(|(operation, answer)| match answer.status {
            ..400 => format!("{operation}: {}", answer.status),
            _ => format!("{operation}: {}", answer.problem()),
        })
        .collect();
    let difference: Vec<&String> = answered.symmetric_difference(&documented).collect();
    assert!(difference.is_empty(), "{difference:#?}");
}

#[test]
fn every_answer_has_the_headers_and_the_media_type_that_are_documented() {
    let document = Document::read();
    for (operation, answer) in Answers::collect(&document).0 {
        let response = document.response(&operation, answer.status);
        let of_every_answer = |name: &str, value: &str| {
            name == "x-content-type-options" || (name == "cache-control" && value == "no-store")
        };
        let mut headers: BTreeSet<&str> = answer
            .headers
            .iter()
            .filter(|(name, value)| !of_every_answer(name, value))
            .map(|(name, _)| name)
            .collect();
        let media_type = headers.take("content-type").map(|name| answer.head(name));
        let listed: BTreeSet<String> = response["headers"]
            .as_object()
            .unwrap()
            .keys()
            .map(|name| name.to_lowercase())
            .collect();
        let context = format!("{operation}: {}", answer.status);
        assert!(
            headers
                .iter()
                .copied()
                .eq(listed.iter().map(String::as_str)),
            "{context}: {headers:?}"
        );
        let content = response["content"].as_object();
        assert_eq!(
            media_type.into_iter().collect::<Vec<_>>(),
            content
                .into_iter()
                .flat_map(|content| content.keys())
                .collect::<Vec<_>>(),
            "{context}"
        );
    }
}

#[test]
fn every_example_is_a_real_answer() {
    let document = Document::read();
    let mut answers: Vec<Value> = Answers::collect(&document)
        .0
        .into_iter()
        .map(|(_, answer)| answer.body)
        .collect();
    let world = World::new();
    let not_allowed = Request::new("PUT", "/v1/notes");
    answers.push(not_allowed.send(&world.gateway(), &world).body);
    for answer in &mut answers {
        forget_request_id(answer);
    }

    let responses = document.0["components"]["responses"].as_object().unwrap();
    let operations = document.operations();
    let inline = operations
        .iter()
        .flat_map(|operation| document.responses(operation));
    for response in responses
        .values()
        .chain(inline.map(|(_, response)| response))
    {
        let contents = response["content"]
            .as_object()
            .into_iter()
            .flat_map(|all| all.values());
        for content in contents {
            for example in document.examples(content) {
                let mut value = example.clone();
                forget_request_id(&mut value);
                assert!(answers.contains(&value), "nothing answers {value:#}");
            }
        }
    }
}

fn forget_request_id(answer: &mut Value) {
    if let Some(object) = answer.as_object_mut() {
        object.remove("request_id");
    }
}
