//! JSON Web Tokens, verified with the keys of one source.
//!
//! [`Verifier::verify`] checks user tokens and attestation tokens alike. It checks the form of the
//! token ([`jws`]), finds the key that its header names ([`Keys`]), verifies the signature, and
//! lets the caller parse the claims. RFC 8725 lists the attacks.

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

use std::any::Any;
use std::marker::PhantomData;
use std::rc::Rc;

use jsonwebtoken::{Algorithm, DecodingKey, crypto};

pub(crate) use claims::{LEEWAY, has_fraction, is_for, numeric_date, parse_claims};
pub(crate) use key_cache::{KeyCache, Source};
pub use verified::TokenDigest;

use crate::error::{Code, Problem};
use crate::platform::{Millis, Platform};
use jws::{Alg, Jws, KeyHint};
use key_cache::Lookup;
use key_set::{KeySet, PublicKey};
use verified::{Verified, VerifiedTokens};

/// Where the keys of one kind of token are.
#[derive(Debug)]
pub(crate) enum Keys {
    /// A Supabase project's: its key set, and the legacy secret. Without that HS256 is refused.
    Project(KeyCache, Option<DecodingKey>),
    /// Firebase App Check's key set, for RS256 alone.
    AppCheck(KeyCache),
    /// One secret, for HS256 alone.
    Secret(DecodingKey),
    /// Public keys that are part of the configuration.
    Given(KeySet),
}

impl Keys {
    fn cache(&self) -> Option<&KeyCache> {
        match self {
            Self::Project(cache, _) | Self::AppCheck(cache) => Some(cache),
            Self::Secret(_) | Self::Given(_) => None,
        }
    }

    /// The secret for HS256.
    pub(crate) fn secret(&self) -> Option<&DecodingKey> {
        match self {
            Self::Project(_, secret) => secret.as_ref(),
            Self::Secret(secret) => Some(secret),
            Self::AppCheck(_) | Self::Given(_) => None,
        }
    }

    /// The key that a token's header names, if that key is for the algorithm that it names.
    async fn find(&self, hint: &KeyHint, platform: &impl Platform) -> Result<SigningKey, Failure> {
        if hint.alg == Alg::Hs256 {
            return self.secret().map(|_| SigningKey::Secret).ok_or(Failure::Malformed("HS256 is off"));
        }
        let kid = hint.kid.as_deref();
        let kid = kid.ok_or(Failure::Malformed("no kid"))?;
        let lookup = match self {
            Self::AppCheck(_) if hint.alg != Alg::Rs256 => return Err(Failure::Malformed("alg is not RS256")),
            Self::Project(cache, _) | Self::AppCheck(cache) => cache.find(Some(kid), platform).await,
            Self::Given(set) => set.find(kid).map_or(Lookup::Unknown, |key| Lookup::Found(Rc::clone(key))),
            Self::Secret(_) => Lookup::Unknown,
        };
        match lookup {
            Lookup::Found(key) if key.alg() == hint.alg => Ok(SigningKey::Public(key)),
            Lookup::Found(_) => Err(Failure::Malformed("alg is not the key's")),
            lookup => Err(lookup.into()),
        }
    }
}

/// The key that a token has to have been signed with.
#[derive(Debug, Clone)]
enum SigningKey {
    /// The secret of its source, of which there is one as long as the isolate lives.
    Secret,
    /// A key of the source's set as it is now.
    Public(Rc<PublicKey>),
}

/// Why a token was not verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Its form, its header or its claims are wrong for this kind of token.
    Malformed(&'static str),
    /// The source has no such key. With seconds: it lacked the key when it was fetched a moment ago, so
    /// try again after them.
    UnknownKey(Option<u32>),
    /// Its key did not sign it.
    BadSignature,
    /// Undecided, because a dependency failed. Try again after this many seconds.
    Undecided(&'static str, u32),
}

impl Failure {
    /// The refusal: `invalid`, or a 503 if it is unknown whether the token is good.
    pub(crate) fn refusal(self, invalid: Code) -> Problem {
        match self {
            Self::Malformed(reason) => invalid.because(reason),
            Self::UnknownKey(None) => invalid.because("unknown kid"),
            Self::UnknownKey(Some(seconds)) => {
                Problem::dependency("unknown kid; the key set was fetched a moment ago", seconds).against_address()
            }
            Self::BadSignature => invalid.because("signature"),
            Self::Undecided(reason, seconds) => Problem::dependency(reason, seconds),
        }
    }
}

impl From<Rejected> for Failure {
    fn from(rejected: Rejected) -> Self {
        Self::Malformed(rejected.0)
    }
}

impl From<Lookup> for Failure {
    fn from(lookup: Lookup) -> Self {
        match lookup {
            Lookup::Found(_) | Lookup::Unknown => Self::UnknownKey(None),
            Lookup::CoolingDown { retry_after } => Self::UnknownKey(Some(retry_after)),
            Lookup::Unavailable { retry_after } => Self::Undecided("no usable key of the key set", retry_after),
        }
    }
}

/// The claims of a kind of token.
pub(crate) trait Claims: Sized + 'static {
    /// `payload` must come from a signature that was found good.
    fn parse(payload: &[u8], issuer: Option<&str>) -> Result<Self, Rejected>;
}

