//! Organisations and published notes through the whole path: what is asked of the database, and what its
//! answers become.

#![allow(
    missing_docs,
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod support;

use airlock::seam::Outbound;
use serde_json::{Value, json};
use support::*;

const ORG: &str = "0f0e0d0c-2d6a-4174-899e-8ffddea7a39a";
const BOB: &str = "b0b00000-0000-4000-8000-000000000001";
const TIME: &str = "2026-11-22T12:15:40.76+00:00";

/// A request as alice, and a script of what the database answers; all of it has to be asked for.
fn play(request: Request, replies: &[(u16, Value)]) -> (Answer, Vec<Outbound>) {
    let world = World::new();
    for (status, body) in replies {
        world.will_reply(*status, body.clone());
    }
    let answer = request.alice().signed().send(&world.gateway(), &world);
    assert!(world.replies.borrow().is_empty(), "{}", answer.problem());
    (answer, world.sent.take())
}

fn at(method: &str, suffix: &str) -> Request {
    Request::new(method, &format!("/v1/orgs/{ORG}{suffix}"))
}

fn org(role: &str) -> (u16, Value) {
    let org = json!({"id": ORG, "name": "n", "role": role, "version": 3, "created_at": TIME, "updated_at": TIME});
    (200, json!([org]))
}

fn member(role: &str, version: i32) -> (u16, Value) {
    let member = json!({"user_id": BOB, "role": role, "version": version, "created_at": TIME, "updated_at": TIME});
    (200, json!([member]))
}

fn none() -> (u16, Value) {
    (200, json!([]))
}

fn touched() -> (u16, Value) {
    (200, json!([{"id": ORG}]))
}

fn denied() -> (u16, Value) {
    let message = "new row violates row-level security policy for table \"x\"";
    (403, json!({"code": "42501", "message": message}))
}

fn rule() -> (u16, Value) {
    (409, json!({"code": "PT409", "message": "a rule"}))
}

/// Path and query below `/rest/v1`, without the columns.
fn asked(sent: &Outbound) -> String {
    let (_, place) = sent.url().split_once("/rest/v1/").unwrap();
    let (table, query) = place.split_once('?').unwrap();
    let pairs: Vec<&str> = query
        .split('&')
        .filter(|pair| !pair.starts_with("select=") && !pair.is_empty())
        .collect();
    format!("{} {table} {}", sent.method(), pairs.join("&"))
}

