//! The second door: tokens, key sets and the life of a key.

#![allow(
    missing_docs,
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

mod support;

use airlock::gateway::Gateway;
use airlock::seam::SendError;
use airlock::verify_jws;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use support::*;

fn me(token: &str) -> Request {
    Request::new("GET", "/v1/me").token(token).signed()
}

/// `200`, or the problem.
fn verdict_in(world: &World, gateway: &Gateway, token: &str) -> String {
    me(token).send(gateway, world).verdict()
}

fn verdict(token: &str) -> String {
    let world = World::new();
    verdict_in(&world, &world.gateway(), token)
}

const INVALID: &str = "401 token_invalid";
const EXPIRED: &str = "401 token_expired";
const UNAVAILABLE: &str = "503 dependency_unavailable";

fn with_header(header: &str) -> String {
    jws(header, &claims().to_string(), "ec")
}

#[test]
fn the_three_algorithms_are_accepted() {
    for token in [hs256(&claims()), es256(&claims()), rs256(&claims())] {
        assert_eq!(verdict(&token), "200");
    }
}

#[test]
fn hs256_is_refused_without_a_secret() {
    let mut world = World::new();
    world.vars.remove("SUPABASE_JWT_SECRET");
    let gateway = world.gateway();
    assert_eq!(verdict_in(&world, &gateway, &hs256(&claims())), INVALID);
    assert_eq!(verdict_in(&world, &gateway, &es256(&claims())), "200");
}

#[test]
fn headers_that_bend_the_rules_are_refused() {
    for header in [
        r#"{"alg":"none","kid":"ec-1"}"#,
        r#"{"alg":"None","kid":"ec-1"}"#,
        r#"{"alg":"NONE","kid":"ec-1"}"#,
        r#"{"alg":"nOnE","kid":"ec-1"}"#,
        r#"{"alg":"","kid":"ec-1"}"#,
        r#"{"alg":null,"kid":"ec-1"}"#,
        r#"{"alg":["ES256"],"kid":"ec-1"}"#,
        r#"{"kid":"ec-1"}"#,
        r#"{"alg":"es256","kid":"ec-1"}"#,
        r#"{"alg":"ES384","kid":"ec-1"}"#,
        r#"{"alg":"PS256","kid":"rsa-1"}"#,
        r#"{"alg":"RS256","kid":"ec-1"}"#,
        r#"{"alg":"ES256","kid":"rsa-1"}"#,
        r#"{"alg":"HS256","kid":"ec-1"}"#,
        r#"{"alg":"ES256"}"#,
        r#"{"alg":"ES256","kid":""}"#,
        r#"{"alg":"ES256","kid":null}"#,
        r#"{"alg":"ES256","kid":["ec-1"]}"#,
        r#"{"alg":"ES256","kid":"../../etc/passwd"}"#,
        r#"{"alg":"ES256","kid":"' or 1=1 --"}"#,
        r#"{"alg":"ES256","kid":"ec-1","crit":[]}"#,
        r#"{"alg":"ES256","kid":"ec-1","crit":["exp"],"exp":1}"#,
        r#"{"alg":"ES256","kid":"ec-1","b64":false}"#,
        r#"{"alg":"ES256","kid":"ec-1","b64":true}"#,
        r#"{"alg":"ES256","kid":"ec-1","typ":"at+jwt"}"#,
        r#"{"alg":"ES256","kid":"ec-1","typ":"dpop+jwt"}"#,
        r#"{"alg":"ES256","alg":"ES256","kid":"ec-1"}"#,
        r#"{"alg":"ES256","kid":"ec-1","x":{"a":1,"a":1}}"#,
        r#"["ES256"]"#,
        r#"{"alg":"ES256","kid":"ec-1"} "#,
        "",
    ] {
        let expected = if header.ends_with("} ") {
            "200"
        } else {
            INVALID
        };
        assert_eq!(verdict(&with_header(header)), expected, "{header}");
    }
    let world = World::new();
    let long = json!({"alg": "ES256", "kid": "k".repeat(10_000)}).to_string();
    assert_eq!(
        verdict_in(&world, &world.gateway(), &with_header(&long)),
        INVALID
    );
    assert_eq!(
        world.key_set_fetches.get(),
        0,
        "longer than 8 KiB is not even looked at"
    );
}

