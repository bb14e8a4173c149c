//! User tokens, key sets and the life of a key.

#![allow(missing_docs, clippy::allow_attributes, reason = "test code")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "test code")]

mod support;

use airlock::conformance::verify_jws;
use airlock::pipeline::Pipeline;
use airlock::platform::{Accept, SendError};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use support::*;

fn me(token: &str) -> Request {
    Request::new("GET", "/v1/me").token(token).signed()
}

/// `200`, or the problem.
fn verdict_in(world: &World, pipeline: &Pipeline, token: &str) -> String {
    me(token).send(pipeline, world).verdict()
}

fn verdict(token: &str) -> String {
    let world = World::new();
    verdict_in(&world, &world.pipeline(), token)
}

const INVALID: &str = "401 token_invalid";
const EXPIRED: &str = "401 token_expired";
const UNAVAILABLE: &str = "503 dependency_unavailable";

fn with_header(header: &str) -> String {
    jws(header, &claims().to_string(), "ec")
}

#[test]
fn es256_rs256_and_hs256_are_accepted() {
    for token in [hs256(&claims()), es256(&claims()), rs256(&claims())] {
        assert_eq!(verdict(&token), "200");
    }
}

#[test]
fn hs256_is_refused_without_a_secret() {
    let mut world = World::new();
    world.vars.remove("SUPABASE_JWT_SECRET");
    let pipeline = world.pipeline();
    assert_eq!(verdict_in(&world, &pipeline, &hs256(&claims())), INVALID);
    assert_eq!(verdict_in(&world, &pipeline, &es256(&claims())), "200");
}

#[test]
fn malformed_and_unusual_headers_are_refused() {
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
        let expected = if header.ends_with("} ") { "200" } else { INVALID };
        assert_eq!(verdict(&with_header(header)), expected, "{header}");
    }
    let world = World::new();
    let long = json!({"alg": "ES256", "kid": "k".repeat(10_000)}).to_string();
    assert_eq!(verdict_in(&world, &world.pipeline(), &with_header(&long)), INVALID);
    assert_eq!(world.key_set_fetches.get(), 0, "a token longer than 8 KiB needs no key");
}

#[test]
fn keys_in_a_token_header_are_not_used() {
    let own = jwk("other_ec", "ec-1");
    for header in [
        json!({"alg": "ES256", "kid": "ec-1", "jwk": own}),
        json!({"alg": "ES256", "kid": "ec-1", "jku": "https://evil.example/jwks.json"}),
        json!({"alg": "ES256", "kid": "ec-1", "x5u": "https://evil.example/x.pem"}),
        json!({"alg": "ES256", "kid": "ec-1", "x5c": ["MIIB"]}),
    ] {
        let world = World::new();
        let pipeline = world.pipeline();
        let forged = jws(&header.to_string(), &claims().to_string(), "other_ec");
        assert_eq!(verdict_in(&world, &pipeline, &forged), INVALID);
        let honest = jws(&header.to_string(), &claims().to_string(), "ec");
        assert_eq!(verdict_in(&world, &pipeline, &honest), "200", "ignored");
        assert!(world.sent.borrow().is_empty());
        assert_eq!(world.key_set_fetches.get(), 1);
    }
}

#[test]
fn hs256_with_the_public_key_as_secret_is_refused() {
    let point = STANDARD.encode(jwk("ec", "ec-1").to_string());
    for secret in [point, jwk("rsa", "rsa-1")["n"].as_str().unwrap().to_owned()] {
        let header = r#"{"alg":"HS256","kid":"rsa-1"}"#;
        let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims().to_string()));
        let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
        let signature = jsonwebtoken::crypto::sign(input.as_bytes(), &key, jsonwebtoken::Algorithm::HS256);
        assert_eq!(verdict(&format!("{input}.{}", signature.unwrap())), INVALID);
    }
}

#[test]
fn token_has_one_spelling() {
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
        format!("{header}.{payload}.{}", signature.replace(['-', '_'], "+") + "+"),
        format!("{header}.{payload} .{signature}"),
        format!(" {good}"),
        format!("{header}\u{e9}.{payload}.{signature}"),
        format!("{good}{}", "A".repeat(8192)),
    ] {
        let world = World::new();
        assert_eq!(verdict_in(&world, &world.pipeline(), &bad), INVALID, "{bad}");
    }
}

