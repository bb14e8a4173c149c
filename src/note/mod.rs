//! A note: as it is stored, and as it goes over the wire.
//!
//! Promise: a [`Note`] in hand has the contract's shape whatever the database's JSON looked like.

pub(crate) mod draft;
pub(crate) mod page;
pub(crate) mod published;
mod row;

use crate::org::OrgId;
use crate::wire::{Id, Timestamp, Version};

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
    pub(crate) fn into_json(self) -> String {
        self.json
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

/// The id of a note.
pub(crate) type NoteId = Id<OfNote>;

/// Marks a [`NoteId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OfNote {}

/// Which notes a request is about, by its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The user's own.
    Own,
    /// An organisation's.
    Org(OrgId),
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
            note.into_json(),
            ROW.replace(".76+00:00", ".760000Z")
                .replace("41+00:00", "41.000000Z")
        );
        assert!(Note::of_rows(b"[]").unwrap().is_none());
        assert!(Note::of_rows(format!("[{ROW},{ROW}]").as_bytes()).is_err());
        assert!(Note::of_rows(ROW.as_bytes()).is_err());
    }
}
