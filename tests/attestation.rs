//! Attestation through the whole path, with a clock that the test sets and the key of RFC 7515 A.2.

#![allow(missing_docs, clippy::allow_attributes, reason = "test code")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "test code")]

mod support;

use airlock::pipeline::Pipeline;
use airlock::platform::{Limiter, SendError, Unanswered};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use support::*;

const PROJECT: &str = "123456789012";
const APP: &str = "1:123456789012:ios:0a1b2c3d";
const KEY: &str = "rfc7515_a2";
const MISSING: &str = "401 attestation_missing";
const EXPIRED: &str = "401 attestation_expired";
const INVALID: &str = "401 attestation_invalid";
const UNAVAILABLE: &str = "503 dependency_unavailable";
const PLACEHOLDER: &str = "eyJlcnJvciI6IlVOS05PV05fRVJST1IifQ==";

fn firebase(mode: &str) -> Value {
    json!({"mode": mode, "firebase": {"project": PROJECT, "app_ids": [APP]}})
}

/// A world whose app `rn-ios` has this `attest`, and whose key sets, the project's and App Check's, are one.
fn world(attest: &Value) -> World {
    let guard = json!({"apps": {"rn-ios": {"attest": attest, "keys": [{"id": "k1", "secret": APP_SECRET}]}}});
    let world = World::new().with("APP_GUARD", &guard.to_string());
    serve(&world, &[jwk(KEY, "g1"), jwk("ec", "ec-1")]);
    world
}

fn claims_of_app() -> Value {
    json!({
        "iss": format!("https://firebaseappcheck.googleapis.com/{PROJECT}"),
        "aud": [format!("projects/{PROJECT}"), "projects/my-project"],
        "sub": APP, "iat": NOW, "exp": NOW + 3600
    })
}

fn app_claims_with(name: &str, value: Value) -> Value {
    let mut claims = claims_of_app();
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name)
    } else {
        claims.as_object_mut().unwrap().insert(name.to_owned(), value)
    };
    claims
}

