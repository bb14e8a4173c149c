//! User tokens: the second door. Who is the user?
//!
//! Promise: whoever holds a [`Session`] holds a Supabase access token that was verified here, a
//! moment ago, by the one key that its header names, with the one algorithm that this key is for;
//! [`authenticate`] is the only place that makes one. What goes to Supabase is that very token,
//! so that Row Level Security decides with the same claims. It refuses everything that RFC 8725
//! warns of, and what `jsonwebtoken` would let pass by default: see [`jws`], [`jwks`], [`claims`].

mod claims;
mod jwks;
mod jws;
mod keys;

use jsonwebtoken::DecodingKey;

pub(crate) use claims::Session;
pub(crate) use keys::Keys;

use crate::guard::{Bearer, GuardedRequest};
use crate::problem::{Code, Problem};
use crate::seam::Edge;
use claims::Refusal;
use jwks::KeySet;
use jws::{Alg, Jws};
use keys::Lookup;

/// How tokens are verified. Part of the configuration.
#[derive(Debug)]
pub(crate) struct Verifier {
    /// The expected `iss`; `None` switches the check off, which only a loopback project may.
    pub(crate) issuer: Option<String>,
    /// The legacy shared secret. `None` refuses HS256.
    pub(crate) secret: Option<DecodingKey>,
    /// The project's public keys.
    pub(crate) keys: Keys,
}

/// Knocks at the second door.
pub(crate) async fn authenticate(
    verifier: &Verifier,
    request: &GuardedRequest,
    edge: &impl Edge,
) -> Result<Session, Problem> {
    let token = match request.bearer() {
        Bearer::Token(token) => token,
        Bearer::Absent => {
            return Err(Problem::new(
                Code::TokenMissing,
                "Send the user's Supabase access token as Authorization: Bearer.",
            ));
        }
        Bearer::Other => return Err(Problem::token_invalid("another scheme than Bearer")),
    };
    let jws = Jws::parse(token).map_err(|refused| Problem::token_invalid(refused.0))?;
    jws.typ_is_jwt()
        .map_err(|refused| Problem::token_invalid(refused.0))?;

    let verified = match jws.alg() {
        Alg::Hs256 => {
            let secret = verifier.secret.as_ref();
            jws.verify(
                Alg::Hs256,
                secret.ok_or_else(|| Problem::token_invalid("HS256 is off"))?,
            )
        }
        alg @ (Alg::Es256 | Alg::Rs256) => {
            let kid = jws.kid().ok_or_else(|| Problem::token_invalid("no kid"))?;
            match verifier.keys.find(kid, edge).await {
                Lookup::Found(key) if key.alg == alg => jws.verify(alg, &key.key),
                Lookup::Found(_) => return Err(Problem::token_invalid("alg is not the key's")),
                Lookup::Unknown => return Err(Problem::token_invalid("unknown kid")),
                Lookup::Unavailable { retry_after } => {
                    return Err(Problem::dependency(
                        "no usable key: the key set can't be fetched",
                        retry_after,
                    ));
                }
            }
        }
    };
    let payload = verified.map_err(|refused| Problem::token_invalid(refused.0))?;
    let now = edge.now().div_euclid(1000);
    Session::from_claims(token, payload, verifier.issuer.as_deref(), now).map_err(|refusal| {
        match refusal {
            Refusal::Expired => Problem::token_expired(),
            Refusal::Invalid(reason) => Problem::token_invalid(reason),
        }
    })
}

/// Verifies a compact JWS (RFC 7515) against a JWK Set (RFC 7517) given as JSON text, and returns
/// the payload's bytes. No claim is looked at: this is the seam for conformance suites, and the
/// same code that the Worker runs.
///
/// ES256 and RS256 only. A `kid` in the header picks the key; without one there must be exactly one
/// key of that algorithm.
///
/// # Errors
/// [`Rejected`] if the set or the token is malformed, no key fits, or the signature is not good.
pub fn verify_jws(compact: &str, jwk_set: &str) -> Result<Vec<u8>, Rejected> {
    let set = KeySet::parse(jwk_set.as_bytes())?;
    let jws = Jws::parse(compact)?;
    let key = match jws.kid() {
        Some(kid) => set.find(kid),
        None => set.only(jws.alg()),
    };
    let key = key.ok_or(Rejected("no key for this token"))?;
    jws.verify(key.alg, &key.key).map(<[u8]>::to_vec)
}

/// Why a token or a key set was not accepted: for logs and tests, not for clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejected(pub &'static str);