#[test]
fn an_organisation_is_made_and_shown_with_the_callers_role() {
    let draft = r#"{"name":" n "}"#;
    let request = Request::new("POST", "/v1/orgs").json(draft);
    let (answer, sent) = play(request, &[touched(), org("owner")]);
    assert_eq!(answer.status, 201);
    assert_eq!(answer.head("location"), format!("/v1/orgs/{ORG}"));
    assert_eq!(answer.head("etag"), "\"3\"");
    assert_eq!(
        answer.body,
        json!({
            "id": ORG, "name": "n", "role": "owner", "version": 3,
            "created_at": "2026-11-22T12:15:40.760000Z", "updated_at": "2026-11-22T12:15:40.760000Z"
        })
    );
    assert_eq!(asked(&sent[0]), "POST rpc/create_organization ");
    assert_eq!(sent[0].body.as_deref(), Some(&br#"{"org_name":"n"}"#[..]));
    assert_eq!(asked(&sent[1]), format!("GET my_organizations id=eq.{ORG}"));
}

#[test]
fn lists_are_paged_by_time_and_key() {
    let cursor = {
        let world = World::new();
        let mut rows = org("owner").1.as_array().unwrap().clone();
        rows.push(rows[0].clone());
        world.will_reply(200, Value::Array(rows));
        let request = Request::new("GET", "/v1/orgs?limit=1").alice().signed();
        let answer = request.send(&world.gateway(), &world);
        assert_eq!(answer.body["data"].as_array().unwrap().len(), 1);
        answer.body["next_cursor"].as_str().unwrap().to_owned()
    };
    for (path, rows, key, filter) in [
        ("/v1/orgs".to_owned(), org("owner"), "id", String::new()),
        (
            format!("/v1/orgs/{ORG}/members"),
            member("viewer", 1),
            "user_id",
            format!("org_id=eq.{ORG}&"),
        ),
    ] {
        let request = Request::new("GET", &format!("{path}?limit=5&cursor={cursor}"));
        let (answer, sent) = play(request, &[rows]);
        assert_eq!(answer.body["next_cursor"], Value::Null);
        let query = asked(&sent[0]).replace("%3A", ":").replace("%2C", ",");
        let time = "2026-11-22T12:15:40.760000Z";
        assert!(query.contains(&filter), "{query}");
        assert!(
            query.contains(&format!("order=created_at.desc,{key}.desc")),
            "{query}"
        );
        assert!(query.contains(&format!("created_at=lte.{time}")), "{query}");
        assert!(query.contains(&format!("{key}.lt.{ORG}")), "{query}");
        assert_eq!(sent[0].header("range").unwrap_or_default(), "0-5");
    }
}

#[test]
fn who_is_not_in_an_organisation_is_told_that_there_is_none() {
    let role = r#"{"role":"viewer"}"#;
    for (request, replies) in [
        (at("GET", ""), vec![none()]),
        (
            at("PATCH", "").json(r#"{"name":"x"}"#),
            vec![none(), none()],
        ),
        (at("DELETE", ""), vec![none(), none()]),
        (at("GET", "/members"), vec![none(), none()]),
        (at("GET", &format!("/members/{BOB}")), vec![none()]),
        (
            at("PATCH", &format!("/members/{BOB}")).json(role),
            vec![none(), none()],
        ),
        (
            at("DELETE", &format!("/members/{BOB}")),
            vec![none(), none()],
        ),
        (at("GET", "/invitations"), vec![none(), none()]),
        (
            at("POST", "/invitations").json(role),
            vec![denied(), none()],
        ),
        (
            at("DELETE", &format!("/invitations/{NOTE}")),
            vec![none(), none()],
        ),
        (at("GET", "/notes"), vec![none(), none()]),
        (
            at("POST", "/notes").json(r#"{"title":"t"}"#),
            vec![denied(), none()],
        ),
        (
            at("PUT", &format!("/notes/{NOTE}")).json(r#"{"title":"t"}"#),
            vec![none(), denied(), none()],
        ),
        (at("GET", &format!("/notes/{NOTE}")), vec![none()]),
    ] {
        let name = format!("{} {}", request.method, request.target);
        let (answer, _) = play(request, &replies);
        assert_eq!(answer.problem(), "404 not_found", "{name}");
    }
}

#[test]
fn a_member_whose_role_does_not_allow_it_is_told_so() {
    let role = r#"{"role":"viewer"}"#;
    for (request, replies) in [
        (
            at("PATCH", "").json(r#"{"name":"x"}"#),
            vec![none(), org("editor")],
        ),
        (at("DELETE", ""), vec![none(), org("viewer")]),
        (
            at("PATCH", &format!("/members/{BOB}")).json(role),
            vec![none(), member("viewer", 1)],
        ),
        (
            at("DELETE", &format!("/members/{BOB}")),
            vec![none(), member("viewer", 1)],
        ),
        (at("GET", "/invitations"), vec![none(), org("editor")]),
        (
            at("POST", "/invitations").json(role),
            vec![denied(), org("editor")],
        ),
        (
            at("DELETE", &format!("/invitations/{NOTE}")),
            vec![none(), org("editor")],
        ),
        (
            at("POST", "/notes").json(r#"{"title":"t"}"#),
            vec![denied(), org("viewer")],
        ),
    ] {
        let name = format!("{} {}", request.method, request.target);
        let (answer, _) = play(request, &replies);
        assert_eq!(answer.problem(), "403 forbidden", "{name}");
    }
}

#[test]
fn an_owner_sees_an_empty_list_and_what_is_not_there() {
    let (answer, _) = play(at("GET", "/invitations"), &[none(), org("owner")]);
    assert_eq!(answer.body, json!({"data": [], "next_cursor": null}));
    let revoke = at("DELETE", &format!("/invitations/{NOTE}"));
    let (answer, _) = play(revoke, &[none(), org("owner")]);
    assert_eq!(answer.problem(), "404 not_found");
}

#[test]
fn a_stale_tag_shows_what_is_there() {
    let rename = || at("PATCH", "").json(r#"{"name":"x"}"#);
    let (answer, sent) = play(
        rename().header("if-match", "\"2\""),
        &[none(), org("owner")],
    );
    assert_eq!(answer.problem(), "412 version_mismatch");
    assert_eq!(answer.head("etag"), "\"3\"");
    assert_eq!(answer.body["current"]["role"], "owner");
    assert_eq!(
        asked(&sent[0]),
        format!("PATCH organizations id=eq.{ORG}&version=eq.2")
    );

    let (answer, sent) = play(rename().header("if-match", "\"x\""), &[org("owner")]);
    assert_eq!(answer.problem(), "412 version_mismatch");
    assert_eq!(sent.len(), 1, "no UPDATE for a tag that nothing ever has");

    let set = at("PATCH", &format!("/members/{BOB}")).json(r#"{"role":"owner"}"#);
    let (answer, _) = play(
        set.header("if-match", "\"1\""),
        &[none(), member("viewer", 2)],
    );
    assert_eq!(answer.problem(), "412 version_mismatch");
    assert_eq!(answer.body["current"]["user_id"], BOB);
}

#[test]
fn an_invitation_shows_its_token_once_and_the_database_gets_its_digest() {
    let row = json!([{"id": NOTE, "role": "editor", "created_at": TIME, "expires_at": TIME, "accepted_at": null}]);
    let invite = at("POST", "/invitations").json(r#"{"role":"editor"}"#);
    let (answer, sent) = play(invite, &[(201, row)]);
    assert_eq!(answer.status, 201);
    let token = answer.body["token"].as_str().unwrap();
    assert_eq!(token.len(), 43);
    let body: Value = serde_json::from_slice(sent[0].body.as_deref().unwrap()).unwrap();
    assert_eq!(body["org_id"], ORG);
    assert_eq!(body["role"], "editor");
    assert_eq!(body["token_digest"].as_str().unwrap().len(), 64);
    assert!(!body.to_string().contains(token));

    let join = Request::new("POST", "/v1/orgs/join").json(&json!({"token": token}).to_string());
    let (answer, sent) = play(join.clone(), &[touched(), org("editor")]);
    assert_eq!((answer.status, answer.head("etag")), (200, "\"3\""));
    assert_eq!(asked(&sent[0]), "POST rpc/accept_invitation ");
    assert_eq!(play(join.clone(), &[none()]).0.problem(), "404 not_found");
    assert_eq!(play(join, &[rule()]).0.problem(), "409 conflict");
}

#[test]
fn the_last_owner_stays() {
    let leave = at("DELETE", &format!("/members/{ALICE}"));
    let (answer, sent) = play(leave, &[rule()]);
    assert_eq!(answer.problem(), "409 conflict");
    assert_eq!(
        asked(&sent[0]),
        format!("DELETE organization_members org_id=eq.{ORG}&user_id=eq.{ALICE}")
    );
}

#[test]
fn notes_of_an_organisation_are_asked_for_by_it_and_not_by_their_author() {
    let row = json!({"id": NOTE, "title": "t", "body": "", "version": 1, "created_at": TIME, "updated_at": TIME, "deleted_at": null});
    let create = at("POST", "/notes").json(r#"{"title":"t"}"#);
    let (answer, sent) = play(create, &[(201, json!([row.clone()]))]);
    assert_eq!(
        answer.head("location"),
        format!("/v1/orgs/{ORG}/notes/{NOTE}")
    );
    let body: Value = serde_json::from_slice(sent[0].body.as_deref().unwrap()).unwrap();
    assert_eq!(body, json!({"org_id": ORG, "title": "t", "body": ""}));

    let (_, sent) = play(at("GET", "/notes?state=published"), &[(200, json!([row]))]);
    assert_eq!(
        asked(&sent[0]).replace("%2C", ","),
        format!(
            "GET notes org_id=eq.{ORG}&deleted_at=is.null&published_at=not.is.null&order=created_at.desc,id.desc"
        )
    );

    let once = at("POST", "/notes")
        .json(r#"{"title":"t"}"#)
        .header("idempotency-key", "order-0001");
    let (answer, sent) = play(once.clone(), &[none(), org("editor")]);
    assert_eq!(answer.problem(), "422 idempotency_key_reused");
    // Whoever is in no such organisation is told nothing of keys.
    assert_eq!(play(once, &[none(), none()]).0.problem(), "404 not_found");
    let body: Value = serde_json::from_slice(sent[0].body.as_deref().unwrap()).unwrap();
    assert_eq!(body["note_org"], ORG);
}

#[test]
fn publishing_what_is_published_leaves_it_as_it_is() {
    let row = json!([{"id": NOTE, "title": "t", "body": "", "version": 4, "created_at": TIME, "updated_at": TIME, "deleted_at": null}]);
    let publish = |tag: Option<&str>| {
        let request = Request::new("POST", &format!("/v1/notes/{NOTE}/publish"));
        match tag {
            Some(tag) => request.header("if-match", tag),
            None => request,
        }
    };
    let there = || (200, row.clone());
    let (answer, sent) = play(publish(None), &[there()]);
    assert_eq!((answer.status, answer.head("etag")), (200, "\"4\""));
    assert_eq!(
        sent[0].body.as_deref(),
        Some(&br#"{"published_at":"now"}"#[..])
    );
    assert!(asked(&sent[0]).contains("published_at=is.null"));

    let (answer, sent) = play(publish(None), &[none(), there()]);
    assert_eq!(answer.status, 200);
    assert!(asked(&sent[1]).contains("published_at=not.is.null"));

    let (answer, _) = play(publish(Some("\"3\"")), &[none(), none(), there()]);
    assert_eq!(answer.problem(), "412 version_mismatch");
    let (answer, _) = play(publish(Some("\"4\"")), &[none(), none(), there()]);
    assert_eq!(answer.problem(), "403 forbidden");
    let (answer, _) = play(publish(None), &[none(), none(), none()]);
    assert_eq!(answer.problem(), "404 not_found");

    let back = Request::new("POST", &format!("/v1/notes/{NOTE}/unpublish"));
    let (_, sent) = play(back, &[there()]);
    assert_eq!(
        sent[0].body.as_deref(),
        Some(&br#"{"published_at":null}"#[..])
    );
}

#[test]
fn a_published_note_is_asked_for_as_nobody_and_may_be_kept_a_minute() {
    let row = json!([{"id": NOTE, "title": "t", "body": "b", "version": 4, "updated_at": TIME, "published_at": TIME}]);
    let path = format!("/v1/public/notes/{NOTE}");
    let ask = |request: Request, reply: Value| {
        let world = World::new();
        world.will_reply(200, reply);
        let answer = request.signed().send(&world.gateway(), &world);
        (answer, world.sent.take(), world.claims.borrow().len())
    };
    let (answer, sent, claimed) = ask(Request::new("GET", &path), row.clone());
    assert_eq!((answer.status, claimed), (200, 0));
    assert_eq!(answer.head("cache-control"), "public, max-age=60");
    assert_eq!(answer.head("etag"), "\"4\"");
    assert_eq!(answer.body["published_at"], "2026-11-22T12:15:40.760000Z");
    assert_eq!(asked(&sent[0]), format!("GET notes id=eq.{NOTE}"));
    assert_eq!(sent[0].header("authorization"), None);

    // A user's token is not passed on.
    let token = es256(&claims());
    let (_, sent, _) = ask(Request::new("GET", &path).token(&token), row.clone());
    assert_eq!(sent[0].header("authorization"), None);

    let same = Request::new("GET", &path).header("if-none-match", "\"4\"");
    assert_eq!(ask(same, row).0.status, 304);
    let (answer, _, _) = ask(Request::new("GET", &path), json!([]));
    assert_eq!(answer.problem(), "404 not_found");
    assert_eq!(answer.head("cache-control"), "no-store");
}

#[test]
fn a_published_note_needs_the_first_door() {
    let world = World::new();
    let request = Request::new("GET", &format!("/v1/public/notes/{NOTE}"));
    let answer = request.send(&world.gateway(), &world);
    assert_eq!(answer.problem(), "401 app_guard_rejected");
    assert!(world.sent.borrow().is_empty());
}