#[test]
fn keys_that_a_token_brings_along_are_not_used() {
    let own = jwk("other_ec", "ec-1");
    for header in [
        json!({"alg": "ES256", "kid": "ec-1", "jwk": own}),
        json!({"alg": "ES256", "kid": "ec-1", "jku": "https://evil.example/jwks.json"}),
        json!({"alg": "ES256", "kid": "ec-1", "x5u": "https://evil.example/x.pem"}),
        json!({"alg": "ES256", "kid": "ec-1", "x5c": ["MIIB"]}),
    ] {
        let world = World::new();
        let gateway = world.gateway();
        let forged = jws(&header.to_string(), &claims().to_string(), "other_ec");
        assert_eq!(verdict_in(&world, &gateway, &forged), INVALID);
        let honest = jws(&header.to_string(), &claims().to_string(), "ec");
        assert_eq!(
            verdict_in(&world, &gateway, &honest),
            "200",
            "ignored, not obeyed"
        );
        assert!(world.sent.borrow().is_empty());
        assert_eq!(world.key_set_fetches.get(), 1);
    }
}

#[test]
fn hs256_over_the_public_key_is_refused() {
    let point = STANDARD.encode(jwk("ec", "ec-1").to_string());
    for secret in [point, jwk("rsa", "rsa-1")["n"].as_str().unwrap().to_owned()] {
        let header = r#"{"alg":"HS256","kid":"rsa-1"}"#;
        let input = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(claims().to_string())
        );
        let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
        let signature =
            jsonwebtoken::crypto::sign(input.as_bytes(), &key, jsonwebtoken::Algorithm::HS256);
        assert_eq!(verdict(&format!("{input}.{}", signature.unwrap())), INVALID);
    }
}

#[test]
fn a_token_has_one_spelling() {
    let good = es256(&claims());
    let parts: Vec<&str> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    // The last character of 64 bytes carries 4 bits of signature and 2 that must be zero.
    let (rest, last) = signature.split_at(signature.len() - 1);
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let next = alphabet.as_bytes()[alphabet.find(last).unwrap() + 1] as char;
    for bad in [
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{header}.{payload}.{signature}."),
        format!("{header}.{payload}.{signature}.x"),
        format!("{header}..{payload}.{signature}"),
        format!(".{payload}.{signature}"),
        format!("{header}..{signature}"),
        format!("{header}.{payload}.{signature}=="),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}.{rest}{next}"),
        format!(
            "{header}.{payload}.{}",
            signature.replace(['-', '_'], "+") + "+"
        ),
        format!("{header}.{payload} .{signature}"),
        format!(" {good}"),
        format!("{header}\u{e9}.{payload}.{signature}"),
        format!("{good}{}", "A".repeat(8192)),
    ] {
        let world = World::new();
        assert_eq!(verdict_in(&world, &world.gateway(), &bad), INVALID, "{bad}");
    }
}

#[test]
fn a_signature_of_anything_else_is_refused() {
    let good = es256(&claims());
    let (input, signature) = good.rsplit_once('.').unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let n = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let mut order = [0; 32];
    base16ct::lower::decode(n, &mut order).unwrap();
    let (r, s) = bytes.split_at(32);
    let forged: [Vec<u8>; 8] = [
        [&[0; 32], s].concat(),
        [r, &[0; 32]].concat(),
        [&order, s].concat(),
        [r, &order].concat(),
        vec![0; 64],
        bytes[..63].to_vec(),
        [&bytes[..], &[0]].concat(),
        // DER, as X.509 has it.
        [&[0x30, 0x44, 0x02, 0x20], r, &[0x02, 0x20], s].concat(),
    ];
    for signature in forged {
        let token = format!("{input}.{}", URL_SAFE_NO_PAD.encode(&signature));
        assert_eq!(verdict(&token), INVALID, "{signature:?}");
    }
    let other = es256(&claims_with("email", json!("mallory@example.com")));
    let (_, of_another) = other.rsplit_once('.').unwrap();
    assert_eq!(verdict(&format!("{input}.{of_another}")), INVALID);
    let by_another = jws(
        r#"{"alg":"ES256","kid":"ec-1"}"#,
        &claims().to_string(),
        "other_ec",
    );
    assert_eq!(verdict(&by_another), INVALID);
}

