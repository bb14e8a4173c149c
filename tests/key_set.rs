//! The key set over minutes and hours, with a clock that the test sets.

#![allow(missing_docs, clippy::allow_attributes, reason = "test code")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "test code")]

mod support;

use airlock::pipeline::Pipeline;
use airlock::platform::{Limiter, SendError};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use support::*;

const INVALID: &str = "401 token_invalid";
const UNAVAILABLE: &str = "503 dependency_unavailable";

fn good_for_a_day() -> String {
    claims_with("exp", json!(NOW + 86_400)).to_string()
}

/// A token whose kid no key has.
fn unknown_kid(kid: &str) -> String {
    let header = json!({"alg": "ES256", "kid": kid}).to_string();
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let (header, payload) = (part(header.as_bytes()), part(good_for_a_day().as_bytes()));
    format!("{header}.{payload}.{}", part(&[1; 64]))
}

/// A pipeline that has just fetched a key set with the key ec-1.
fn fetched() -> (World, Pipeline) {
    let world = World::new();
    let pipeline = world.pipeline();
    assert_eq!(at(&world, &pipeline, 0, &of_kid("ec-1", "ec")), "200");
    (world, pipeline)
}

fn fail(world: &World) {
    *world.key_set.borrow_mut() = Err(SendError::Timeout);
}

fn assert_one_fetch_in_30_seconds_of_an_hour(world: &World) {
    let fetches = world.key_set_fetches.get();
    assert!((115..=121).contains(&fetches), "{fetches}");
}

#[test]
fn unknown_kids_for_an_hour_cost_one_fetch_in_30_seconds() {
    let (world, pipeline) = fetched();
    let good = of_kid("ec-1", "ec");
    let mut invalid = 0;
    for second in 1..3600 {
        let flood = at(&world, &pipeline, second, &unknown_kid(&format!("x{second}")));
        // Only the request whose fetch lacks the key knows that there is none.
        assert!([INVALID, UNAVAILABLE].contains(&flood.as_str()), "{flood}");
        invalid += u32::from(flood == INVALID);
        if second % 60 == 0 {
            assert_eq!(at(&world, &pipeline, second, &good), "200");
        }
    }
    assert_eq!(invalid, world.key_set_fetches.get() - 1);
    assert_one_fetch_in_30_seconds_of_an_hour(&world);
}

#[test]
fn failing_endpoint_is_asked_once_in_30_seconds() {
    let world = World::new();
    let pipeline = world.pipeline();
    fail(&world);
    for second in 0..3600 {
        let flood = unknown_kid(&format!("x{second}"));
        assert_eq!(at(&world, &pipeline, second, &flood), UNAVAILABLE);
    }
    assert_one_fetch_in_30_seconds_of_an_hour(&world);
}

#[test]
fn key_added_during_the_cool_down_is_found_after_it() {
    let (world, pipeline) = fetched();
    assert_eq!(at(&world, &pipeline, 10, &unknown_kid("x")), INVALID);
    serve(&world, &[jwk("ec", "ec-1"), jwk("other_ec", "ec-2")]);
    let new = of_kid("ec-2", "other_ec");
    for (second, retry_after) in [(11, "29"), (39, "1")] {
        let answer = ask_at(&world, &pipeline, second, &new);
        assert_eq!(answer.problem(), UNAVAILABLE);
        assert_eq!(answer.head("retry-after"), retry_after);
    }
    assert_eq!(world.key_set_fetches.get(), 2);
    assert_eq!(at(&world, &pipeline, 40, &new), "200");
    assert_eq!(world.key_set_fetches.get(), 3);
}

#[test]
fn keys_are_refetched_30_seconds_after_a_failure() {
    let world = World::new();
    let pipeline = world.pipeline();
    let good = of_kid("ec-1", "ec");
    fail(&world);
    for (second, retry_after) in [(0, "30"), (10, "20"), (29, "1")] {
        let answer = ask_at(&world, &pipeline, second, &good);
        assert_eq!(answer.problem(), UNAVAILABLE);
        assert_eq!(answer.head("retry-after"), retry_after, "{second}");
        serve(&world, &[jwk("ec", "ec-1")]);
    }
    assert_eq!(world.key_set_fetches.get(), 1);
    assert_eq!(at(&world, &pipeline, 30, &good), "200");
}

#[test]
fn key_withdrawn_during_an_outage_ends_after_it() {
    let (world, pipeline) = fetched();
    let withdrawn = of_kid("ec-1", "ec");
    fail(&world);
    assert_eq!(at(&world, &pipeline, 1800, &withdrawn), "200", "stale");
    serve(&world, &[jwk("other_ec", "ec-2")]);
    assert_eq!(at(&world, &pipeline, 1829, &withdrawn), "200", "no fetch for 30 seconds");
    assert_eq!(at(&world, &pipeline, 1830, &withdrawn), INVALID);
    assert_eq!(at(&world, &pipeline, 1831, &of_kid("ec-2", "other_ec")), "200");
}

#[test]
fn broken_key_set_does_not_extend_stale_keys() {
    for broken in [
        reply(200, &json!({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]})),
        reply(200, &json!("<html>")),
        reply(200, &json!({"keys": [{"kty": "EC"}]})),
        Err(SendError::TooLarge),
        Err(SendError::Unreachable),
    ] {
        let (world, pipeline) = fetched();
        let good = of_kid("ec-1", "ec");
        *world.key_set.borrow_mut() = broken;
        for second in (600..3600).step_by(300) {
            assert_eq!(at(&world, &pipeline, second, &good), "200");
        }
        assert_eq!(at(&world, &pipeline, 3600, &good), UNAVAILABLE);
    }
}

#[test]
fn unknown_kid_in_the_cool_down_counts_against_the_address() {
    let counted = |world: &World, second: i64| {
        world.throttled.take();
        let answer = ask_at(world, &world.pipeline(), second, &unknown_kid("x"));
        let throttled = world.throttled.take();
        (answer.problem(), throttled.iter().any(|(limiter, _)| *limiter == Limiter::Ip))
    };
    let world = World::new();
    fail(&world);
    assert_eq!(counted(&world, 0), (UNAVAILABLE.to_owned(), false), "the endpoint fails");

    let pipeline = world.pipeline();
    serve(&world, &[jwk("ec", "ec-1")]);
    assert_eq!(at(&world, &pipeline, 0, &of_kid("ec-1", "ec")), "200");
    assert_eq!(at(&world, &pipeline, 0, &unknown_kid("x")), INVALID);
    world.throttled.take();
    assert_eq!(at(&world, &pipeline, 1, &unknown_kid("x")), UNAVAILABLE);
    assert_eq!(*world.throttled.borrow(), [(Limiter::Ip, "unknown".to_owned())]);
}
