//! Versions, and the entity tags that they are.
//!
//! Promise: a version is a number that the database's column can hold, from 1. It refuses all others.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How often something was written: 1 at first, one more with every change. Its entity tag. As wide as
/// the database's column: a number beyond that is no version of anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i32")]
pub(crate) struct Version(i32);

impl Version {
    /// The strong entity tag (RFC 9110 section 8.8.3).
    pub(crate) fn etag(self) -> String {
        format!("\"{}\"", self.0)
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
        if number >= 1 {
            Ok(Self(number))
        } else {
            Err("a version starts at 1")
        }
    }
}
