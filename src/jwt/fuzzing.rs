//! For the fuzz targets.

use super::key_set::KeySet;

/// The keys of a set as the Worker would use them; `None` if the set is refused.
pub(crate) fn key_set(text: &[u8]) -> Option<Vec<String>> {
    KeySet::parse(text).ok().map(|set| set.jwks())
}
