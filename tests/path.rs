//! The order of the steps, the checks and the configuration, through the whole path.

#![allow(missing_docs, clippy::allow_attributes, reason = "test code")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "test code")]

mod support;

use std::collections::HashSet;

use airlock::Code;
use airlock::platform::{Accept, BodyError, Level, Limiter, Unanswered};
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
    request.send(&world.pipeline(), &world).problem()
}

#[test]
fn every_response_has_a_request_id_and_is_not_cached() {
    let world = World::new();
    let pipeline = world.pipeline();
    for request in [get("/health"), get("/nothing"), get("/v1/me"), get("/v1/me").alice().signed()] {
        let answer = request.send(&pipeline, &world);
        assert_eq!(answer.head("x-request-id").len(), 36);
        assert_eq!(answer.head("cache-control"), "no-store");
        if answer.status >= 400 {
            assert_eq!(answer.body["request_id"], answer.head("x-request-id"));
        }
    }
}

#[test]
fn probes_and_problems_have_the_version_of_the_worker() {
    let world = World::new().with("AIRLOCK_COMMIT", "abc");
    let pipeline = world.pipeline();
    let version = concat!(env!("CARGO_PKG_VERSION"), "+abc");
    for request in [get("/health"), get("/nothing"), get("/v1/me"), get("/v1/me").signed()] {
        assert_eq!(request.send(&pipeline, &world).head("x-airlock-version"), version);
    }
    let answer = get("/v1/me").alice().signed().send(&pipeline, &world);
    assert_eq!((answer.status, answer.head("x-airlock-version")), (200, ""));
}

#[test]
fn public_documents_need_no_proof_and_no_limit() {
    let world = World::new();
    world.limits.set(Ok(false));
    let pipeline = world.pipeline();
    assert_eq!(get("/health").send(&pipeline, &world).body, json!({"status": "ok"}));
    let document = get("/openapi.json").send(&pipeline, &world);
    assert_eq!(document.status, 200);
    assert_eq!(document.head("cache-control"), "public, max-age=300");
    assert!(world.throttled.borrow().is_empty());
}

#[test]
fn head_is_get_without_a_body() {
    let world = World::new();
    let pipeline = world.pipeline();
    let answer = Request::new("HEAD", "/v1/me").alice().signed().send(&pipeline, &world);
    assert_eq!(answer.status, 200);
    assert!(answer.bytes.is_empty());
    let refused = Request::new("HEAD", "/v1/me").send(&pipeline, &world);
    assert_eq!(refused.status, 401);
    assert!(refused.bytes.is_empty());
}

#[test]
fn me_shows_the_session() {
    let world = World::new();
    let pipeline = world.pipeline();
    let me = get("/v1/me").alice().signed().send(&pipeline, &world);
    assert_eq!(
        me.body,
        json!({
            "sub": ALICE, "email": "alice@example.com", "session_id": "s", "aal": "aal1",
            "is_anonymous": false, "exp": NOW + 3600, "app_id": "rn-ios"
        })
    );
    let bare =
        json!({"iss": ISSUER, "aud": ["x", "authenticated"], "role": "authenticated", "sub": ALICE, "exp": NOW + 1});
    let me = get("/v1/me").token(&hs256(&bare)).signed().send(&pipeline, &world);
    assert_eq!(
        me.body,
        json!({
            "sub": ALICE, "email": null, "session_id": null, "aal": null, "is_anonymous": false,
            "exp": NOW + 1, "app_id": "rn-ios"
        })
    );
}