fn token_of(claims: &Value) -> String {
    jws(r#"{"kid":"g1","typ":"JWT","alg":"RS256"}"#, &claims.to_string(), KEY)
}

fn with_header(header: &str) -> String {
    jws(header, &claims_of_app().to_string(), KEY)
}

fn get(token: &str) -> Request {
    Request::new("GET", "/v1/me").alice().header("x-firebase-appcheck", token).signed()
}

/// The answer to a request with this token, and its verdict in the log.
fn judged(world: &World, pipeline: &Pipeline, request: &Request) -> (String, Value) {
    let verdict = request.send(pipeline, world).verdict();
    (verdict, world.last_log()["attest"].clone())
}

fn check(token: &str, verdict: &str, logged: &str) {
    let world = world(&firebase("enforce"));
    let found = judged(&world, &world.pipeline(), &get(token));
    assert_eq!(found, (verdict.to_owned(), json!(logged)), "{token}");
}

#[test]
fn token_of_a_listed_app_is_accepted_and_logged() {
    let world = world(&firebase("enforce"));
    let pipeline = world.pipeline();
    assert_eq!(get(&token_of(&claims_of_app())).send(&pipeline, &world).verdict(), "200");
    let line = world.last_log();
    assert_eq!(
        (&line["attest"], &line["attest_by"], &line["attest_app"]),
        (&json!("verified"), &json!("firebase"), &json!(APP))
    );
    assert!(!line.to_string().contains("eyJ"), "{line}");
}

#[test]
fn signature_of_rfc_7515_a2_is_deterministic() {
    let payload = "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";
    let token = jws(r#"{"alg":"RS256"}"#, payload, KEY);
    assert!(token.ends_with(".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"));
}

#[test]
fn claims_are_judged_exactly() {
    let number = |number: &str| format!("https://firebaseappcheck.googleapis.com/{number}");
    for (name, value, verdict, logged) in [
        ("iss", json!(number("12345678901")), INVALID, "wrong_project"),
        ("iss", json!(number("1234567890123")), INVALID, "wrong_project"),
        ("iss", json!(number("123456789012/")), INVALID, "wrong_project"),
        ("iss", json!(number("")), INVALID, "wrong_project"),
        ("iss", json!([number(PROJECT)]), INVALID, "wrong_project"),
        ("iss", Value::Null, INVALID, "wrong_project"),
        ("aud", json!(format!("projects/{PROJECT}")), "200", "verified"),
        ("aud", json!("projects/1234567890123"), INVALID, "wrong_project"),
        ("aud", json!(PROJECT), INVALID, "wrong_project"),
        ("aud", json!(["projects/my-project"]), INVALID, "wrong_project"),
        ("aud", json!(["projects/210987654321"]), INVALID, "wrong_project"),
        ("aud", json!([PROJECT]), INVALID, "wrong_project"),
        ("aud", json!([[format!("projects/{PROJECT}")]]), INVALID, "wrong_project"),
        ("aud", Value::Null, INVALID, "wrong_project"),
        ("sub", json!("1:123456789012:android:0a1b2c3d"), INVALID, "wrong_app"),
        ("sub", json!([APP]), INVALID, "wrong_app"),
        ("sub", Value::Null, INVALID, "wrong_app"),
        ("exp", json!(NOW - 29), "200", "verified"),
        ("exp", json!(NOW - 30), EXPIRED, "expired"),
        ("exp", Value::Null, INVALID, "malformed"),
        ("exp", json!((NOW + 60).to_string()), INVALID, "malformed"),
        ("exp", json!(NOW as f64 + 0.5), INVALID, "malformed"),
        ("exp", json!(1e18), INVALID, "malformed"),
        ("exp", json!(NOW + 7 * 86_400), "200", "verified"),
        ("exp", json!(NOW + 7 * 86_400 + 1), INVALID, "malformed"),
        ("iat", json!(NOW + 30), "200", "verified"),
        ("iat", json!(NOW + 31), INVALID, "malformed"),
        ("iat", Value::Null, INVALID, "malformed"),
        ("x", json!("\u{0}"), INVALID, "malformed"),
    ] {
        check(&token_of(&app_claims_with(name, value)), verdict, logged);
    }
    let repeated = claims_of_app().to_string().replacen('{', r#"{"sub":"x","#, 1);
    check(&jws(r#"{"kid":"g1","alg":"RS256"}"#, &repeated, KEY), INVALID, "malformed");
    // Expired and wrong: the time comes last.
    let mut both = app_claims_with("exp", json!(NOW - 30));
    both["sub"] = json!("1:123456789012:ios:ffff");
    check(&token_of(&both), INVALID, "wrong_app");
}

#[test]
fn headers_of_a_token_are_judged_exactly() {
    for (header, logged) in [
        (r#"{"alg":"RS256"}"#, "malformed"),
        (r#"{"kid":"g1","alg":"ES256"}"#, "malformed"),
        (r#"{"kid":"ec-1","alg":"ES256"}"#, "malformed"),
        (r#"{"kid":"g1","alg":"HS256"}"#, "malformed"),
        (r#"{"kid":"g1","alg":"none"}"#, "malformed"),
        (r#"{"kid":"g1","alg":"RS256","crit":["exp"]}"#, "malformed"),
        (r#"{"kid":"g1","alg":"RS256","b64":true}"#, "malformed"),
        (r#"{"kid":"g1","alg":"RS256","typ":"at+jwt"}"#, "malformed"),
        (r#"{"kid":"ec-1","alg":"RS256"}"#, "malformed"),
        (r#"{"kid":"g2","alg":"RS256"}"#, "unknown_key"),
    ] {
        check(&with_header(header), INVALID, logged);
    }
    let good = token_of(&claims_of_app());
    let other = token_of(&app_claims_with("iat", json!(NOW - 1)));
    let (input, _) = good.rsplit_once('.').unwrap();
    let (_, signature) = other.rsplit_once('.').unwrap();
    check(&format!("{input}.{signature}"), INVALID, "bad_signature");
    check(&format!("{good}, {good}"), INVALID, "malformed");
    check(&"a".repeat(9000), INVALID, "malformed");
    check("eyJh.e30", INVALID, "malformed");
}

#[test]
fn word_in_the_place_of_a_token_is_a_missing_one() {
    check(PLACEHOLDER, MISSING, "placeholder");
    check("", MISSING, "missing");
    for word in ["NO_NETWORK", "POOR_NETWORK", "MITM_DETECTED", "REJECTED"] {
        check(word, MISSING, "placeholder");
    }
    let world = world(&firebase("enforce"));
    let pipeline = world.pipeline();
    let absent = get("").without("x-firebase-appcheck");
    let answer = absent.send(&pipeline, &world);
    assert_eq!(answer.problem(), MISSING);
    assert_eq!(answer.head("www-authenticate"), "AppGuard");
    assert_eq!(answer.body["retryable"], true);
    assert_eq!(world.last_log()["attest"], "missing");
    assert_eq!(world.last_log()["app_id"], "rn-ios");
    assert_eq!(world.key_set_fetches.get(), 0);
}

#[test]
fn user_token_and_attestation_token_do_not_replace_each_other() {
    let world = world(&firebase("enforce"));
    let pipeline = world.pipeline();
    let mut user = claims();
    user["sub"] = json!(ALICE);
    let user = jws(r#"{"alg":"RS256","kid":"g1"}"#, &user.to_string(), KEY);
    let app = token_of(&claims_of_app());
    let both = |token: &str, attest: &str| {
        let request = Request::new("GET", "/v1/me").token(token).header("x-firebase-appcheck", attest);
        request.signed().send(&pipeline, &world).verdict()
    };
    assert_eq!(both(&user, &app), "200", "both are known from now on");
    assert_eq!(both(&user, &user), INVALID);
    assert_eq!(both(&app, &app), "401 token_invalid");
    assert_eq!(both(&app, &user), INVALID);
}

#[test]
fn report_answers_as_without_attestation_and_logs_the_verdict() {
    let world = world(&firebase("report"));
    let pipeline = world.pipeline();
    for (token, logged) in [
        (token_of(&claims_of_app()), "verified"),
        (token_of(&app_claims_with("exp", json!(NOW - 30))), "expired"),
        (token_of(&app_claims_with("sub", json!("1:123456789012:ios:ffff"))), "wrong_app"),
        (PLACEHOLDER.to_owned(), "placeholder"),
        (String::new(), "missing"),
        ("x".to_owned(), "malformed"),
        (with_header(r#"{"kid":"g2","alg":"RS256"}"#), "unknown_key"),
        (with_header(r#"{"kid":"g3","alg":"RS256"}"#), "unknown_key"),
    ] {
        assert_eq!(judged(&world, &pipeline, &get(&token)), ("200".to_owned(), json!(logged)), "{token}");
    }
    assert!(world.throttled.borrow().iter().all(|(_, key)| key == ALICE), "nothing else is counted");

    serve(&world, &[]);
    *world.key_set.borrow_mut() = Err(SendError::Timeout);
    let cold = world.pipeline();
    let token = token_of(&claims_of_app());
    assert_eq!(judged(&world, &cold, &get(&token)), ("200".to_owned(), json!("keys_unavailable")));
}

#[test]
fn off_is_logged_and_absent_is_not() {
    let world = world(&firebase("off"));
    let found = judged(&world, &world.pipeline(), &get("x"));
    assert_eq!(found, ("200".to_owned(), json!("off")));
    let without = World::new();
    let found = judged(&without, &without.pipeline(), &get("x"));
    assert_eq!(found, ("200".to_owned(), Value::Null));
    let read = |world: &World| world.pipeline().headers().lines().filter(|name| !name.is_empty()).count();
    assert_eq!(read(&world), read(&without) + 2, "headers that nobody asks for are not read");
}

#[test]
fn attestation_comes_after_the_signature_and_before_the_token() {
    let world = world(&firebase("enforce"));
    let pipeline = world.pipeline();
    let forged = token_of(&app_claims_with("sub", json!("x")));
    let send = |request: &Request| request.send(&pipeline, &world).verdict();
    let mut request = Request::new("GET", "/v1/me").header("x-firebase-appcheck", &forged);
    assert_eq!(send(&request), "401 app_guard_rejected");
    let mut changed = request.clone().signed();
    changed.target.push('?');
    assert_eq!(send(&changed), "401 app_guard_rejected");
    assert_eq!(send(&request.clone().signed_at(NOW - 301)), "401 clock_skew");
    assert_eq!((world.key_set_fetches.get(), world.verifications.get()), (0, 0), "no work without a key");
    assert!(world.logs.borrow().iter().all(|(_, line)| !line.contains("attest")));

    request = request.signed();
    assert_eq!(send(&request), INVALID);
    request = request.header("x-firebase-appcheck", &token_of(&claims_of_app()));
    assert_eq!(send(&request), "401 token_missing", "the header is not signed");

    let public = Request::new("GET", &format!("/v1/public/notes/{ID}")).signed();
    assert_eq!(send(&public), MISSING);
    world.will_reply(200, Value::Null);
    assert_eq!(send(&public.header("x-firebase-appcheck", &token_of(&claims_of_app()))), "404 not_found");

    let key = json!({"id": "k1", "secret": APP_SECRET, "retired": true});
    let retired = json!({"apps": {"rn-ios": {"attest": firebase("enforce"), "keys": [key]}}});
    let retired = World::new().with("APP_GUARD", &retired.to_string());
    let answer = get("").send(&retired.pipeline(), &retired);
    assert_eq!(answer.problem(), "426 upgrade_required");
}

#[test]
fn key_has_an_attestation_of_its_own() {
    let other = "ISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0-P0A";
    for (own, verdict) in [(firebase("enforce"), MISSING), (json!({"mode": "off"}), "200")] {
        let keys = json!([{"id": "old", "secret": other}, {"id": "new", "secret": APP_SECRET, "attest": own}]);
        let of_app = if verdict == "200" { firebase("enforce") } else { Value::Null };
        let mut app = json!({ "keys": keys });
        if !of_app.is_null() {
            app["attest"] = of_app;
        }
        let world = World::new().with("APP_GUARD", &json!({"apps": {"rn-ios": app}}).to_string());
        assert_eq!(get("").send(&world.pipeline(), &world).verdict(), verdict);
    }
}

#[test]
fn policies_of_two_apps_share_no_verdict() {
    let of = |project: &str| json!({"mode": "enforce", "firebase": {"project": project, "app_ids": [format!("1:{project}:ios:0a1b2c3d")]}});
    let key = json!({"id": "k1", "secret": APP_SECRET, "attest": of(PROJECT)});
    let world = world(&of("210987654321"));
    let pipeline = world.pipeline();
    let mut theirs = claims_of_app();
    theirs["iss"] = json!("https://firebaseappcheck.googleapis.com/210987654321");
    theirs["aud"] = json!(["projects/210987654321"]);
    theirs["sub"] = json!("1:210987654321:ios:0a1b2c3d");
    assert_eq!(get(&token_of(&theirs)).send(&pipeline, &world).verdict(), "200");
    assert_eq!(get(&token_of(&claims_of_app())).send(&pipeline, &world).verdict(), INVALID);
    assert_eq!(get(&token_of(&claims_of_app())).send(&pipeline, &world).verdict(), INVALID, "known by now");
    let ours = World::new().with("APP_GUARD", &json!({"apps": {"rn-ios": {"keys": [key]}}}).to_string());
    serve(&ours, &[jwk(KEY, "g1")]);
    assert_eq!(get(&token_of(&claims_of_app())).send(&ours.pipeline(), &ours).verdict(), "200");
}

#[test]
fn token_is_verified_once_and_its_times_for_each_request() {
    let world = world(&firebase("enforce"));
    let pipeline = world.pipeline();
    let token = token_of(&claims_of_app());
    let ask = |second: i64| {
        world.now.set((NOW + second) * 1000);
        let user = hs256(&claims_with("exp", json!(NOW + 86_400)));
        let request = Request::new("GET", "/v1/me").token(&user).header("x-firebase-appcheck", &token);
        request.signed_at(NOW + second).send(&pipeline, &world).verdict()
    };
    for second in [0, 1, 3599, 3629] {
        assert_eq!(ask(second), "200", "{second}");
    }
    assert_eq!(world.verifications.get(), 1);
    assert_eq!(ask(3630), EXPIRED);
    assert_eq!(world.verifications.get(), 1);
}

/// The verdict on a long-lived token, this many seconds after `NOW`.
fn at_second(world: &World, pipeline: &Pipeline, second: i64, token: &str) -> Answer {
    world.now.set((NOW + second) * 1000);
    let user = hs256(&claims_with("exp", json!(NOW + 86_400)));
    let request = Request::new("GET", "/v1/me").token(&user).header("x-firebase-appcheck", token);
    request.signed_at(NOW + second).send(pipeline, world)
}

#[test]
fn key_set_is_fresh_for_an_hour_and_good_for_six() {
    let world = world(&firebase("enforce"));
    let pipeline = world.pipeline();
    let token = token_of(&app_claims_with("exp", json!(NOW + 86_400)));
    let ask = |second: i64| at_second(&world, &pipeline, second, &token).verdict();
    assert_eq!((ask(0), ask(3599)), ("200".to_owned(), "200".to_owned()));
    assert_eq!(world.key_set_fetches.get(), 1);
    *world.key_set.borrow_mut() = Err(SendError::Unreachable);
    for second in [3600, 7200, 6 * 3600 - 1] {
        assert_eq!(ask(second), "200", "{second}");
    }
    let answer = at_second(&world, &pipeline, 6 * 3600, &token);
    assert_eq!(answer.problem(), UNAVAILABLE);
    assert!(!answer.head("retry-after").is_empty());
    assert_eq!(world.last_log()["attest"], "keys_unavailable");
    assert!(world.logs.borrow().iter().any(|(_, line)| line.contains(r#""source":"app_check""#)));
    serve(&world, &[jwk("rsa", "g1")]);
    assert_eq!(ask(6 * 3600 + 30), INVALID, "the kid has another key now");
}

#[test]
fn keys_of_the_project_sign_no_attestation() {
    // Each set is fetched from its own place.
    let world = world(&firebase("enforce"));
    let pipeline = world.pipeline();
    assert_eq!(get(&token_of(&claims_of_app())).send(&pipeline, &world).verdict(), "200");
    assert_eq!(world.key_set_fetches.get(), 1);
    let user = Request::new("GET", "/v1/me")
        .token(&es256(&claims()))
        .header("x-firebase-appcheck", &token_of(&claims_of_app()));
    assert_eq!(user.signed().send(&pipeline, &world).verdict(), "200");
    assert_eq!(world.key_set_fetches.get(), 2);
    assert_eq!(
        *world.fetched.borrow(),
        [
            "https://firebaseappcheck.googleapis.com/v1/jwks",
            "https://project.supabase.co/auth/v1/.well-known/jwks.json"
        ]
    );
}

#[test]
fn unknown_kids_cost_one_fetch_in_30_seconds_and_count_for_the_address() {
    let world = world(&firebase("enforce"));
    let pipeline = world.pipeline();
    let good = token_of(&app_claims_with("exp", json!(NOW + 86_400)));
    assert_eq!(at_second(&world, &pipeline, 0, &good).verdict(), "200");
    for second in 1..300 {
        world.throttled.take();
        let header = json!({"alg": "RS256", "kid": format!("x{second}")}).to_string();
        let flood = at_second(&world, &pipeline, second, &with_header(&header)).verdict();
        assert!([INVALID, UNAVAILABLE].contains(&flood.as_str()), "{flood}");
        assert_eq!(world.last_log()["attest"], "unknown_key");
        assert_eq!(world.throttled.borrow()[0].0, Limiter::Ip, "{flood}");
        if second % 30 == 0 {
            assert_eq!(at_second(&world, &pipeline, second, &good).verdict(), "200");
        }
    }
    assert!((10..=11).contains(&world.key_set_fetches.get()), "{}", world.key_set_fetches.get());
}

#[test]
fn only_invalid_tokens_count_against_the_address() {
    for (token, limiter, key) in [
        (String::new(), Limiter::User, "attest rn-ios 203.0.113.7"),
        (PLACEHOLDER.to_owned(), Limiter::User, "attest rn-ios 203.0.113.7"),
        (token_of(&app_claims_with("exp", json!(NOW - 30))), Limiter::User, "attest rn-ios 203.0.113.7"),
        (token_of(&app_claims_with("sub", json!("x"))), Limiter::Ip, "203.0.113.7"),
        ("x.y.z".to_owned(), Limiter::Ip, "203.0.113.7"),
    ] {
        let world = world(&firebase("enforce"));
        let pipeline = world.pipeline();
        let request = get(&token).header("cf-connecting-ip", "203.0.113.7");
        request.send(&pipeline, &world);
        assert_eq!(*world.throttled.borrow(), [(limiter, key.to_owned())], "{token}");
    }
    let limited = |limit| {
        let world = world(&firebase("enforce"));
        world.user_limit.set(limit);
        get("").send(&world.pipeline(), &world).verdict()
    };
    assert_eq!(limited(Ok(false)), "429 rate_limited");
    assert_eq!(limited(Err(Unanswered)), UNAVAILABLE);
}

#[test]
fn without_keys_nothing_is_open() {
    let world = world(&firebase("enforce"));
    *world.key_set.borrow_mut() = Err(SendError::Timeout);
    let pipeline = world.pipeline();
    let token = token_of(&claims_of_app());
    assert_eq!(judged(&world, &pipeline, &get(&token)), (UNAVAILABLE.to_owned(), json!("keys_unavailable")));
    assert!(world.throttled.borrow().is_empty(), "it counts against nobody");
    serve(&world, &[jwk(KEY, "g1")]);
    world.crypto_down.set(true);
    let cold = world.pipeline();
    assert_eq!(judged(&world, &cold, &get(&token)), (UNAVAILABLE.to_owned(), json!("keys_unavailable")));
}

#[test]
fn another_key_set_url_is_for_development_only() {
    let override_with = |project: &str, keys: &str| {
        let world = World::new().with("SUPABASE_URL", project).with("APP_CHECK_JWKS_URL", keys);
        Request::new("GET", "/health").send(&world.pipeline(), &world).verdict()
    };
    let local = "http://127.0.0.1:54321";
    assert_eq!(override_with(local, "http://127.0.0.1:54321/jwks"), "200");
    for (project, keys) in [
        (URL, "http://127.0.0.1:9/jwks"),
        (URL, "https://project.supabase.co/jwks"),
        (local, "http://127.0.0.1:9/jwks"),
        (URL, "https://firebaseappcheck.googleapis.com/v1/jwks"),
        (local, "http://192.168.1.2/jwks"),
        (local, "https://evil.example/jwks"),
        (local, "http://127.0.0.1.evil.example/jwks"),
        (local, "x"),
    ] {
        assert_eq!(override_with(project, keys), "503 misconfigured", "{project} {keys}");
    }
}

// Approov.

fn approov(more: &Value) -> Value {
    let mut approov = json!({"secret": APP_SECRET});
    approov.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"mode": "enforce", "approov": approov})
}

/// A token under the secret of the App Guard vectors.
fn approov_token(claims: &Value) -> String {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let secret = URL_SAFE_NO_PAD.decode(APP_SECRET).unwrap();
    let input = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let key = jsonwebtoken::EncodingKey::from_secret(&secret);
    let tag = jsonwebtoken::crypto::sign(input.as_bytes(), &key, jsonwebtoken::Algorithm::HS256).unwrap();
    format!("{input}.{tag}")
}

fn with_approov(token: &str) -> Request {
    Request::new("GET", "/v1/me").alice().header("approov-token", token).signed()
}

#[test]
fn approov_tokens_are_judged_exactly() {
    let world = world(&approov(&json!({})));
    let pipeline = world.pipeline();
    for (claims, verdict, logged) in [
        (json!({"exp": NOW + 300}), "200", "verified"),
        (json!({"exp": NOW as f64 + 300.25}), "200", "verified"),
        (json!({"exp": NOW - 29}), "200", "verified"),
        (json!({"exp": NOW - 30}), EXPIRED, "expired"),
        (json!({"did": "x"}), INVALID, "malformed"),
        (json!({"exp": "soon"}), INVALID, "malformed"),
    ] {
        let found = judged(&world, &pipeline, &with_approov(&approov_token(&claims)));
        assert_eq!(found, (verdict.to_owned(), json!(logged)), "{claims}");
    }
    assert_eq!(world.last_log()["attest_by"], "approov");
    // Of the project's legacy secret.
    let foreign = hs256(&json!({"exp": NOW + 300}));
    assert_eq!(judged(&world, &pipeline, &with_approov(&foreign)), (INVALID.to_owned(), json!("bad_signature")));
    for (header, key) in [(r#"{"alg":"RS256","kid":"g1"}"#, KEY), (r#"{"alg":"ES256","kid":"ec-1"}"#, "ec")] {
        let public = jws(header, &json!({"exp": NOW + 300}).to_string(), key);
        assert_eq!(judged(&world, &pipeline, &with_approov(&public)), (INVALID.to_owned(), json!("unknown_key")));
    }
    assert_eq!(world.key_set_fetches.get(), 0);
}

#[test]
fn approov_takes_public_keys() {
    let keys = [jwk("ec", "e"), jwk(KEY, "r")];
    let world = world(&json!({"mode": "enforce", "approov": {"keys": keys}}));
    let pipeline = world.pipeline();
    let claims = json!({"exp": NOW + 300}).to_string();
    for (header, key, verdict) in [
        (r#"{"alg":"ES256","kid":"e"}"#, "ec", "200"),
        (r#"{"alg":"RS256","kid":"r"}"#, KEY, "200"),
        (r#"{"alg":"RS256","kid":"r"}"#, "rsa", INVALID),
        (r#"{"alg":"ES256","kid":"r"}"#, "ec", INVALID),
        (r#"{"alg":"ES256"}"#, "ec", INVALID),
        (r#"{"alg":"ES256","kid":"x"}"#, "ec", INVALID),
        (r#"{"alg":"HS256","kid":"e"}"#, "hs256", INVALID),
    ] {
        assert_eq!(with_approov(&jws(header, &claims, key)).send(&pipeline, &world).verdict(), verdict, "{header}");
    }
    assert_eq!(world.key_set_fetches.get(), 0, "they are part of the configuration");
}

#[test]
fn bound_token_names_its_authorization() {
    let value = "Bearer header.payload.signature";
    let pay = STANDARD.encode(Sha256::digest(value));
    assert_eq!(pay, "LTZzpqBLg8031GS7P917VhPP0ZuaGH2orTq2JAfzvYU=");
    let world = world(&approov(&json!({"bind": true})));
    let pipeline = world.pipeline();
    let bound = approov_token(&json!({"exp": 1_795_349_100, "pay": pay}));
    let ask = |authorization: &str, token: &str| {
        let request =
            Request::new("GET", "/v1/me").header("authorization", authorization).header("approov-token", token);
        judged(&world, &pipeline, &request.signed())
    };
    let unbound = (INVALID.to_owned(), json!("unbound"));
    // There is no user token, so the check after attestation refuses the request.
    assert_eq!(ask(value, &bound), ("401 token_invalid".to_owned(), json!("verified")));
    assert_eq!(ask("Bearer header.payload.signaturf", &bound), unbound);
    for pay in [Value::Null, json!(""), json!(pay.trim_end_matches('=')), json!(pay.replace('+', "-"))] {
        let token = approov_token(&json!({"exp": NOW + 300, "pay": pay}));
        let expected = if pay == "LTZzpqBLg8031GS7P917VhPP0ZuaGH2orTq2JAfzvYU=" { "verified" } else { "unbound" };
        assert_eq!(ask(value, &token).1, expected, "{pay}");
    }
    // Without a session there is nothing to be bound to.
    let none = Request::new("GET", "/v1/me").header("approov-token", &bound).signed();
    assert_eq!(judged(&world, &pipeline, &none), ("401 token_missing".to_owned(), json!("verified")));
}

#[test]
fn one_good_token_of_two_is_enough() {
    let mut attest = firebase("enforce");
    attest["approov"] = json!({"secret": APP_SECRET});
    let world = world(&attest);
    let pipeline = world.pipeline();
    let (good, good_approov) = (token_of(&claims_of_app()), approov_token(&json!({"exp": NOW + 300})));
    let (old, old_approov) =
        (token_of(&app_claims_with("exp", json!(NOW - 60))), approov_token(&json!({"exp": NOW - 60})));
    for (firebase, approov, verdict, by) in [
        (&*good, "", "200", json!("firebase")),
        ("", &*good_approov, "200", json!("approov")),
        (&*good, "x", "200", json!("firebase")),
        ("x", &*good_approov, "200", json!("approov")),
        (&*old, &*good_approov, "200", json!("approov")),
        (&*old, "", EXPIRED, json!("firebase")),
        (PLACEHOLDER, &*old_approov, EXPIRED, json!("approov")),
        (&*old, "x.y.z", INVALID, json!("approov")),
        ("", "", MISSING, Value::Null),
        // A token in the other's header.
        (&*good_approov, "", INVALID, json!("firebase")),
        ("", &*good, INVALID, json!("approov")),
    ] {
        let request = Request::new("GET", "/v1/me").alice().header("x-firebase-appcheck", firebase);
        let answer = request.header("approov-token", approov).signed().send(&pipeline, &world);
        assert_eq!((answer.verdict().as_str(), &world.last_log()["attest_by"]), (verdict, &by), "{firebase} {approov}");
    }
}

#[test]
fn warning_names_the_weakest_app() {
    let key = json!([{"id": "k", "secret": APP_SECRET}]);
    let guard = json!({"apps": {"a": {"attest": firebase("enforce"), "keys": key}, "b": {"keys": key}}});
    let world = World::new().with("APP_GUARD", &guard.to_string());
    world.pipeline();
    let warnings: Vec<String> = world.logs.borrow().iter().map(|(_, line)| line.clone()).collect();
    assert!(warnings.iter().any(|line| line.contains("not for app b with key k")), "{warnings:?}");
}
