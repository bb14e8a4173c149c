//! The key set over minutes and hours, under a clock that a test sets.

#![allow(
    missing_docs,
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

mod support;

use airlock::seam::SendError;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use support::*;

const INVALID: &str = "401 token_invalid";
const UNAVAILABLE: &str = "503 dependency_unavailable";

fn good_for_a_day() -> String {
    claims_with("exp", json!(NOW + 86_400)).to_string()
}

/// A token that no key is looked at for: there is none of this name.
fn made_up(kid: &str) -> String {
    let header = json!({"alg": "ES256", "kid": kid}).to_string();
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let (header, payload) = (part(header.as_bytes()), part(good_for_a_day().as_bytes()));
    format!("{header}.{payload}.{}", part(&[1; 64]))
}

fn fail(world: &World) {
    *world.key_set.borrow_mut() = Err(SendError::Timeout);
}

#[test]
fn an_hour_of_made_up_kids_costs_one_fetch_in_thirty_seconds() {
    let world = World::new();
    let gateway = world.gateway();
    let good = of_kid("ec-1", "ec");
    assert_eq!(at(&world, &gateway, 0, &good), "200");
    for second in 1..3600 {
        let flood = made_up(&format!("x{second}"));
        assert_eq!(at(&world, &gateway, second, &flood), INVALID);
        if second % 60 == 0 {
            assert_eq!(at(&world, &gateway, second, &good), "200");
        }
    }
    let fetches = world.key_set_fetches.get();
    assert!((115..=121).contains(&fetches), "{fetches}");
}

#[test]
fn an_hour_of_made_up_kids_asks_a_failing_endpoint_once_in_thirty_seconds() {
    let world = World::new();
    let gateway = world.gateway();
    fail(&world);
    for second in 0..3600 {
        let flood = made_up(&format!("x{second}"));
        assert_eq!(at(&world, &gateway, second, &flood), UNAVAILABLE);
    }
    let fetches = world.key_set_fetches.get();
    assert!((115..=121).contains(&fetches), "{fetches}");
}

#[test]
fn a_key_that_came_within_a_cool_down_is_found_when_it_ends() {
    let world = World::new();
    let gateway = world.gateway();
    assert_eq!(at(&world, &gateway, 0, &of_kid("ec-1", "ec")), "200");
    assert_eq!(at(&world, &gateway, 10, &made_up("x")), INVALID);
    serve(&world, &[jwk("ec", "ec-1"), jwk("other_ec", "ec-2")]);
    let new = of_kid("ec-2", "other_ec");
    assert_eq!(at(&world, &gateway, 11, &new), INVALID);
    assert_eq!(at(&world, &gateway, 39, &new), INVALID);
    assert_eq!(world.key_set_fetches.get(), 2);
    assert_eq!(at(&world, &gateway, 40, &new), "200");
    assert_eq!(world.key_set_fetches.get(), 3);
}

#[test]
fn after_an_outage_that_began_cold_keys_are_had_in_thirty_seconds_and_the_client_is_told_when() {
    let world = World::new();
    let gateway = world.gateway();
    let good = of_kid("ec-1", "ec");
    fail(&world);
    for (second, retry_after) in [(0, "30"), (10, "20"), (29, "1")] {
        let answer = ask_at(&world, &gateway, second, &good);
        assert_eq!(answer.problem(), UNAVAILABLE);
        assert_eq!(answer.head("retry-after"), retry_after, "{second}");
        serve(&world, &[jwk("ec", "ec-1")]);
    }
    assert_eq!(world.key_set_fetches.get(), 1);
    assert_eq!(at(&world, &gateway, 30, &good), "200");
}

#[test]
fn a_key_that_was_withdrawn_in_an_outage_ends_with_it() {
    let world = World::new();
    let gateway = world.gateway();
    let withdrawn = of_kid("ec-1", "ec");
    assert_eq!(at(&world, &gateway, 0, &withdrawn), "200");
    fail(&world);
    assert_eq!(at(&world, &gateway, 1800, &withdrawn), "200", "stale");
    serve(&world, &[jwk("other_ec", "ec-2")]);
    assert_eq!(
        at(&world, &gateway, 1829, &withdrawn),
        "200",
        "left alone for thirty seconds"
    );
    assert_eq!(at(&world, &gateway, 1830, &withdrawn), INVALID);
    assert_eq!(
        at(&world, &gateway, 1831, &of_kid("ec-2", "other_ec")),
        "200"
    );
}

#[test]
fn what_poisons_a_set_does_not_lengthen_the_life_of_stale_keys() {
    for poison in [
        reply(200, &json!({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]})),
        reply(200, &json!("<html>")),
        reply(200, &json!({"keys": [{"kty": "EC"}]})),
        Err(SendError::TooLarge),
        Err(SendError::Unreachable),
    ] {
        let world = World::new();
        let gateway = world.gateway();
        let good = of_kid("ec-1", "ec");
        assert_eq!(at(&world, &gateway, 0, &good), "200");
        *world.key_set.borrow_mut() = poison;
        for second in (600..3600).step_by(300) {
            assert_eq!(at(&world, &gateway, second, &good), "200");
        }
        assert_eq!(at(&world, &gateway, 3600, &good), UNAVAILABLE);
    }
}
