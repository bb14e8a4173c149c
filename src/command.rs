//! Validation: from a guarded request to a [`Command`].
//!
//! Promise: a command in hand is valid as it stands; what it does depends on the database alone.
//! It refuses what a route does not support instead of ignoring it: parameters, conditional
//! headers, a body, an `Idempotency-Key`.

use crate::guard::GuardedRequest;
use crate::note::NoteId;
use crate::note::draft::{NoteDraft, NotePatch};
use crate::note::page::ListQuery;
use crate::precondition::{IfMatch, IfNoneMatch};
use crate::problem::{Code, Problem};
use crate::query;
use crate::route::{self, Resource};

/// What a valid request asks for.
#[derive(Debug)]
pub(crate) enum Command {
    /// To see the session, which needs no database.
    Me,
    /// Something about notes.
    Notes(NotesCommand),
}

/// What a valid request asks the database for.
#[derive(Debug)]
pub(crate) enum NotesCommand {
    List(ListQuery),
    Create(NoteDraft, Option<Once>),
    Read(NoteId, Option<IfNoneMatch>),
    Put(NoteId, NoteDraft, PutCondition),
    Patch(NoteId, NotePatch, Option<IfMatch>),
    Delete(NoteId, Option<IfMatch>),
    Restore(NoteId, Option<IfMatch>),
}

/// A POST that makes one note however often it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Once {
    /// The `Idempotency-Key`.
    pub(crate) key: String,
    /// SHA-256 of the raw body, in hex.
    pub(crate) digest: String,
}

impl Once {
    fn read(request: &GuardedRequest) -> Result<Option<Self>, Problem> {
        let Some(key) = request.head().idempotency_key.as_deref() else {
            return Ok(None);
        };
        let good = (8..=64).contains(&key.len())
            && key
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        if !good {
            return Err(Problem::new(
                Code::MalformedRequest,
                "Idempotency-Key must be 8 to 64 of A-Z a-z 0-9 _ -.",
            ));
        }
        Ok(Some(Self {
            key: key.to_owned(),
            digest: request.body_digest(),
        }))
    }
}

/// What a PUT may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PutCondition {
    /// Create or replace.
    None,
    /// `If-None-Match: *`
    CreateOnly,
    /// `If-Match`
    ReplaceOnly(IfMatch),
}

impl Command {
    /// Validates everything that the client sent besides its two proofs.
    pub(crate) fn parse(resource: Resource, request: &GuardedRequest) -> Result<Self, Problem> {
        let head = request.head();
        let (_, query) = route::split(&head.target);
        if resource != Resource::ListNotes {
            query::none(query)?;
        }
        if head.idempotency_key.is_some() && resource != Resource::CreateNote {
            return Err(Problem::new(
                Code::MalformedRequest,
                "Only POST /v1/notes takes an Idempotency-Key.",
            ));
        }
        let json = match resource {
            Resource::CreateNote | Resource::PutNote(_) => {
                media_type(request, &["application/json"])
            }
            Resource::PatchNote(_) => media_type(
                request,
                &["application/json", "application/merge-patch+json"],
            ),
            _ => no_body(request),
        }?;
        let if_match = head.if_match.as_deref().map(IfMatch::parse).transpose()?;
        let if_none_match = head
            .if_none_match
            .as_deref()
            .map(IfNoneMatch::parse)
            .transpose()?;

        let command = match (resource, if_match, if_none_match) {
            (Resource::Me, None, None) => return Ok(Self::Me),
            (Resource::ListNotes, None, None) => NotesCommand::List(ListQuery::parse(query)?),
            (Resource::CreateNote, None, None) => {
                let once = Once::read(request)?;
                NotesCommand::Create(NoteDraft::parse(json)?, once)
            }
            (Resource::ReadNote(id), None, condition) => NotesCommand::Read(id, condition),
            (Resource::PutNote(id), if_match, if_none_match) => {
                let condition = match (if_match, if_none_match) {
                    (None, None) => PutCondition::None,
                    (None, Some(IfNoneMatch::Any)) => PutCondition::CreateOnly,
                    (Some(condition), None) => PutCondition::ReplaceOnly(condition),
                    _ => return Err(unsupported_condition()),
                };
                NotesCommand::Put(id, NoteDraft::parse(json)?, condition)
            }
            (Resource::PatchNote(id), condition, None) => {
                NotesCommand::Patch(id, NotePatch::parse(json)?, condition)
            }
            (Resource::DeleteNote(id), condition, None) => NotesCommand::Delete(id, condition),
            (Resource::RestoreNote(id), condition, None) => NotesCommand::Restore(id, condition),
            _ => return Err(unsupported_condition()),
        };
        Ok(Self::Notes(command))
    }
}

fn unsupported_condition() -> Problem {
    Problem::new(
        Code::MalformedRequest,
        "This route does not support this conditional header, and ignoring it would not be safe.",
    )
}

/// The body, if it is declared as one of `types` and not compressed.
fn media_type<'a>(request: &'a GuardedRequest, types: &[&str]) -> Result<&'a [u8], Problem> {
    let unsupported = |detail| Err(Problem::new(Code::UnsupportedMediaType, detail));
    let head = request.head();
    if head.content_encoding.is_some() {
        return unsupported("Send the body without a Content-Encoding.");
    }
    let declared = head.content_type.as_deref().unwrap_or_default();
    let essence = declared
        .split_once(';')
        .map_or(declared, |(essence, _)| essence)
        .trim();
    if types.iter().any(|one| essence.eq_ignore_ascii_case(one)) {
        Ok(request.body())
    } else {
        unsupported("Send the body as application/json.")
    }
}

fn no_body(request: &GuardedRequest) -> Result<&[u8], Problem> {
    if request.body().is_empty() {
        Ok(&[])
    } else {
        Err(Problem::new(
            Code::MalformedRequest,
            "This method takes no body here.",
        ))
    }
}
