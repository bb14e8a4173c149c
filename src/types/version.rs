//! Versions of a row, and their entity tags.

use std::fmt;

/// A number that every change raises, or a time in microseconds. A time is shown as a string, because a
/// double does not hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version(i64);

impl Version {
    /// Parses a version. Only the canonical form is accepted: no sign, no leading zero.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // Greater numbers change in JSON.
        let version = Self(text.parse().ok().filter(|number| (0..1 << 53).contains(number))?);
        (version.to_string() == text).then_some(version)
    }

    /// The strong entity tag (RFC 9110 section 8.8.3).
    pub(crate) fn etag(self) -> String {
        format!("\"{}\"", self.0)
    }

    /// At least 0.
    pub(crate) fn number(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
