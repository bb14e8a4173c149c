//! User tokens: who is the user?
//!
//! A [`Session`] holds a Supabase access token. The key named in its header signed it with that
//! key's only algorithm, and its claims are valid now. [`authenticate`] is the only place that
//! makes one. Supabase receives that very token, so Row Level Security decides with the same
//! claims. [`crate::jwt`] verifies, [`claims`] reads.

mod claims;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;

use std::rc::Rc;

use uuid::Uuid;

pub(crate) use claims::Claims;

use crate::app_guard::{Bearer, GuardedRequest};
use crate::error::{Code, Problem};
use crate::jwt::jws::Jws;
use crate::jwt::{self, Failure};
use crate::platform::Platform;
use claims::Refusal;

/// Verifies user tokens. Part of the configuration. Its issuer is the expected `iss`; `None` switches that
/// check off, which only a loopback project may.
pub(crate) type Verifier = jwt::Verifier<Claims>;

/// Whether there is a key that could verify a user's token.
pub(crate) async fn ready(verifier: &Verifier, platform: &impl Platform) -> Result<(), Problem> {
    verifier.tokens.ready(platform).await.map_err(|failure| match failure {
        Failure::UnknownKey(None) => Code::Internal.because("the key set has no usable key"),
        failure => failure.refusal(Code::TokenInvalid),
    })
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

    /// The token's claims about the user.
    pub(crate) fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The token as it came, for Supabase.
    pub(crate) fn token(&self) -> &str {
        &self.token.0
    }
}

/// Authenticates the user of a request.
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
    if token.len() > Jws::MAX_LEN {
        return Err(Problem::new(
            Code::TokenInvalid,
            "The access token is longer than 8 KiB (8192 bytes). Keep its metadata small.",
        ));
    }
    let claims = verifier.verify(token, digest, platform).await;
    let claims = claims.map_err(|failure| failure.refusal(Code::TokenInvalid))?;
    claims.check_time(platform.now().div_euclid(1000)).map_err(|refusal| match refusal {
        Refusal::Expired => Code::TokenExpired.into(),
        Refusal::Invalid(reason) => Code::TokenInvalid.because(reason),
    })?;
    Ok(Session { token: Token(token.to_owned()), claims })
}

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
