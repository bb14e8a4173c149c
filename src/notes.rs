//! What the commands mean: from a [`NotesCommand`] to the response.
//!
//! Promise: a write happens at most once, only where its precondition held in the same statement
//! that wrote, and what is already as the client wants it is success. It refuses to tell another
//! user's note from a missing one.

use serde::Serialize;

use crate::command::{NotesCommand, Once, PutCondition};
use crate::note::draft::NoteDraft;
use crate::note::page::{ListQuery, State};
use crate::note::{Note, NoteId};
use crate::precondition::{IfMatch, IfNoneMatch};
use crate::problem::Problem;
use crate::reply::{Response, document, empty};
use crate::seam::Edge;
use crate::store::{Inserted, Store, Target};

/// Runs a command as the user of `store`.
pub(crate) async fn run<E: Edge>(
    command: NotesCommand,
    store: &Store<'_, E>,
) -> Result<Response, Problem> {
    match command {
        NotesCommand::List(query) => list(store, &query).await,
        NotesCommand::Create(draft, None) => create(store, &draft).await,
        NotesCommand::Create(draft, Some(once)) => create_once(store, &draft, &once).await,
        NotesCommand::Read(id, condition) => read(store, id, condition.as_ref()).await,
        NotesCommand::Put(id, draft, condition) => put(store, id, &draft, condition).await,
        NotesCommand::Patch(id, patch, condition) => {
            change(store, live(id), &patch, condition).await
        }
        NotesCommand::Delete(id, condition) => delete(store, id, condition).await,
        NotesCommand::Restore(id, condition) => restore(store, id, condition).await,
    }
}

async fn list<E: Edge>(store: &Store<'_, E>, query: &ListQuery) -> Result<Response, Problem> {
    let rows = store.list(query).await?;
    let page = query.page(&rows).ok_or(Problem::upstream_invalid(
        "the answer is no array of notes, or a created_at is in no calendar",
    ))?;
    Ok(document(200, "application/json", page))
}

async fn create<E: Edge>(store: &Store<'_, E>, draft: &NoteDraft) -> Result<Response, Problem> {
    match store.insert(draft).await? {
        Inserted::Created(note) => Ok(created(note)),
        // The database makes the id, so this is one chance in 2^122.
        Inserted::Taken => Err(Problem::conflict()),
    }
}

/// The note that the key made, as it is now, whether it was this request that made it or an earlier one.
async fn create_once<E: Edge>(
    store: &Store<'_, E>,
    draft: &NoteDraft,
    once: &Once,
) -> Result<Response, Problem> {
    match store.insert_once(draft, once).await? {
        Some(note) if note.is_deleted() => Err(Problem::made_and_deleted()),
        Some(note) => Ok(created(note)),
        None => Err(Problem::idempotency_key_reused()),
    }
}

async fn read<E: Edge>(
    store: &Store<'_, E>,
    id: NoteId,
    condition: Option<&IfNoneMatch>,
) -> Result<Response, Problem> {
    let note = store.find(live(id)).await?.ok_or(Problem::no_such_note())?;
    if condition.is_some_and(|condition| condition.names(note.version())) {
        return Ok(empty(304).with("etag", &note.version().etag()));
    }
    Ok(found(note))
}

/// An UPDATE of the live note, else an INSERT. Never an upsert: that would need the right to
/// update ids, and `on conflict` sees rows that the user must not learn of.
async fn put<E: Edge>(
    store: &Store<'_, E>,
    id: NoteId,
    draft: &NoteDraft,
    condition: PutCondition,
) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct WithId<'a> {
        id: NoteId,
        #[serde(flatten)]
        draft: &'a NoteDraft,
    }

    if let PutCondition::ReplaceOnly(condition) = condition {
        return change(store, live(id), draft, Some(condition)).await;
    }
    if condition == PutCondition::None
        && let Some(note) = store.update(live(id), draft).await?
    {
        return Ok(found(note));
    }
    match store.insert(&WithId { id, draft }).await? {
        Inserted::Created(note) => Ok(created(note)),
        Inserted::Taken if condition == PutCondition::CreateOnly => {
            match store.find(live(id)).await? {
                Some(current) => Err(Problem::version_mismatch(current)),
                None => Err(Problem::conflict()),
            }
        }
        // Taken since the UPDATE found nothing: by this user's other device, or never free.
        Inserted::Taken => match store.update(live(id), draft).await? {
            Some(note) => Ok(found(note)),
            None => Err(Problem::conflict()),
        },
    }
}

