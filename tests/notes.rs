//! What the routes mean, request by request to the database.

#![allow(
    missing_docs,
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

mod support;

use airlock::seam::{Level, Outbound, SendError};
use serde_json::{Value, json};
use support::*;
use url::Url;

fn note(method: &str) -> Request {
    Request::new(method, &format!("/v1/notes/{NOTE}"))
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

fn restore() -> Request {
    Request::new("POST", &format!("/v1/notes/{NOTE}/restore"))
}

/// A request as alice, and a script of what the database answers.
fn play(request: Request, replies: &[(u16, Value)]) -> (Answer, Vec<Outbound>) {
    let world = World::new();
    for (status, body) in replies {
        world.will_reply(*status, body.clone());
    }
    let answer = request.alice().signed().send(&world.gateway(), &world);
    assert!(
        world.replies.borrow().is_empty(),
        "a reply was not asked for"
    );
    (answer, world.sent.take())
}

fn query(sent: &Outbound) -> Vec<String> {
    let url = Url::parse(sent.url()).unwrap();
    let pairs = url
        .query_pairs()
        .map(|(name, value)| format!("{name}={value}"));
    pairs.filter(|pair| !pair.starts_with("select=")).collect()
}

fn taken() -> (u16, Value) {
    (
        409,
        json!({"code": "23505", "message": "duplicate key value", "details": "Key (id) exists"}),
    )
}

fn none() -> (u16, Value) {
    (200, json!([]))
}

fn one(row: Value) -> (u16, Value) {
    (200, json!([row]))
}

#[test]
fn the_users_own_token_goes_to_the_database_with_a_key_that_gives_no_right() {
    let world = World::new();
    world.will_reply(200, json!([]));
    let token = es256(&claims());
    let request = Request::new("GET", "/v1/notes").token(&token).signed();
    assert_eq!(request.send(&world.gateway(), &world).status, 200);
    let sent = world.sent.take();
    let names: Vec<&str> = sent[0].headers().map(|(name, _)| name).collect();
    for (name, value) in [
        ("authorization", format!("Bearer {token}")),
        ("apikey", "sb_publishable_test".to_owned()),
        ("accept", "application/json".to_owned()),
    ] {
        assert_eq!(sent[0].header(name).unwrap_or_default(), value);
    }
    assert_eq!(
        names.len(),
        5,
        "these and the range, nothing of the client's: {names:?}"
    );
    assert!(
        sent[0]
            .url()
            .starts_with("https://project.supabase.co/rest/v1/notes?")
    );
    assert_eq!(sent[0].body, None);
}

#[test]
fn in_edge_only_mode_each_statement_has_a_proof_of_its_own() {
    let proof = |statement: &Outbound| statement.header("x-edge-proof").map(str::to_owned);
    for (secret, expected) in [
        (
            "airlock-edge-proof-vector-secret",
            // At `NOW`, of alice; every statement takes a second.
            [
                Some(
                    "v1.1795348800.ff831d59ab469a7d89d65e77cb1b06ca3c00e2c8b92104fbb932bf622d46e203",
                ),
                Some(
                    "v1.1795348801.0f237ede89d3323834f26b6bcc05186e09f46edbeed94954626f85846aa40713",
                ),
            ],
        ),
        ("", [None, None]),
    ] {
        let world = World::new().with("EDGE_PROOF_SECRET", secret);
        world.will_reply(200, json!([]));
        world.will_reply(201, json!([row(1)]));
        let request = put().header("x-edge-proof", "v1.1.of-the-client");
        let answer = request.alice().signed().send(&world.gateway(), &world);
        assert_eq!(answer.status, 201);
        let sent = world.sent.take();
        for (statement, expected) in sent.iter().zip(expected) {
            let proof = proof(statement);
            assert_eq!(proof.is_some(), expected.is_some(), "{proof:?}");
            assert!(
                proof
                    .unwrap_or_default()
                    .starts_with(expected.unwrap_or_default())
            );
        }
        assert_eq!(sent.len(), 2);
    }
}

#[test]
fn every_statement_names_the_user_and_the_state() {
    let user = format!("user_id=eq.{ALICE}");
    let own = "org_id=is.null".to_owned();
    let id = format!("id=eq.{NOTE}");
    let (_, sent) = play(Request::new("GET", "/v1/notes?limit=5"), &[none()]);
    assert_eq!(
        query(&sent[0]),
        [
            &user,
            &own,
            "deleted_at=is.null",
            "order=created_at.desc,id.desc"
        ]
    );
    assert_eq!(sent[0].header("range").unwrap_or_default(), "0-5");

    let (_, sent) = play(Request::new("GET", "/v1/notes?state=deleted"), &[none()]);
    assert_eq!(
        query(&sent[0])[..3],
        [
            user.clone(),
            own.clone(),
            "deleted_at=not.is.null".to_owned()
        ]
    );

    let (_, sent) = play(note("GET"), &[one(row(1))]);
    assert_eq!(query(&sent[0]), [&user, &own, "deleted_at=is.null", &id]);

    let (_, sent) = play(patch().header("if-match", "\"3\""), &[one(row(4))]);
    assert_eq!(
        query(&sent[0]),
        [&user, &own, "deleted_at=is.null", &id, "version=eq.3"]
    );
    assert_eq!(sent[0].method(), "PATCH");
    assert_eq!(sent[0].body.as_deref(), Some(&br#"{"title":"t"}"#[..]));

    let (_, sent) = play(restore(), &[one(row(2))]);
    assert_eq!(
        query(&sent[0]),
        [&user, &own, "deleted_at=not.is.null", &id]
    );
    assert_eq!(
        sent[0].body.as_deref(),
        Some(&br#"{"deleted_at":null}"#[..])
    );
}

#[test]
fn a_list_goes_on_where_its_cursor_says() {
    let mut second = row(1);
    second["id"] = json!("00000000-0000-4000-8000-000000000000");
    let (page, _) = play(
        Request::new("GET", "/v1/notes?limit=1"),
        &[(200, json!([row(1), second]))],
    );
    assert_eq!(page.body["data"].as_array().unwrap().len(), 1);
    assert_eq!(page.head("etag"), "");
    let cursor = page.body["next_cursor"].as_str().unwrap();

    let (last, sent) = play(
        Request::new("GET", &format!("/v1/notes?limit=1&cursor={cursor}")),
        &[(200, json!([row(1)]))],
    );
    assert_eq!(last.body["next_cursor"], Value::Null);
    let time = "2026-11-22T12:15:40.760000Z";
    let place = [
        format!("created_at=lte.{time}"),
        format!("or=(created_at.lt.{time},id.lt.{NOTE})"),
    ];
    assert!(place.iter().all(|filter| query(&sent[0]).contains(filter)));
}

#[test]
fn a_note_is_created_with_its_place_and_tag() {
    let (answer, sent) = play(
        Request::new("POST", "/v1/notes").json(r#"{"title":" Caf\u00e9 ","body":"x"}"#),
        &[(201, json!([row(1)]))],
    );
    assert_eq!(answer.status, 201);
    assert_eq!(answer.head("location"), format!("/v1/notes/{NOTE}"));
    assert_eq!(answer.head("etag"), "\"1\"");
    assert_eq!(answer.body["created_at"], "2026-11-22T12:15:40.760000Z");
    assert_eq!(answer.body["deleted_at"], Value::Null);
    assert_eq!(
        sent[0].body.as_deref(),
        Some("{\"title\":\"Café\",\"body\":\"x\"}".as_bytes())
    );
    assert_eq!(
        sent[0].header("prefer").unwrap_or_default(),
        "return=representation"
    );
}

#[test]
fn a_note_that_the_client_has_is_not_sent_again() {
    for (header, status) in [
        ("\"3\"", 304),
        ("W/\"3\"", 304),
        ("\"1\", \"3\"", 304),
        ("*", 304),
        ("\"2\"", 200),
    ] {
        let (answer, _) = play(note("GET").header("if-none-match", header), &[one(row(3))]);
        assert_eq!(
            (answer.status, answer.head("etag")),
            (status, "\"3\""),
            "{header}"
        );
        assert_eq!(answer.bytes.is_empty(), status == 304);
    }
    assert_eq!(play(note("GET"), &[none()]).0.problem(), "404 not_found");
}

#[test]
fn put_updates_or_inserts_and_never_upserts() {
    let (answer, sent) = play(put(), &[one(row(2))]);
    assert_eq!((answer.status, answer.head("etag")), (200, "\"2\""));
    assert_eq!(sent[0].method(), "PATCH");

    let (answer, sent) = play(put(), &[none(), (201, json!([row(1)]))]);
    assert_eq!((answer.status, answer.head("location").len()), (201, 46));
    assert_eq!(sent[1].method(), "POST");
    let inserted: Value = serde_json::from_slice(sent[1].body.as_deref().unwrap()).unwrap();
    assert_eq!(inserted, json!({"id": NOTE, "title": "t", "body": ""}));
    assert!(
        !sent[1]
            .header("prefer")
            .unwrap_or_default()
            .contains("resolution")
    );

    let (answer, _) = play(put(), &[none(), taken(), none()]);
    assert_eq!(answer.problem(), "409 conflict");

    let (answer, _) = play(put(), &[none(), taken(), one(row(2))]);
    assert_eq!(answer.status, 200, "the user's other device came between");
}

#[test]
fn put_keeps_to_its_preconditions() {
    let create_only = || put().header("if-none-match", "*");
    assert_eq!(play(create_only(), &[(201, json!([row(1)]))]).0.status, 201);
    let (answer, _) = play(create_only(), &[taken(), one(row(7))]);
    assert_eq!(answer.problem(), "412 version_mismatch");
    assert_eq!(
        (answer.head("etag"), &answer.body["current"]["version"]),
        ("\"7\"", &json!(7))
    );
    assert_eq!(
        play(create_only(), &[taken(), none()]).0.problem(),
        "409 conflict"
    );

    let replace = || put().header("if-match", "\"3\"");
    assert_eq!(play(replace(), &[one(row(4))]).0.status, 200);
    assert_eq!(
        play(replace(), &[none(), none()]).0.problem(),
        "404 not_found"
    );
    assert_eq!(
        play(replace(), &[none(), one(row(5))]).0.problem(),
        "412 version_mismatch"
    );
    assert_eq!(
        play(replace(), &[none(), one(deleted_row(3))]).0.problem(),
        "404 not_found"
    );
    let any = put().header("if-match", "*");
    assert_eq!(play(any, &[none(), none()]).0.problem(), "404 not_found");
}

#[test]
fn a_change_under_a_stale_tag_shows_the_current_note() {
    let stale = || patch().header("if-match", "W/\"3\"");
    let (answer, sent) = play(stale(), &[none(), one(row(5))]);
    assert_eq!(answer.problem(), "412 version_mismatch");
    assert_eq!(answer.body["current"]["id"], NOTE);
    assert_eq!(answer.head("etag"), "\"5\"");
    assert_eq!(
        query(&sent[1]).len(),
        3,
        "found in any state and version: {:?}",
        query(&sent[1])
    );

    assert_eq!(
        play(stale(), &[none(), none()]).0.problem(),
        "404 not_found"
    );
    assert_eq!(
        play(stale(), &[none(), one(deleted_row(5))]).0.problem(),
        "404 not_found"
    );
    assert_eq!(
        play(patch(), &[none(), one(deleted_row(5))]).0.problem(),
        "404 not_found"
    );

    let foreign = patch().header("if-match", "\"abc\"");
    let (answer, sent) = play(foreign, &[one(row(5))]);
    assert_eq!(answer.problem(), "412 version_mismatch");
    assert_eq!(
        sent[0].method(),
        "GET",
        "no UPDATE for a tag that no note has"
    );
}

#[test]
fn a_write_that_came_between_is_tried_again_and_not_for_ever() {
    let (answer, _) = play(patch(), &[none(), one(row(2)), one(row(3))]);
    assert_eq!(answer.status, 200);
    let changing = [
        none(),
        one(row(2)),
        none(),
        one(row(3)),
        none(),
        one(row(4)),
    ];
    assert_eq!(
        play(patch(), &changing).0.problem(),
        "503 upstream_unavailable"
    );
}

#[test]
fn an_update_that_does_not_find_what_is_there_before_and_after_is_forbidden() {
    let kept = [none(), one(row(2)), none(), one(row(2))];
    assert_eq!(play(patch(), &kept).0.problem(), "403 forbidden");
    let matching = patch().header("if-match", "\"2\"");
    assert_eq!(play(matching, &kept).0.problem(), "403 forbidden");
    assert_eq!(play(note("DELETE"), &kept).0.problem(), "403 forbidden");
}

#[test]
fn deleting_is_soft_and_doing_it_again_changes_nothing() {
    let (answer, sent) = play(note("DELETE"), &[one(deleted_row(2))]);
    assert_eq!((answer.status, answer.bytes.len()), (204, 0));
    assert_eq!(sent[0].method(), "PATCH");
    assert_eq!(
        sent[0].body.as_deref(),
        Some(&br#"{"deleted_at":"now"}"#[..])
    );
    assert_eq!(
        play(note("DELETE"), &[none(), one(deleted_row(2))])
            .0
            .status,
        204
    );
    assert_eq!(
        play(note("DELETE"), &[none(), none()]).0.problem(),
        "404 not_found"
    );
    let stale = note("DELETE").header("if-match", "\"1\"");
    assert_eq!(
        play(stale.clone(), &[none(), one(row(2))]).0.problem(),
        "412 version_mismatch"
    );
    assert_eq!(play(stale, &[none(), one(deleted_row(2))]).0.status, 204);
}

#[test]
fn restoring_undoes_it_and_a_live_note_stays_as_it_is() {
    let (answer, _) = play(restore(), &[one(row(3))]);
    assert_eq!((answer.status, answer.head("etag")), (200, "\"3\""));
    let (answer, _) = play(restore(), &[none(), one(row(3))]);
    assert_eq!((answer.status, &answer.body["version"]), (200, &json!(3)));
    assert_eq!(
        play(restore(), &[none(), none()]).0.problem(),
        "404 not_found"
    );
    let stale = restore().header("if-match", "\"1\"");
    assert_eq!(
        play(stale, &[none(), one(deleted_row(2))]).0.problem(),
        "412 version_mismatch"
    );
}

#[test]
fn what_a_route_does_not_support_is_refused_and_never_ignored() {
    for (request, expected) in [
        (Request::new("GET", "/v1/me?x=1"), "422 validation_failed"),
        (
            Request::new("GET", "/v1/notes?offset=1"),
            "422 validation_failed",
        ),
        (
            Request::new("GET", "/v1/notes?limit=0"),
            "422 validation_failed",
        ),
        (note("GET").header("if-match", "*"), "400 malformed_request"),
        (
            patch().header("if-none-match", "*"),
            "400 malformed_request",
        ),
        (
            put().header("if-none-match", "\"3\""),
            "400 malformed_request",
        ),
        (
            put().header("if-none-match", "*").header("if-match", "*"),
            "400 malformed_request",
        ),
        (
            patch().header("if-match", "\"1\", \"2\""),
            "400 malformed_request",
        ),
        (
            patch().header("idempotency-key", "order-0001"),
            "400 malformed_request",
        ),
        (
            post().header("idempotency-key", "short"),
            "400 malformed_request",
        ),
        (
            Request::new("GET", "/v1/notes").header("if-none-match", "*"),
            "400 malformed_request",
        ),
        (note("GET").json("{}"), "400 malformed_request"),
        (note("DELETE").json("{}"), "400 malformed_request"),
        (restore().json("{}"), "400 malformed_request"),
        (put().without("content-type"), "415 unsupported_media_type"),
        (
            put().header("content-type", "text/plain"),
            "415 unsupported_media_type",
        ),
        (
            put().header("content-type", "application/merge-patch+json"),
            "415 unsupported_media_type",
        ),
        (
            put().header("content-encoding", "gzip"),
            "415 unsupported_media_type",
        ),
        (
            put().header("content-encoding", "identity"),
            "415 unsupported_media_type",
        ),
        (
            put().json(r#"{"title":"t","user_id":"x"}"#),
            "422 validation_failed",
        ),
        (
            put().json(r#"{"title":"a\u0000b"}"#),
            "422 validation_failed",
        ),
        (put().json("{"), "400 malformed_json"),
        (patch().json("{}"), "422 validation_failed"),
    ] {
        let (answer, sent) = play(request.clone(), &[]);
        assert_eq!(
            answer.problem(),
            expected,
            "{} {}",
            request.method,
            request.target
        );
        assert!(sent.is_empty());
    }
    for good in [
        "application/json; charset=utf-8",
        "APPLICATION/JSON",
        "application/merge-patch+json",
    ] {
        let request = patch().header("content-type", good);
        assert_eq!(play(request, &[one(row(2))]).0.status, 200, "{good}");
    }
}

#[test]
fn query_flaws_name_their_parameter() {
    let (answer, _) = play(Request::new("GET", "/v1/notes?limit=0&x=1"), &[]);
    assert_eq!(
        answer.body["errors"],
        json!([
            {"parameter": "x", "code": "unknown", "message": "is not a parameter of this route"},
            {"parameter": "limit", "code": "value", "message": "must be a whole number from 1 to 100"}
        ])
    );
}

/// PostgREST's answers as hosted Supabase gives them: where the embedded one differs, this is what
/// covers the hosted side.
#[test]
fn answers_of_postgrest_become_problems_and_none_of_their_words_goes_out() {
    for (status, code, message, expected) in [
        (401, "PGRST301", "JWT expired", "401 token_expired"),
        (401, "PGRST303", "JWT expired", "401 token_expired"),
        (401, "PGRST301", "No suitable key", "401 token_invalid"),
        (
            401,
            "PGRST302",
            "Anonymous access is disabled",
            "401 token_invalid",
        ),
        (401, "PGRST303", "JWT not in audience", "401 token_invalid"),
        (
            403,
            "42501",
            "new row violates row-level security policy for table",
            "403 forbidden",
        ),
        (
            403,
            "42501",
            "new row violates row-level security policy \"notes_edge_only\" for table \"notes\"",
            "500 internal",
        ),
        (
            403,
            "PT403",
            "This database answers its edge alone",
            "500 internal",
        ),
        (
            403,
            "42501",
            "permission denied for table notes",
            "500 internal",
        ),
        (
            500,
            "42P17",
            "infinite recursion detected in policy",
            "500 internal",
        ),
        (404, "PGRST205", "Could not find the table", "500 internal"),
        (
            404,
            "PGRST202",
            "Could not find the function",
            "500 internal",
        ),
        (400, "PGRST204", "Could not find the column", "500 internal"),
        (400, "42703", "column does not exist", "500 internal"),
        (
            409,
            "23503",
            "violates foreign key constraint",
            "401 token_invalid",
        ),
        (
            405,
            "25006",
            "cannot execute in a read-only transaction",
            "503 upstream_unavailable",
        ),
        (
            400,
            "23502",
            "null value in column",
            "422 validation_failed",
        ),
        (
            400,
            "23514",
            "violates check constraint",
            "422 validation_failed",
        ),
        (
            400,
            "22P02",
            "invalid input syntax",
            "422 validation_failed",
        ),
        (400, "22P05", "unsupported Unicode", "422 validation_failed"),
        (
            400,
            "22021",
            "invalid byte sequence",
            "422 validation_failed",
        ),
        (406, "PGRST116", "0 rows", "404 not_found"),
        (
            500,
            "40001",
            "could not serialize access",
            "503 upstream_unavailable",
        ),
        (
            500,
            "57014",
            "canceling statement due to statement timeout",
            "504 upstream_timeout",
        ),
        (
            504,
            "PGRST003",
            "Timed out acquiring connection",
            "504 upstream_timeout",
        ),
        (
            503,
            "PGRST000",
            "Could not connect",
            "503 upstream_unavailable",
        ),
        (
            503,
            "PGRST001",
            "Could not connect",
            "503 upstream_unavailable",
        ),
        (503, "PGRST002", "schema cache", "503 upstream_unavailable"),
        (
            500,
            "40P01",
            "deadlock detected",
            "503 upstream_unavailable",
        ),
        (
            503,
            "53300",
            "sorry, too many clients already",
            "503 upstream_unavailable",
        ),
        (
            503,
            "57P03",
            "the database system is starting up",
            "503 upstream_unavailable",
        ),
        (500, "SUP", "anything", "502 upstream_invalid"),
        (400, "P0001", "raised", "502 upstream_invalid"),
        (400, "PGRST100", "parse error", "502 upstream_invalid"),
    ] {
        let body =
            json!({"code": code, "message": message, "details": "a detail", "hint": "a hint"});
        let (answer, _) = play(patch(), &[(status, body)]);
        assert_eq!(answer.problem(), expected, "{code} {message}");
        let text = answer.body.to_string();
        for inner in [message, "a detail", "a hint", code] {
            assert!(!text.contains(inner), "{code}: {text}");
        }
    }
    let conflict = play(
        Request::new("POST", "/v1/notes").json(r#"{"title":"t"}"#),
        &[taken()],
    )
    .0;
    assert_eq!(conflict.problem(), "409 conflict");
}

#[test]
fn what_our_own_migrations_lack_alarms_the_operator() {
    for (status, code, message, level) in [
        (
            403,
            "42501",
            "permission denied for table notes",
            Level::Error,
        ),
        (500, "42P17", "infinite recursion in policy", Level::Error),
        (404, "PGRST202", "no such function", Level::Error),
        (400, "PGRST204", "no such column", Level::Error),
        (404, "PGRST205", "no such table", Level::Error),
        (400, "23514", "violates check constraint", Level::Warn),
        (401, "PGRST301", "No suitable key", Level::Warn),
        (401, "PGRST303", "JWT expired", Level::Info),
        (403, "42501", "violates row-level security", Level::Info),
    ] {
        let world = World::new();
        world.will_reply(status, json!({"code": code, "message": message}));
        patch().alice().signed().send(&world.gateway(), &world);
        let logs = world.logs.borrow();
        let (logged, line) = logs.last().unwrap();
        assert_eq!(*logged, level, "{line}");
    }
}

#[test]
fn answers_that_are_none_are_never_a_client_error() {
    for (status, body, expected) in [
        (200, json!("<html>"), "502 upstream_invalid"),
        (200, json!({"id": NOTE}), "502 upstream_invalid"),
        (200, json!([{"id": NOTE}]), "502 upstream_invalid"),
        (200, json!([row(1), row(1)]), "502 upstream_invalid"),
        (201, json!([row(1)]), "502 upstream_invalid"),
        (204, Value::Null, "502 upstream_invalid"),
        (206, json!([row(1)]), "502 upstream_invalid"),
        (302, json!({}), "502 upstream_invalid"),
        (400, json!({}), "502 upstream_invalid"),
        (401, json!({"message": "Invalid API key"}), "500 internal"),
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
        let (answer, _) = play(patch(), &[(status, body.clone())]);
        assert_eq!(answer.problem(), expected, "{status} {body}");
        assert_eq!(answer.body["retryable"], true);
        assert_eq!(answer.head("retry-after").is_empty(), answer.status <= 502);
    }
    for (error, expected) in [
        (SendError::Timeout, "504 upstream_timeout"),
        (SendError::Unreachable, "503 upstream_unavailable"),
        (SendError::TooLarge, "502 upstream_invalid"),
    ] {
        let world = World::new();
        world.replies.borrow_mut().push(Err(error));
        let answer = patch().alice().signed().send(&world.gateway(), &world);
        assert_eq!(answer.problem(), expected);
    }
}

#[test]
fn a_post_with_a_key_is_one_call_that_finds_or_makes_the_note() {
    let keyed = || post().header("idempotency-key", "order-0001");
    let (answer, sent) = play(keyed(), &[one(row(3))]);
    assert_eq!((answer.status, answer.head("etag")), (201, "\"3\""));
    assert_eq!(answer.head("location"), format!("/v1/notes/{NOTE}"));
    assert_eq!((sent[0].method(), sent.len()), ("POST", 1));
    assert!(
        sent[0]
            .url()
            .contains("/rest/v1/rpc/create_note_once?select=")
    );
    let parameters: Value = serde_json::from_slice(sent[0].body.as_deref().unwrap()).unwrap();
    assert_eq!(
        parameters,
        json!({
            "request_key": "order-0001",
            // Of the body as it was sent, not as it is read.
            "request_digest": "539c68fbc7770480e2cb5d8725aadd13a812867f5bb9ea8cc9654bda25a517b2",
            "note_title": "t",
            "note_body": "",
        })
    );

    assert_eq!(
        play(keyed(), &[one(deleted_row(3))]).0.problem(),
        "409 conflict"
    );
    assert_eq!(
        play(keyed(), &[none()]).0.problem(),
        "422 idempotency_key_reused"
    );
    assert_eq!(
        play(keyed(), &[one(json!({}))]).0.problem(),
        "502 upstream_invalid"
    );
}

#[test]
fn an_idempotency_key_has_8_to_64_plain_characters() {
    for good in ["12345678", "A-Z_a-z0", &"k".repeat(64)] {
        let (answer, _) = play(post().header("idempotency-key", good), &[one(row(1))]);
        assert_eq!(answer.status, 201, "{good}");
    }
    for bad in [
        "",
        "1234567",
        "with space",
        "semi;colon",
        "key.with.dots",
        &"k".repeat(65),
    ] {
        let (answer, _) = play(post().header("idempotency-key", bad), &[]);
        assert_eq!(answer.problem(), "400 malformed_request", "{bad}");
    }
}

#[test]
fn a_search_asks_for_the_words_as_they_are_and_nothing_else() {
    let target = "/v1/notes?q=%26user_id=eq.x+%22a,b%22)%0A&state=deleted&limit=5";
    let target = target
        .replace("user_id=eq", "user_id%3Deq")
        .replace([',', ')'], "%2C");
    let (answer, sent) = play(Request::new("GET", &target), &[none()]);
    assert_eq!(answer.status, 200);
    let user = format!("user_id=eq.{ALICE}");
    assert_eq!(
        query(&sent[0]),
        [
            &user,
            "org_id=is.null",
            "deleted_at=not.is.null",
            "order=created_at.desc,id.desc",
            "search=wfts(simple).&user_id=eq.x \"a,b\",\n",
        ]
    );
}
