//! `tools/openapi/base.json`, the handwritten part of the OpenAPI document, agrees with the code.
//! Each documented answer is provoked through the whole path, and each answer of the path is
//! documented. The part of the resources is generated; tests/tools/generate.test.ts and
//! tests/e2e/openapi.test.ts check it.

#![allow(missing_docs, clippy::allow_attributes, reason = "test code")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "test code")]

mod support;

use std::collections::BTreeSet;

use airlock::Code;
use airlock::platform::Unanswered;
use serde_json::{Value, json};
use support::*;

/// The methods of a Path Item Object (OpenAPI 3.1), and one more.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"];

struct Document(Value);

const PLACES: [(&str, &str); 3] = [("{org_id}", ORG), ("{user_id}", BOB), ("{id}", ID)];

struct Operation<'a> {
    method: String,
    path: &'a str,
    object: &'a Value,
}

impl Operation<'_> {
    /// As the log names it: `GET /v1/notes/{id}`.
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Whether it requires an app's signature and a user's token; otherwise it requires nothing.
    fn requires_proofs(&self) -> bool {
        let security = &self.object["security"];
        assert!(security.is_null() || *security == json!([]), "{}", self.name());
        security.is_null()
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
                    operations.push(Operation { method, path, object });
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
        let resolve = |(status, response): (&String, &'a Value)| (status.parse().unwrap(), self.resolve(response));
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
        let parts = ["allOf", "oneOf"].iter().filter_map(|name| schema[name].as_array());
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
fn document_is_served_unchanged() {
    let world = World::new();
    let answer = Request::new("GET", "/openapi.json").send(&world.pipeline(), &world);
    assert_eq!(answer.bytes, DOCUMENT.as_bytes());
    let version = &Document::read().0["info"]["version"];
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
}

#[test]
fn documented_codes_are_those_of_the_code() {
    let document = Document::read();
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.definition().code).collect();
    assert_eq!(document.schema("Problem")["properties"]["code"]["enum"], json!(codes));
}

#[test]
fn documented_problems_have_the_status_and_title_of_their_code() {
    let document = Document::read();
    let row = |name: &str| {
        let mut rows = Code::ALL.iter().map(|code| code.definition());
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
fn documented_methods_are_those_that_a_path_allows() {
    let document = Document::read();
    let world = World::new();
    // For /ready, which asks once.
    world.will_reply(200, json!(true));
    let pipeline = world.pipeline();
    for (path, item) in document.0["paths"].as_object().unwrap() {
        let documented = METHODS.iter().filter(|method| item.get(method.to_lowercase()).is_some());
        let mut methods: BTreeSet<&str> = documented.copied().collect();
        if methods.contains("GET") {
            methods.insert("HEAD");
        }
        for method in METHODS {
            let lines = world.logs.borrow().len();
            let answer = Request::new(method, &filled(path)).send(&pipeline, &world);
            if methods.contains(method) {
                assert!(![404, 405].contains(&answer.status), "{method} {path}");
                let method = if method == "HEAD" { "GET" } else { method };
                // A probe that finds all well leaves no line.
                if world.logs.borrow().len() > lines {
                    assert_eq!(world.last_log()["route"], format!("{method} {path}"));
                }
            } else {
                assert_eq!(answer.status, 405, "{method} {path}");
                assert_eq!(answer.head("allow").split(", ").collect::<BTreeSet<_>>(), methods, "{path}");
            }
        }
    }
}

#[test]
fn documented_proofs_are_required() {
    let document = Document::read();
    assert_eq!(document.0["security"].as_array().unwrap().len(), 1);
    for operation in document.operations() {
        let ask = |request: Request| {
            let world = World::new();
            world.will_reply(200, json!(true));
            request.send(&world.pipeline(), &world).verdict()
        };
        let request = document.request_to(&operation);
        let expected = match operation.requires_proofs() {
            false => ["200", "200"],
            true => ["401 app_guard_rejected", "401 token_missing"],
        };
        let found = [ask(request.clone()), ask(request.signed())];
        assert_eq!(found, expected, "{}", operation.name());
    }
}

#[test]
fn documented_bounds_are_those_of_the_code() {
    let document = Document::read();
    let accepts = |request: Request, (status, reply): (u16, Value)| {
        let world = World::new();
        world.will_reply(status, reply);
        let answer = request.alice().signed().send(&world.pipeline(), &world);
        if answer.status >= 300 {
            assert_eq!(answer.problem(), "422 validation_failed");
            assert!(world.sent.borrow().is_empty());
        }
        answer.status < 300
    };

    let bound = |schema: &Value, name: &str| usize::try_from(schema[name].as_u64().unwrap()).unwrap();
    let name = document.schema("OrgName");
    let (shortest, longest) = (bound(name, "minLength"), bound(name, "maxLength"));
    assert_eq!((shortest, longest), (1, 200));
    // Characters are Unicode scalar values in JSON Schema, too; this one has two UTF-16 units.
    for (length, good) in [(shortest - 1, false), (shortest, true), (longest, true), (longest + 1, false)] {
        let rename = Request::new("PATCH", &format!("/v1/orgs/{ORG}"));
        let rename = rename.json(&json!({ "name": "\u{1F4DD}".repeat(length) }).to_string());
        assert_eq!(accepts(rename, with_row("done", &document.example("Org", "org"))), good, "{length}");
    }

    let limit = document.parameter("Limit");
    let (least, most) = (bound(limit, "minimum"), bound(limit, "maximum"));
    assert_eq!((least, most), (1, 100));
    for (limit, good) in [(least, true), (most, true), (least - 1, false), (most + 1, false)] {
        let request = Request::new("GET", &format!("/v1/notes?limit={limit}"));
        assert_eq!(accepts(request, page(&[])), good, "{limit}");
    }
    for (parameter, resource) in [("State", "tasks"), ("PublishableState", "notes")] {
        let states: Vec<String> = serde_json::from_value(document.parameter(parameter)["enum"].clone()).unwrap();
        for name in ["active", "deleted", "published", "all"] {
            let request = Request::new("GET", &format!("/v1/{resource}?state={name}"));
            assert_eq!(accepts(request, page(&[])), states.contains(&name.to_owned()), "{resource} {name}");
        }
    }

    let sent = |target: &str| play(Request::new("GET", target), &[page(&[])]).1[0].body.clone();
    let (limit, state) = (&limit["default"], document.parameter("State")["default"].as_str().unwrap());
    assert_eq!(sent("/v1/notes"), sent(&format!("/v1/notes?limit={limit}&state={state}")));
}

#[test]
fn documented_error_codes_are_those_of_the_code() {
    let mut world = World::new();
    world.declaration = r#"{"resources": {"notes": {"owner": "user", "fields": {
        "title": "text(1..9)", "count": "integer(0..9)?", "day": "date?", "color": "one_of(red,blue)?",
        "tags": "texts(1,9)?", "extra": "json(999)?", "other": "json(2)?", "done": "boolean?"
    }}}}"#
        .to_owned();
    let deep = format!("{}{{}}{}", r#"{"a":"#.repeat(32), "}".repeat(32));
    let rule = |code: &str| json!({"code": code, "message": "", "details": null});
    let pipeline = world.pipeline();
    let mut found = BTreeSet::new();
    for (request, reply) in [
        (Request::new("GET", "/v1/notes?limit=0"), None),
        (Request::new("POST", "/v1/notes").json("{}"), None),
        (Request::new("POST", "/v1/notes").json(r#"{"title":1,"x":1,"day":"","done":true,"done":true}"#), None),
        (Request::new("POST", "/v1/notes").json(r#"{"title":"","count":10,"color":"","tags":["a","b"]}"#), None),
        (Request::new("POST", "/v1/notes").json(r#"{"title":"\u0000","other":{"a":1}}"#), None),
        (Request::new("POST", "/v1/notes").json(&format!(r#"{{"title":"a","extra":{deep}}}"#)), None),
        (Request::new("POST", "/v1/notes").json(r#"{"title":"a"}"#), Some(rule("23505"))),
        (Request::new("POST", "/v1/notes").json(r#"{"title":"a"}"#), Some(rule("23503"))),
        (Request::new("POST", "/v1/notes").json(r#"{"title":"a"}"#), Some(rule("23514"))),
    ] {
        if let Some(body) = reply {
            world.will_reply(400, body);
        }
        let answer = request.alice().signed().send(&pipeline, &world);
        for error in answer.body["errors"].as_array().unwrap() {
            found.insert(error["code"].as_str().unwrap().to_owned());
        }
    }
    let listed = Document::read().schema("FieldError")["properties"]["code"]["enum"].clone();
    let listed: BTreeSet<String> = serde_json::from_value(listed).unwrap();
    assert_eq!(found, listed);
}

/// The answers of all operations, in each way that the document names.
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
        let answer = request.send(&world.pipeline(), &world);
        assert!(world.replies.borrow().is_empty(), "{answer:?}");
        self.0.push((operation(&request), answer));
    }

    fn collect(document: &Document) -> Self {
        let mut answers = Self(Vec::new());
        for operation in document.operations() {
            let request = document.request_to(&operation);
            answers.common(&request);
            if !operation.requires_proofs() {
                continue;
            }
            answers.token(&request);
            let request = request.alice();
            answers.app_guard(&request);
            if operation.path != "/v1/me" {
                answers.database(&request);
            }
            if operation.method != "GET" {
                answers.ask(request.clone().signed(), &[error(409, "PT409", "airlock_request_replayed")]);
            }
            if !operation.object["requestBody"].is_null() {
                answers.bodies(&request);
            }
        }
        answers.without_rows(document);
        answers.orgs(document);
        answers
    }

    /// Before any proof.
    fn common(&mut self, request: &Request) {
        let mut raw = request.clone();
        raw.target.push_str("?\"");
        self.ask(raw, &[]);
        self.ask_in(request.clone(), |world| {
            world.vars.remove("APP_GUARD");
        });
    }

    /// App Guard and the steps around it, for a request that lacks only its signature.
    fn app_guard(&mut self, request: &Request) {
        let too_large = request.clone().header("content-length", "262145");
        for refused in [request.clone(), request.clone().signed_at(NOW - 301), too_large] {
            self.ask(refused, &[]);
        }
        let mut unknown = request.clone();
        unknown.target.push_str("?x=1");
        self.ask(unknown.signed(), &[]);

        let good = request.clone().signed();
        self.ask_in(good.clone(), |world| {
            let message = "Please update the app.";
            let key = json!({"id": "k1", "secret": APP_SECRET, "retired": true, "message": message});
            let guard = json!({"apps": {"rn-ios": {"keys": [key]}}});
            world.vars.insert("APP_GUARD", guard.to_string());
        });
        let expired = json!({
            "iss": "https://firebaseappcheck.googleapis.com/1", "aud": "projects/1", "sub": "1:1:ios:a",
            "iat": NOW - 3600, "exp": NOW - 60
        });
        let expired = jws(r#"{"alg":"RS256","kid":"rsa-1"}"#, &expired.to_string(), "rsa");
        for token in ["", "header.payload.signature", &expired] {
            self.ask_in(good.clone().header("x-firebase-appcheck", token), |world| {
                let attest = json!({"mode": "enforce", "firebase": {"project": "1", "app_ids": ["1:1:ios:a"]}});
                let app = json!({"attest": attest, "keys": [{"id": "k1", "secret": APP_SECRET}]});
                world.vars.insert("APP_GUARD", json!({"apps": {"rn-ios": app}}).to_string());
            });
        }
        self.ask_in(good.clone(), |world| world.user_limit.set(Ok(false)));
        self.ask_in(good, |world| world.user_limit.set(Err(Unanswered)));
    }

    /// The token, for a request without one.
    fn token(&mut self, request: &Request) {
        let expired = hs256(&claims_with("exp", json!(NOW - 60)));
        for refused in
            [request.clone(), request.clone().token(&expired), request.clone().token("header.payload.signature")]
        {
            self.ask(refused.signed(), &[]);
        }
    }

    /// Errors of the database.
    fn database(&mut self, request: &Request) {
        for reply in [
            error(403, "42501", "new row violates row-level security policy"),
            error(403, "42501", "permission denied for table notes"),
            (206, json!("no rows")),
            error(503, "PGRST000", "Could not connect"),
            error(504, "PGRST003", "Timed out acquiring connection"),
        ] {
            self.ask(request.clone().signed(), &[reply]);
        }
    }

    fn bodies(&mut self, request: &Request) {
        let invalid = json!({ "name": "" }).to_string();
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
        let ready = || Request::new("GET", "/ready");
        self.ask(ready(), &[(200, json!(true))]);
        self.ask(ready(), &[(200, json!(false))]);
        self.ask_in(ready(), |world| world.user_limit.set(Ok(false)));
        self.ask(Request::new("GET", "/openapi.json"), &[]);
        self.ask_in(Request::new("GET", "/openapi.json"), |world| world.missing = Some("ASSETS"));
    }

    /// Answers that depend on the organisations and their members.
    fn orgs(&mut self, document: &Document) {
        let org = document.example("Org", "org");
        let new = with_row("created", &document.example("OrgCreated", "org"));
        let member = document.example("Member", "member");
        let invitation = document.example("InvitationPage", "page")["data"][0].clone();
        let to = |name: &str| document.request(name).alice();
        let pages = |name: &str| (200, document.example(name, "page"));
        let (done, missing) = (|| outcome("done"), || outcome("missing"));
        let outsider = || error(404, "PT404", "airlock_not_found");
        let last_owner = || error(409, "PT409", "airlock_last_owner");
        let nothing = || (200, Value::Null);

        let (orgs, join, id) = ("/v1/orgs", "/v1/orgs/join", "/v1/orgs/{org_id}");
        let members = &*format!("{id}/members");
        let invitations = &*format!("{id}/invitations");
        let someone = &*format!("{members}/{{user_id}}");
        let invited = &*format!("{invitations}/{{id}}");
        for (method, path, reply) in [
            ("GET", orgs, pages("OrgPage")),
            ("POST", orgs, new),
            ("POST", orgs, outcome("reused")),
            ("POST", orgs, outcome("deleted")),
            ("POST", join, with_row("done", &org)),
            ("POST", join, missing()),
            ("POST", join, error(409, "PT409", "airlock_already_member")),
            ("GET", id, (200, org.clone())),
            ("GET", id, nothing()),
            ("PATCH", id, with_row("done", &org)),
            ("PATCH", id, with_row("mismatch", &org)),
            ("PATCH", id, missing()),
            ("DELETE", id, done()),
            ("DELETE", id, with_row("mismatch", &org)),
            ("DELETE", id, missing()),
            ("GET", members, pages("MemberPage")),
            ("GET", members, outsider()),
            ("GET", someone, (200, member.clone())),
            ("GET", someone, nothing()),
            ("PATCH", someone, with_row("done", &member)),
            ("PATCH", someone, with_row("mismatch", &member)),
            ("PATCH", someone, missing()),
            ("PATCH", someone, last_owner()),
            ("DELETE", someone, done()),
            ("DELETE", someone, missing()),
            ("DELETE", someone, last_owner()),
            ("GET", invitations, pages("InvitationPage")),
            ("GET", invitations, outsider()),
            ("POST", invitations, with_row("created", &invitation)),
            ("POST", invitations, outcome("reused")),
            ("POST", invitations, outcome("deleted")),
            ("POST", invitations, outsider()),
            ("DELETE", invited, done()),
            ("DELETE", invited, missing()),
        ] {
            self.ask(to(&format!("{method} {path}")).signed(), &[reply]);
        }
        for (path, row) in [(id, org), (someone, member)] {
            let tag = format!("\"{}\"", row["version"]);
            let read = to(&format!("GET {path}")).header("if-none-match", &tag);
            self.ask(read.signed(), &[(200, row)]);
        }
    }
}

#[test]
fn answers_and_documented_answers_are_the_same() {
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
fn each_answer_has_the_documented_headers_and_media_type() {
    let document = Document::read();
    for (operation, answer) in Answers::collect(&document).0 {
        let response = document.response(&operation, answer.status);
        let of_every_answer = |name: &str, value: &str| {
            name == "x-content-type-options" || (name == "cache-control" && value == "no-store")
        };
        let mut headers: BTreeSet<&str> =
            answer.headers.iter().filter(|(name, value)| !of_every_answer(name, value)).map(|(name, _)| name).collect();
        let media_type = headers.take("content-type").map(|name| answer.head(name));
        let listed: BTreeSet<String> =
            response["headers"].as_object().unwrap().keys().map(|name| name.to_lowercase()).collect();
        let context = format!("{operation}: {}", answer.status);
        assert!(headers.iter().copied().eq(listed.iter().map(String::as_str)), "{context}: {headers:?}");
        let content = response["content"].as_object();
        assert_eq!(
            media_type.into_iter().collect::<Vec<_>>(),
            content.into_iter().flat_map(|content| content.keys()).collect::<Vec<_>>(),
            "{context}"
        );
    }
}

#[test]
fn each_example_is_a_real_answer() {
    let document = Document::read();
    let mut answers: Vec<Value> = Answers::collect(&document).0.into_iter().map(|(_, answer)| answer.body).collect();
    let note = || Request::new("PUT", &format!("/v1/notes/{ID}")).json(r#"{"title":"Packing list"}"#);
    for (request, replies) in [
        (Request::new("PUT", "/v1/orgs"), vec![]),
        (Request::new("GET", "/v1/notes?limit=0"), vec![]),
        (note(), vec![outcome("taken")]),
        (note(), vec![error(409, "23505", "duplicate key value")]),
    ] {
        answers.push(play(request, &replies).0.body);
    }
    for answer in &mut answers {
        forget_request_id(answer);
    }

    let responses = document.0["components"]["responses"].as_object().unwrap();
    let operations = document.operations();
    let inline = operations.iter().flat_map(|operation| document.responses(operation));
    let mut unanswered = Vec::new();
    for response in responses.values().chain(inline.map(|(_, response)| response)) {
        let contents = response["content"].as_object().into_iter().flat_map(|all| all.values());
        for content in contents {
            for example in document.examples(content) {
                let mut value = example.clone();
                forget_request_id(&mut value);
                if !answers.contains(&value) && !unanswered.contains(&value) {
                    unanswered.push(value);
                }
            }
        }
    }
    assert!(unanswered.is_empty(), "{unanswered:#?}");
}

fn forget_request_id(answer: &mut Value) {
    if let Some(object) = answer.as_object_mut() {
        object.remove("request_id");
    }
}
