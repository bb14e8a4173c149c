//! The requests to the database for resources, and the Worker's answers to its answers.

#![allow(missing_docs, clippy::allow_attributes, reason = "test code")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "test code")]

mod support;

use airlock::platform::{Accept, Content, Level, SendError, UpstreamRequest, UpstreamResponse};
use serde_json::{Value, json};
use support::*;

fn get(target: &str) -> Request {
    Request::new("GET", target)
}

fn note(method: &str) -> Request {
    Request::new(method, &format!("/v1/notes/{ID}"))
}

fn put() -> Request {
    note("PUT").json(r#"{"title":"t"}"#)
}

fn patch() -> Request {
    note("PATCH").json(r#"{"title":"t"}"#)
}

fn post() -> Request {
    Request::new("POST", "/v1/notes").json(r#"{"title":" t "}"#)
}

fn action(name: &str) -> Request {
    Request::new("POST", &format!("/v1/notes/{ID}/{name}"))
}

/// A request that the database answers with an error, each time it is sent.
fn refused(request: Request, reply: &Value, status: u16) -> (Answer, World) {
    let world = World::new();
    for _ in 0..3 {
        world.will_reply(status, reply.clone());
    }
    let answer = request.alice().signed().send(&world.pipeline(), &world);
    (answer, world)
}

// Requests to the database.

#[test]
fn request_has_only_the_users_token_and_the_publishable_key() {
    let world = World::new();
    world.will_reply(200, row(1));
    let token = es256(&claims());
    let request = note("GET").token(&token).signed();
    assert_eq!(request.send(&world.pipeline(), &world).status, 200);
    let sent = world.sent.take();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].method(), "POST");
    assert_eq!(sent[0].url(), "https://project.supabase.co/rest/v1/rpc/airlock_read");
    let mut headers: Vec<_> = sent[0].headers().collect();
    headers.sort_unstable();
    let token = format!("Bearer {token}");
    assert_eq!(
        headers,
        [
            ("accept", "application/json"),
            ("apikey", "sb_publishable_test"),
            ("authorization", token.as_str()),
            ("content-type", "application/json"),
        ]
    );
}

#[test]
fn each_route_is_one_call_of_one_function() {
    let draft = json!({"title": "t", "body": ""});
    let rows = |more: Value| {
        let mut arguments = json!({"resource": "notes", "org": null});
        let all = arguments.as_object_mut().unwrap();
        all.extend(more.as_object().unwrap().clone());
        arguments
    };
    let change = |action: &str, draft: Value, if_match: Value| {
        rows(json!({"id": ID, "action": action, "draft": draft, "if_match": if_match}))
    };
    let put_as =
        |mode: &str, if_match: Value| rows(json!({"id": ID, "draft": draft, "mode": mode, "if_match": if_match}));
    let first = rows(json!({
        "page_size": 20, "after": null, "state": "active", "words": null
    }));
    let created = rows(json!({"draft": draft, "request_key": null, "request_digest": null}));
    for (request, function, arguments) in [
        (get("/v1/notes"), "airlock_list", first),
        (post(), "airlock_create", created),
        (note("GET"), "airlock_read", rows(json!({"id": ID}))),
        (put(), "airlock_put", put_as("any", Value::Null)),
        (put().header("if-none-match", "*"), "airlock_put", put_as("create", Value::Null)),
        (put().header("if-match", "*"), "airlock_put", put_as("replace", Value::Null)),
        (put().header("if-match", "W/\"3\""), "airlock_put", put_as("replace", json!(3))),
        (patch().header("if-match", "\"3\""), "airlock_change", change("patch", json!({"title": "t"}), json!(3))),
        // No version is -1.
        (
            note("DELETE").header("if-match", "\"of-another-api\""),
            "airlock_change",
            change("delete", Value::Null, json!(-1)),
        ),
        (note("DELETE"), "airlock_change", change("delete", Value::Null, Value::Null)),
        (action("restore"), "airlock_change", change("restore", Value::Null, Value::Null)),
        (action("publish"), "airlock_change", change("publish", Value::Null, Value::Null)),
        (action("unpublish").header("if-match", "\"3\""), "airlock_change", change("unpublish", Value::Null, json!(3))),
    ] {
        let name = format!("{} {}", request.method, request.target);
        let (_, sent) = play(request, &[(200, Value::Null)]);
        assert_eq!(called(&sent[0]), (function, arguments), "{name}");
    }
}

#[test]
fn rows_of_an_organisation_are_addressed_by_its_id() {
    let collection = format!("/v1/orgs/{ORG}/notes");
    let create = Request::new("POST", &collection).json(r#"{"title":"t"}"#);
    let (answer, sent) = play(create, &[with_row("created", &row(1))]);
    assert_eq!(answer.head("location"), format!("{collection}/{ID}"));
    assert_eq!(called(&sent[0]).1["org"], ORG);
    let (_, sent) = play(get(&format!("{collection}/{ID}")), &[(200, row(1))]);
    assert_eq!(called(&sent[0]).1["org"], ORG);
}

#[test]
fn draft_has_json_values_in_the_order_of_the_declaration() {
    let body = r#"{"parent":null,"due":"2026-11-22T13:45:40+01:30","rank":1e1,"code":" a\u00e9 "}"#;
    let create = Request::new("POST", "/v1/tasks").json(body);
    let (_, sent) = play(create, &[with_row("created", &row(1))]);
    let sent = sent[0].body.as_deref().unwrap();
    let draft = r#""draft":{"code":"aé","rank":10,"due":"2026-11-22T12:15:40.000000Z","parent":null}"#;
    assert!(sent.contains(draft), "{sent}");
}

#[test]
fn search_words_are_passed_on_as_they_are() {
    let target = "/v1/notes?q=%26org%3Dnull+%22a%2Cb%22%0A&state=deleted&limit=5";
    let (_, sent) = play(get(target), &[page(&[])]);
    let (_, arguments) = called(&sent[0]);
    assert_eq!(arguments["words"], "&org=null \"a,b\"\n");
    assert_eq!(arguments["state"], "deleted");
    assert_eq!(arguments["page_size"], 5);
}

#[test]
fn each_call_has_its_own_edge_proof() {
    for (secret, expected) in
        [("airlock-edge-proof-vector-secret", [Some("v1.1795348800."), Some("v1.1795348801.")]), ("", [None, None])]
    {
        let world = World::new().with("EDGE_PROOF_SECRET", secret);
        let (status, rolled_back) = error(500, "40001", "could not serialize access");
        world.will_reply(status, rolled_back);
        let (status, done) = with_row("done", &row(1));
        world.will_reply(status, done);
        let request = put().header("x-edge-proof", "v1.1.of-the-client");
        let answer = request.alice().signed().send(&world.pipeline(), &world);
        assert_eq!(answer.status, 200);
        let sent = world.sent.take();
        assert_eq!(sent.len(), 2);
        for (call, prefix) in sent.iter().zip(expected) {
            let proof = call.header("x-edge-proof");
            assert_eq!(proof.is_some(), prefix.is_some(), "{proof:?}");
            assert!(proof.unwrap_or_default().starts_with(prefix.unwrap_or("")));
        }
    }
}

// Claims.

/// The parts of a claim header: version, seconds, request, app and nonce.
fn claim(sent: &UpstreamRequest) -> Vec<String> {
    let header = sent.header("x-airlock-claim").unwrap();
    header.splitn(4, '.').map(str::to_owned).collect()
}

#[test]
fn each_write_carries_the_claim_of_its_nonce() {
    let nonce = |request: &Request| {
        let mut headers = request.headers.iter();
        headers.find(|(n, _)| *n == "x-app-nonce").unwrap().1.clone()
    };
    let mut requests = Vec::new();
    for request in [post(), put(), patch(), note("DELETE"), action("restore"), action("publish"), action("unpublish")] {
        let world = World::new();
        world.will_reply(200, Value::Null);
        let request = request.alice().signed();
        request.send(&world.pipeline(), &world);
        let claim = claim(&world.sent.take()[0]);
        assert_eq!(claim[0], "v1");
        assert_eq!(claim[1], "360");
        assert_eq!(claim[2].len(), 36);
        assert_eq!(claim[3], format!("rn-ios:{}", nonce(&request)));
        requests.push(claim[2].clone());
    }
    requests.sort_unstable();
    requests.dedup();
    assert_eq!(requests.len(), 7, "each request has its own id");
}

#[test]
fn claim_is_kept_60_seconds_longer_than_its_timestamp_is_accepted() {
    for (offset, seconds) in [(-300, "60"), (-1, "359"), (0, "360"), (300, "660")] {
        let world = World::new();
        world.will_reply(200, Value::Null);
        let request = patch().alice().signed_at(NOW + offset);
        request.send(&world.pipeline(), &world);
        assert_eq!(claim(&world.sent.take()[0])[1], seconds, "{offset}");
    }
}

#[test]
fn reads_and_apps_that_are_not_enforced_carry_no_claim() {
    let (_, sent) = play(note("GET"), &[(200, row(1))]);
    assert_eq!(sent[0].header("x-airlock-claim"), None);
    for mode in ["report", "off"] {
        let key = json!({"id": "k1", "secret": APP_SECRET});
        let guard = json!({"apps": {"rn-ios": {"mode": mode, "keys": [key]}}}).to_string();
        let world = World::new().with("APP_GUARD", &guard);
        world.will_reply(200, Value::Null);
        patch().alice().signed().send(&world.pipeline(), &world);
        let sent = world.sent.take();
        assert_eq!(sent[0].header("x-airlock-claim"), None, "{mode}");
    }
}

#[test]
fn write_that_was_rolled_back_is_sent_three_times_with_one_claim() {
    for code in ["40001", "40P01"] {
        let rolled_back = || error(500, code, "another transaction");
        let done = with_row("done", &row(2));
        let (answer, sent) = play(patch(), &[rolled_back(), rolled_back(), done]);
        assert_eq!(answer.status, 200);
        assert_eq!(sent.len(), 3);
        for again in &sent[1..] {
            assert_eq!(claim(again), claim(&sent[0]));
            assert_eq!(again.body, sent[0].body);
        }
        let (answer, sent) = play(patch(), &[rolled_back(), rolled_back(), rolled_back()]);
        assert_eq!(answer.problem(), "503 upstream_unavailable");
        assert_eq!(sent.len(), 3);
    }
}

#[test]
fn write_whose_answer_is_lost_is_not_sent_again() {
    for (lost, expected) in [
        (Err(SendError::Timeout), "504 upstream_timeout"),
        (Err(SendError::Unreachable), "503 upstream_unavailable"),
        (Err(SendError::NoHost), "503 upstream_unavailable"),
        (Err(SendError::TooLarge), "502 upstream_invalid"),
        (reply(200, &json!("<html>")), "502 upstream_invalid"),
        (reply(502, &json!("<html>")), "503 upstream_unavailable"),
        (reply(500, &json!({"code": "40001"})), "200"),
    ] {
        let world = World::new();
        world.replies.borrow_mut().push(lost);
        if expected == "200" {
            let (status, done) = with_row("done", &row(2));
            world.will_reply(status, done);
        }
        let answer = patch().alice().signed().send(&world.pipeline(), &world);
        assert_eq!(answer.verdict(), expected);
        assert_eq!(world.sent.borrow().len(), 1 + usize::from(expected == "200"));
    }
}

#[test]
fn read_is_not_sent_again() {
    let rolled_back = error(500, "40001", "could not serialize access");
    let (answer, sent) = play(note("GET"), &[rolled_back]);
    assert_eq!(answer.problem(), "503 upstream_unavailable");
    assert_eq!(sent.len(), 1);
}

// Outcomes.

#[test]
fn each_outcome_becomes_its_answer() {
    let created = || with_row("created", &row(1));
    let done = || with_row("done", &row(4));
    let already = || with_row("already", &row(4));
    let mismatch = || with_row("mismatch", &row(5));
    for (request, reply, expected) in [
        (post(), created(), "201"),
        (post(), outcome("reused"), "422 idempotency_key_reused"),
        (post(), outcome("deleted"), "409 conflict"),
        (put(), created(), "201"),
        (put(), done(), "200"),
        (put(), mismatch(), "412 version_mismatch"),
        (put(), outcome("missing"), "404 not_found"),
        (put(), outcome("taken"), "409 conflict"),
        (put(), outcome("forbidden"), "403 forbidden"),
        (patch(), done(), "200"),
        (patch(), mismatch(), "412 version_mismatch"),
        (patch(), outcome("missing"), "404 not_found"),
        (patch(), outcome("forbidden"), "403 forbidden"),
        (note("DELETE"), done(), "204"),
        (note("DELETE"), already(), "204"),
        (note("DELETE"), outcome("already"), "204"),
        (note("DELETE"), mismatch(), "412 version_mismatch"),
        (note("DELETE"), outcome("missing"), "404 not_found"),
        (note("DELETE"), outcome("forbidden"), "403 forbidden"),
        (action("restore"), done(), "200"),
        (action("restore"), already(), "200"),
        (action("publish"), already(), "200"),
        (action("unpublish"), outcome("missing"), "404 not_found"),
        // Not the result of the function.
        (patch(), outcome("done"), "502 upstream_invalid"),
        (post(), outcome("created"), "502 upstream_invalid"),
        (patch(), outcome("else"), "502 upstream_invalid"),
        (patch(), (200, Value::Null), "502 upstream_invalid"),
        (patch(), (200, json!([])), "502 upstream_invalid"),
        (patch(), with_row("done", &json!({"id": ID})), "502 upstream_invalid"),
        (post(), with_row("created", &json!({"version": 1})), "502 upstream_invalid"),
    ] {
        let name = format!("{} {}: {}", request.method, request.target, reply.1);
        let (answer, _) = play(request, &[reply]);
        assert_eq!(answer.verdict(), expected, "{name}");
    }
}

#[test]
fn created_row_has_its_location_and_etag() {
    for request in [post(), put()] {
        let (answer, _) = play(request, &[with_row("created", &row(1))]);
        assert_eq!(answer.status, 201);
        assert_eq!(answer.head("location"), format!("/v1/notes/{ID}"));
        assert_eq!(answer.head("etag"), "\"1\"");
        assert_eq!(answer.head("content-type"), "application/json");
        assert_eq!(answer.body, row(1));
    }
}

#[test]
fn row_of_an_answer_is_the_databases_bytes() {
    // Neither parsed numbers nor reordered members.
    let bytes = format!(r#"{{"z":1.50,"version":7,"id":"{ID}","a":"\u00e9"}}"#);
    let world = World::new();
    let body = format!(r#"{{"outcome" : "done", "row" : {bytes}}}"#);
    world.replies.borrow_mut().push(Ok(UpstreamResponse {
        status: 200,
        content_type: "application/json".to_owned(),
        content: Content::Whole(body.into_bytes()),
    }));
    let answer = patch().alice().signed().send(&world.pipeline(), &world);
    assert_eq!(answer.bytes, bytes.as_bytes());
    assert_eq!(answer.head("etag"), "\"7\"");
}

#[test]
fn version_mismatch_shows_the_current_row_and_its_etag() {
    let stale = patch().header("if-match", "\"3\"");
    let (answer, _) = play(stale, &[with_row("mismatch", &row(5))]);
    assert_eq!(answer.problem(), "412 version_mismatch");
    assert_eq!(answer.body["current"], row(5));
    assert_eq!(answer.head("etag"), "\"5\"");
}

#[test]
fn deleted_row_is_answered_with_204_and_no_body() {
    let (answer, _) = play(note("DELETE"), &[with_row("done", &row(2))]);
    assert_eq!((answer.status, answer.bytes.len()), (204, 0));
    assert_eq!(answer.head("content-type"), "");
}

#[test]
fn if_none_match_of_the_current_version_gives_304() {
    for (header, status) in [("\"3\"", 304), ("W/\"3\"", 304), ("\"1\", \"3\"", 304), ("*", 304), ("\"2\"", 200)] {
        let read = note("GET").header("if-none-match", header);
        let (answer, _) = play(read, &[(200, row(3))]);
        assert_eq!((answer.status, answer.head("etag")), (status, "\"3\""), "{header}");
        assert_eq!(answer.bytes.is_empty(), status == 304);
    }
}

#[test]
fn if_none_match_that_a_cache_added_gives_304_or_is_ignored() {
    let ask = |method: &str, target: &str, value: &str, reply: (u16, Value)| {
        let world = World::new();
        world.will_reply(reply.0, reply.1);
        let signed = Request::new(method, target).alice().signed();
        signed.header("if-none-match", value).send(&world.pipeline(), &world).status
    };
    let id = format!("/v1/notes/{ID}");
    for (value, status) in [("\"3\"", 304), ("*", 304), ("\"2\"", 200), ("malformed", 200), ("-", 200)] {
        assert_eq!(ask("GET", &id, value, (200, row(3))), status, "{value}");
        assert_eq!(ask("HEAD", &id, value, (200, row(3))), status, "{value}");
        assert_eq!(ask("GET", "/v1/notes", value, page(&[])), 200, "{value}");
    }
    let added = put().alice().signed().header("if-none-match", "*");
    let world = World::new();
    assert_eq!(added.send(&world.pipeline(), &world).problem(), "401 app_guard_rejected");
}

#[test]
fn missing_row_is_404() {
    let (answer, _) = play(note("GET"), &[(200, Value::Null)]);
    assert_eq!(answer.problem(), "404 not_found");
}

// Rows that every app reads.

#[test]
fn rows_for_every_app_are_read_without_the_users_token() {
    let ask = |request: Request, reply: Value| {
        let mut world = World::new();
        world.declaration = r#"{"resources": {"plans": {"owner": {"set": "none"}, "id": "bigint", "read": "app",
            "version": false, "created": false, "updated": false, "deleted": false, "sorts": ["name"],
            "fields": {"name": "text(1..9)"}}}}"#
            .to_owned();
        world.will_reply(200, reply);
        let answer = request.signed().send(&world.pipeline(), &world);
        (answer, world.sent.take())
    };
    let page = json!({"data": [], "next_cursor": null});
    for request in [get("/v1/plans?sort=name"), get("/v1/plans?sort=name").token(&es256(&claims()))] {
        let (answer, sent) = ask(request, page.clone());
        assert_eq!(answer.status, 200);
        let (function, arguments) = called(&sent[0]);
        assert_eq!(
            (function, &arguments["resource"], &arguments["sort"]),
            ("airlock_list", &json!("plans"), &json!("name"))
        );
        assert_eq!(sent[0].header("authorization"), None);
    }
    let (answer, sent) = ask(get("/v1/plans/7"), json!({"id": 7, "name": "a"}));
    assert_eq!((answer.status, &answer.body["id"]), (200, &json!(7)));
    assert_eq!(called(&sent[0]), ("airlock_read", json!({"resource": "plans", "org": null, "id": "7"})));
    assert_eq!(sent[0].header("authorization"), None);
    assert_eq!(ask(get("/v1/plans/7"), Value::Null).0.problem(), "404 not_found");
    assert_eq!(ask(get("/v1/plans?name.eq=a"), page.clone()).0.problem(), "422 validation_failed");
    let write = Request::new("POST", "/v1/plans").json(r#"{"name":"a"}"#);
    assert_eq!(ask(write, page).0.problem(), "405 method_not_allowed");
}

// Published rows.

#[test]
fn published_row_is_read_without_the_users_token_and_cached_a_minute() {
    let path = format!("/v1/public/notes/{ID}");
    let ask = |request: Request, reply: Value| {
        let world = World::new();
        world.will_reply(200, reply);
        let answer = request.signed().send(&world.pipeline(), &world);
        (answer, world.sent.take())
    };
    let public = json!({"id": ID, "title": "t", "version": 4, "published_at": TIME});
    for request in [get(&path), get(&path).token(&es256(&claims()))] {
        let (answer, sent) = ask(request, public.clone());
        assert_eq!((answer.status, answer.head("etag")), (200, "\"4\""));
        assert_eq!(answer.head("cache-control"), "public, max-age=60");
        assert_eq!(answer.body, public);
        let arguments = json!({"resource": "notes", "id": ID});
        assert_eq!(called(&sent[0]), ("airlock_published", arguments));
        assert_eq!(sent[0].header("authorization"), None);
    }
    let known = get(&path).header("if-none-match", "\"4\"");
    assert_eq!(ask(known, public).0.status, 304);
    let (answer, _) = ask(get(&path), Value::Null);
    assert_eq!(answer.problem(), "404 not_found");
    assert_eq!(answer.head("cache-control"), "no-store");

    let world = World::new();
    let unsigned = get(&path).send(&world.pipeline(), &world);
    assert_eq!(unsigned.problem(), "401 app_guard_rejected");
}

// Idempotency keys.

/// The key and the digest that a POST with this body sends.
fn keyed(target: &str, body: &str) -> (Value, String) {
    let create = Request::new("POST", target).json(body);
    let create = create.header("idempotency-key", "order-0001");
    let (_, sent) = play(create, &[with_row("created", &row(1))]);
    let (_, arguments) = called(&sent[0]);
    let digest = arguments["request_digest"].as_str().unwrap().to_owned();
    assert_eq!(digest.len(), 64);
    (arguments["request_key"].clone(), digest)
}

#[test]
fn bodies_with_the_same_meaning_have_the_same_digest() {
    let (key, digest) = keyed("/v1/notes", r#"{"title":"é"}"#);
    assert_eq!(key, "order-0001");
    for same in [r#" {"title" : "\u00e9"} "#, r#"{"body":"","title":" é "}"#, r#"{"title":"é","body":""}"#] {
        assert_eq!(keyed("/v1/notes", same).1, digest, "{same}");
    }
    for other in [r#"{"title":"e"}"#, r#"{"title":"é","body":" "}"#] {
        assert_ne!(keyed("/v1/notes", other).1, digest, "{other}");
    }

    let (_, digest) = keyed("/v1/tasks", r#"{"code":"a","due":"2026-11-22T12:00:00Z"}"#);
    for same in [
        r#"{"code":"a","due":"2026-11-22T13:00:00.0+01:00","rank":0.0,"parent":null}"#,
        r#"{"rank":0,"due":"2026-11-22T12:00:00Z","code":"a"}"#,
    ] {
        assert_eq!(keyed("/v1/tasks", same).1, digest, "{same}");
    }
}

#[test]
fn idempotency_key_has_8_to_64_plain_characters() {
    let with_key = |key: &str| post().header("idempotency-key", key);
    for good in ["12345678", "A-Z_a-z0", &"k".repeat(64)] {
        let (answer, _) = play(with_key(good), &[with_row("created", &row(1))]);
        assert_eq!(answer.status, 201, "{good}");
    }
    for bad in ["", "1234567", "with space", "semi;colon", "key.with.dots", &"k".repeat(65)] {
        let (answer, _) = play(with_key(bad), &[]);
        assert_eq!(answer.problem(), "400 malformed_request", "{bad}");
    }
}

// Unsupported parts of a request.

#[test]
fn unsupported_parts_of_a_request_are_refused() {
    for (request, expected) in [
        (get("/v1/me?x=1"), "422 validation_failed"),
        (get("/v1/notes?offset=1"), "422 validation_failed"),
        (get("/v1/notes?limit=0"), "422 validation_failed"),
        (get("/v1/notes?cursor=x%2B"), "422 validation_failed"),
        // `tasks` has neither search nor publish.
        (get("/v1/tasks?q=a"), "422 validation_failed"),
        (get("/v1/tasks?state=published"), "422 validation_failed"),
        (note("GET").header("if-match", "*"), "400 malformed_request"),
        (patch().header("if-none-match", "*"), "400 malformed_request"),
        (put().header("if-none-match", "\"3\""), "400 malformed_request"),
        (put().header("if-none-match", "*").header("if-match", "*"), "400 malformed_request"),
        (patch().header("if-match", "\"1\", \"2\""), "400 malformed_request"),
        (patch().header("idempotency-key", "order-0001"), "400 malformed_request"),
        (action("publish").header("idempotency-key", "order-0001"), "400 malformed_request"),
        (get("/v1/notes").header("if-none-match", "*"), "400 malformed_request"),
        (note("GET").json("{}"), "400 malformed_request"),
        (note("DELETE").json("{}"), "400 malformed_request"),
        (action("restore").json("{}"), "400 malformed_request"),
        (put().without("content-type"), "415 unsupported_media_type"),
        (put().header("content-type", "text/plain"), "415 unsupported_media_type"),
        (put().header("content-type", "application/merge-patch+json"), "415 unsupported_media_type"),
        (put().header("content-encoding", "gzip"), "415 unsupported_media_type"),
        (put().header("content-encoding", "identity"), "415 unsupported_media_type"),
        (put().json(r#"{"title":"t","user_id":"x"}"#), "422 validation_failed"),
        (put().json("{"), "400 malformed_json"),
        (put().json("[]"), "422 validation_failed"),
        (patch().json("{}"), "422 validation_failed"),
    ] {
        let name = format!("{} {}", request.method, request.target);
        let (answer, sent) = play(request, &[]);
        assert_eq!(answer.problem(), expected, "{name}");
        assert!(sent.is_empty());
    }
    for good in ["application/json; charset=utf-8", "APPLICATION/JSON", "application/merge-patch+json"] {
        let request = patch().header("content-type", good);
        let (answer, _) = play(request, &[with_row("done", &row(2))]);
        assert_eq!(answer.status, 200, "{good}");
    }
}

#[test]
fn errors_of_parameters_name_the_parameter() {
    let (answer, _) = play(get("/v1/notes?limit=0&x=1"), &[]);
    assert_eq!(
        answer.body["errors"],
        json!([
            {"parameter": "limit", "code": "value", "message": "must be a whole number from 1 to 100"},
            {"parameter": "x", "code": "unknown", "message": "is not a parameter of this route"}
        ])
    );
}

// Lists.

/// A list as alice that gets this answer.
fn list(method: &str, upstream: Result<UpstreamResponse, SendError>) -> (Answer, World) {
    let world = World::new();
    world.replies.borrow_mut().push(upstream);
    let request = Request::new(method, "/v1/notes").alice().signed();
    (request.send(&world.pipeline(), &world), world)
}

fn streaming(content_type: &str, declared_length: Option<u64>) -> Result<UpstreamResponse, SendError> {
    Ok(UpstreamResponse {
        status: 200,
        content_type: content_type.to_owned(),
        content: Content::Streaming { declared_length },
    })
}

#[test]
fn list_is_handed_on_unread() {
    // If the Worker parsed this, it would notice that it is not a page.
    let (answer, world) = list("GET", reply(200, &json!("cut")));
    assert_eq!((answer.status, answer.streamed), (200, true));
    assert_eq!(answer.bytes, b"\"cut\"");
    assert_eq!(answer.head("content-type"), "application/json");
    assert_eq!(answer.head("cache-control"), "no-store");
    assert_eq!(answer.head("etag"), "");
    let accepts = world.accepts.borrow();
    let max_error = 16 << 20;
    assert!(accepts.contains(&Accept::Stream { max_error }));
    assert_eq!(world.last_log()["streamed"], true);
    assert_eq!(world.last_log()["status"], 200);
}

#[test]
fn list_is_checked_by_status_type_and_declared_length() {
    const MAX: u64 = 64 << 20;
    let json = "application/json; charset=utf-8";
    for (upstream, expected) in [
        (streaming(json, None), "200"),
        (streaming("APPLICATION/JSON", Some(MAX)), "200"),
        (streaming(json, Some(MAX + 1)), "502 upstream_invalid"),
        (streaming("text/html", Some(10)), "502 upstream_invalid"),
        (streaming("", None), "502 upstream_invalid"),
        (streaming("application/json5", None), "502 upstream_invalid"),
        (reply(206, &json!({"data": []})), "502 upstream_invalid"),
        (reply(302, &json!({})), "502 upstream_invalid"),
        (reply(204, &Value::Null), "502 upstream_invalid"),
        (reply(503, &json!("<html>")), "503 upstream_unavailable"),
        (reply(404, &json!({"code": "PT404", "message": "airlock_not_found"})), "404 not_found"),
        (reply(500, &json!({"code": "57014", "message": "timeout"})), "504 upstream_timeout"),
        (Err(SendError::Timeout), "504 upstream_timeout"),
        (Err(SendError::Unreachable), "503 upstream_unavailable"),
        (Err(SendError::TooLarge), "502 upstream_invalid"),
    ] {
        let name = format!("{upstream:?}");
        let (answer, _) = list("GET", upstream);
        assert_eq!(answer.verdict(), expected, "{name}");
        assert_eq!(answer.streamed, expected == "200", "{name}");
    }
}

#[test]
fn head_of_a_list_has_no_body() {
    let (answer, world) = list("HEAD", streaming("application/json", None));
    assert_eq!((answer.status, answer.streamed), (200, false));
    assert!(answer.bytes.is_empty());
    assert_eq!(world.last_log()["streamed"], Value::Null);
}

#[test]
fn list_continues_at_its_cursor() {
    let (_, sent) = play(get("/v1/notes?limit=100&cursor=WyJhIl0"), &[page(&[])]);
    assert_eq!(called(&sent[0]).1["after"], "WyJhIl0");
    let unusable = json!({"code": "PT422", "message": "airlock_cursor"});
    let (answer, _) = list("GET", reply(422, &unusable));
    assert_eq!(answer.problem(), "422 validation_failed");
    assert_eq!(answer.body["errors"][0]["parameter"], "cursor");
}

// Errors of the database.

/// Status, code and message of PostgREST; the answer; the level of the log line.
type DatabaseError = (u16, &'static str, &'static str, &'static str, Level);

/// As hosted Supabase sends them.
const DATABASE_ERRORS: &[DatabaseError] = &[
    (409, "23505", "duplicate key value", "409 conflict", Level::Info),
    (409, "23P01", "violates exclusion constraint", "409 conflict", Level::Info),
    (409, "23503", "violates foreign key constraint", "422 validation_failed", Level::Info),
    (400, "23502", "null value in column", "422 validation_failed", Level::Info),
    (400, "23514", "violates check constraint", "422 validation_failed", Level::Info),
    (400, "22001", "value too long", "422 validation_failed", Level::Info),
    (400, "22003", "out of range", "422 validation_failed", Level::Info),
    (400, "22007", "invalid datetime format", "422 validation_failed", Level::Info),
    (400, "22008", "datetime field overflow", "422 validation_failed", Level::Info),
    (400, "22021", "invalid byte sequence", "422 validation_failed", Level::Info),
    (400, "22P02", "invalid input syntax", "422 validation_failed", Level::Info),
    (400, "22P05", "unsupported Unicode", "422 validation_failed", Level::Info),
    (400, "P0001", "raised by a trigger", "422 validation_failed", Level::Info),
    (418, "PT418", "raised by a trigger", "422 validation_failed", Level::Info),
    (409, "PT409", "raised by a trigger", "422 validation_failed", Level::Info),
    (404, "PT404", "raised by a trigger", "422 validation_failed", Level::Info),
    (503, "PT503", "raised by a trigger", "422 validation_failed", Level::Info),
    (409, "PT409", "airlock_request_replayed", "409 request_replayed", Level::Info),
    (404, "PT404", "airlock_not_found", "404 not_found", Level::Info),
    (404, "PT404", "airlock_unknown_resource", "500 internal", Level::Error),
    (400, "PT400", "airlock_malformed_claim", "500 internal", Level::Error),
    (403, "PT403", "airlock_edge_only", "500 internal", Level::Error),
    (403, "42501", "violates row-level security policy for table", "403 forbidden", Level::Info),
    (
        403,
        "42501",
        "violates row-level security policy \"notes_edge_only\" for table \"notes\"",
        "500 internal",
        Level::Error,
    ),
    (403, "42501", "permission denied for table notes", "500 internal", Level::Error),
    (500, "40001", "could not serialize access", "503 upstream_unavailable", Level::Warn),
    (500, "40P01", "deadlock detected", "503 upstream_unavailable", Level::Warn),
    (405, "25006", "read-only transaction", "503 upstream_unavailable", Level::Warn),
    (400, "0A000", "not supported on a replica", "503 upstream_unavailable", Level::Warn),
    (503, "53300", "too many clients already", "503 upstream_unavailable", Level::Warn),
    (503, "57P03", "the database is starting up", "503 upstream_unavailable", Level::Warn),
    (503, "PGRST000", "Could not connect", "503 upstream_unavailable", Level::Warn),
    (503, "PGRST001", "Could not connect", "503 upstream_unavailable", Level::Warn),
    (503, "PGRST002", "schema cache", "503 upstream_unavailable", Level::Warn),
    (500, "55P03", "lock not available", "504 upstream_timeout", Level::Warn),
    (500, "57014", "statement timeout", "504 upstream_timeout", Level::Warn),
    (504, "PGRST003", "Timed out", "504 upstream_timeout", Level::Warn),
    (404, "42883", "function does not exist", "500 internal", Level::Error),
    (404, "42P01", "relation does not exist", "500 internal", Level::Error),
    (400, "42703", "column does not exist", "500 internal", Level::Error),
    (500, "42P17", "infinite recursion", "500 internal", Level::Error),
    (406, "PGRST106", "schema must be exposed", "500 internal", Level::Error),
    (404, "PGRST202", "no such function", "500 internal", Level::Error),
    (300, "PGRST203", "two such functions", "500 internal", Level::Error),
    (400, "PGRST204", "no such column", "500 internal", Level::Error),
    (404, "PGRST205", "no such table", "500 internal", Level::Error),
    (401, "PGRST301", "No suitable key", "401 token_invalid", Level::Warn),
    (401, "PGRST301", "JWT expired", "401 token_expired", Level::Info),
    (401, "PGRST302", "Anonymous access is disabled", "401 token_invalid", Level::Warn),
    (401, "PGRST303", "JWT not in audience", "401 token_invalid", Level::Warn),
    (401, "PGRST303", "JWT expired", "401 token_expired", Level::Info),
    (401, "PGRST303", "JWT issued at future", "503 upstream_unavailable", Level::Warn),
    (400, "PGRST100", "parse error", "502 upstream_invalid", Level::Error),
    (500, "XX000", "internal error", "502 upstream_invalid", Level::Error),
    (500, "SUP", "anything", "502 upstream_invalid", Level::Error),
    (503, "SUP", "anything", "503 upstream_unavailable", Level::Warn),
    (429, "SUP", "anything", "503 upstream_unavailable", Level::Warn),
];

#[test]
fn each_error_of_the_database_has_its_answer_and_log_level() {
    for (status, code, message, expected, level) in DATABASE_ERRORS {
        let body = json!({"code": code, "message": message, "details": "a detail", "hint": "a hint"});
        let (answer, world) = refused(patch(), &body, *status);
        assert_eq!(answer.problem(), *expected, "{code} {message}");
        assert_eq!(world.logs.borrow().last().unwrap().0, *level, "{code} {message}");
        // Only a rollback allows another attempt.
        let attempts = if ["40001", "40P01"].contains(code) { 3 } else { 1 };
        assert_eq!(world.sent.borrow().len(), attempts, "{code} {message}");
        let retryable = answer.status >= 500 || *expected == "401 token_expired";
        assert_eq!(answer.body["retryable"], retryable, "{code} {message}");
        let text = answer.body.to_string();
        for inner in [*message, "a detail", "a hint", *code] {
            assert!(!text.contains(inner), "{code}: {text}");
        }
    }
}

#[test]
fn answer_that_is_not_of_postgrest_is_never_a_client_error() {
    for (status, body, expected) in [
        (200, json!("<html>"), "502 upstream_invalid"),
        (201, row(1), "502 upstream_invalid"),
        (204, Value::Null, "502 upstream_invalid"),
        (206, row(1), "502 upstream_invalid"),
        (302, json!({}), "502 upstream_invalid"),
        (400, json!({}), "502 upstream_invalid"),
        (401, json!({"message": "Invalid API key"}), "500 internal"),
        (403, json!("forbidden"), "500 internal"),
        (404, json!("no such route"), "502 upstream_invalid"),
        (402, json!("quota"), "503 upstream_unavailable"),
        (429, json!({}), "503 upstream_unavailable"),
        (540, json!("paused"), "503 upstream_unavailable"),
        (544, json!("timeout"), "504 upstream_timeout"),
        (500, json!({}), "502 upstream_invalid"),
        (502, json!("bad gateway"), "503 upstream_unavailable"),
        (503, json!({}), "503 upstream_unavailable"),
        (504, json!({}), "504 upstream_timeout"),
        (522, json!({}), "503 upstream_unavailable"),
    ] {
        for request in [patch(), note("GET"), get("/v1/notes")] {
            if status == 200 && request.target == "/v1/notes" {
                continue;
            }
            let (answer, _) = refused(request, &body, status);
            assert_eq!(answer.problem(), expected, "{status} {body}");
            assert_eq!(answer.body["retryable"], true);
            assert_eq!(answer.head("retry-after").is_empty(), answer.status <= 502);
        }
    }
}

/// The `errors` of a PATCH of a task that the database refused.
fn task_errors(status: u16, code: &str, message: &str, details: &str) -> (String, Value) {
    let body = json!({"code": code, "message": message, "details": details});
    let path = format!("/v1/tasks/{ID}");
    let request = Request::new("PATCH", &path).json(r#"{"code":"a"}"#);
    let (answer, _) = refused(request, &body, status);
    (answer.problem(), answer.body["errors"].clone())
}

fn at(pointer: &str, code: &str, message: &str) -> Value {
    json!([{"pointer": pointer, "code": code, "message": message}])
}

#[test]
fn unique_constraint_is_explained_by_the_declaration() {
    for (constraint, pointer) in [("tasks_code_key", "/code"), ("tasks_pkey", "")] {
        let message = format!("duplicate key value violates unique constraint \"{constraint}\"");
        let details = "Key (code)=(a) already exists.";
        let (problem, errors) = task_errors(409, "23505", &message, details);
        assert_eq!(problem, "409 conflict");
        assert_eq!(errors, at(pointer, "unique", "is taken"));
    }
}

#[test]
fn taken_id_of_the_database_is_no_fault_of_the_request() {
    for (details, problem) in [
        ("Key (id)=(3) already exists.", "503 upstream_unavailable"),
        ("Key (title)=(a) already exists.", "409 conflict"),
    ] {
        let mut world = World::new();
        world.declaration = r#"{"resources": {"cards": {"owner": "user", "id": "bigint", "version": false,
            "fields": {"title": "text(1..9)"}}}}"#
            .to_owned();
        let message = "duplicate key value violates unique constraint \"cards_pkey\"";
        world.will_reply(409, json!({"code": "23505", "message": message, "details": details}));
        let request = Request::new("POST", "/v1/cards").json(r#"{"title":"a"}"#);
        let answer = request.alice().signed().send(&world.pipeline(), &world);
        assert_eq!(answer.problem(), problem);
        assert_eq!(answer.body["retryable"], problem.starts_with("503"));
    }
}

#[test]
fn reference_names_the_field_whose_target_is_missing() {
    const MESSAGE: &str = "must be the id of a row that exists and that this user may see";
    for (message, details, pointer) in [
        ("airlock_reference", "parent", "/parent"),
        (
            "violates foreign key constraint \"tasks_parent_fkey\"",
            "Key (parent)=(7efe3d84) is not present in table \"tasks\".",
            "/parent",
        ),
        // The table is the declaration's secret unless it names the column.
        (
            "violates foreign key constraint \"tasks_inner_fkey\"",
            "Key (inner)=(7efe3d84) is not present in table \"inner\".",
            "",
        ),
    ] {
        let (problem, errors) = task_errors(409, "23503", message, details);
        assert_eq!(problem, "422 validation_failed");
        assert_eq!(errors, at(pointer, "reference", MESSAGE), "{message}");
    }
}

#[test]
fn foreign_key_to_a_deleted_account_is_token_invalid() {
    let details = format!("Key (user_id)=({ALICE}) is not present in table \"users\".");
    let (problem, errors) = task_errors(409, "23503", "violates foreign key", &details);
    assert_eq!((problem.as_str(), errors), ("401 token_invalid", Value::Null));
}

#[test]
fn rule_of_the_database_names_no_field() {
    for code in ["23514", "23502", "22003", "P0001", "PT400"] {
        let (problem, errors) = task_errors(400, code, "column \"code\"", "Failing row");
        assert_eq!(problem, "422 validation_failed");
        assert_eq!(errors, at("", "rule", "breaks a rule of the database"));
    }
}

#[test]
fn reason_of_a_refused_claim_is_only_logged() {
    let (_, body) = error(400, "PT400", "airlock_malformed_claim");
    let (answer, world) = refused(patch(), &body, 400);
    assert_eq!(answer.problem(), "500 internal");
    assert_eq!(world.last_log()["reason"], "the database refused the claim header");
    assert!(!answer.body.to_string().contains("claim"));
}
