//! Versions of a row, and their entity tags.

use std::fmt;

use serde::Deserialize;

/// 1 when a row is made, one more with every change. As wide as the database's column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i32")]
pub(crate) struct Version(i32);

impl Version {
    /// The strong entity tag (RFC 9110 section 8.8.3).
    pub(crate) fn etag(self) -> String {
        format!("\"{}\"", self.0)
    }

    /// At least 1.
    pub(crate) fn number(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<i32> for Version {
    type Error = &'static str;

    fn try_from(number: i32) -> Result<Self, Self::Error> {
        if number >= 1 { Ok(Self(number)) } else { Err("a version starts at 1") }
    }
}
