//! A published note, as everybody may read it.
//!
//! Promise: it says nothing of its author, nor of when it was drafted. What may be read at all is for the
//! database's policy for `anon`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::NoteId;
use crate::wire::{Timestamp, Version};

/// The columns of a [`PublishedNote`], for `select`: those that are granted to `anon`.
pub(crate) const COLUMNS: &str = "id,title,body,version,updated_at,published_at";

/// Row and wire form in one.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct PublishedNote<'a> {
    id: NoteId,
    #[serde(borrow)]
    title: Cow<'a, str>,
    #[serde(borrow)]
    body: Cow<'a, str>,
    pub(crate) version: Version,
    updated_at: Timestamp,
    published_at: Timestamp,
}
