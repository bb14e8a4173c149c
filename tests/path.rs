//! The order of the steps, the doors and the configuration, through the whole path.

#![allow(
    missing_docs,
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

mod support;

use std::collections::HashSet;

use airlock::Code;
use airlock::seam::{BodyError, Level, Limiter, Unanswered, Verdict};
use serde_json::{Value, json};
use support::*;

fn get(target: &str) -> Request {
    Request::new("GET", target)
}

fn post() -> Request {
    Request::new("POST", "/v1/notes").json(r#"{"title":"t"}"#)
}

fn problem_of(request: Request) -> String {
    let world = World::new();
    request.send(&world.gateway(), &world).problem()
}

#[test]
fn every_response_has_a_request_id_and_is_not_stored() {
    let world = World::new();
    let gateway = world.gateway();
    for request in [
        get("/health"),
        get("/nothing"),
        get("/v1/me"),
        get("/v1/me").alice().signed(),
    ] {
        let answer = request.send(&gateway, &world);
        assert_eq!(answer.head("x-request-id").len(), 36);
        assert_eq!(answer.head("cache-control"), "no-store");
        if answer.status >= 400 {
            assert_eq!(answer.body["request_id"], answer.head("x-request-id"));
        }
    }
}

#[test]
fn the_public_documents_are_behind_no_door_and_no_limit() {
    let world = World::new();
    world.limits.set(Ok(Verdict::Refused));
    let gateway = world.gateway();
    assert_eq!(
        get("/health").send(&gateway, &world).body,
        json!({"status": "ok"})
    );
    let document = get("/openapi.json").send(&gateway, &world);
    assert_eq!(document.status, 200);
    assert_eq!(document.head("cache-control"), "public, max-age=300");
    assert!(world.throttled.borrow().is_empty());
}

#[test]
fn head_is_get_without_a_body() {
    let world = World::new();
    let gateway = world.gateway();
    let answer = Request::new("HEAD", "/v1/me")
        .alice()
        .signed()
        .send(&gateway, &world);
    assert_eq!(answer.status, 200);
    assert!(answer.bytes.is_empty());
    let refused = Request::new("HEAD", "/v1/me").send(&gateway, &world);
    assert_eq!(refused.status, 401);
    assert!(refused.bytes.is_empty());
}

#[test]
fn me_shows_the_session() {
    let world = World::new();
    let gateway = world.gateway();
    let me = get("/v1/me").alice().signed().send(&gateway, &world);
    assert_eq!(
        me.body,
        json!({
            "sub": ALICE, "email": "alice@example.com", "session_id": "s", "aal": "aal1",
            "is_anonymous": false, "exp": NOW + 3600, "app_id": "rn-ios"
        })
    );
    let bare = json!({"iss": ISSUER, "aud": ["x", "authenticated"], "role": "authenticated", "sub": ALICE, "exp": NOW + 1});
    let me = get("/v1/me")
        .token(&hs256(&bare))
        .signed()
        .send(&gateway, &world);
    assert_eq!(
        me.body,
        json!({
            "sub": ALICE, "email": null, "session_id": null, "aal": null, "is_anonymous": false,
            "exp": NOW + 1, "app_id": "rn-ios"
        })
    );
}

/// Each request has every flaw from its step on; it must be refused for the first one.
#[test]
fn the_steps_come_in_their_order() {
    let world = World::new();
    world.limits.set(Ok(Verdict::Refused));
    world.user_limit.set(Ok(Verdict::Refused));
    let gateway = world.gateway();
    let large = "x".repeat(256 * 1024 + 1);

    let worst = Request::new("POST", "/v1/notes/")
        .json(&large)
        .header("content-length", "262145");
    assert_eq!(worst.send(&gateway, &world).problem(), "404 not_found");

    let mut request = worst;
    request.target = "/v1/notes".to_owned();
    assert_eq!(
        request.send(&gateway, &world).problem(),
        "413 payload_too_large"
    );
    assert!(world.throttled.borrow().is_empty());

    request = request.header("content-length", "1");
    assert_eq!(request.send(&gateway, &world).problem(), "429 rate_limited");

    world.limits.set(Ok(Verdict::Granted));
    assert_eq!(
        request.send(&gateway, &world).problem(),
        "413 payload_too_large"
    );

    request.body = b"nonsense".to_vec();
    assert_eq!(
        request.send(&gateway, &world).problem(),
        "401 app_guard_rejected"
    );

    request = request.signed();
    assert_eq!(
        request.send(&gateway, &world).problem(),
        "401 token_missing"
    );

    request = request.alice().signed();
    assert_eq!(request.send(&gateway, &world).problem(), "429 rate_limited");

    world.user_limit.set(Ok(Verdict::Granted));
    assert_eq!(
        request.send(&gateway, &world).problem(),
        "400 malformed_json"
    );
    assert!(
        world.claims.borrow().is_empty(),
        "validation comes before the nonce is used up"
    );

    world.will_reply(201, json!([row(1)]));
    let good = post().alice().signed();
    assert_eq!(good.send(&gateway, &world).status, 201);
    assert_eq!(
        good.send(&gateway, &world).problem(),
        "409 request_replayed"
    );
    assert_eq!(world.sent.borrow().len(), 1);
}

#[test]
fn a_replay_is_retryable_and_a_get_uses_up_nothing() {
    let world = World::new();
    let gateway = world.gateway();
    world.will_reply(500, json!({}));
    let create = post().alice().signed();
    assert_eq!(create.send(&gateway, &world).status, 502);
    let replay = create.send(&gateway, &world);
    assert_eq!(replay.problem(), "409 request_replayed");
    assert_eq!(replay.body["retryable"], true);

    let read = get("/v1/me").alice().signed();
    for _ in 0..2 {
        assert_eq!(read.send(&gateway, &world).status, 200);
    }
}

#[test]
fn whatever_cannot_be_asked_refuses() {
    let world = World::new();
    let gateway = world.gateway();
    let request = post().alice().signed();

    world.limits.set(Err(Unanswered));
    let answer = request.send(&gateway, &world);
    assert_eq!(answer.problem(), "503 dependency_unavailable");
    assert!(!answer.head("retry-after").is_empty());
    world.limits.set(Ok(Verdict::Granted));

    world.user_limit.set(Err(Unanswered));
    assert_eq!(
        request.send(&gateway, &world).problem(),
        "503 dependency_unavailable"
    );
    world.user_limit.set(Ok(Verdict::Granted));

    world.claims_down.set(true);
    assert_eq!(
        request.send(&gateway, &world).problem(),
        "503 dependency_unavailable"
    );
    assert!(world.sent.borrow().is_empty());
}

#[test]
fn limits_are_per_address_and_per_user() {
    let world = World::new();
    let request = get("/v1/me")
        .header("cf-connecting-ip", "2001:db8::7")
        .alice()
        .signed();
    request.send(&world.gateway(), &world);
    assert_eq!(
        *world.throttled.borrow(),
        [
            (Limiter::Ip, "2001:db8::/64".to_owned()),
            (Limiter::User, ALICE.to_owned())
        ]
    );
}

#[test]
fn a_body_at_the_cap_is_read_and_one_byte_more_is_not() {
    let title = |bytes: usize| format!(r#"{{"title":"{}"}}"#, "x".repeat(bytes - 12));
    let signed = |bytes| post().json(&title(bytes)).alice().signed();
    assert_eq!(problem_of(signed(256 * 1024)), "422 validation_failed");
    assert_eq!(problem_of(signed(256 * 1024 + 1)), "413 payload_too_large");
    let mut faulty = signed(100);
    faulty.fault = Some(BodyError::Broken);
    assert_eq!(problem_of(faulty.clone()), "400 malformed_request");
    faulty.fault = Some(BodyError::Slow);
    assert_eq!(problem_of(faulty), "503 dependency_unavailable");
}

#[test]
fn clock_skew_tells_the_servers_time_and_can_be_retried() {
    let world = World::new();
    let late = get("/v1/me").alice().signed_at(NOW - 301);
    let answer = late.send(&world.gateway(), &world);
    assert_eq!(answer.problem(), "401 clock_skew");
    assert_eq!(answer.body["server_time"], NOW);
    assert_eq!(answer.body["retryable"], true);
    assert_eq!(answer.head("www-authenticate"), "AppGuard");
}

#[test]
fn each_door_names_its_scheme() {
    let world = World::new();
    let gateway = world.gateway();
    let unsigned = get("/v1/me").alice().send(&gateway, &world);
    assert_eq!(unsigned.problem(), "401 app_guard_rejected");
    assert_eq!(unsigned.head("www-authenticate"), "AppGuard");
    let missing = get("/v1/me").signed().send(&gateway, &world);
    assert_eq!(missing.problem(), "401 token_missing");
    assert_eq!(missing.head("www-authenticate"), "Bearer realm=\"airlock\"");
    let basic = get("/v1/me").header("authorization", "Basic eDp5").signed();
    let invalid = basic.send(&gateway, &world);
    assert_eq!(invalid.problem(), "401 token_invalid");
    assert!(
        invalid
            .head("www-authenticate")
            .contains("error=\"invalid_token\"")
    );
}

#[test]
fn report_and_off_let_unsigned_requests_reach_the_second_door() {
    for mode in ["report", "off"] {
        let guard = json!({"default": mode, "apps": {}}).to_string();
        let world = World::new().with("APP_GUARD", &guard);
        let gateway = world.gateway();
        assert_eq!(
            get("/v1/me").send(&gateway, &world).problem(),
            "401 token_missing"
        );
        let me = get("/v1/me").alice().send(&gateway, &world);
        assert_eq!((me.status, &me.body["app_id"]), (200, &Value::Null));
        let log = world.last_log();
        assert_eq!(
            log["guard"],
            if mode == "off" { "off" } else { "incomplete" }
        );
        assert!(world.logs.borrow().iter().any(|(level, line)| {
            *level == Level::Warn && line.contains("APP_GUARD leaves the door open")
        }));
    }
}

#[test]
fn without_a_complete_configuration_nothing_runs_and_the_log_says_why_once() {
    for (name, value) in [
        ("SUPABASE_URL", "http://project.supabase.co"),
        ("SUPABASE_PUBLISHABLE_KEY", "sb_secret_hidden"),
        ("APP_GUARD", ""),
        ("UPSTREAM_TIMEOUT_MS", "soon"),
    ] {
        let world = World::new().with(name, value);
        let gateway = world.gateway();
        for target in ["/health", "/v1/me", "/nothing"] {
            let answer = get(target).send(&gateway, &world);
            assert_eq!(answer.problem(), "503 misconfigured");
            assert!(!answer.head("retry-after").is_empty());
            assert!(!answer.body.to_string().contains(name));
        }
        let logs = world.logs.borrow();
        let naming = logs.iter().filter(|(_, line)| line.contains(name)).count();
        assert_eq!(naming, 1, "{name}");
        assert!(
            logs.iter()
                .all(|(_, line)| !line.contains("sb_secret_hidden"))
        );
    }
    let mut world = World::new();
    world.missing = Some("REPLAY");
    assert_eq!(
        get("/health").send(&world.gateway(), &world).problem(),
        "503 misconfigured"
    );
}

#[test]
fn one_log_line_a_request_without_what_must_not_be_in_it() {
    let world = World::new();
    world.will_reply(201, json!([row(1)]));
    let body = r#"{"title":"my secret title","body":"my secret body"}"#;
    let request = post().json(body).alice().signed();
    assert_eq!(request.send(&world.gateway(), &world).status, 201);
    let log = world.last_log();
    for (name, value) in [
        ("event", json!("request")),
        ("method", json!("POST")),
        ("route", json!("POST /v1/notes")),
        ("status", json!(201)),
        ("code", Value::Null),
        ("guard", json!("verified")),
        ("guard_key", json!("k1")),
        ("app_id", json!("rn-ios")),
        ("user_id", json!(ALICE)),
    ] {
        assert_eq!(log[name], value, "{name}");
    }
    let requests = world
        .logs
        .borrow()
        .iter()
        .filter(|(_, line)| line.contains("\"request\""))
        .count();
    assert_eq!(requests, 1);
    let all: String = world
        .logs
        .borrow()
        .iter()
        .map(|(_, line)| line.clone())
        .collect();
    let token = request
        .headers
        .iter()
        .find(|(n, _)| *n == "authorization")
        .unwrap();
    for hidden in [
        "my secret",
        "v1=",
        token.1.trim_start_matches("Bearer "),
        SECRET,
        APP_SECRET,
        "alice@example.com",
    ] {
        assert!(!all.contains(hidden), "{hidden}");
    }
}

#[test]
fn cors_is_off_until_origins_are_named() {
    let preflight = |origin: &str| {
        Request::new("OPTIONS", "/v1/notes")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
    };
    let world = World::new();
    let off = preflight("https://app.example").send(&world.gateway(), &world);
    assert_eq!(off.problem(), "405 method_not_allowed");
    assert_eq!(off.head("access-control-allow-origin"), "");

    let world = World::new().with("CORS_ORIGINS", "https://app.example");
    let gateway = world.gateway();
    let named = preflight("https://app.example").send(&gateway, &world);
    assert_eq!(named.status, 204);
    assert_eq!(
        named.head("access-control-allow-origin"),
        "https://app.example"
    );
    assert_eq!(
        named.head("access-control-allow-methods"),
        "GET, HEAD, POST"
    );
    let other = preflight("https://app.example.evil").send(&gateway, &world);
    assert_eq!(other.problem(), "405 method_not_allowed");
    assert_eq!(other.head("access-control-allow-origin"), "");
    let read = get("/v1/me")
        .header("origin", "https://app.example")
        .alice()
        .signed();
    let read = read.send(&gateway, &world);
    assert_eq!(
        read.head("access-control-allow-origin"),
        "https://app.example"
    );
    assert_eq!(read.head("vary"), "Origin");
}

#[test]
fn the_error_table_is_consistent() {
    let codes: HashSet<&str> = Code::ALL.iter().map(|code| code.row().code).collect();
    assert_eq!(codes.len(), Code::ALL.len());
    for code in Code::ALL {
        let row = code.row();
        assert!(
            row.status < 500 || row.retryable,
            "{}: a 5xx may pass",
            row.code
        );
    }
}

#[test]
fn every_call_out_has_its_own_deadline_and_all_statements_share_one() {
    let world = World::new()
        .with("UPSTREAM_TIMEOUT_MS", "7000")
        .with("JWKS_TIMEOUT_MS", "3000")
        .with("STORE_TIMEOUT_MS", "2000");
    // A PUT that finds nothing, finds the id taken, and then finds the note: three statements.
    world.will_reply(200, json!([]));
    world.will_reply(409, json!({"code": "23505"}));
    world.will_reply(200, json!([row(2)]));
    let put = Request::new("PUT", &format!("/v1/notes/{NOTE}")).json(r#"{"title":"t"}"#);
    let answer = put
        .token(&es256(&claims()))
        .signed()
        .send(&world.gateway(), &world);
    assert_eq!(answer.status, 200);
    let deadlines = world.deadlines.take();
    let after: Vec<_> = deadlines
        .iter()
        .map(|(what, at)| (*what, at - NOW * 1000))
        .collect();
    assert_eq!(
        after,
        [
            ("limiter", 2000),
            ("keys", 3000),
            ("limiter", 2000),
            ("nonces", 2000),
            ("database", 7000),
            ("database", 7000),
            ("database", 7000),
        ]
    );
    assert_eq!(
        world.max_bodies.take(),
        [256 * 1024, 16 << 20, 16 << 20, 16 << 20]
    );
}

#[test]
fn a_declared_size_that_fits_into_no_number_is_too_large() {
    for length in ["262145", "4294967296", "99999999999999999999999", "-1", "x"] {
        let request = post().header("content-length", length);
        assert_eq!(problem_of(request), "413 payload_too_large", "{length}");
    }
}

#[test]
fn what_an_operator_should_know_is_more_than_information() {
    for (status, body, level) in [
        (
            401,
            json!({"code": "PGRST301", "message": "No suitable key"}),
            Level::Warn,
        ),
        (
            400,
            json!({"code": "23514", "message": "violates check"}),
            Level::Warn,
        ),
        (
            404,
            json!({"code": "PGRST205", "message": "no table"}),
            Level::Error,
        ),
        (503, json!({}), Level::Warn),
        (
            409,
            json!({"code": "23505", "message": "taken"}),
            Level::Info,
        ),
    ] {
        let world = World::new();
        world.will_reply(status, body);
        post().alice().signed().send(&world.gateway(), &world);
        assert_eq!(world.logs.borrow().last().unwrap().0, level, "{status}");
    }
}

#[test]
fn what_may_write_and_what_others_wait_for_outlives_its_client() {
    let es256 = || get("/v1/me").token(&es256(&claims())).signed();
    for (request, times) in [
        (get("/v1/notes").alice().signed(), 0),
        (Request::new("HEAD", "/v1/notes").alice().signed(), 0),
        (post().alice().signed(), 1),
        (Request::new("DELETE", &format!("/v1/notes/{NOTE}")), 1),
        // The key set is fetched.
        (es256(), 1),
    ] {
        let world = World::new();
        world.will_reply(200, json!([]));
        request.send(&world.gateway(), &world);
        assert_eq!(
            world.outliving.get(),
            times,
            "{} {}",
            request.method,
            request.target
        );
    }
}

#[test]
fn a_request_ends_within_the_sum_of_its_deadlines() {
    // 30 s for the body, three stores, the key set and those who wait for it, the database.
    let default = World::new().gateway().longest();
    assert_eq!(default, 30_000 + 3 * 2_000 + 2 * 3_000 + 2_000 + 10_000);
    let slow = World::new().with("UPSTREAM_TIMEOUT_MS", "60000");
    assert_eq!(slow.gateway().longest(), default + 50_000);
}
