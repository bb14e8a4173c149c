//! For conformance suites, natively: the JWS code of the path beneath all claim checks.
//!
//! The Worker has the platform's Web Crypto verify signatures of public keys; natively
//! `jsonwebtoken`'s own arithmetic does.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, crypto};

use crate::jwt::jws::{Alg, Jws};
use crate::jwt::key_set::{KeySet, PublicKey};

/// Verifies a compact JWS (RFC 7515) of ES256 or RS256 against a JWK Set (RFC 7517), and returns the
/// payload. A `kid` in the header picks the key; without one there must be exactly one key of that
/// algorithm.
///
/// # Errors
/// If the set or the token is malformed, no key fits, or the signature is not good.
pub fn verify_jws(compact: &str, jwk_set: &str) -> Result<Vec<u8>, String> {
    let set = KeySet::parse(jwk_set.as_bytes()).map_err(|rejected| rejected.0)?;
    let jws = Jws::parse(compact).map_err(|rejected| rejected.0)?;
    let hint = jws.hint();
    let key = match &hint.kid {
        Some(kid) => set.find(kid),
        None => set.only(hint.alg),
    };
    let key = key.ok_or("no key for this token")?;
    if key.alg() != hint.alg {
        return Err("alg is not the key's".to_owned());
    }
    let good = verify(key, jws.signing_input(), jws.signature());
    let payload = jws.payload(good).map_err(|rejected| rejected.0)?;
    Ok(payload.to_vec())
}

/// Whether the key of a JWK (JSON text) made `signature` over `message`, with the one algorithm that
/// the key is for. `false` for a key that the Worker drops.
pub fn verify_signature(jwk: &str, message: &[u8], signature: &[u8]) -> bool {
    let set = KeySet::parse(format!(r#"{{"keys":[{jwk}]}}"#).as_bytes());
    set.is_ok_and(|set| set.keys().first().is_some_and(|key| verify(key, message, signature)))
}

/// Whether `tag` is the HMAC-SHA256 of `message` under `key`.
pub fn verify_hs256(key: &[u8], message: &[u8], tag: &[u8]) -> bool {
    let (key, tag) = (DecodingKey::from_secret(key), URL_SAFE_NO_PAD.encode(tag));
    crypto::verify(&tag, message, &key, Algorithm::HS256).unwrap_or(false)
}

fn verify(key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
    let algorithm = match key.alg() {
        Alg::Es256 => Algorithm::ES256,
        Alg::Rs256 => Algorithm::RS256,
        Alg::Hs256 => return false,
    };
    serde_json::from_str::<Jwk>(key.jwk()).ok().and_then(|jwk| DecodingKey::from_jwk(&jwk).ok()).is_some_and(|key| {
        let signature = URL_SAFE_NO_PAD.encode(signature);
        crypto::verify(&signature, message, &key, algorithm).unwrap_or(false)
    })
}