/// Each request fails every step from its own on, and is refused by the first of them.
#[test]
fn steps_come_in_their_order() {
    let world = World::new();
    world.limits.set(Ok(false));
    world.user_limit.set(Ok(false));
    let pipeline = world.pipeline();
    let problem = |request: &Request| request.send(&pipeline, &world).problem();
    let large = "x".repeat(256 * 1024 + 1);

    let mut request = Request::new("POST", "/v1/notes/").json(&large).header("content-length", "262145");
    assert_eq!(problem(&request), "404 not_found");

    request.target = "/v1/notes".to_owned();
    assert_eq!(problem(&request), "413 payload_too_large");

    request = request.header("content-length", "1");
    assert_eq!(problem(&request), "401 app_guard_rejected");

    // The limiter has refused this address by now.
    request = request.signed();
    assert_eq!(problem(&request), "429 rate_limited");
    assert_eq!(request.reads.get(), 0);

    world.limits.set(Ok(true));
    world.pass(60);
    assert_eq!(problem(&request), "413 payload_too_large");
    assert_eq!(request.reads.get(), 1);

    request.body = b"nonsense".to_vec();
    assert_eq!(problem(&request), "401 app_guard_rejected");

    request = request.signed_at(NOW - 300);
    assert_eq!(problem(&request), "401 clock_skew");

    request = request.signed();
    assert_eq!(problem(&request), "401 token_missing");

    request = request.alice().signed();
    assert_eq!(problem(&request), "429 rate_limited");

    world.user_limit.set(Ok(true));
    assert_eq!(problem(&request), "400 malformed_json");
    assert!(world.sent.borrow().is_empty());

    let (status, body) = with_row("created", &row(1));
    world.will_reply(status, body);
    assert_eq!(post().alice().signed().send(&pipeline, &world).status, 201);
}

// Limits.

/// The addresses that these requests count against.
fn counted(world: &World, request: &Request) -> Vec<String> {
    world.throttled.take();
    let pipeline = world.pipeline();
    request.send(&pipeline, world);
    let throttled = world.throttled.take().into_iter();
    throttled.filter(|(limiter, _)| *limiter == Limiter::Ip).map(|(_, key)| key).collect()
}

#[test]
fn only_refusals_that_an_attacker_causes_count_against_the_address() {
    let expired = hs256(&claims_with("exp", json!(NOW - 60)));
    let mut forged = get("/v1/me").alice().signed();
    forged.target.push('?');
    for (request, counts) in [
        (get("/v1/me"), true),
        (forged, true),
        (post().header("content-length", "262145"), true),
        (post().json(&"x".repeat(256 * 1024 + 1)).alice().signed(), true),
        (get("/v1/me").signed(), true),
        (get("/v1/me").token("a.b.c").signed(), true),
        (get("/v1/me").alice().signed(), false),
        (get("/v1/me").alice().signed_at(NOW - 301), false),
        (get("/v1/me").token(&expired).signed(), false),
        (get("/v1/me?x=1").alice().signed(), false),
        (post().json("{").alice().signed(), false),
        (get("/nothing"), false),
        (Request::new("PUT", "/v1/me"), false),
        (get("/health"), false),
    ] {
        let request = request.header("cf-connecting-ip", "2001:db8::7");
        let expected = if counts { vec!["2001:db8:0:0::/64"] } else { vec![] };
        let world = World::new();
        assert_eq!(counted(&world, &request), expected, "{} {}", request.method, request.target);
    }
}

#[test]
fn readiness_is_asked_again_after_fifteen_seconds() {
    let world = World::new();
    world.will_reply(200, json!(true));
    world.will_reply(200, json!(false));
    world.will_reply(200, json!(true));
    let pipeline = world.pipeline();
    let start = world.now.get();
    for (after, status) in [(0, 200), (14_999, 200), (15_000, 503), (29_999, 503), (30_000, 200)] {
        world.now.set(start + after);
        assert_eq!(get("/ready").send(&pipeline, &world).status, status, "{after}");
    }
    assert!(world.replies.borrow().is_empty());
    assert_eq!(world.throttled.borrow()[0].1, ":ready unknown");
}

#[test]
fn every_request_counts_against_the_address_where_signatures_are_not_enforced() {
    for mode in ["report", "off"] {
        let guard = json!({"default": mode, "apps": {}}).to_string();
        let world = World::new().with("APP_GUARD", &guard);
        assert_eq!(counted(&world, &get("/v1/me").alice()), ["unknown"]);
        // Once, if it is refused as well.
        assert_eq!(counted(&world, &get("/v1/me")), ["unknown"]);
    }
}