/// Verifies the tokens of one source, and remembers those that were good.
#[derive(Debug)]
pub(crate) struct Verifier<C> {
    pub(crate) tokens: Tokens,
    claims: PhantomData<C>,
}

impl<C: Claims> Verifier<C> {
    /// [`Claims::parse`] gets `issuer` as the expected one.
    pub(crate) fn new(keys: Keys, issuer: Option<String>) -> Self {
        #[cfg(target_arch = "wasm32")]
        provider::install();
        let parse = |payload: &[u8], issuer: Option<&str>| C::parse(payload, issuer).map(|claims| Rc::new(claims) as _);
        Self { tokens: Tokens { keys, issuer, verified: VerifiedTokens::default(), parse }, claims: PhantomData }
    }

    /// The claims of a token that its key signed. A token that was verified before is not verified
    /// again as long as the same key would verify it. The caller checks its times for every
    /// request.
    pub(crate) async fn verify(
        &self,
        token: &str,
        digest: TokenDigest,
        platform: &impl Platform,
    ) -> Result<Rc<C>, Failure> {
        let claims = self.tokens.verify(token, digest, platform).await?;
        claims.downcast().map_err(|_| Failure::Malformed("claims of another kind"))
    }
}

/// [`Claims::parse`] of any type.
type Parse = fn(&[u8], Option<&str>) -> Result<Rc<dyn Any>, Rejected>;

/// A [`Verifier`] of claims of any type, so that the module has this code once.
#[derive(Debug)]
pub(crate) struct Tokens {
    pub(crate) keys: Keys,
    pub(crate) issuer: Option<String>,
    verified: VerifiedTokens,
    parse: Parse,
}

impl Tokens {
    /// How long [`Verifier::verify`] waits for anything at most.
    pub(crate) fn longest(&self) -> Millis {
        self.keys.cache().map_or(0, KeyCache::longest)
    }

    /// Whether there is a key that could verify a token.
    pub(crate) async fn ready(&self, platform: &impl Platform) -> Result<(), Failure> {
        let Some(cache) = self.keys.cache() else { return Ok(()) };
        match cache.find(None, platform).await {
            Lookup::Found(_) => Ok(()),
            Lookup::Unknown if self.keys.secret().is_some() => Ok(()),
            lookup => Err(lookup.into()),
        }
    }

    async fn verify(&self, token: &str, digest: TokenDigest, platform: &impl Platform) -> Result<Rc<dyn Any>, Failure> {
        if let Some(known) = self.verified.get(&digest)
            && known.signed_by(&self.keys.find(known.hint(), platform).await?)
        {
            return Ok(known.claims());
        }
        let jws = Jws::parse(token)?;
        jws.typ_is_jwt()?;
        let key = self.keys.find(jws.hint(), platform).await?;
        let good = self.signed(&jws, &key, platform).await?;
        let payload = jws.payload(good).map_err(|_| Failure::BadSignature)?;
        let claims = (self.parse)(payload, self.issuer.as_deref())?;
        self.verified.insert(digest, Verified::new(jws.hint().clone(), key, Rc::clone(&claims)));
        Ok(claims)
    }

    /// Whether `key` signed the token. The library decides on a secret, the platform on public keys.
    async fn signed(&self, jws: &Jws<'_>, key: &SigningKey, platform: &impl Platform) -> Result<bool, Failure> {
        match (key, self.keys.secret()) {
            (SigningKey::Secret, Some(secret)) => {
                Ok(crypto::verify(jws.signature_text(), jws.signing_input(), secret, Algorithm::HS256).unwrap_or(false))
            }
            (SigningKey::Secret, None) => Ok(false),
            (SigningKey::Public(key), _) => platform
                .verify(key.jwk(), jws.signing_input(), jws.signature())
                .await
                .map_err(|_| Failure::Undecided("Web Crypto could not verify a signature", 5)),
        }
    }
}

/// Why a token or a key set was not accepted, for the log. Clients do not get it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rejected(pub(crate) &'static str);