#[test]
fn signature_of_another_token_or_key_is_refused() {
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
    let by_another = jws(r#"{"alg":"ES256","kid":"ec-1"}"#, &claims().to_string(), "other_ec");
    assert_eq!(verdict(&by_another), INVALID);
}

#[test]
fn claims_are_required_and_exact() {
    for (name, value) in [
        ("iss", Value::Null),
        ("iss", json!([ISSUER])),
        ("iss", json!("https://project.supabase.co/auth/v1/")),
        ("iss", json!("https://project.supabase.co.evil.example/auth/v1")),
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
        ("sub", json!("urn:uuid:a11ce000-0000-4000-8000-000000000001")),
        ("exp", Value::Null),
        ("exp", json!((NOW + 60).to_string())),
        ("exp", json!(1e18)),
        ("exp", json!(i64::MAX)),
        ("exp", json!(-1)),
        ("exp", json!(true)),
        // PostgREST does not read a fraction.
        ("exp", json!(NOW as f64 + 0.5)),
        ("nbf", json!(NOW + 31)),
        ("nbf", json!("now")),
        ("iat", json!(NOW + 31)),
        ("iat", json!([])),
        ("email", json!("a\0")),
        ("app_metadata", json!({"a": ["\0"]})),
        ("app_metadata", json!({"a\0": 1})),
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
        ("iat", json!(NOW as f64 + 29.5)),
        ("exp", json!(NOW - 29)),
        ("sub", json!("A11CE000-0000-4000-8000-000000000001")),
        ("email", Value::Null),
    ] {
        let token = es256(&claims_with(name, value.clone()));
        assert_eq!(verdict(&token), "200", "{name} {value}");
    }
    for value in [json!(NOW - 30), json!(NOW - 3600), json!(0)] {
        let token = es256(&claims_with("exp", value.clone()));
        assert_eq!(verdict(&token), EXPIRED, "{value}");
    }
}

#[test]
fn token_expired_implies_that_all_else_is_good() {
    let mut claims = claims_with("exp", json!(NOW - 3600));
    claims["role"] = json!("service_role");
    assert_eq!(verdict(&es256(&claims)), INVALID);
}

#[test]
fn repeated_claims_are_refused() {
    let good = claims().to_string();
    let twice = good.replacen('{', r#"{"role":"service_role","#, 1);
    let nested = good.replacen('{', r#"{"app_metadata":{"a":1,"a":2},"#, 1);
    for payload in [twice, nested, "[]".to_owned(), String::new(), format!("{good}x")] {
        let token = jws(r#"{"alg":"ES256","kid":"ec-1"}"#, &payload, "ec");
        assert_eq!(verdict(&token), INVALID, "{payload}");
    }
}

#[test]
fn issuer_check_can_be_off_on_loopback() {
    let world = World::new().with("SUPABASE_URL", "http://127.0.0.1:54321").with("SUPABASE_JWT_ISSUER", "-");
    let pipeline = world.pipeline();
    for issuer in [Value::Null, json!("anybody"), json!(7)] {
        let token = es256(&claims_with("iss", issuer));
        assert_eq!(verdict_in(&world, &pipeline, &token), "200");
    }
}

#[test]
fn unsuitable_keys_are_dropped() {
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
        let pipeline = world.pipeline();
        assert_eq!(verdict_in(&world, &pipeline, &es256(&claims())), INVALID, "{key}");
        assert_eq!(verdict_in(&world, &pipeline, &rs256(&claims())), "200", "the rest stays");
    }
    for key in [changed("key_ops", json!(["verify"])), changed("alg", Value::Null), changed("x5c", json!([]))] {
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
        assert!(verify_jws(&token, &set(n.clone(), json!(exponent))).is_err(), "{exponent}");
    }
    let small = jwk("small_rsa", "rsa-1");
    let by_small = jws(r#"{"alg":"RS256","kid":"rsa-1"}"#, "{}", "small_rsa");
    assert!(verify_jws(&by_small, &json!({ "keys": [small] }).to_string()).is_err());
    let mut even = URL_SAFE_NO_PAD.decode(n.as_str().unwrap()).unwrap();
    *even.last_mut().unwrap() &= 0xfe;
    assert!(verify_jws(&token, &set(json!(URL_SAFE_NO_PAD.encode(even)), e)).is_err());
}

#[test]
fn duplicate_kid_selects_no_key() {
    let set = json!({"keys": [jwk("ec", "k"), jwk("rsa", "k")]}).to_string();
    let token = jws(r#"{"alg":"ES256","kid":"k"}"#, "{}", "ec");
    assert!(verify_jws(&token, &set).is_err());
}

#[test]
fn set_with_a_symmetric_key_is_refused() {
    let oct = json!({"kty": "oct", "kid": "o", "k": URL_SAFE_NO_PAD.encode(SECRET)});
    let set = json!({"keys": [jwk("ec", "ec-1"), oct]}).to_string();
    assert!(verify_jws(&es256(&claims()), &set).is_err());
    let only = json!({"keys": [oct]}).to_string();
    let token = jws(r#"{"alg":"HS256","kid":"o"}"#, "{}", "hs256");
    assert!(verify_jws(&token, &only).is_err());
}

#[test]
fn verify_jws_returns_the_payload_without_checking_claims() {
    let set = key_set().to_string();
    let token = jws(r#"{"alg":"ES256","kid":"ec-1","typ":"anything"}"#, "not even JSON", "ec");
    assert_eq!(verify_jws(&token, &set).unwrap(), b"not even JSON");
    let empty = jws(r#"{"alg":"RS256","kid":"rsa-1"}"#, "", "rsa");
    assert_eq!(verify_jws(&empty, &set).unwrap(), b"");
    let no_kid = jws(r#"{"alg":"RS256"}"#, "x", "rsa");
    assert_eq!(verify_jws(&no_kid, &set).unwrap(), b"x");
    let two = json!({"keys": [jwk("ec", "a"), jwk("other_ec", "b")]}).to_string();
    assert!(verify_jws(&jws(r#"{"alg":"ES256"}"#, "x", "ec"), &two).is_err());
    for broken in ["", "{}", "[]", "<html>", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#] {
        assert!(verify_jws(&token, broken).is_err(), "{broken}");
    }
}

#[test]
fn key_set_is_fetched_every_ten_minutes() {
    let world = World::new();
    let pipeline = world.pipeline();
    let token = of_kid("ec-1", "ec");
    for seconds in [0, 1, 300, 599] {
        assert_eq!(at(&world, &pipeline, seconds, &token), "200");
    }
    assert_eq!(world.key_set_fetches.get(), 1);
    assert_eq!(at(&world, &pipeline, 600, &token), "200");
    assert_eq!(world.key_set_fetches.get(), 2);
    assert_eq!(world.accepts.borrow()[..], [Accept::Whole { max: 256 * 1024 }; 2]);
    assert!(world.logs.borrow().iter().all(|(_, line)| !line.contains("jwks")));
}

#[test]
fn new_key_is_found_at_once_and_withdrawn_key_ends() {
    let world = World::new();
    let pipeline = world.pipeline();
    let (old, new) = (of_kid("ec-1", "ec"), of_kid("ec-2", "other_ec"));
    assert_eq!(at(&world, &pipeline, 0, &old), "200");
    serve(&world, &[jwk("other_ec", "ec-2")]);
    assert_eq!(at(&world, &pipeline, 1, &old), "200", "fresh for ten minutes");
    assert_eq!(at(&world, &pipeline, 2, &new), "200", "unknown, so fetched");
    // The project may have added it since.
    assert_eq!(at(&world, &pipeline, 3, &old), UNAVAILABLE);
    assert_eq!(world.key_set_fetches.get(), 2);
    assert_eq!(at(&world, &pipeline, 32, &old), INVALID);
    assert_eq!(world.key_set_fetches.get(), 3);
}

#[test]
fn many_unknown_kids_cost_one_fetch_in_30_seconds() {
    let world = World::new();
    let pipeline = world.pipeline();
    assert_eq!(at(&world, &pipeline, 0, &of_kid("ec-1", "ec")), "200");
    // The first of them has the set fetched; for the others the project may have added the key since.
    for i in 0..100 {
        let token = of_kid(&format!("x{i}"), "ec");
        let expected = if i == 0 { INVALID } else { UNAVAILABLE };
        assert_eq!(at(&world, &pipeline, 1 + i / 10, &token), expected);
    }
    assert_eq!(world.key_set_fetches.get(), 2);
    assert_eq!(at(&world, &pipeline, 31, &of_kid("y", "ec")), INVALID);
    assert_eq!(world.key_set_fetches.get(), 3);
}

#[test]
fn stale_keys_are_used_for_an_hour_while_the_endpoint_fails() {
    let world = World::new();
    let pipeline = world.pipeline();
    let token = of_kid("ec-1", "ec");
    assert_eq!(at(&world, &pipeline, 0, &token), "200");
    *world.key_set.borrow_mut() = Err(SendError::Timeout);
    assert_eq!(at(&world, &pipeline, 600, &token), "200");
    assert_eq!(at(&world, &pipeline, 610, &token), "200");
    assert_eq!(world.key_set_fetches.get(), 2, "no fetch for 30 seconds after a failure");
    assert_eq!(at(&world, &pipeline, 629, &token), "200");
    assert_eq!(world.key_set_fetches.get(), 2);
    assert_eq!(at(&world, &pipeline, 630, &token), "200");
    assert_eq!(world.key_set_fetches.get(), 3);
    assert_eq!(at(&world, &pipeline, 3599, &token), "200");
    assert_eq!(world.key_set_fetches.get(), 4);
    assert_eq!(at(&world, &pipeline, 3600, &token), UNAVAILABLE);
    assert_eq!(at(&world, &pipeline, 3600, &of_kid("x", "ec")), UNAVAILABLE);
    assert_eq!(world.key_set_fetches.get(), 4);
    serve(&world, &[jwk("ec", "ec-1")]);
    assert_eq!(at(&world, &pipeline, 3660, &token), "200");
}

#[test]
fn without_any_key_set_a_token_gets_503() {
    for broken in [
        Err(SendError::Unreachable),
        Err(SendError::TooLarge),
        reply(500, &key_set()),
        reply(302, &key_set()),
        reply(200, &json!("<html>")),
        reply(200, &json!({})),
        reply(200, &json!({"keys": [{"kty": "oct", "k": "c2VjcmV0"}, jwk("ec", "ec-1")]})),
        reply(200, &json!({"keys": [{"kty": "EC"}]})),
    ] {
        let world = World::new();
        *world.key_set.borrow_mut() = broken;
        let pipeline = world.pipeline();
        let answer = me(&es256(&claims())).send(&pipeline, &world);
        assert_eq!(answer.problem(), UNAVAILABLE);
        assert_eq!(answer.head("retry-after"), "30");
        assert!(world.logs.borrow().iter().any(|(_, line)| line.contains("jwks_failed")));
        assert_eq!(verdict_in(&world, &pipeline, &hs256(&claims())), "200", "needs no key set");
    }
}

#[test]
fn broken_key_set_does_not_replace_good_keys() {
    let world = World::new();
    let pipeline = world.pipeline();
    let token = of_kid("ec-1", "ec");
    assert_eq!(at(&world, &pipeline, 0, &token), "200");
    serve(&world, &[json!({"kty": "oct", "k": "c2VjcmV0", "kid": "ec-1"})]);
    assert_eq!(at(&world, &pipeline, 601, &token), "200");
    assert_eq!(at(&world, &pipeline, 602, &of_kid("new", "ec")), UNAVAILABLE);
}

#[test]
fn empty_key_set_is_valid() {
    let world = World::new();
    serve(&world, &[]);
    assert_eq!(verdict_in(&world, &world.pipeline(), &es256(&claims())), INVALID);
}

#[test]
fn concurrent_requests_share_one_fetch() {
    let world = World::new();
    let pipeline = world.pipeline();
    let (a, b, c) = (me(&es256(&claims())), me(&rs256(&claims())), me(&es256(&claims())));
    let (a, (b, c)) = pollster::block_on(futures_util::future::join(
        a.sending(&pipeline, &world),
        futures_util::future::join(b.sending(&pipeline, &world), c.sending(&pipeline, &world)),
    ));
    assert_eq!([a.status, b.status, c.status], [200, 200, 200]);
    assert_eq!(world.key_set_fetches.get(), 1);
}

#[test]
fn abandoned_fetch_is_repeated_by_the_next_request() {
    let world = World::new();
    let pipeline = world.pipeline();
    let request = me(&es256(&claims()));
    {
        // The client disconnects during the fetch.
        let mut abandoned = Box::pin(request.sending(&pipeline, &world));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(abandoned.as_mut().poll(&mut context).is_pending());
    }
    assert_eq!(world.key_set_fetches.get(), 1);
    assert_eq!(verdict_in(&world, &pipeline, &es256(&claims())), "200");
    assert_eq!(world.key_set_fetches.get(), 2);
}

/// Two concurrent requests: one fetches the key set, the other waits for it.
fn one_fetches_and_one_waits(request: &Request, pipeline: &Pipeline, world: &World) {
    let (mut asking, mut waiting) =
        (Box::pin(request.sending(pipeline, world)), Box::pin(request.sending(pipeline, world)));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(asking.as_mut().poll(&mut context).is_pending());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    assert_eq!(pollster::block_on(asking).status, 200);
    assert_eq!(pollster::block_on(waiting).status, 200);
}

#[test]
fn requests_wait_for_a_refetch_of_an_expired_set() {
    let world = World::new();
    let pipeline = world.pipeline();
    let token = of_kid("ec-1", "ec");
    assert_eq!(at(&world, &pipeline, 0, &token), "200");
    world.now.set((NOW + 600) * 1000);
    let request = Request::new("GET", "/v1/me").token(&token).signed_at(NOW + 600);
    // The key may just have been withdrawn.
    one_fetches_and_one_waits(&request, &pipeline, &world);
    assert_eq!(world.key_set_fetches.get(), 2);
}

#[test]
fn requests_without_keys_wait_for_a_refetch_after_a_failure() {
    let world = World::new();
    let pipeline = world.pipeline();
    *world.key_set.borrow_mut() = Err(SendError::Timeout);
    let token = of_kid("ec-1", "ec");
    assert_eq!(at(&world, &pipeline, 0, &token), UNAVAILABLE);
    serve(&world, &[jwk("ec", "ec-1")]);
    world.now.set((NOW + 30) * 1000);
    let request = me(&token);
    one_fetches_and_one_waits(&request, &pipeline, &world);
    assert_eq!(world.key_set_fetches.get(), 2);
}

#[test]
fn request_waits_for_other_fetches_for_a_bounded_time() {
    let world = World::new();
    let pipeline = world.pipeline();
    let request = me(&es256(&claims()));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut requests: Vec<_> = (0..3).map(|_| Box::pin(request.sending(&pipeline, &world))).collect();
    let since = |world: &World| world.now.get() - NOW * 1000;
    // The first one never finishes; the second takes over after its deadline.
    assert!(requests[0].as_mut().poll(&mut context).is_pending());
    assert!(requests[2].as_mut().poll(&mut context).is_pending());
    world.now.set(NOW * 1000);
    while world.key_set_fetches.get() == 1 {
        assert!(requests[1].as_mut().poll(&mut context).is_pending());
    }
    assert_eq!(since(&world), 3500);
    // The second does not finish either. The third gives up.
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
fn requests_with_stale_keys_do_not_wait_for_a_refetch() {
    let world = World::new();
    let pipeline = world.pipeline();
    let token = of_kid("ec-1", "ec");
    assert_eq!(at(&world, &pipeline, 0, &token), "200");
    *world.key_set.borrow_mut() = Err(SendError::Timeout);
    assert_eq!(at(&world, &pipeline, 600, &token), "200");

    world.now.set((NOW + 640) * 1000);
    let request = Request::new("GET", "/v1/me").token(&token).signed_at(NOW + 640);
    let mut asking = Box::pin(request.sending(&pipeline, &world));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(asking.as_mut().poll(&mut context).is_pending());
    let before = world.now.get();
    assert_eq!(at(&world, &pipeline, 640, &token), "200");
    assert_eq!(world.now.get(), before, "without sleeping");
}

#[test]
fn many_abandoned_requests_cost_one_fetch() {
    let world = World::new();
    let pipeline = world.pipeline();
    assert_eq!(verdict_in(&world, &pipeline, &es256(&claims())), "200");
    for i in 0..20 {
        let request = me(&of_kid(&format!("x{i}"), "ec"));
        let mut abandoned = Box::pin(request.sending(&pipeline, &world));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let _ = abandoned.as_mut().poll(&mut context);
        drop(abandoned);
        world.pass(1);
        world.now.set(world.now.get().min(NOW * 1000 + 29_000));
    }
    assert_eq!(world.key_set_fetches.get(), 2);
}

#[test]
fn withdrawal_of_all_keys_is_obeyed_and_logged() {
    let world = World::new();
    let pipeline = world.pipeline();
    let token = of_kid("ec-1", "ec");
    assert_eq!(at(&world, &pipeline, 0, &token), "200");
    serve(&world, &[]);
    assert_eq!(at(&world, &pipeline, 601, &token), INVALID);
    assert!(world.logs.borrow().iter().any(|(_, line)| line.contains("jwks_empty")));
}

#[test]
fn signature_is_verified_once_and_time_for_each_request() {
    let world = World::new();
    let pipeline = world.pipeline();
    let claims = claims_with("exp", json!(NOW + 300));
    let token = es256(&claims);
    for seconds in [0, 1, 300, 329] {
        assert_eq!(at(&world, &pipeline, seconds, &token), "200");
    }
    assert_eq!(world.verifications.get(), 1);
    assert_eq!(at(&world, &pipeline, 330, &token), "401 token_expired");
    // After the clock was set back.
    assert_eq!(at(&world, &pipeline, -31, &token), "401 token_invalid");
    assert_eq!(world.verifications.get(), 1);
    // Another character makes another token.
    assert_eq!(at(&world, &pipeline, 0, &format!("{token}A")), "401 token_invalid");
}

#[test]
fn verified_token_ends_with_its_key() {
    let world = World::new();
    let pipeline = world.pipeline();
    serve(&world, &[jwk("ec", "a")]);
    let token = of_kid("a", "ec");
    assert_eq!(at(&world, &pipeline, 0, &token), "200");
    // Another key with the same kid: its tokens are good, those of the old key are not.
    serve(&world, &[jwk("other_ec", "a")]);
    assert_eq!(at(&world, &pipeline, 599, &token), "200");
    assert_eq!(at(&world, &pipeline, 600, &token), "401 token_invalid");
    assert_eq!(at(&world, &pipeline, 601, &of_kid("a", "other_ec")), "200");
    // No key at all.
    serve(&world, &[jwk("ec", "b")]);
    assert_eq!(at(&world, &pipeline, 1200, &of_kid("a", "other_ec")), "401 token_invalid");
}

#[test]
fn refused_token_is_not_remembered() {
    let world = World::new();
    let pipeline = world.pipeline();
    let forged = jws(r#"{"alg":"ES256","kid":"ec-1","typ":"JWT"}"#, &claims().to_string(), "other_ec");
    for _ in 0..2 {
        assert_eq!(at(&world, &pipeline, 0, &forged), "401 token_invalid");
    }
    assert_eq!(world.verifications.get(), 2);
}

#[test]
fn failure_of_web_crypto_is_503() {
    let world = World::new();
    let pipeline = world.pipeline();
    let token = es256(&claims());
    world.crypto_down.set(true);
    assert_eq!(at(&world, &pipeline, 0, &token), "503 dependency_unavailable");
    world.crypto_down.set(false);
    assert_eq!(at(&world, &pipeline, 0, &token), "200");
}
