//! Claims (RFC 7519 section 4), from verified bytes.
//!
//! [`Claims`] are of a signed-in user of this project; after [`Claims::check_time`] they hold now. The
//! legacy anon and service keys are tokens under the same secret: their `role` tells them apart. An
//! absent claim is a reason to refuse, where `jsonwebtoken` sees nothing to check. `exp` comes last,
//! so "expired" means that nothing else is wrong.

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::json;

/// Allowed clock difference, in seconds.
const LEEWAY: i64 = 30;

/// The end of the year 9999: a NumericDate beyond it is no date.
const LATEST: i64 = 253_402_300_799;

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

/// Why these are no claims of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Nothing is wrong but the time.
    Expired,
    /// Anything else.
    Invalid(&'static str),
}

impl Claims {
    /// `payload` must come from a signature that was found good.
    pub(super) fn parse(payload: &[u8], issuer: Option<&str>) -> Result<Self, Refusal> {
        let claims = json::parse_object(payload)
            .map_err(|_| Refusal::Invalid("claims are not a JSON object without repeated names"))?;
        if has_nul(&Value::Object(claims.clone())) {
            return Err(Refusal::Invalid("a claim holds U+0000, which the database cannot read"));
        }
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let refuse = |reason| Err(Refusal::Invalid(reason));

        if issuer.is_some() && text("iss") != issuer {
            return refuse("iss");
        }
        let audience = match claims.get("aud") {
            Some(Value::String(one)) => one == "authenticated",
            Some(Value::Array(many)) => many.iter().any(|one| one == "authenticated"),
            _ => false,
        };
        if !audience {
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
        if claims.get("exp").and_then(Value::as_f64).is_some_and(|exp| exp.fract() != 0.0) {
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

/// Whether a text in it holds U+0000. The parser bounds its depth.
fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(members) => members.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A UUID in its hyphenated form, either case.
fn uuid(text: &str) -> Option<Uuid> {
    (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten()
}

/// RFC 7519 section 2: seconds, possibly with a fraction, which is cut: a token ends a little early
/// rather than late.
fn numeric_date(value: &Value) -> Option<i64> {
    let seconds = value.as_i64().or_else(|| {
        let float = value.as_f64()?.floor();
        // Beyond 2^53 a float is no longer a second; LATEST is far below it.
        (0.0..9e15).contains(&float).then(|| {
            #[expect(clippy::cast_possible_truncation, reason = "just checked to fit")]
            let seconds = float as i64;
            seconds
        })
    });
    seconds.filter(|time| (0..=LATEST).contains(time))
}
