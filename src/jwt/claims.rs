//! Parts of claims that every kind of token has (RFC 7519 section 4).

use serde_json::{Map, Value};

use super::Rejected;
use crate::json;

/// Allowed clock difference, in seconds.
pub(crate) const LEEWAY: i64 = 30;

/// The end of the year 9999: a NumericDate beyond it is not a date.
const LATEST: i64 = 253_402_300_799;

/// The claims of a payload, which must come from a signature that was found good.
pub(crate) fn parse_claims(payload: &[u8]) -> Result<Map<String, Value>, Rejected> {
    let claims = json::parse_object(payload).ok_or(Rejected("claims are not a JSON object without repeated names"))?;
    if any_nul(&claims) {
        return Err(Rejected("a claim holds U+0000, which the database cannot read"));
    }
    Ok(claims)
}

/// Whether `aud`, a text or a list of them, names this audience.
pub(crate) fn is_for(claims: &Map<String, Value>, audience: &str) -> bool {
    match claims.get("aud") {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(many)) => many.iter().any(|one| one == audience),
        _ => false,
    }
}

/// RFC 7519 section 2: seconds, possibly with a fraction, which is cut: a token ends a little early
/// rather than late.
pub(crate) fn numeric_date(value: &Value) -> Option<i64> {
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

/// Whether a claim is a number with a fraction.
pub(crate) fn has_fraction(claim: Option<&Value>) -> bool {
    claim.and_then(Value::as_f64).is_some_and(|number| number.fract() != 0.0)
}

/// Whether a text in it holds U+0000. The parser bounds its depth.
fn any_nul(members: &Map<String, Value>) -> bool {
    members.iter().any(|(name, value)| name.contains('\0') || has_nul(value))
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(members) => any_nul(members),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
