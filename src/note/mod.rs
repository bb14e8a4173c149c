//! A note: as it is stored, and as it goes over the wire.
//!
//! Promise: a [`Note`] in hand has the contract's shape whatever the database's JSON looked like.

pub(crate) mod draft;
pub(crate) mod page;
mod row;
mod timestamp;

use std::fmt;

use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use uuid::Uuid;

pub(crate) use timestamp::Timestamp;

/// One note of one user, in its wire form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    json: String,
    facts: Facts,
}

/// What is to know of a note besides its texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Facts {
    id: NoteId,
    version: Version,
    created_at: Timestamp,
    deleted: bool,
}

/// The columns of a [`Note`], for `select`.
pub(crate) const COLUMNS: &str = "id,title,body,version,created_at,updated_at,deleted_at";

/// Why an answer of the database is not a note or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotOneNote(pub(crate) &'static str);

impl Note {
    /// Reads the answer to a statement about one id: an array of one row, or of none.
    pub(crate) fn of_rows(rows: &[u8]) -> Result<Option<Self>, NotOneNote> {
        let mut json = Vec::new();
        let copied =
            row::copy(rows, 1, &mut json).ok_or(NotOneNote("the answer is no array of notes"))?;
        if copied.more {
            return Err(NotOneNote("more than one row for one id"));
        }
        let Some(facts) = copied.last else {
            return Ok(None);
        };
        let json = String::from_utf8(json).map_err(|_| NotOneNote("a note that is no text"))?;
        Ok(Some(Self { json, facts }))
    }

    /// As it goes over the wire.
    pub(crate) fn into_json(self) -> Vec<u8> {
        self.json.into_bytes()
    }

    pub(crate) fn id(&self) -> NoteId {
        self.facts.id
    }

    pub(crate) fn version(&self) -> Version {
        self.facts.version
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.facts.deleted
    }
}

impl Serialize for Note {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let json: &RawValue = serde_json::from_str(&self.json).map_err(S::Error::custom)?;
        json.serialize(serializer)
    }
}

/// A note's id: a UUID in its one canonical spelling (RFC 9562 section 4, lower case), so that a
/// signed path names one note and a note has one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "&str", into = "String")]
pub(crate) struct NoteId(Uuid);

impl NoteId {
    /// `None` for any other spelling, upper case included.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::is_spelled(text)
            .then(|| Uuid::try_parse(text).ok().map(Self))
            .flatten()
    }

    /// Whether `text` is an id.
    fn is_spelled(text: &str) -> bool {
        match text.as_bytes().try_into() {
            Ok(text) => is_spelled(text),
            Err(_) => false,
        }
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

impl fmt::Display for NoteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl TryFrom<&str> for NoteId {
    type Error = &'static str;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        Self::parse(text).ok_or("not a UUID in lower case")
    }
}

impl From<NoteId> for String {
    fn from(id: NoteId) -> Self {
        id.to_string()
    }
}

/// How often a note was written: 1 at first, one more with every change. Its entity tag. As wide as
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

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = r#"{"id":"7efe3d84-2d6a-4174-899e-8ffddea7a39a","title":"a","body":"","version":3,"created_at":"2026-11-22T12:15:40.76+00:00","updated_at":"2026-11-22T12:15:41+00:00","deleted_at":null}"#;

    #[test]
    fn a_statement_about_one_id_has_one_row_or_none() {
        let note = Note::of_rows(format!("[{ROW}]").as_bytes());
        let note = note.unwrap().unwrap();
        assert_eq!(note.version().etag(), "\"3\"");
        assert!(!note.is_deleted());
        assert_eq!(
            serde_json::to_string(&note).unwrap(),
            ROW.replace(".76+00:00", ".760000Z")
                .replace("41+00:00", "41.000000Z")
        );
        assert!(Note::of_rows(b"[]").unwrap().is_none());
        assert!(Note::of_rows(format!("[{ROW},{ROW}]").as_bytes()).is_err());
        assert!(Note::of_rows(ROW.as_bytes()).is_err());
    }

    #[test]
    fn a_note_id_has_one_spelling() {
        let good = "7efe3d84-2d6a-4174-899e-8ffddea7a39a";
        assert_eq!(NoteId::parse(good).unwrap().to_string(), good);
        for bad in [
            "7EFE3D84-2D6A-4174-899E-8FFDDEA7A39A",
            "7efe3d842d6a4174899e8ffddea7a39a",
            "{7efe3d84-2d6a-4174-899e-8ffddea7a39a}",
            "urn:uuid:7efe3d84-2d6a-4174-899e-8ffddea7a39a",
            "7efe3d84-2d6a-4174-899e-8ffddea7a39",
            "7efe3d84-2d6a-4174-899e-8ffddea7a39a ",
            "",
        ] {
            assert_eq!(NoteId::parse(bad), None, "{bad}");
        }
    }
}
