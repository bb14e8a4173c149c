//! A note: as it is stored, and as it goes over the wire.
//!
//! Promise: a [`Note`] in hand has the contract's shape whatever the database's JSON looked like.
//! It refuses rows that lack a field or carry one of another type: such an answer is no note.

pub(crate) mod draft;
pub(crate) mod page;
mod timestamp;

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub(crate) use timestamp::Timestamp;

/// One note of one user. Borrows from the database's reply where it can.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note<'a> {
    id: NoteId,
    #[serde(borrow)]
    title: Cow<'a, str>,
    #[serde(borrow)]
    body: Cow<'a, str>,
    version: Version,
    created_at: Timestamp,
    updated_at: Timestamp,
    deleted_at: Option<Timestamp>,
}

/// The columns of a [`Note`], for `select`.
pub(crate) const COLUMNS: &str = "id,title,body,version,created_at,updated_at,deleted_at";

impl Note<'_> {
    /// The note without borrowing.
    pub(crate) fn into_owned(self) -> Note<'static> {
        Note {
            title: Cow::Owned(self.title.into_owned()),
            body: Cow::Owned(self.body.into_owned()),
            ..self
        }
    }

    pub(crate) fn id(&self) -> NoteId {
        self.id
    }

    pub(crate) fn version(&self) -> Version {
        self.version
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.deleted_at.is_some()
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
        let id = Self(Uuid::try_parse(text).ok()?);
        (id.to_string() == text).then_some(id)
    }
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

    const ROW: &str = r#"{"id":"7efe3d84-2d6a-4174-899e-8ffddea7a39a","title":"a\n\"b\"","body":"",
        "version":3,"created_at":"2026-11-22T12:15:40.76+00:00",
        "updated_at":"2026-11-22 12:15:41+00","deleted_at":null}"#;

    #[test]
    fn a_row_of_postgrest_or_of_the_embedded_supabase_becomes_the_wire_form() {
        let note: Note<'_> = serde_json::from_str(ROW).unwrap();
        assert_eq!(
            serde_json::to_string(&note).unwrap(),
            concat!(
                r#"{"id":"7efe3d84-2d6a-4174-899e-8ffddea7a39a","title":"a\n\"b\"","body":"","#,
                r#""version":3,"created_at":"2026-11-22T12:15:40.760000Z","#,
                r#""updated_at":"2026-11-22T12:15:41.000000Z","deleted_at":null}"#
            )
        );
    }

    #[test]
    fn a_row_of_another_shape_is_no_note() {
        for (from, to) in [
            ("\"version\":3", "\"version\":0"),
            ("\"version\":3", "\"version\":\"3\""),
            ("7efe3d84-2d6a", "7EFE3D84-2d6a"),
            ("\"title\"", "\"Title\""),
            ("12:15:41+00", "noon"),
        ] {
            let row = ROW.replace(from, to);
            assert_ne!(row, ROW);
            assert!(serde_json::from_str::<Note<'_>>(&row).is_err(), "{row}");
        }
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
