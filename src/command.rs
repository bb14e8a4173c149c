//! Validation: from a guarded request to a [`Command`].
//!
//! Promise: a command in hand is valid as it stands; what it does depends on the database alone.
//! It refuses what a route does not support instead of ignoring it: parameters, conditional
//! headers, a body, an `Idempotency-Key`.

use crate::guard::GuardedRequest;
use crate::note::NoteId;
use crate::note::draft::{NoteDraft, NotePatch};
use crate::note::page::{self, ListQuery};
use crate::precondition::{IfMatch, IfNoneMatch};
use crate::problem::{Code, Problem};
use crate::route::{self, Route};

/// What a valid request asks for.
#[derive(Debug)]
pub(crate) enum Command {
    Me,
    List(ListQuery),
    Create(NoteDraft),
    Read(NoteId, Option<IfNoneMatch>),
    Put(NoteId, NoteDraft, PutCondition),
    Patch(NoteId, NotePatch, Option<IfMatch>),
    Delete(NoteId, Option<IfMatch>),
    Restore(NoteId, Option<IfMatch>),
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
    pub(crate) fn parse(route: Route, request: &GuardedRequest) -> Result<Self, Problem> {
        let head = request.head();
        let (_, query) = route::split(&head.target);
        if !matches!(route, Route::ListNotes) {
            page::no_parameters(query)?;
        }
        if head.idempotency_key.is_some() {
            return Err(Problem::new(
                Code::MalformedRequest,
                "Idempotency-Key is not supported yet; PUT with an id of your own is safe to repeat.",
            ));
        }
        let json = match route {
            Route::CreateNote | Route::PutNote(_) => media_type(request, &["application/json"]),
            Route::PatchNote(_) => media_type(
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

        match (route, if_match, if_none_match) {
            (Route::Me, None, None) => Ok(Self::Me),
            (Route::ListNotes, None, None) => ListQuery::parse(query).map(Self::List),
            (Route::CreateNote, None, None) => NoteDraft::parse(json).map(Self::Create),
            (Route::ReadNote(id), None, condition) => Ok(Self::Read(id, condition)),
            (Route::PutNote(id), if_match, if_none_match) => {
                let condition = match (if_match, if_none_match) {
                    (None, None) => PutCondition::None,
                    (None, Some(IfNoneMatch::Any)) => PutCondition::CreateOnly,
                    (Some(condition), None) => PutCondition::ReplaceOnly(condition),
                    _ => return Err(unsupported_condition()),
                };
                NoteDraft::parse(json).map(|draft| Self::Put(id, draft, condition))
            }
            (Route::PatchNote(id), condition, None) => {
                NotePatch::parse(json).map(|patch| Self::Patch(id, patch, condition))
            }
            (Route::DeleteNote(id), condition, None) => Ok(Self::Delete(id, condition)),
            (Route::RestoreNote(id), condition, None) => Ok(Self::Restore(id, condition)),
            (Route::Health | Route::OpenApi, ..) => Err(Problem::new(
                Code::NotFound,
                "The public documents are answered before the doors.",
            )),
            _ => Err(unsupported_condition()),
        }
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
