//! Claims (RFC 7519 section 4), from verified bytes.
//!
//! Promise: [`Claims`] are of a signed-in user of this project, and after [`Claims::check_time`] they
//! hold now. It refuses the legacy anon and
//! service keys, which are tokens under the same secret (`role` is what tells them apart), tokens
//! for another audience or of another issuer, tokens that are not yet or no longer good, and
//! absent claims: what `jsonwebtoken` takes for "nothing to check" is a reason to refuse here.
//! `exp` is looked at last, so that "expired" means that nothing else was wrong.

use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::json;

/// Allowed clock difference, in seconds.
const LEEWAY: i64 = 30;

/// The end of the year 9999: a NumericDate beyond it is no date.
const LATEST: i64 = 253_402_300_799;

/// The claims of a user of this project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claims {
    sub: Uuid,
    email: Option<String>,
    session_id: Option<String>,
    aal: Option<String>,
    is_anonymous: bool,
    exp: i64,
    /// The later of `nbf` and `iat`.
    not_before: i64,
}

/// What `GET /v1/me` shows.
#[derive(Debug, Serialize)]
pub(crate) struct Me<'a> {
    sub: Uuid,
    email: Option<&'a str>,
    session_id: Option<&'a str>,
    aal: Option<&'a str>,
    is_anonymous: bool,
    exp: i64,
    app_id: Option<&'a str>,
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
            match numeric_date(&claims, name) {
                Date::Absent => {}
                Date::At(time) => not_before = not_before.max(time),
                Date::Malformed => return refuse("nbf or iat is no date"),
            }
        }
        let Date::At(exp) = numeric_date(&claims, "exp") else {
            return refuse("exp");
        };
        Ok(Self {
            sub,
            // Supabase writes "" for users who have none: anonymous ones, those with a phone number.
            email: text("email")
                .filter(|email| !email.is_empty())
                .map(str::to_owned),
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

    /// The user's id.
    pub(super) fn sub(&self) -> Uuid {
        self.sub
    }

    /// What the user may know of the session.
    pub(super) fn me<'a>(&'a self, app_id: Option<&'a str>) -> Me<'a> {
        Me {
            sub: self.sub,
            email: self.email.as_deref(),
            session_id: self.session_id.as_deref(),
            aal: self.aal.as_deref(),
            is_anonymous: self.is_anonymous,
            exp: self.exp,
            app_id,
        }
    }

    #[cfg(test)]
    pub(super) fn of_nobody() -> Self {
        Self {
            sub: Uuid::nil(),
            email: None,
            session_id: None,
            aal: None,
            is_anonymous: false,
            exp: 0,
            not_before: 0,
        }
    }
}

/// A UUID in its hyphenated form, either case.
fn uuid(text: &str) -> Option<Uuid> {
    (text.len() == 36)
        .then(|| Uuid::try_parse(text).ok())
        .flatten()
}

enum Date {
    Absent,
    At(i64),
    Malformed,
}

/// RFC 7519 section 2: seconds, possibly with a fraction, which is cut: a token ends a little early
/// rather than late.
fn numeric_date(claims: &Map<String, Value>, name: &str) -> Date {
    let Some(value) = claims.get(name) else {
        return Date::Absent;
    };
    let seconds = value.as_i64().or_else(|| {
        let float = value.as_f64()?.floor();
        // Beyond 2^53 a float is no longer a second; LATEST is far below it.
        (0.0..9e15).contains(&float).then(|| {
            #[expect(clippy::cast_possible_truncation, reason = "just checked to fit")]
            let seconds = float as i64;
            seconds
        })
    });
    match seconds {
        Some(time @ 0..=LATEST) => Date::At(time),
        _ => Date::Malformed,
    }
}
