//! What the commands mean: from a [`NotesCommand`] to the response.
//!
//! Promise: a write happens at most once, only where its precondition held in the same statement
//! that wrote, and what is already as the client wants it is success. It refuses to tell another
//! user's note from a missing one.

use serde::Serialize;

use crate::command::{NotesCommand, Once, PublishedCommand, PutCondition};
use crate::guard::GuardedRequest;
use crate::json;
use crate::note::draft::NoteDraft;
use crate::note::page::{ListQuery, State};
use crate::note::published::PublishedNote;
use crate::note::{Note, NoteId, Scope};
use crate::precondition::{IfMatch, IfNoneMatch};
use crate::problem::{Code, Problem};
use crate::reply::{self, Response, document, empty};
use crate::seam::Edge;
use crate::store::{Database, Inserted, NewNote, Store, Target};

/// Runs a command as the user of `store`.
pub(crate) async fn run<E: Edge>(
    scope: Scope,
    command: NotesCommand,
    store: &Store<'_, E>,
) -> Result<Response, Problem> {
    let live = |id| Target {
        scope,
        id,
        state: Some(State::Active),
        version: None,
    };
    let outcome = match command {
        NotesCommand::List(query) => list(store, scope, &query).await,
        NotesCommand::Create(draft, None) => create(store, scope, &draft).await,
        NotesCommand::Create(draft, Some(once)) => create_once(store, scope, &draft, &once).await,
        NotesCommand::Read(id, condition) => read(store, live(id), condition.as_ref()).await,
        NotesCommand::Put(id, draft, condition) => put(store, live(id), &draft, condition).await,
        NotesCommand::Patch(id, patch, condition) => {
            change(store, live(id), &patch, condition).await
        }
        NotesCommand::Delete(id, condition) => delete(store, live(id), condition).await,
        NotesCommand::Restore(id, condition) => restore(store, live(id), condition).await,
        NotesCommand::Publish(id, condition) => publish(store, live(id), true, condition).await,
        NotesCommand::Unpublish(id, condition) => publish(store, live(id), false, condition).await,
    };
    match (outcome, scope) {
        // Who is not in the organisation is not told that there is one, nor of the note that a key made there before.
        (Err(problem), Scope::Org(org))
            if matches!(problem.code(), Code::Forbidden | Code::IdempotencyKeyReused)
                && store.org(org).await?.is_none() =>
        {
            Err(Problem::no_such_org())
        }
        (outcome, _) => outcome,
    }
}

async fn list<E: Edge>(
    store: &Store<'_, E>,
    scope: Scope,
    query: &ListQuery,
) -> Result<Response, Problem> {
    let rows = store.list(scope, query).await?;
    if rows == b"[]"
        && let Scope::Org(org) = scope
        && store.org(org).await?.is_none()
    {
        return Err(Problem::no_such_org());
    }
    let page = query.page(&rows).ok_or(Problem::upstream_invalid(
        "the answer is no array of notes, or a created_at is in no calendar",
    ))?;
    Ok(document(200, "application/json", page))
}

/// A published note, for anybody whose app was let in.
pub(crate) async fn published(
    id: NoteId,
    PublishedCommand(condition): PublishedCommand,
    request: &GuardedRequest,
    database: &Database,
    edge: &impl Edge,
) -> Result<Response, Problem> {
    let rows = database.published(request, id, edge).await?;
    let rows: Vec<PublishedNote<'_>> = json::read(&rows).ok_or(Problem::upstream_invalid(
        "the answer is no array of published notes",
    ))?;
    let note = match rows.as_slice() {
        [] => return Err(Problem::new(Code::NotFound, "No such note is published.")),
        [note] => note,
        _ => return Err(Problem::upstream_invalid("more than one row for one id")),
    };
    let response = if condition.is_some_and(|condition| condition.names(note.version)) {
        empty(304)
    } else {
        reply::json(200, note)
    };
    // As long as a note may go on being shown after it was taken back.
    Ok(response
        .with("etag", &note.version.etag())
        .with("cache-control", "public, max-age=60"))
}

async fn create<E: Edge>(
    store: &Store<'_, E>,
    scope: Scope,
    draft: &NoteDraft,
) -> Result<Response, Problem> {
    match store.insert(&NewNote::new(scope, None, draft)).await? {
        Inserted::Created(note) => Ok(created(scope, note)),
        // The database makes the id, so this is one chance in 2^122.
        Inserted::Taken => Err(Problem::conflict()),
    }
}

/// The note that the key made, as it is now, whether it was this request that made it or an earlier one.
async fn create_once<E: Edge>(
    store: &Store<'_, E>,
    scope: Scope,
    draft: &NoteDraft,
    once: &Once,
) -> Result<Response, Problem> {
    match store.insert_once(scope, draft, once).await? {
        Some(note) if note.is_deleted() => Err(Problem::made_and_deleted()),
        Some(note) => Ok(created(scope, note)),
        None => Err(Problem::idempotency_key_reused()),
    }
}

async fn read<E: Edge>(
    store: &Store<'_, E>,
    live: Target,
    condition: Option<&IfNoneMatch>,
) -> Result<Response, Problem> {
    let note = store.find(live).await?.ok_or(Problem::no_such_note())?;
    if condition.is_some_and(|condition| condition.names(note.version())) {
        return Ok(empty(304).with("etag", &note.version().etag()));
    }
    Ok(found(note))
}

