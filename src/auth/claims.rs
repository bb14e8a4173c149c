//! Claims (RFC 7519 section 4), from verified bytes.
//!
//! [`Claims`] are of a signed-in user of this project; after [`Claims::check_time`] they hold now. The
//! legacy anon and service keys are tokens under the same secret: their `role` tells them apart. An
//! absent claim is a reason to refuse, where `jsonwebtoken` sees nothing to check. `exp` comes last,
//! so "expired" means that nothing else is wrong.

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::jwt::{self, LEEWAY, Rejected, has_fraction, is_for, numeric_date, parse_claims};

/// The claims of a user of this project, as `GET /v1/me` shows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Claims {
    pub(super) sub: Uuid,
    email: Option<String>,
    session_id: Option<String>,
    aal: Option<String>,
    is_anonymous: bool,
    exp: i64,
    /// The later of `nbf` and `iat`.
    #[serde(skip)]
    not_before: i64,
}

/// Why the claims do not hold now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Nothing is wrong but the time.
    Expired,
    /// Anything else.
    Invalid(&'static str),
}

impl jwt::Claims for Claims {
    fn parse(payload: &[u8], issuer: Option<&str>) -> Result<Self, Rejected> {
        let claims = parse_claims(payload)?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let refuse = |reason| Err(Rejected(reason));

        if issuer.is_some() && text("iss") != issuer {
            return refuse("iss");
        }
        if !is_for(&claims, "authenticated") {
            return refuse("aud");
        }
        if text("role") != Some("authenticated") {
            return refuse("role");
        }
        let Some(sub) = text("sub").and_then(uuid) else {
            return refuse("sub");
        };
        let mut not_before = 0;
        for name in ["nbf", "iat"] {
            match claims.get(name).map(numeric_date) {
                None => {}
                Some(Some(time)) => not_before = not_before.max(time),
                Some(None) => return refuse("nbf or iat is no date"),
            }
        }
        // PostgREST reads a fraction as 0, so such a token would always be expired there.
        if has_fraction(claims.get("exp")) {
            return refuse("exp has a fraction");
        }
        let Some(exp) = claims.get("exp").and_then(numeric_date) else {
            return refuse("exp");
        };
        Ok(Self {
            sub,
            // Supabase writes "" for users who have none: anonymous ones, those with a phone number.
            email: text("email").filter(|email| !email.is_empty()).map(str::to_owned),
            session_id: text("session_id").map(str::to_owned),
            aal: text("aal").map(str::to_owned),
            is_anonymous: claims.get("is_anonymous") == Some(&Value::Bool(true)),
            exp,
            not_before,
        })
    }
}

impl Claims {
    /// `now` is in Unix seconds.
    pub(super) fn check_time(&self, now: i64) -> Result<(), Refusal> {
        if self.not_before > now.saturating_add(LEEWAY) {
            return Err(Refusal::Invalid("nbf or iat in the future"));
        }
        if now >= self.exp.saturating_add(LEEWAY) {
            return Err(Refusal::Expired);
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn of_nobody() -> Self {
        Self { sub: Uuid::nil(), email: None, session_id: None, aal: None, is_anonymous: false, exp: 0, not_before: 0 }
    }
}

/// A UUID in its hyphenated form, either case.
fn uuid(text: &str) -> Option<Uuid> {
    (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten()
}