/// Soft delete. A note that is deleted already is as the client wants it, whatever version it was
/// deleted in (RFC 9110 section 13.1.1 allows it), so a repeated DELETE is 204 again.
async fn delete<E: Edge>(
    store: &Store<'_, E>,
    id: NoteId,
    condition: Option<IfMatch>,
) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Deleted {
        deleted_at: &'static str,
    }

    // The database's trigger writes its own time, whatever is sent.
    let deleted = Deleted { deleted_at: "now" };
    match transition(store, live(id), &deleted, condition).await? {
        Transition::Done(_) | Transition::Already(_) => Ok(empty(204)),
    }
}

/// Undoes [`delete`]; a live note is as the client wants it.
async fn restore<E: Edge>(
    store: &Store<'_, E>,
    id: NoteId,
    condition: Option<IfMatch>,
) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Live {
        deleted_at: Option<&'static str>,
    }

    let deleted = Target {
        state: Some(State::Deleted),
        ..live(id)
    };
    match transition(store, deleted, &Live { deleted_at: None }, condition).await? {
        Transition::Done(note) | Transition::Already(note) => Ok(found(note)),
    }
}

/// Changes a live note under a precondition.
async fn change<E: Edge>(
    store: &Store<'_, E>,
    target: Target,
    changes: &impl Serialize,
    condition: Option<IfMatch>,
) -> Result<Response, Problem> {
    match transition(store, target, changes, condition).await? {
        Transition::Done(note) => Ok(found(note)),
        Transition::Already(_) => Err(Problem::no_such_note()),
    }
}

/// What came of an UPDATE of a note in one state.
enum Transition {
    /// This is the note now.
    Done(Note),
    /// The note is in the other state.
    Already(Note),
}

/// How often to try again when another write came between the UPDATE and the look at what it found.
const ATTEMPTS: u32 = 3;

/// Updates the note if it is in `from`'s state and satisfies the condition, in one statement: the
/// version is part of the UPDATE's filter, so no other write can come between.
async fn transition<E: Edge>(
    store: &Store<'_, E>,
    from: Target,
    changes: &impl Serialize,
    condition: Option<IfMatch>,
) -> Result<Transition, Problem> {
    let target = Target {
        version: match condition {
            Some(IfMatch::Tag(version)) => version,
            Some(IfMatch::Any) | None => None,
        },
        ..from
    };
    // A tag that no note ever has: there is no use in asking for an UPDATE.
    let hopeless = condition == Some(IfMatch::Tag(None));
    for _ in 0..ATTEMPTS {
        if !hopeless && let Some(note) = store.update(target, changes).await? {
            return Ok(Transition::Done(note));
        }
        // Nothing was changed. Why?
        let any_state = Target {
            state: None,
            version: None,
            ..from
        };
        let current = store
            .find(any_state)
            .await?
            .ok_or(Problem::no_such_note())?;
        let state = if current.is_deleted() {
            State::Deleted
        } else {
            State::Active
        };
        if from.state != Some(state) {
            return Ok(Transition::Already(current));
        }
        if condition.is_some_and(|condition| !condition.matches(current.version())) {
            return Err(Problem::version_mismatch(current));
        }
        // It has become what the UPDATE looked for since the UPDATE looked.
    }
    Err(Problem::upstream_unavailable(
        "the note kept changing under the request",
    ))
}

fn live(id: NoteId) -> Target {
    Target {
        id,
        state: Some(State::Active),
        version: None,
    }
}

fn found(note: Note) -> Response {
    shown(200, note)
}

fn created(note: Note) -> Response {
    let location = format!("/v1/notes/{}", note.id());
    shown(201, note).with("location", &location)
}

fn shown(status: u16, note: Note) -> Response {
    let etag = note.version().etag();
    document(status, "application/json", note.into_json()).with("etag", &etag)
}
