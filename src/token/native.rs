//! Signatures of public keys without a platform: `jsonwebtoken`'s own arithmetic, for tests and for
//! conformance suites. The Worker has the platform's Web Crypto do this, behind [`Edge::verify`].
//!
//! [`Edge::verify`]: crate::seam::Edge::verify

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, crypto};

use super::Rejected;
use super::jwks::{KeySet, PublicKey};
use super::jws::{Alg, Jws};

/// Verifies a compact JWS (RFC 7515) against a JWK Set (RFC 7517) given as JSON text, and returns
/// the payload's bytes. No claim is looked at: this is the seam for conformance suites, over the
/// same parsing and choice of key that the Worker runs.
///
/// ES256 and RS256 only. A `kid` in the header picks the key; without one there must be exactly one
/// key of that algorithm.
///
/// # Errors
/// [`Rejected`] if the set or the token is malformed, no key fits, or the signature is not good.
pub fn verify_jws(compact: &str, jwk_set: &str) -> Result<Vec<u8>, Rejected> {
    let set = KeySet::parse(jwk_set.as_bytes())?;
    let jws = Jws::parse(compact)?;
    let named = jws.named();
    let key = match &named.kid {
        Some(kid) => set.find(kid),
        None => set.only(named.alg),
    };
    let key = key.ok_or(Rejected("no key for this token"))?;
    if key.alg() != named.alg {
        return Err(Rejected("alg is not the key's"));
    }
    let good = verify_signature(key, jws.signing_input(), jws.signature());
    jws.payload(good).map(<[u8]>::to_vec)
}

/// Whether `key` made `signature` over `message`.
pub fn verify_signature(key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
    let algorithm = match key.alg() {
        Alg::Es256 => Algorithm::ES256,
        Alg::Rs256 => Algorithm::RS256,
        Alg::Hs256 => return false,
    };
    serde_json::from_str::<Jwk>(key.jwk())
        .ok()
        .and_then(|jwk| DecodingKey::from_jwk(&jwk).ok())
        .is_some_and(|key| {
            let signature = URL_SAFE_NO_PAD.encode(signature);
            crypto::verify(&signature, message, &key, algorithm).unwrap_or(false)
        })
}
