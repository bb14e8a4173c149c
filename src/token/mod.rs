//! User tokens: the second door. Who is the user?
//!
//! Promise: whoever holds a [`Session`] holds a Supabase access token that the one key its header
//! names signed, with the one algorithm that this key is for, and whose claims are good now;
//! [`authenticate`] is the only place that makes one. What goes to Supabase is that very token,
//! so that Row Level Security decides with the same claims. It refuses everything that RFC 8725
//! warns of, and what `jsonwebtoken` would let pass by default: see [`jws`], [`jwks`], [`claims`].

mod claims;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod jwks;
mod jws;
mod keys;
#[cfg(not(target_arch = "wasm32"))]
mod native;
#[cfg(any(target_arch = "wasm32", test))]
mod provider;
#[cfg(test)]
mod vectors;
mod verified;

use std::rc::Rc;

use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use uuid::Uuid;

pub use jwks::PublicKey;
pub use jws::Alg;
pub(crate) use keys::Keys;
#[cfg(not(target_arch = "wasm32"))]
pub use native::{verify_jws, verify_signature};

use crate::guard::{Bearer, GuardedRequest};
use crate::problem::{Code, Problem};
use crate::seam::{Edge, Millis};
use claims::{Claims, Me, Refusal};
use jws::{Jws, Named};
use keys::Lookup;
use verified::{Verified, VerifiedTokens};

/// How tokens are verified. Part of the configuration.
#[derive(Debug)]
pub(crate) struct Verifier {
    /// The expected `iss`; `None` switches the check off, which only a loopback project may.
    pub(crate) issuer: Option<String>,
    /// The legacy shared secret. `None` refuses HS256.
    pub(crate) secret: Option<DecodingKey>,
    /// The project's public keys.
    keys: Keys,
    verified: VerifiedTokens,
}

/// A verified user. Made by [`authenticate`] alone; everything that reaches the database demands
/// one.
#[derive(Debug)]
pub(crate) struct Session {
    token: Token,
    claims: Rc<Claims>,
}

/// The token, which `Debug` does not print.
struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(redacted)")
    }
}

impl Session {
    /// The user's id.
    pub(crate) fn sub(&self) -> Uuid {
        self.claims.sub()
    }

    /// The token as it came, for Supabase.
    pub(crate) fn token(&self) -> &str {
        &self.token.0
    }

    /// What the user may know of the session.
    pub(crate) fn me<'a>(&'a self, app_id: Option<&'a str>) -> Me<'a> {
        self.claims.me(app_id)
    }
}

/// The key that a token has to have been signed with.
#[derive(Debug, Clone)]
enum SigningKey {
    /// The legacy secret, of which there is one as long as the isolate lives.
    Secret,
    /// A key of the project's set as it is now.
    Public(Rc<PublicKey>),
}

impl Verifier {
    pub(crate) fn new(issuer: Option<String>, secret: Option<DecodingKey>, keys: Keys) -> Self {
        #[cfg(target_arch = "wasm32")]
        provider::install();
        Self {
            issuer,
            secret,
            keys,
            verified: VerifiedTokens::default(),
        }
    }

    /// How long [`authenticate`] waits for anything at most.
    pub(crate) fn longest(&self) -> Millis {
        self.keys.longest()
    }

    /// The key that a token's header names, if that key is for the algorithm that it names.
    async fn key(&self, named: &Named, edge: &impl Edge) -> Result<SigningKey, Problem> {
        if named.alg == Alg::Hs256 {
            return match self.secret {
                Some(_) => Ok(SigningKey::Secret),
                None => Err(Problem::token_invalid("HS256 is off")),
            };
        }
        let kid = named.kid.as_deref();
        let kid = kid.ok_or_else(|| Problem::token_invalid("no kid"))?;
        match self.keys.find(kid, edge).await {
            Lookup::Found(key) if key.alg() == named.alg => Ok(SigningKey::Public(key)),
            Lookup::Found(_) => Err(Problem::token_invalid("alg is not the key's")),
            Lookup::Unknown => Err(Problem::token_invalid("unknown kid")),
            Lookup::Unavailable { retry_after } => Err(Problem::dependency(
                "no usable key: the key set can't be fetched",
                retry_after,
            )),
        }
    }

    /// Whether `key` signed the token. The library decides on the legacy secret, the platform on the
    /// project's public keys.
    async fn signed(
        &self,
        jws: &Jws<'_>,
        key: &SigningKey,
        edge: &impl Edge,
    ) -> Result<bool, Problem> {
        match (key, &self.secret) {
            (SigningKey::Secret, Some(secret)) => Ok(crypto::verify(
                jws.signature_text(),
                jws.signing_input(),
                secret,
                Algorithm::HS256,
            )
            .unwrap_or(false)),
            (SigningKey::Secret, None) => Ok(false),
            (SigningKey::Public(key), _) => edge
                .verify(key, jws.signing_input(), jws.signature())
                .await
                .map_err(|_| Problem::dependency("Web Crypto could not verify a signature", 5)),
        }
    }
}

/// Knocks at the second door.
///
/// A token that was verified before is not verified again, while the key that signed it is the one
/// that would verify it now; the key is looked up, and the time is looked at, for every request.
pub(crate) async fn authenticate(
    verifier: &Verifier,
    request: &GuardedRequest,
    edge: &impl Edge,
) -> Result<Session, Problem> {
    let (token, digest) = match (request.bearer(), request.token_digest()) {
        (Bearer::Token(token), Some(digest)) => (token, digest),
        (Bearer::Absent, _) => {
            return Err(Problem::new(
                Code::TokenMissing,
                "Send the user's Supabase access token as Authorization: Bearer.",
            ));
        }
        _ => return Err(Problem::token_invalid("another scheme than Bearer")),
    };
    let claims = match verifier.verified.get(&digest) {
        Some(known) if known.signed_by(&verifier.key(known.named(), edge).await?) => known.claims(),
        _ => {
            let invalid = |rejected: Rejected| Problem::token_invalid(rejected.0);
            let jws = Jws::parse(token).map_err(invalid)?;
            jws.typ_is_jwt().map_err(invalid)?;
            let key = verifier.key(jws.named(), edge).await?;
            let good = verifier.signed(&jws, &key, edge).await?;
            let payload = jws.payload(good).map_err(invalid)?;
            let claims = Claims::parse(payload, verifier.issuer.as_deref())
                .map(Rc::new)
                .map_err(refuse)?;
            let known = Verified::new(jws.named().clone(), key, Rc::clone(&claims));
            verifier.verified.insert(digest, known);
            claims
        }
    };
    claims
        .check_time(edge.now().div_euclid(1000))
        .map_err(refuse)?;
    Ok(Session {
        token: Token(token.to_owned()),
        claims,
    })
}

fn refuse(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Expired => Problem::token_expired(),
        Refusal::Invalid(reason) => Problem::token_invalid(reason),
    }
}

/// Why a token or a key set was not accepted: for logs and tests, not for clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejected(pub &'static str);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_in_a_log_shows_no_token() {
        let session = Session {
            token: Token("header.payload.signature".to_owned()),
            claims: Rc::new(Claims::of_nobody()),
        };
        let text = format!("{session:?}");
        assert!(
            text.contains("Token(redacted)") && !text.contains("payload"),
            "{text}"
        );
    }
}