#[test]
fn claims_are_required_and_exact() {
    for (name, value) in [
        ("iss", Value::Null),
        ("iss", json!([ISSUER])),
        ("iss", json!("https://project.supabase.co/auth/v1/")),
        (
            "iss",
            json!("https://project.supabase.co.evil.example/auth/v1"),
        ),
        ("aud", Value::Null),
        ("aud", json!("anon")),
        ("aud", json!(["anon"])),
        ("aud", json!([])),
        ("aud", json!({"authenticated": true})),
        ("role", Value::Null),
        ("role", json!("anon")),
        ("role", json!("service_role")),
        ("role", json!("Authenticated")),
        ("role", json!(["authenticated"])),
        ("sub", Value::Null),
        ("sub", json!("")),
        ("sub", json!("alice")),
        ("sub", json!(7)),
        ("sub", json!("a11ce00000004000800000000000000100000")),
        (
            "sub",
            json!("urn:uuid:a11ce000-0000-4000-8000-000000000001"),
        ),
        ("exp", Value::Null),
        ("exp", json!((NOW + 60).to_string())),
        ("exp", json!(1e18)),
        ("exp", json!(i64::MAX)),
        ("exp", json!(-1)),
        ("exp", json!(true)),
        ("nbf", json!(NOW + 31)),
        ("nbf", json!("now")),
        ("iat", json!(NOW + 31)),
        ("iat", json!([])),
    ] {
        let claims = claims_with(name, value.clone());
        for token in [hs256(&claims), es256(&claims)] {
            assert_eq!(verdict(&token), INVALID, "{name} {value}");
        }
    }
    for (name, value) in [
        ("aud", json!(["other", "authenticated"])),
        ("iat", Value::Null),
        ("nbf", json!(NOW + 30)),
        ("iat", json!(NOW + 30)),
        ("exp", json!(NOW as f64 + 0.5)),
        ("exp", json!(NOW - 29)),
        ("sub", json!("A11CE000-0000-4000-8000-000000000001")),
        ("email", Value::Null),
    ] {
        let token = es256(&claims_with(name, value.clone()));
        assert_eq!(verdict(&token), "200", "{name} {value}");
    }
    for value in [
        json!(NOW - 30),
        json!(NOW - 3600),
        json!(NOW as f64 - 30.5),
        json!(0),
    ] {
        let token = es256(&claims_with("exp", value.clone()));
        assert_eq!(verdict(&token), EXPIRED, "{value}");
    }
}

#[test]
fn expired_means_that_nothing_else_was_wrong() {
    let mut claims = claims_with("exp", json!(NOW - 3600));
    claims["role"] = json!("service_role");
    assert_eq!(verdict(&es256(&claims)), INVALID);
}