/// An UPDATE of the live note, else an INSERT. Never an upsert: that would need the right to
/// update ids, and `on conflict` sees rows that the user must not learn of.
async fn put<E: Edge>(
    store: &Store<'_, E>,
    live: Target,
    draft: &NoteDraft,
    condition: PutCondition,
) -> Result<Response, Problem> {
    if let PutCondition::ReplaceOnly(condition) = condition {
        return change(store, live, draft, Some(condition)).await;
    }
    if condition == PutCondition::None
        && let Some(note) = store.update(live, draft).await?
    {
        return Ok(found(note));
    }
    let new = NewNote::new(live.scope, Some(live.id), draft);
    match store.insert(&new).await? {
        Inserted::Created(note) => Ok(created(live.scope, note)),
        Inserted::Taken if condition == PutCondition::CreateOnly => match store.find(live).await? {
            Some(current) => Err(mismatch(current)),
            None => Err(Problem::conflict()),
        },
        // Taken since the UPDATE found nothing: by this user's other device, or never free.
        Inserted::Taken => match store.update(live, draft).await? {
            Some(note) => Ok(found(note)),
            None => Err(Problem::conflict()),
        },
    }
}

/// Soft delete. A note that is deleted already is as the client wants it, whatever version it was
/// deleted in (RFC 9110 section 13.1.1 allows it), so a repeated DELETE is 204 again.
async fn delete<E: Edge>(
    store: &Store<'_, E>,
    live: Target,
    condition: Option<IfMatch>,
) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Deleted {
        deleted_at: &'static str,
    }

    // The database's trigger writes its own time, whatever is sent.
    let deleted = Deleted { deleted_at: "now" };
    match transition(store, live, &deleted, condition).await? {
        Transition::Done(_) | Transition::Already(_) => Ok(empty(204)),
    }
}

/// Undoes [`delete`]; a live note is as the client wants it.
async fn restore<E: Edge>(
    store: &Store<'_, E>,
    live: Target,
    condition: Option<IfMatch>,
) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Live {
        deleted_at: Option<&'static str>,
    }

    let deleted = Target {
        state: Some(State::Deleted),
        ..live
    };
    match transition(store, deleted, &Live { deleted_at: None }, condition).await? {
        Transition::Done(note) | Transition::Already(note) => Ok(found(note)),
    }
}

/// Publishes a live note, or takes it back; one that is as wanted stays as it is.
async fn publish<E: Edge>(
    store: &Store<'_, E>,
    live: Target,
    publish: bool,
    condition: Option<IfMatch>,
) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Publication {
        published_at: Option<&'static str>,
    }

    let (from, to) = if publish {
        (State::Unpublished, State::Published)
    } else {
        (State::Published, State::Unpublished)
    };
    // The database's trigger writes its own time, whatever is sent.
    let publication = Publication {
        published_at: publish.then_some("now"),
    };
    let in_state = |state| Target {
        state: Some(state),
        ..live
    };
    if let Some(version) = IfMatch::version(condition) {
        let target = Target {
            version,
            ..in_state(from)
        };
        if let Some(note) = store.update(target, &publication).await? {
            return Ok(found(note));
        }
    }
    if let Some(note) = store.find(in_state(to)).await? {
        return Ok(found(note));
    }
    let current = store.find(live).await?.ok_or(Problem::no_such_note())?;
    Err(refusal(current, condition))
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
    let mut seen = None;
    for _ in 0..ATTEMPTS {
        if let Some(version) = IfMatch::version(condition) {
            let target = Target { version, ..from };
            if let Some(note) = store.update(target, changes).await? {
                return Ok(Transition::Done(note));
            }
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
        // It was there in this version before and after an UPDATE that did not find it.
        if seen == Some(current.version()) {
            return Err(refusal(current, condition));
        }
        if condition.is_some_and(|condition| !condition.matches(current.version())) {
            return Err(mismatch(current));
        }
        // It has become what the UPDATE looked for since the UPDATE looked; or a policy keeps it from this user.
        seen = Some(current.version());
    }
    Err(Problem::upstream_unavailable(
        "the note kept changing under the request",
    ))
}

/// Why a note that is there was not changed.
fn refusal(current: Note, condition: Option<IfMatch>) -> Problem {
    if condition.is_some_and(|condition| !condition.matches(current.version())) {
        mismatch(current)
    } else {
        Problem::forbidden()
    }
}

fn mismatch(current: Note) -> Problem {
    let version = current.version();
    Problem::version_mismatch(current.into_json(), version)
}

fn found(note: Note) -> Response {
    shown(200, note)
}

fn created(scope: Scope, note: Note) -> Response {
    let location = match scope {
        Scope::Own => format!("/v1/notes/{}", note.id()),
        Scope::Org(org) => format!("/v1/orgs/{org}/notes/{}", note.id()),
    };
    shown(201, note).with("location", &location)
}

fn shown(status: u16, note: Note) -> Response {
    let etag = note.version().etag();
    document(status, "application/json", note.into_json().into_bytes()).with("etag", &etag)
}
