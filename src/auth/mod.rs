//! User tokens: who is the user?
//!
//! A [`Session`] holds a Supabase access token that the key in its header signed, with the one
//! algorithm that this key is for, and whose claims are good now. [`authenticate`] is the only place
//! that makes one. Supabase receives that very token, so Row Level Security decides with the same
//! claims. RFC 8725 lists what is refused; see [`jws`], [`key_set`] and [`claims`].

mod claims;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
pub(crate) mod jws;
mod key_cache;
pub(crate) mod key_set;
#[cfg(any(target_arch = "wasm32", test))]
mod provider;
#[cfg(test)]
mod vectors;
mod verified;

use std::rc::Rc;

use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use uuid::Uuid;

pub(crate) use claims::Claims;
pub(crate) use key_cache::KeyCache;

use crate::app_guard::{Bearer, GuardedRequest};
use crate::error::{Code, Problem};
use crate::platform::{Millis, Platform};
use claims::Refusal;
use jws::{Alg, Jws, KeyHint};
use key_cache::Lookup;
use key_set::PublicKey;
use verified::{Verified, VerifiedTokens};

/// How tokens are verified. Part of the configuration.
#[derive(Debug)]
pub(crate) struct Verifier {
    /// The expected `iss`; `None` switches the check off, which only a loopback project may.
    pub(crate) issuer: Option<String>,
    /// The legacy shared secret. `None` refuses HS256.
    pub(crate) secret: Option<DecodingKey>,
    /// The project's public keys.
    keys: KeyCache,
    verified: VerifiedTokens,
}

/// A verified user. Only [`authenticate`] makes one, and a user's database needs one.
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
        self.claims.sub
    }

    /// What the token says of the user.
    pub(crate) fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The token as it came, for Supabase.
    pub(crate) fn token(&self) -> &str {
        &self.token.0
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
    pub(crate) fn new(issuer: Option<String>, secret: Option<DecodingKey>, keys: KeyCache) -> Self {
        #[cfg(target_arch = "wasm32")]
        provider::install();
        Self { issuer, secret, keys, verified: VerifiedTokens::default() }
    }

    /// How long [`authenticate`] waits for anything at most.
    pub(crate) fn longest(&self) -> Millis {
        self.keys.longest()
    }

    /// Whether there is a key that could verify a token.
    pub(crate) async fn ready(&self, platform: &impl Platform) -> Result<(), Problem> {
        match self.keys.find(None, platform).await {
            Lookup::Found(_) => Ok(()),
            Lookup::Unknown if self.secret.is_some() => Ok(()),
            Lookup::Unknown => Err(Code::Internal.because("the key set has no usable key")),
            Lookup::CoolingDown { retry_after } | Lookup::Unavailable { retry_after } => {
                Err(Problem::dependency("no usable key of the key set", retry_after))
            }
        }
    }

    /// The key that a token's header names, if that key is for the algorithm that it names.
    async fn key(&self, hint: &KeyHint, platform: &impl Platform) -> Result<SigningKey, Problem> {
        if hint.alg == Alg::Hs256 {
            return match self.secret {
                Some(_) => Ok(SigningKey::Secret),
                None => Err(Code::TokenInvalid.because("HS256 is off")),
            };
        }
        let kid = hint.kid.as_deref();
        let kid = kid.ok_or_else(|| Code::TokenInvalid.because("no kid"))?;
        match self.keys.find(Some(kid), platform).await {
            Lookup::Found(key) if key.alg() == hint.alg => Ok(SigningKey::Public(key)),
            Lookup::Found(_) => Err(Code::TokenInvalid.because("alg is not the key's")),
            Lookup::Unknown => Err(Code::TokenInvalid.because("unknown kid")),
            Lookup::CoolingDown { retry_after } => {
                let reason = "unknown kid; the key set was fetched a moment ago";
                Err(Problem::dependency(reason, retry_after).against_address())
            }
            Lookup::Unavailable { retry_after } => {
                Err(Problem::dependency("no usable key of the key set", retry_after))
            }
        }
    }

    /// Whether `key` signed the token. The library decides on the legacy secret, the platform on the
    /// project's public keys.
    async fn signed(&self, jws: &Jws<'_>, key: &SigningKey, platform: &impl Platform) -> Result<bool, Problem> {
        match (key, &self.secret) {
            (SigningKey::Secret, Some(secret)) => {
                Ok(crypto::verify(jws.signature_text(), jws.signing_input(), secret, Algorithm::HS256).unwrap_or(false))
            }
            (SigningKey::Secret, None) => Ok(false),
            (SigningKey::Public(key), _) => platform
                .verify(key.jwk(), jws.signing_input(), jws.signature())
                .await
                .map_err(|_| Problem::dependency("Web Crypto could not verify a signature", 5)),
        }
    }
}

/// Authenticates the user of a request.
///
/// A token that was verified before is not verified again as long as the same key would verify it.
/// The key and the time are checked for every request.
pub(crate) async fn authenticate(
    verifier: &Verifier,
    request: &GuardedRequest,
    platform: &impl Platform,
) -> Result<Session, Problem> {
    let session = session(verifier, request, platform).await;
    session.map_err(|problem| match problem.code() {
        Code::TokenMissing | Code::TokenInvalid => problem.against_address(),
        _ => problem,
    })
}

async fn session(verifier: &Verifier, request: &GuardedRequest, platform: &impl Platform) -> Result<Session, Problem> {
    let (token, digest) = match (request.bearer(), request.token_digest()) {
        (Bearer::Token(token), Some(digest)) => (token, digest),
        (Bearer::Absent, _) => return Err(Code::TokenMissing.into()),
        _ => return Err(Code::TokenInvalid.because("another scheme than Bearer")),
    };
    let claims = match verifier.verified.get(&digest) {
        Some(known) if known.signed_by(&verifier.key(known.hint(), platform).await?) => known.claims(),
        _ => {
            if token.len() > Jws::MAX_LEN {
                return Err(Problem::new(
                    Code::TokenInvalid,
                    "The access token is longer than 8 KiB (8192 bytes). Keep its metadata small.",
                ));
            }
            let invalid = |rejected: Rejected| Code::TokenInvalid.because(rejected.0);
            let jws = Jws::parse(token).map_err(invalid)?;
            jws.typ_is_jwt().map_err(invalid)?;
            let key = verifier.key(jws.hint(), platform).await?;
            let good = verifier.signed(&jws, &key, platform).await?;
            let payload = jws.payload(good).map_err(invalid)?;
            let claims = Claims::parse(payload, verifier.issuer.as_deref()).map(Rc::new).map_err(refuse)?;
            let known = Verified::new(jws.hint().clone(), key, Rc::clone(&claims));
            verifier.verified.insert(digest, known);
            claims
        }
    };
    claims.check_time(platform.now().div_euclid(1000)).map_err(refuse)?;
    Ok(Session { token: Token(token.to_owned()), claims })
}

fn refuse(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Expired => Code::TokenExpired.into(),
        Refusal::Invalid(reason) => Code::TokenInvalid.because(reason),
    }
}

/// Why a token or a key set was not accepted, for the log. Clients do not get it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rejected(pub(crate) &'static str);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_of_a_session_shows_no_token() {
        let session =
            Session { token: Token("header.payload.signature".to_owned()), claims: Rc::new(Claims::of_nobody()) };
        let text = format!("{session:?}");
        assert!(text.contains("Token(redacted)") && !text.contains("payload"), "{text}");
    }
}
