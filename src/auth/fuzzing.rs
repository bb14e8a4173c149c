//! For the fuzz targets.

use super::claims::Claims;
use super::key_set::KeySet;

/// The keys of a set as the Worker would use them; `None` if the set is refused.
pub(crate) fn key_set(text: &[u8]) -> Option<Vec<String>> {
    KeySet::parse(text).ok().map(|set| set.jwks())
}

/// Reads any bytes as the claims of a verified token, and looks at their times from either end.
pub(crate) fn claims(payload: &[u8]) {
    if let Ok(claims) = Claims::parse(payload, None) {
        for now in [i64::MIN, 0, i64::MAX] {
            let _ = claims.check_time(now);
        }
        assert!(claims.check_time(i64::MAX).is_err());
    }
}