#[test]
fn address_over_its_limit_is_refused_for_the_rest_of_the_period() {
    let world = World::new();
    let pipeline = world.pipeline();
    let from = |address: &str| get("/v1/me").header("cf-connecting-ip", address);
    let verdict = |request: Request| request.send(&pipeline, &world).verdict();
    let good = || from("203.0.113.7").alice().signed();

    world.limits.set(Err(Unanswered));
    assert_eq!(verdict(from("203.0.113.7")), "401 app_guard_rejected");
    assert_eq!(verdict(good()), "200", "a failing limiter remembers nothing");

    world.limits.set(Ok(false));
    // The refusal itself is answered as it is.
    assert_eq!(verdict(from("203.0.113.7")), "401 app_guard_rejected");
    let refused = good();
    let answer = refused.send(&pipeline, &world);
    assert_eq!(answer.problem(), "429 rate_limited");
    assert_eq!(answer.head("retry-after"), "60");
    assert_eq!(refused.reads.get(), 0);
    world.throttled.borrow_mut().clear();
    assert_eq!(verdict(from("203.0.113.7")), "401 app_guard_rejected");
    assert!(world.throttled.borrow().is_empty(), "it is not counted again");
    assert_eq!(verdict(from("203.0.113.8").alice().signed()), "200");

    world.pass(59);
    assert_eq!(verdict(good()), "429 rate_limited");
    world.pass(1);
    assert_eq!(verdict(good()), "200");
}

#[test]
fn user_limit_is_per_user_and_per_app_and_address_without_a_user() {
    let world = World::new();
    let pipeline = world.pipeline();
    world.will_reply(200, Value::Null);
    let public = format!("/v1/public/notes/{ID}");
    for request in [get("/v1/me").alice(), get(&public)] {
        request.header("cf-connecting-ip", "203.0.113.7").signed().send(&pipeline, &world);
    }
    let users = |key: &str| (Limiter::User, key.to_owned());
    assert_eq!(*world.throttled.borrow(), [users(ALICE), users("rn-ios 203.0.113.7")]);
    for (verdict, expected) in [(Ok(false), "429 rate_limited"), (Err(Unanswered), "503 dependency_unavailable")] {
        world.user_limit.set(verdict);
        for request in [get("/v1/me").alice(), get(&public)] {
            let answer = request.signed().send(&pipeline, &world);
            assert_eq!(answer.problem(), expected);
            assert!(!answer.head("retry-after").is_empty());
        }
    }
}

#[test]
fn ready_counts_in_a_bucket_that_no_app_has() {
    let world = World::new();
    world.will_reply(200, json!(true));
    get("/ready").header("cf-connecting-ip", "203.0.113.7").send(&world.pipeline(), &world);
    assert_eq!(*world.throttled.borrow(), [(Limiter::User, ":ready 203.0.113.7".to_owned())]);
}

