//! Organisations: the requests to the database, and the answers to its answers.

#![allow(missing_docs, clippy::allow_attributes, reason = "test code")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod support;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use support::*;

fn at(method: &str, suffix: &str) -> Request {
    Request::new(method, &format!("/v1/orgs/{ORG}{suffix}"))
}

fn org(version: i32) -> Value {
    json!({"id": ORG, "name": "n", "role": "owner", "version": version, "created_at": TIME, "updated_at": TIME})
}

fn member(version: i32) -> Value {
    json!({"user_id": BOB, "role": "viewer", "version": version, "created_at": TIME, "updated_at": TIME})
}

fn invitation() -> Value {
    json!({"id": ID, "role": "editor", "created_at": TIME, "expires_at": TIME, "accepted_at": null})
}

fn create() -> Request {
    Request::new("POST", "/v1/orgs").json(r#"{"name":" n "}"#)
}

fn invite() -> Request {
    at("POST", "/invitations").json(r#"{"role":"editor"}"#)
}

fn join(token: &str) -> Request {
    Request::new("POST", "/v1/orgs/join").json(&json!({ "token": token }).to_string())
}

fn token() -> String {
    "A".repeat(43)
}

#[test]
fn each_route_is_one_call_of_one_function() {
    let page = json!({"page_size": 20, "after": null});
    let org_page = json!({"org": ORG, "page_size": 20, "after": null});
    let someone = format!("/members/{BOB}");
    let role = r#"{"role":"viewer"}"#;
    for (request, function, arguments) in [
        (Request::new("GET", "/v1/orgs"), "airlock_orgs", page),
        (create(), "airlock_org_create", json!({"org_name": "n", "request_key": null, "request_digest": null})),
        (join(&format!(" {} ", token())), "airlock_join", json!({ "invitation_token": token() })),
        (at("GET", ""), "airlock_org", json!({ "org": ORG })),
        (
            at("PATCH", "").json(r#"{"name":"x"}"#).header("if-match", "\"3\""),
            "airlock_org_change",
            json!({"org": ORG, "action": "rename", "org_name": "x", "if_match": 3}),
        ),
        (
            at("DELETE", ""),
            "airlock_org_change",
            json!({"org": ORG, "action": "delete", "org_name": null, "if_match": null}),
        ),
        (at("GET", "/members"), "airlock_members", org_page.clone()),
        (at("GET", &someone), "airlock_member", json!({"org": ORG, "member": BOB})),
        (
            at("PATCH", &someone).json(role),
            "airlock_member_change",
            json!({"org": ORG, "member": BOB, "action": "set_role", "member_role": "viewer", "if_match": null}),
        ),
        (
            at("DELETE", &someone),
            "airlock_member_change",
            json!({"org": ORG, "member": BOB, "action": "remove", "member_role": null, "if_match": null}),
        ),
        (at("GET", "/invitations"), "airlock_invitations", org_page),
        (
            at("DELETE", &format!("/invitations/{ID}")),
            "airlock_invitation_revoke",
            json!({"org": ORG, "invitation": ID}),
        ),
    ] {
        let name = format!("{} {}", request.method, request.target);
        let writes = request.method != "GET";
        let (_, sent) = play(request, &[(200, Value::Null)]);
        assert_eq!(called(&sent[0]), (function, arguments), "{name}");
        assert_eq!(sent[0].header("x-airlock-claim").is_some(), writes, "{name}");
    }
}

#[test]
fn each_outcome_becomes_its_answer() {
    let rename = || at("PATCH", "").json(r#"{"name":"x"}"#);
    let set_role = || at("PATCH", &format!("/members/{BOB}")).json(r#"{"role":"owner"}"#);
    let remove = || at("DELETE", &format!("/members/{BOB}"));
    let revoke = || at("DELETE", &format!("/invitations/{ID}"));
    let raised = |code: &str, message: &str| error(409, code, message);
    let last_owner = || raised("PT409", "airlock_last_owner");
    let denied = || error(403, "42501", "row-level security: owners only");
    let outsider = || error(404, "PT404", "airlock_not_found");
    for (request, reply, expected) in [
        (create(), with_row("created", &org(1)), "201"),
        (create(), outcome("reused"), "422 idempotency_key_reused"),
        (create(), outcome("deleted"), "409 conflict"),
        (join(&token()), with_row("done", &org(1)), "200"),
        (join(&token()), outcome("missing"), "404 not_found"),
        (join(&token()), raised("PT409", "airlock_already_member"), "409 conflict"),
        (at("GET", ""), (200, Value::Null), "404 not_found"),
        (rename(), with_row("done", &org(4)), "200"),
        (rename(), with_row("mismatch", &org(4)), "412 version_mismatch"),
        (rename(), outcome("missing"), "404 not_found"),
        (rename(), outcome("forbidden"), "403 forbidden"),
        (at("DELETE", ""), outcome("done"), "204"),
        (at("DELETE", ""), outcome("missing"), "404 not_found"),
        (at("DELETE", ""), outcome("forbidden"), "403 forbidden"),
        (at("GET", "/members"), outsider(), "404 not_found"),
        (at("GET", &format!("/members/{BOB}")), (200, Value::Null), "404 not_found"),
        (set_role(), with_row("done", &member(2)), "200"),
        (set_role(), with_row("mismatch", &member(2)), "412 version_mismatch"),
        (set_role(), last_owner(), "409 conflict"),
        (remove(), outcome("done"), "204"),
        (remove(), outcome("missing"), "404 not_found"),
        (remove(), outcome("forbidden"), "403 forbidden"),
        (remove(), last_owner(), "409 conflict"),
        (at("GET", "/invitations"), outsider(), "404 not_found"),
        (at("GET", "/invitations"), denied(), "403 forbidden"),
        (invite(), with_row("created", &invitation()), "201"),
        (invite(), outcome("reused"), "422 idempotency_key_reused"),
        (invite(), outcome("deleted"), "409 conflict"),
        (invite(), outsider(), "404 not_found"),
        (invite(), denied(), "403 forbidden"),
        (revoke(), outcome("done"), "204"),
        (revoke(), outcome("missing"), "404 not_found"),
        (revoke(), outcome("forbidden"), "403 forbidden"),
    ] {
        let name = format!("{} {}: {}", request.method, request.target, reply.1);
        let (answer, _) = play(request, &[reply]);
        assert_eq!(answer.verdict(), expected, "{name}");
    }
}

#[test]
fn organisation_and_member_have_an_etag() {
    let (answer, _) = play(create(), &[with_row("created", &org(1))]);
    assert_eq!(answer.head("location"), format!("/v1/orgs/{ORG}"));
    assert_eq!(answer.head("etag"), "\"1\"");
    assert_eq!(answer.body, org(1));
    for (suffix, row) in [(String::new(), org(3)), (format!("/members/{BOB}"), member(3))] {
        let (answer, _) = play(at("GET", &suffix), &[(200, row.clone())]);
        assert_eq!((answer.status, answer.head("etag")), (200, "\"3\""));
        let known = at("GET", &suffix).header("if-none-match", "\"3\"");
        assert_eq!(play(known, &[(200, row)]).0.status, 304);
    }
}

#[test]
fn lists_are_handed_on_unread() {
    for target in ["/v1/orgs".to_owned(), format!("/v1/orgs/{ORG}/members")] {
        let (answer, _) = play(Request::new("GET", &target), &[page(&[])]);
        assert_eq!((answer.status, answer.streamed), (200, true), "{target}");
    }
}

#[test]
fn idempotency_key_is_sent_with_the_digest_of_the_meaning() {
    let digest = |request: Request, reply: &Value| {
        let request = request.header("idempotency-key", "order-0001");
        let (_, sent) = play(request, &[with_row("created", reply)]);
        let (_, arguments) = called(&sent[0]);
        assert_eq!(arguments["request_key"], "order-0001");
        arguments["request_digest"].as_str().unwrap().to_owned()
    };
    let same = Request::new("POST", "/v1/orgs").json(r#"{ "name": "\u006e" }"#);
    assert_eq!(digest(create(), &org(1)), digest(same, &org(1)));
    let same = at("POST", "/invitations").json(r#"{ "role": "edit\u006fr" }"#);
    assert_eq!(digest(invite(), &invitation()), digest(same, &invitation()));
    let other = at("POST", "/invitations").json(r#"{"role":"viewer"}"#);
    assert_ne!(digest(invite(), &invitation()), digest(other, &invitation()));
}

#[test]
fn invitation_shows_its_token_and_the_database_gets_the_digest() {
    let reply = || with_row("created", &invitation());
    let (answer, sent) = play(invite(), &[reply()]);
    assert_eq!(answer.status, 201);
    let token = answer.body["token"].as_str().unwrap().to_owned();
    assert_eq!(token.len(), 43);
    let mut expected = invitation();
    expected["token"] = json!(token);
    assert_eq!(answer.body, expected);
    let digest = base16ct::lower::encode_string(&Sha256::digest(&token));
    assert_eq!(
        called(&sent[0]),
        (
            "airlock_invite",
            json!({
                "org": ORG, "member_role": "editor", "token_digest": digest, "request_key": null,
                "request_digest": null
            })
        )
    );
    assert!(!sent[0].body.as_deref().unwrap().contains(&token));
    let (other, _) = play(invite(), &[reply()]);
    assert_ne!(other.body["token"], token);
}

#[test]
fn bodies_are_validated_before_the_database_is_asked() {
    for (request, code) in [
        (Request::new("POST", "/v1/orgs").json("{}"), "required"),
        (Request::new("POST", "/v1/orgs").json(r#"{"name":" "}"#), "length"),
        (at("POST", "/invitations").json(r#"{"role":"admin"}"#), "one_of"),
        (at("POST", "/invitations").json(r#"{"role":1}"#), "type"),
        (join("short"), "value"),
        (join(&"!".repeat(43)), "value"),
    ] {
        let name = format!("{}: {}", request.target, String::from_utf8_lossy(&request.body));
        let (answer, sent) = play(request, &[]);
        assert_eq!(answer.problem(), "422 validation_failed", "{name}");
        assert_eq!(answer.body["errors"][0]["code"], code, "{name}");
        assert!(sent.is_empty());
    }
}