#[test]
fn repeated_claims_are_refused() {
    let good = claims().to_string();
    let twice = good.replacen('{', r#"{"role":"service_role","#, 1);
    let nested = good.replacen('{', r#"{"app_metadata":{"a":1,"a":2},"#, 1);
    for payload in [
        twice,
        nested,
        "[]".to_owned(),
        String::new(),
        format!("{good}x"),
    ] {
        let token = jws(r#"{"alg":"ES256","kid":"ec-1"}"#, &payload, "ec");
        assert_eq!(verdict(&token), INVALID, "{payload}");
    }
}

#[test]
fn the_issuer_check_may_be_off_on_loopback() {
    let world = World::new()
        .with("SUPABASE_URL", "http://127.0.0.1:54321")
        .with("SUPABASE_JWT_ISSUER", "-");
    let gateway = world.gateway();
    for issuer in [Value::Null, json!("anybody"), json!(7)] {
        let token = es256(&claims_with("iss", issuer));
        assert_eq!(verdict_in(&world, &gateway, &token), "200");
    }
}

#[test]
fn keys_that_fall_short_are_dropped() {
    let good = jwk("ec", "ec-1");
    let changed = |name: &str, value: Value| {
        let mut key = good.clone();
        key[name] = value;
        key
    };
    let y_off_curve = URL_SAFE_NO_PAD.encode([1; 32]);
    for key in [
        changed("use", json!("enc")),
        changed("use", json!(["sig"])),
        changed("key_ops", json!(["sign"])),
        changed("key_ops", json!([])),
        changed("key_ops", json!("verify")),
        changed("alg", json!("ES384")),
        changed("alg", json!("RS256")),
        changed("alg", json!("HS256")),
        changed("crv", json!("P-384")),
        changed("crv", json!("secp256k1")),
        changed("kty", json!("OKP")),
        changed("y", json!(y_off_curve)),
        changed("x", json!(URL_SAFE_NO_PAD.encode([0; 33]))),
        changed("x", json!("")),
        changed("kid", json!(7)),
    ] {
        let world = World::new();
        *world.key_set.borrow_mut() = reply(200, &json!({"keys": [key, jwk("rsa", "rsa-1")]}));
        let gateway = world.gateway();
        assert_eq!(
            verdict_in(&world, &gateway, &es256(&claims())),
            INVALID,
            "{key}"
        );
        assert_eq!(
            verdict_in(&world, &gateway, &rs256(&claims())),
            "200",
            "the rest stays"
        );
    }
    for key in [
        changed("key_ops", json!(["verify"])),
        changed("alg", Value::Null),
        changed("x5c", json!([])),
    ] {
        let mut key = key;
        if key["alg"].is_null() {
            key.as_object_mut().unwrap().remove("alg");
        }
        let set = json!({ "keys": [key] }).to_string();
        assert!(verify_jws(&es256(&claims()), &set).is_ok(), "{set}");
    }
}

#[test]
fn weak_rsa_keys_are_dropped() {
    let rsa = jwk("rsa", "rsa-1");
    let token = rs256(&claims());
    let set = |n: Value, e: Value| {
        let mut key = rsa.clone();
        key["n"] = n;
        key["e"] = e;
        json!({ "keys": [key] }).to_string()
    };
    let (n, e) = (rsa["n"].clone(), rsa["e"].clone());
    assert!(verify_jws(&token, &set(n.clone(), e.clone())).is_ok());
    for exponent in ["AQ", "Ag", "AQAA", "AAAA", "", "AQAAAAAB"] {
        assert!(
            verify_jws(&token, &set(n.clone(), json!(exponent))).is_err(),
            "{exponent}"
        );
    }
    let small = jwk("small_rsa", "rsa-1");
    let by_small = jws(r#"{"alg":"RS256","kid":"rsa-1"}"#, "{}", "small_rsa");
    assert!(verify_jws(&by_small, &json!({ "keys": [small] }).to_string()).is_err());
    let mut even = URL_SAFE_NO_PAD.decode(n.as_str().unwrap()).unwrap();
    *even.last_mut().unwrap() &= 0xfe;
    assert!(verify_jws(&token, &set(json!(URL_SAFE_NO_PAD.encode(even)), e)).is_err());
}

#[test]
fn a_kid_that_two_keys_have_picks_neither() {
    let set = json!({"keys": [jwk("ec", "k"), jwk("rsa", "k")]}).to_string();
    let token = jws(r#"{"alg":"ES256","kid":"k"}"#, "{}", "ec");
    assert!(verify_jws(&token, &set).is_err());
}

#[test]
fn a_set_with_a_symmetric_key_is_refused_whole() {
    let oct = json!({"kty": "oct", "kid": "o", "k": URL_SAFE_NO_PAD.encode(SECRET)});
    let set = json!({"keys": [jwk("ec", "ec-1"), oct]}).to_string();
    assert!(verify_jws(&es256(&claims()), &set).is_err());
    let only = json!({"keys": [oct]}).to_string();
    let token = jws(r#"{"alg":"HS256","kid":"o"}"#, "{}", "hs256");
    assert!(verify_jws(&token, &only).is_err());
}

#[test]
fn the_seam_returns_the_payload_and_looks_at_no_claim() {
    let set = key_set().to_string();
    let token = jws(
        r#"{"alg":"ES256","kid":"ec-1","typ":"anything"}"#,
        "not even JSON",
        "ec",
    );
    assert_eq!(verify_jws(&token, &set).unwrap(), b"not even JSON");
    let empty = jws(r#"{"alg":"RS256","kid":"rsa-1"}"#, "", "rsa");
    assert_eq!(verify_jws(&empty, &set).unwrap(), b"");
    let no_kid = jws(r#"{"alg":"RS256"}"#, "x", "rsa");
    assert_eq!(verify_jws(&no_kid, &set).unwrap(), b"x");
    let two = json!({"keys": [jwk("ec", "a"), jwk("other_ec", "b")]}).to_string();
    assert!(verify_jws(&jws(r#"{"alg":"ES256"}"#, "x", "ec"), &two).is_err());
    for broken in [
        "",
        "{}",
        "[]",
        "<html>",
        r#"{"keys":{}}"#,
        r#"{"keys":[],"keys":[]}"#,
    ] {
        assert!(verify_jws(&token, broken).is_err(), "{broken}");
    }
}

#[test]
fn the_key_set_is_fetched_once_in_ten_minutes() {
    let world = World::new();
    let gateway = world.gateway();
    let token = of_kid("ec-1", "ec");
    for seconds in [0, 1, 300, 599] {
        assert_eq!(at(&world, &gateway, seconds, &token), "200");
    }
    assert_eq!(world.key_set_fetches.get(), 1);
    assert_eq!(at(&world, &gateway, 600, &token), "200");
    assert_eq!(world.key_set_fetches.get(), 2);
    assert_eq!(world.max_bodies.borrow()[..], [256 * 1024; 2]);
    assert!(
        world
            .logs
            .borrow()
            .iter()
            .all(|(_, line)| !line.contains("jwks"))
    );
}

#[test]
fn a_rotated_key_is_found_at_once_and_a_withdrawn_one_ends() {
    let world = World::new();
    let gateway = world.gateway();
    let (old, new) = (of_kid("ec-1", "ec"), of_kid("ec-2", "other_ec"));
    assert_eq!(at(&world, &gateway, 0, &old), "200");
    serve(&world, &[jwk("other_ec", "ec-2")]);
    assert_eq!(
        at(&world, &gateway, 1, &old),
        "200",
        "fresh for ten minutes"
    );
    assert_eq!(at(&world, &gateway, 2, &new), "200", "unknown, so fetched");
    assert_eq!(
        at(&world, &gateway, 3, &old),
        INVALID,
        "gone with the fetch"
    );
    assert_eq!(world.key_set_fetches.get(), 2);
}

#[test]
fn a_flood_of_made_up_kids_costs_one_fetch_in_thirty_seconds() {
    let world = World::new();
    let gateway = world.gateway();
    assert_eq!(at(&world, &gateway, 0, &of_kid("ec-1", "ec")), "200");
    for i in 0..100 {
        assert_eq!(
            at(
                &world,
                &gateway,
                1 + i / 10,
                &of_kid(&format!("x{i}"), "ec")
            ),
            INVALID
        );
    }
    assert_eq!(world.key_set_fetches.get(), 2);
    assert_eq!(at(&world, &gateway, 31, &of_kid("y", "ec")), INVALID);
    assert_eq!(world.key_set_fetches.get(), 3);
}

#[test]
fn while_the_endpoint_fails_stale_keys_are_good_for_an_hour() {
    let world = World::new();
    let gateway = world.gateway();
    let token = of_kid("ec-1", "ec");
    assert_eq!(at(&world, &gateway, 0, &token), "200");
    *world.key_set.borrow_mut() = Err(SendError::Timeout);
    assert_eq!(at(&world, &gateway, 600, &token), "200");
    assert_eq!(at(&world, &gateway, 610, &token), "200");
    assert_eq!(
        world.key_set_fetches.get(),
        2,
        "a failed endpoint is left alone for 30 seconds"
    );
    assert_eq!(at(&world, &gateway, 629, &token), "200");
    assert_eq!(world.key_set_fetches.get(), 2);
    assert_eq!(at(&world, &gateway, 630, &token), "200");
    assert_eq!(world.key_set_fetches.get(), 3);
    assert_eq!(at(&world, &gateway, 3599, &token), "200");
    assert_eq!(world.key_set_fetches.get(), 4);
    assert_eq!(at(&world, &gateway, 3600, &token), UNAVAILABLE);
    assert_eq!(at(&world, &gateway, 3600, &of_kid("x", "ec")), UNAVAILABLE);
    assert_eq!(world.key_set_fetches.get(), 4);
    serve(&world, &[jwk("ec", "ec-1")]);
    assert_eq!(at(&world, &gateway, 3660, &token), "200");
}

#[test]
fn without_any_key_the_answer_is_that_it_cannot_be_told() {
    for broken in [
        Err(SendError::Unreachable),
        Err(SendError::TooLarge),
        reply(500, &key_set()),
        reply(302, &key_set()),
        reply(200, &json!("<html>")),
        reply(200, &json!({})),
        reply(
            200,
            &json!({"keys": [{"kty": "oct", "k": "c2VjcmV0"}, jwk("ec", "ec-1")]}),
        ),
        reply(200, &json!({"keys": [{"kty": "EC"}]})),
    ] {
        let world = World::new();
        *world.key_set.borrow_mut() = broken;
        let gateway = world.gateway();
        let answer = me(&es256(&claims())).send(&gateway, &world);
        assert_eq!(answer.problem(), UNAVAILABLE);
        assert_eq!(answer.head("retry-after"), "30");
        assert!(
            world
                .logs
                .borrow()
                .iter()
                .any(|(_, line)| line.contains("jwks_failed"))
        );
        assert_eq!(
            verdict_in(&world, &gateway, &hs256(&claims())),
            "200",
            "needs no key set"
        );
    }
}

#[test]
fn a_poisoned_set_does_not_replace_good_keys() {
    let world = World::new();
    let gateway = world.gateway();
    let token = of_kid("ec-1", "ec");
    assert_eq!(at(&world, &gateway, 0, &token), "200");
    serve(
        &world,
        &[json!({"kty": "oct", "k": "c2VjcmV0", "kid": "ec-1"})],
    );
    assert_eq!(at(&world, &gateway, 601, &token), "200");
    assert_eq!(at(&world, &gateway, 602, &of_kid("new", "ec")), UNAVAILABLE);
}

#[test]
fn an_empty_set_is_a_good_answer() {
    let world = World::new();
    serve(&world, &[]);
    assert_eq!(
        verdict_in(&world, &world.gateway(), &es256(&claims())),
        INVALID
    );
}

#[test]
fn requests_that_come_together_share_one_fetch() {
    let world = World::new();
    let gateway = world.gateway();
    let (a, b, c) = (
        me(&es256(&claims())),
        me(&rs256(&claims())),
        me(&es256(&claims())),
    );
    let (a, (b, c)) = pollster::block_on(futures_util::future::join(
        a.sending(&gateway, &world),
        futures_util::future::join(b.sending(&gateway, &world), c.sending(&gateway, &world)),
    ));
    assert_eq!([a.status, b.status, c.status], [200, 200, 200]);
    assert_eq!(world.key_set_fetches.get(), 1);
}

#[test]
fn a_fetch_that_was_abandoned_is_taken_over() {
    let world = World::new();
    let gateway = world.gateway();
    let request = me(&es256(&claims()));
    {
        // The client goes away while the key set is on its way.
        let mut abandoned = Box::pin(request.sending(&gateway, &world));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(abandoned.as_mut().poll(&mut context).is_pending());
    }
    assert_eq!(world.key_set_fetches.get(), 1);
    assert_eq!(verdict_in(&world, &gateway, &es256(&claims())), "200");
    assert_eq!(world.key_set_fetches.get(), 2);
}

/// Two that come together: neither is done without the key set, and both are good with it.
fn one_asks_and_one_waits(request: &Request, gateway: &Gateway, world: &World) {
    let (mut asking, mut waiting) = (
        Box::pin(request.sending(gateway, world)),
        Box::pin(request.sending(gateway, world)),
    );
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(asking.as_mut().poll(&mut context).is_pending());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    assert_eq!(pollster::block_on(asking).status, 200);
    assert_eq!(pollster::block_on(waiting).status, 200);
}

#[test]
fn while_a_sound_endpoint_is_asked_again_the_others_wait_for_it() {
    let world = World::new();
    let gateway = world.gateway();
    let token = of_kid("ec-1", "ec");
    assert_eq!(at(&world, &gateway, 0, &token), "200");
    world.now.set((NOW + 600) * 1000);
    let request = Request::new("GET", "/v1/me")
        .token(&token)
        .signed_at(NOW + 600);
    // The key may just have been withdrawn: it is not good any longer without asking.
    one_asks_and_one_waits(&request, &gateway, &world);
    assert_eq!(world.key_set_fetches.get(), 2);
}

#[test]
fn without_any_key_the_others_wait_for_a_failed_endpoint_that_is_asked_again() {
    let world = World::new();
    let gateway = world.gateway();
    *world.key_set.borrow_mut() = Err(SendError::Timeout);
    let token = of_kid("ec-1", "ec");
    assert_eq!(at(&world, &gateway, 0, &token), UNAVAILABLE);
    serve(&world, &[jwk("ec", "ec-1")]);
    world.now.set((NOW + 30) * 1000);
    let request = me(&token);
    one_asks_and_one_waits(&request, &gateway, &world);
    assert_eq!(world.key_set_fetches.get(), 2);
}

#[test]
fn a_request_waits_for_others_as_long_as_for_a_fetch_of_its_own_and_a_second() {
    let world = World::new();
    let gateway = world.gateway();
    let request = me(&es256(&claims()));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut requests: Vec<_> = (0..3)
        .map(|_| Box::pin(request.sending(&gateway, &world)))
        .collect();
    let since = |world: &World| world.now.get() - NOW * 1000;
    // The first one asks and is never heard of again; the second takes over when its time is up.
    assert!(requests[0].as_mut().poll(&mut context).is_pending());
    assert!(requests[2].as_mut().poll(&mut context).is_pending());
    world.now.set(NOW * 1000);
    while world.key_set_fetches.get() == 1 {
        assert!(requests[1].as_mut().poll(&mut context).is_pending());
    }
    assert_eq!(since(&world), 3500);
    // Nor is the second. The third gives up.
    let answer = loop {
        if let std::task::Poll::Ready(answer) = requests[2].as_mut().poll(&mut context) {
            break answer;
        }
    };
    assert_eq!(since(&world), 4000);
    assert_eq!(answer.problem(), UNAVAILABLE);
    assert_eq!(answer.head("retry-after"), "1");
    assert_eq!(world.key_set_fetches.get(), 2);
}

#[test]
fn while_a_failed_endpoint_is_asked_again_the_others_do_not_wait_for_it() {
    let world = World::new();
    let gateway = world.gateway();
    let token = of_kid("ec-1", "ec");
    assert_eq!(at(&world, &gateway, 0, &token), "200");
    *world.key_set.borrow_mut() = Err(SendError::Timeout);
    assert_eq!(at(&world, &gateway, 600, &token), "200");

    world.now.set((NOW + 640) * 1000);
    let request = Request::new("GET", "/v1/me")
        .token(&token)
        .signed_at(NOW + 640);
    let mut asking = Box::pin(request.sending(&gateway, &world));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(asking.as_mut().poll(&mut context).is_pending());
    let before = world.now.get();
    assert_eq!(at(&world, &gateway, 640, &token), "200");
    assert_eq!(world.now.get(), before, "without sleeping");
}

#[test]
fn a_flood_of_requests_that_are_abandoned_costs_one_fetch_too() {
    let world = World::new();
    let gateway = world.gateway();
    assert_eq!(verdict_in(&world, &gateway, &es256(&claims())), "200");
    for i in 0..20 {
        let request = me(&of_kid(&format!("x{i}"), "ec"));
        let mut abandoned = Box::pin(request.sending(&gateway, &world));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let _ = abandoned.as_mut().poll(&mut context);
        // Longer than a fetch may take: nobody is waiting for the one before.
        drop(abandoned);
        world.pass(1);
        world.now.set(world.now.get().min(NOW * 1000 + 29_000));
    }
    assert_eq!(world.key_set_fetches.get(), 2);
}

#[test]
fn a_project_that_withdraws_all_its_keys_is_obeyed_and_it_is_logged() {
    let world = World::new();
    let gateway = world.gateway();
    let token = of_kid("ec-1", "ec");
    assert_eq!(at(&world, &gateway, 0, &token), "200");
    serve(&world, &[]);
    assert_eq!(at(&world, &gateway, 601, &token), INVALID);
    assert!(
        world
            .logs
            .borrow()
            .iter()
            .any(|(_, line)| line.contains("jwks_empty"))
    );
}

#[test]
fn a_token_is_verified_once_and_its_time_is_looked_at_for_every_request() {
    let world = World::new();
    let gateway = world.gateway();
    let claims = claims_with("exp", json!(NOW + 300));
    let token = es256(&claims);
    for seconds in [0, 1, 300, 329] {
        assert_eq!(at(&world, &gateway, seconds, &token), "200");
    }
    assert_eq!(world.verifications.get(), 1);
    assert_eq!(at(&world, &gateway, 330, &token), "401 token_expired");
    // The clock may be set back, which makes nothing of it valid too early.
    assert_eq!(at(&world, &gateway, -31, &token), "401 token_invalid");
    assert_eq!(world.verifications.get(), 1);
    // One character more or less is another token.
    assert_eq!(
        at(&world, &gateway, 0, &format!("{token}A")),
        "401 token_invalid"
    );
}

#[test]
fn a_token_that_was_verified_ends_with_its_key() {
    let world = World::new();
    let gateway = world.gateway();
    serve(&world, &[jwk("ec", "a")]);
    let token = of_kid("a", "ec");
    assert_eq!(at(&world, &gateway, 0, &token), "200");
    // Another key under the same name: its tokens are good, and the old one's no longer.
    serve(&world, &[jwk("other_ec", "a")]);
    assert_eq!(at(&world, &gateway, 599, &token), "200");
    assert_eq!(at(&world, &gateway, 600, &token), "401 token_invalid");
    assert_eq!(at(&world, &gateway, 601, &of_kid("a", "other_ec")), "200");
    // No key at all.
    serve(&world, &[jwk("ec", "b")]);
    assert_eq!(
        at(&world, &gateway, 1200, &of_kid("a", "other_ec")),
        "401 token_invalid"
    );
}

#[test]
fn a_token_that_was_refused_is_not_remembered_as_good() {
    let world = World::new();
    let gateway = world.gateway();
    let forged = jws(
        r#"{"alg":"ES256","kid":"ec-1","typ":"JWT"}"#,
        &claims().to_string(),
        "other_ec",
    );
    for _ in 0..2 {
        assert_eq!(at(&world, &gateway, 0, &forged), "401 token_invalid");
    }
    assert_eq!(world.verifications.get(), 2);
}

#[test]
fn a_signature_that_cannot_be_verified_is_not_called_invalid() {
    let world = World::new();
    let gateway = world.gateway();
    let token = es256(&claims());
    world.crypto_down.set(true);
    assert_eq!(
        at(&world, &gateway, 0, &token),
        "503 dependency_unavailable"
    );
    world.crypto_down.set(false);
    assert_eq!(at(&world, &gateway, 0, &token), "200");
}