#[test]
fn body_of_256_kib_is_read_and_one_byte_more_is_not() {
    let title = |bytes: usize| format!(r#"{{"title":"{}"}}"#, "x".repeat(bytes - 12));
    let signed = |bytes| post().json(&title(bytes)).alice().signed();
    assert_eq!(problem_of(signed(256 * 1024)), "422 validation_failed");
    assert_eq!(problem_of(signed(256 * 1024 + 1)), "413 payload_too_large");
    let mut faulty = signed(100);
    faulty.fault = Some(BodyError::Broken);
    assert_eq!(problem_of(faulty.clone()), "400 malformed_request");
    for (fault, reason) in
        [(BodyError::Slow, "the request body was slow"), (BodyError::Busy, "the isolate holds too many request bodies")]
    {
        faulty.fault = Some(fault);
        let world = World::new();
        let answer = faulty.send(&world.pipeline(), &world);
        assert_eq!(answer.problem(), "503 dependency_unavailable");
        assert_eq!(answer.head("retry-after"), "5");
        assert_eq!(world.last_log()["reason"], reason);
    }
}

#[test]
fn clock_skew_has_the_server_time_and_is_retryable() {
    let world = World::new();
    let late = get("/v1/me").alice().signed_at(NOW - 301);
    let answer = late.send(&world.pipeline(), &world);
    assert_eq!(answer.problem(), "401 clock_skew");
    assert_eq!(answer.body["server_time"], NOW);
    assert_eq!(answer.body["retryable"], true);
    assert_eq!(answer.head("www-authenticate"), "AppGuard");
}

#[test]
fn retired_key_gets_426_with_the_message_for_the_user() {
    for (message, expected) in [(json!("Please update."), json!("Please update.")), (Value::Null, Value::Null)] {
        let key = json!({"id": "k1", "secret": APP_SECRET, "retired": true, "message": message});
        let guard = json!({"apps": {"rn-ios": {"keys": [key]}}}).to_string();
        let world = World::new().with("APP_GUARD", &guard);
        let answer = get("/v1/me").alice().signed().send(&world.pipeline(), &world);
        assert_eq!(answer.problem(), "426 upgrade_required");
        assert_eq!(answer.body["retryable"], false);
        assert_eq!(answer.body["message"], expected);
        assert_eq!(answer.body.as_object().unwrap().contains_key("message"), !expected.is_null());
        let log = world.last_log();
        assert_eq!((&log["guard"], &log["guard_key"]), (&json!("retired"), &json!("k1")));
    }
}

#[test]
fn each_401_names_its_scheme() {
    let world = World::new();
    let pipeline = world.pipeline();
    let unsigned = get("/v1/me").alice().send(&pipeline, &world);
    assert_eq!(unsigned.problem(), "401 app_guard_rejected");
    assert_eq!(unsigned.head("www-authenticate"), "AppGuard");
    let missing = get("/v1/me").signed().send(&pipeline, &world);
    assert_eq!(missing.problem(), "401 token_missing");
    assert_eq!(missing.head("www-authenticate"), "Bearer realm=\"airlock\"");
    let basic = get("/v1/me").header("authorization", "Basic eDp5").signed();
    let invalid = basic.send(&pipeline, &world);
    assert_eq!(invalid.problem(), "401 token_invalid");
    assert!(invalid.head("www-authenticate").contains("error=\"invalid_token\""));
}

#[test]
fn report_and_off_admit_unsigned_requests() {
    for mode in ["report", "off"] {
        let guard = json!({"default": mode, "apps": {}}).to_string();
        let world = World::new().with("APP_GUARD", &guard);
        let pipeline = world.pipeline();
        assert_eq!(get("/v1/me").send(&pipeline, &world).problem(), "401 token_missing");
        let me = get("/v1/me").alice().send(&pipeline, &world);
        assert_eq!((me.status, &me.body["app_id"]), (200, &Value::Null));
        let log = world.last_log();
        assert_eq!(log["guard"], if mode == "off" { "off" } else { "incomplete" });
        assert!(
            world
                .logs
                .borrow()
                .iter()
                .any(|(level, line)| { *level == Level::Warn && line.contains("APP_GUARD does not enforce") })
        );
    }
}

#[test]
fn incomplete_configuration_is_503_and_each_line_names_it() {
    for (name, value) in [
        ("SUPABASE_URL", "http://project.supabase.co"),
        ("SUPABASE_PUBLISHABLE_KEY", "sb_secret_hidden"),
        ("APP_GUARD", ""),
        ("UPSTREAM_TIMEOUT_MS", "soon"),
    ] {
        let world = World::new().with(name, value);
        let pipeline = world.pipeline();
        for target in ["/health", "/v1/me", "/nothing"] {
            let answer = get(target).send(&pipeline, &world);
            assert_eq!(answer.problem(), "503 misconfigured");
            assert_eq!(answer.head("retry-after"), "60");
            assert!(!answer.body.to_string().contains(name));
        }
        let logs = world.logs.borrow();
        let lines = logs.iter().map(|(_, line)| serde_json::from_str::<Value>(line).unwrap());
        let events: Vec<String> = lines
            .map(|line| {
                let reason = ["message", "reason"].iter().find_map(|member| line[*member].as_str()).unwrap();
                assert!(reason.starts_with(&format!("{name} ")), "{reason}");
                line["event"].to_string()
            })
            .collect();
        assert_eq!(events, ["\"misconfigured\"", "\"request\"", "\"request\"", "\"request\""], "{name}");
        assert!(logs.iter().all(|(_, line)| !line.contains("sb_secret_hidden")));
    }
    let mut world = World::new();
    world.missing = Some("LIMIT_USER");
    assert_eq!(get("/health").send(&world.pipeline(), &world).problem(), "503 misconfigured");
}

#[test]
fn contradicting_declaration_is_503_and_logged_by_section_and_field() {
    let mut world = World::new();
    world.declaration = r#"{"resources": {"notes": {"owner": "user", "fields": {"title": "txt"}}}}"#.to_owned();
    let answer = get("/health").send(&world.pipeline(), &world);
    assert_eq!(answer.problem(), "503 misconfigured");
    let logs = world.logs.borrow();
    let (level, line) = &logs[0];
    assert_eq!(*level, Level::Error);
    let line: Value = serde_json::from_str(line).unwrap();
    let message = line["message"].as_str().unwrap();
    assert!(message.starts_with("airlock.toml resources.notes.fields.title: "), "{message}");
}

#[test]
fn each_request_has_one_log_line_without_secrets_or_content() {
    let world = World::new();
    let (status, created) = with_row("created", &row(1));
    world.will_reply(status, created);
    let body = r#"{"title":"my secret title","body":"my secret body"}"#;
    let request = post().json(body).alice().signed();
    assert_eq!(request.send(&world.pipeline(), &world).status, 201);
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
    let requests = world.logs.borrow().iter().filter(|(_, line)| line.contains("\"request\"")).count();
    assert_eq!(requests, 1);
    let all: String = world.logs.borrow().iter().map(|(_, line)| line.clone()).collect();
    // With a claim header, a caller of PostgREST could pass for the Worker.
    let claim = world.sent.borrow()[0].header("x-airlock-claim").map(str::to_owned);
    let token = request.headers.iter().find(|(n, _)| *n == "authorization").unwrap();
    for hidden in [
        "my secret",
        "v1=",
        token.1.trim_start_matches("Bearer "),
        &claim.unwrap(),
        SECRET,
        APP_SECRET,
        "alice@example.com",
    ] {
        assert!(!all.contains(hidden), "{hidden}");
    }
}

#[test]
fn one_in_so_many_good_reads_has_a_log_line() {
    let world = World::new().with("LOG_READS_ONE_IN", "4");
    let pipeline = world.pipeline();
    world.logs.take();
    for _ in 0..400 {
        assert_eq!(get("/v1/me").alice().signed().send(&pipeline, &world).status, 200);
    }
    let lines = world.logs.take();
    assert!((60..=140).contains(&lines.len()), "{}", lines.len());
    assert!(lines.iter().all(|(_, line)| line.contains("\"one_in\":4")));
    // Each refusal and each write has a line.
    for _ in 0..20 {
        get("/v1/me").signed().send(&pipeline, &world);
        let (status, created) = with_row("created", &row(1));
        world.will_reply(status, created);
        post().json(r#"{"title":"a"}"#).alice().signed().send(&pipeline, &world);
    }
    let lines = world.logs.take();
    assert_eq!(lines.len(), 40);
    assert!(lines.iter().all(|(_, line)| !line.contains("one_in")));
}

#[test]
fn log_line_names_the_client_in_a_bounded_form() {
    let world = World::new();
    let pipeline = world.pipeline();
    let long = "a".repeat(65);
    for (stated, logged) in [
        ("react-native-airlock/0.1.0", json!("react-native-airlock/0.1.0")),
        ("", Value::Null),
        ("a\"b", Value::Null),
        ("é", Value::Null),
        (&long, Value::Null),
    ] {
        get("/v1/me").header("x-client-info", stated).alice().signed().send(&pipeline, &world);
        assert_eq!(world.last_log()["client"], logged, "{stated}");
    }
}

#[test]
fn refused_signature_is_logged_with_the_claimed_app_id() {
    let world = World::new();
    let pipeline = world.pipeline();
    for (stated, claimed) in [("rn-ios", json!("rn-ios")), ("another", json!("another")), ("not an id", Value::Null)] {
        get("/v1/me").header("x-app-id", stated).alice().send(&pipeline, &world);
        assert_eq!(world.last_log()["claimed_app_id"], claimed, "{stated}");
        assert_eq!(world.last_log()["app_id"], Value::Null, "{stated}");
    }
    get("/v1/me").alice().signed().send(&pipeline, &world);
    assert_eq!(world.last_log()["app_id"], json!("rn-ios"));
    assert_eq!(world.last_log()["claimed_app_id"], Value::Null);
}

#[test]
fn cors_is_off_until_origins_are_named() {
    let preflight = |origin: &str| {
        Request::new("OPTIONS", "/v1/notes").header("origin", origin).header("access-control-request-method", "POST")
    };
    let world = World::new();
    let off = preflight("https://app.example").send(&world.pipeline(), &world);
    assert_eq!(off.problem(), "405 method_not_allowed");
    assert_eq!(off.head("access-control-allow-origin"), "");

    let world = World::new().with("CORS_ORIGINS", "https://app.example");
    let pipeline = world.pipeline();
    let named = preflight("https://app.example").send(&pipeline, &world);
    assert_eq!(named.status, 204);
    assert_eq!(named.head("access-control-allow-origin"), "https://app.example");
    assert_eq!(named.head("access-control-allow-methods"), "GET, HEAD, POST");
    let other = preflight("https://app.example.evil").send(&pipeline, &world);
    assert_eq!(other.problem(), "405 method_not_allowed");
    assert_eq!(other.head("access-control-allow-origin"), "");
    let read = get("/v1/me").header("origin", "https://app.example").alice().signed();
    let read = read.send(&pipeline, &world);
    assert_eq!(read.head("access-control-allow-origin"), "https://app.example");
    assert_eq!(read.head("vary"), "Origin");
}

#[test]
fn a_5xx_is_retryable_and_a_4xx_is_not_except_five() {
    let definitions: Vec<_> = Code::ALL.iter().map(|code| code.definition()).collect();
    let codes: HashSet<&str> = definitions.iter().map(|one| one.code).collect();
    assert_eq!(codes.len(), Code::ALL.len());
    let retryable: Vec<&str> =
        definitions.iter().filter(|one| one.status < 500 && one.retryable).map(|one| one.code).collect();
    let expected = ["clock_skew", "attestation_missing", "attestation_expired", "token_expired", "rate_limited"];
    assert_eq!(retryable, expected);
    assert!(definitions.iter().all(|one| one.status < 500 || one.retryable));
}

#[test]
fn each_call_has_a_deadline_and_calls_of_the_database_share_one() {
    let world = World::new()
        .with("UPSTREAM_TIMEOUT_MS", "7000")
        .with("JWKS_TIMEOUT_MS", "3000")
        .with("STORE_TIMEOUT_MS", "2000");
    let (status, rolled_back) = error(500, "40001", "could not serialize access");
    world.will_reply(status, rolled_back);
    let (status, created) = with_row("created", &row(1));
    world.will_reply(status, created);
    let answer = post().token(&es256(&claims())).signed().send(&world.pipeline(), &world);
    assert_eq!(answer.status, 201);
    let deadlines = world.deadlines.take();
    let after: Vec<_> = deadlines.iter().map(|(what, at)| (*what, at - NOW * 1000)).collect();
    assert_eq!(after, [("keys", 3000), ("limiter", 2000), ("database", 7000), ("database", 7000)]);
    let whole = |max| Accept::Whole { max };
    assert_eq!(world.accepts.take(), [whole(256 * 1024), whole(16 << 20), whole(16 << 20)]);
}

#[test]
fn declared_size_over_256_kib_is_413() {
    for length in ["262145", "4294967296", "99999999999999999999999", "-1", "x"] {
        let request = post().header("content-length", length);
        assert_eq!(problem_of(request), "413 payload_too_large", "{length}");
    }
}

#[test]
fn writes_and_key_set_fetches_outlive_their_client() {
    let es256 = || get("/v1/me").token(&es256(&claims())).signed();
    for (request, times) in [
        (get("/v1/notes").alice().signed(), 0),
        (Request::new("HEAD", "/v1/notes").alice().signed(), 0),
        (post().alice().signed(), 1),
        (Request::new("DELETE", &format!("/v1/notes/{ID}")).signed(), 1),
        // The key set is fetched.
        (es256(), 1),
    ] {
        let world = World::new();
        world.will_reply(200, json!({"outcome": "missing"}));
        request.send(&world.pipeline(), &world);
        assert_eq!(world.outliving.get(), times, "{} {}", request.method, request.target);
    }
}

#[test]
fn longest_is_the_sum_of_all_deadlines() {
    // 30 s for the body, two limiters, the key set and waiting for it, the database.
    let default = World::new().pipeline().longest();
    assert_eq!(default, 30_000 + 2 * 2_000 + 2 * 3_000 + 2_000 + 10_000);
    let slow = World::new().with("UPSTREAM_TIMEOUT_MS", "60000");
    assert_eq!(slow.pipeline().longest(), default + 50_000);
    let attest = json!({"mode": "report", "firebase": {"project": "1", "app_ids": ["1:1:ios:a"]}});
    let app = json!({"attest": attest, "keys": [{"id": "k1", "secret": APP_SECRET}]});
    let attested = World::new().with("APP_GUARD", &json!({"apps": {"a": app}}).to_string());
    assert_eq!(attested.pipeline().longest(), default + 2 * 3_000 + 2_000, "another key set");
}
