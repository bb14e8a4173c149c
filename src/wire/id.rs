//! Ids.
//!
//! Promise: an [`Id`] is a UUID, and says of what: the id of a note can't stand where an organisation's
//! belongs. It refuses every spelling but the canonical one, so that a signed path names one thing and a
//! thing has one path.

use std::fmt;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The id of one `Of`: a UUID in its one canonical spelling (RFC 9562 section 4, lower case).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "&str", into = "String", bound = "Of: Clone")]
pub(crate) struct Id<Of> {
    uuid: Uuid,
    of: PhantomData<Of>,
}

impl<Of> Id<Of> {
    /// `None` for any other spelling, upper case included.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::is_spelled(text)
            .then(|| Uuid::try_parse(text).ok().map(Self::from))
            .flatten()
    }

    /// Whether `text` is an id.
    pub(crate) fn is_spelled(text: &str) -> bool {
        match text.as_bytes().try_into() {
            Ok(text) => is_spelled(text),
            Err(_) => false,
        }
    }

    pub(crate) fn uuid(self) -> Uuid {
        self.uuid
    }
}

/// Whether these are a UUID as it is spelled. Without a branch between the bytes, so that the compiler
/// looks at many at once.
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
fn is_spelled(text: &[u8; 36]) -> bool {
    const FORM: &[u8; 36] = b"00000000-0000-0000-0000-000000000000";
    text.iter().zip(FORM).fold(true, |good, (byte, form)| {
        let hex = byte.is_ascii_digit() | (b'a'..=b'f').contains(byte);
        good & (((*form == b'0') & hex) | ((*form == b'-') & (*byte == b'-')))
    })
}

impl<Of> From<Uuid> for Id<Of> {
    fn from(uuid: Uuid) -> Self {
        Self {
            uuid,
            of: PhantomData,
        }
    }
}

impl<Of> fmt::Display for Id<Of> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uuid.as_hyphenated().fmt(f)
    }
}

impl<Of> TryFrom<&str> for Id<Of> {
    type Error = &'static str;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        Self::parse(text).ok_or("not a UUID in lower case")
    }
}

impl<Of> From<Id<Of>> for String {
    fn from(id: Id<Of>) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let good = "7efe3d84-2d6a-4174-899e-8ffddea7a39a";
        assert_eq!(Id::<()>::parse(good).unwrap().to_string(), good);
        for bad in [
            "7EFE3D84-2D6A-4174-899E-8FFDDEA7A39A",
            "7efe3d842d6a4174899e8ffddea7a39a",
            "{7efe3d84-2d6a-4174-899e-8ffddea7a39a}",
            "urn:uuid:7efe3d84-2d6a-4174-899e-8ffddea7a39a",
            "7efe3d84-2d6a-4174-899e-8ffddea7a39",
            "7efe3d84-2d6a-4174-899e-8ffddea7a39a ",
            "",
        ] {
            assert_eq!(Id::<()>::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn each_byte_of_an_id_has_its_form() {
        let good = b"7efe3d84-2d6a-4174-899e-8ffddea7a39a";
        for at in 0..good.len() {
            for byte in 0..=u8::MAX {
                let mut bytes = *good;
                bytes[at] = byte;
                let fits = match good[at] {
                    b'-' => byte == b'-',
                    _ => b"0123456789abcdef".contains(&byte),
                };
                assert_eq!(is_spelled(&bytes), fits, "{byte} at {at}");
            }
        }
    }
}
