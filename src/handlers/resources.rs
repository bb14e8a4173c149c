//! The handlers of a resource's routes.
//!
//! A write is one call of one function, which decides and changes the row in one transaction. A
//! change that is already made is a success.

use super::{AppCall, PathMatch, Scope, UserCall};
use crate::error::{Code, Problem};
use crate::platform::Platform;
use crate::postgrest::{Function, NO_VERSION, Outcome, Reader, Row, State};
use crate::request::Input;
use crate::request::conditional::IfMatch;
use crate::request::page::{self, ListQuery};
use crate::resources::{Draft, IdKind};
use crate::response::{Response, document, empty, streamed};
use crate::types::Object;

const LIST: Function = Function::new("airlock_list");
const READ: Function = Function::new("airlock_read");
const CREATE: Function = Function::new("airlock_create");
const PUT: Function = Function::new("airlock_put");
const CHANGE: Function = Function::new("airlock_change");
const PUBLISHED: Function = Function::new("airlock_published");

/// `GET` of a collection.
pub(crate) async fn list<P: Platform>(call: UserCall<'_, P>) -> Result<Response, Problem> {
    rows(&call.database, &call.path, &call.input).await
}

/// `GET` of a collection that every app reads.
pub(crate) async fn open_list<P: Platform>(call: AppCall<'_, P>) -> Result<Response, Problem> {
    rows(&call.database, &call.path, &call.input).await
}

/// `POST` to a collection.
pub(crate) async fn create<P: Platform>(call: UserCall<'_, P>) -> Result<Response, Problem> {
    let scope = call.path.scope()?;
    let draft = Draft::whole(&scope.resource.fields, call.input.body)?;
    let arguments = request_key(of_scope(scope).json("draft", draft.json()), &call.input, &draft);
    created(write(&call, CREATE, arguments).await?, &scope.path(), None)
}

/// `GET` of a row.
pub(crate) async fn read<P: Platform>(call: UserCall<'_, P>) -> Result<Response, Problem> {
    row(&call.database, &call.path, &call.input, &row_id(&call)?).await
}

/// `GET` of a row that every app reads.
pub(crate) async fn open_read<P: Platform>(call: AppCall<'_, P>) -> Result<Response, Problem> {
    row(&call.database, &call.path, &call.input, call.path.id("id")?).await
}

/// `PUT` of a row.
pub(crate) async fn put<P: Platform>(call: UserCall<'_, P>) -> Result<Response, Problem> {
    let scope = call.path.scope()?;
    let draft = Draft::whole(&scope.resource.fields, call.input.body)?;
    let mode = match (&call.input.if_match, &call.input.if_none_match) {
        (Some(_), _) => "replace",
        (None, Some(_)) => "create",
        // The database makes the id, so there is no row to create under it.
        (None, None) if scope.resource.id.kind == IdKind::Bigint => "replace",
        (None, None) => "any",
    };
    let arguments = of_scope(scope).text("id", &*row_id(&call)?).text("mode", mode).json("draft", draft.json());
    created(write(&call, PUT, if_match(arguments, &call.input)).await?, &scope.path(), Some(call.path.id("id")?))
}

/// `PATCH` of a row.
pub(crate) async fn patch<P: Platform>(call: UserCall<'_, P>) -> Result<Response, Problem> {
    let draft = Draft::patch(&call.path.scope()?.resource.fields, call.input.body)?;
    changed(change(&call, "patch", Some(&draft)).await?)
}

/// `DELETE` of a row. A row that is deleted softly already is as the client wants it, with any
/// `If-Match` (RFC 9110 section 13.1.1 allows this).
pub(crate) async fn delete<P: Platform>(call: UserCall<'_, P>) -> Result<Response, Problem> {
    let outcome = change(&call, "delete", None).await?;
    match outcome.outcome {
        State::Done | State::Already => Ok(empty(204)),
        _ => changed(outcome),
    }
}

/// `POST .../restore`.
pub(crate) async fn restore<P: Platform>(call: UserCall<'_, P>) -> Result<Response, Problem> {
    changed(change(&call, "restore", None).await?)
}

/// `POST .../publish`.
pub(crate) async fn publish<P: Platform>(call: UserCall<'_, P>) -> Result<Response, Problem> {
    changed(change(&call, "publish", None).await?)
}

/// `POST .../unpublish`.
pub(crate) async fn unpublish<P: Platform>(call: UserCall<'_, P>) -> Result<Response, Problem> {
    changed(change(&call, "unpublish", None).await?)
}

/// `GET` of a published row, for every user of a known app.
pub(crate) async fn published<P: Platform>(call: AppCall<'_, P>) -> Result<Response, Problem> {
    let arguments = Object::new().text("resource", &*call.path.scope()?.resource.name);
    let row = call.database.read(PUBLISHED, arguments.text("id", call.path.id("id")?)).await?;
    // A row may be shown for this long after it was unpublished.
    Ok(found(row, &call.input)?.with("cache-control", "public, max-age=60"))
}

/// A page of the rows that the caller may see.
async fn rows<P: Platform>(
    database: &Reader<'_, P>,
    path: &PathMatch<'_>,
    input: &Input<'_>,
) -> Result<Response, Problem> {
    let scope = path.scope()?;
    let query = ListQuery::parse(input.query, scope.resource)?;
    database.stream(LIST, query.add_to(of_scope(scope))).await?;
    Ok(streamed())
}

/// A row that the caller may see. With embedded rows, which change without it, it has no tag.
async fn row<P: Platform>(
    database: &Reader<'_, P>,
    path: &PathMatch<'_>,
    input: &Input<'_>,
    id: &str,
) -> Result<Response, Problem> {
    let scope = path.scope()?;
    let included = page::included(input.query, scope.resource)?;
    let mut arguments = of_scope(scope).text("id", id);
    if let Some(included) = &included {
        arguments = arguments.text("included", &**included);
    }
    let row: Option<Row> = database.read(READ, arguments).await?;
    match included {
        None => found(row, input),
        Some(_) => Ok(document(200, "application/json", row.ok_or(Code::NotFound)?.into_body())),
    }
}

async fn change<P: Platform>(call: &UserCall<'_, P>, action: &str, draft: Option<&Draft>) -> Result<Outcome, Problem> {
    let arguments = of_scope(call.path.scope()?).text("id", &*row_id(call)?).text("action", action);
    let arguments = arguments.json("draft", draft.map_or("null", Draft::json));
    write(call, CHANGE, if_match(arguments, &call.input)).await
}

/// The arguments that say which rows a call is about.
fn of_scope(scope: &Scope<'_>) -> Object {
    let org = scope.org.map(|org| org.to_string());
    Object::new().text("resource", &*scope.collection()).text("org", org.as_deref())
}

/// Adds the precondition of a write.
pub(crate) fn if_match(arguments: Object, input: &Input<'_>) -> Object {
    arguments.number("if_match", IfMatch::version(input.if_match))
}

/// Adds the `Idempotency-Key`, and what the request with this key means.
pub(crate) fn request_key(arguments: Object, input: &Input<'_>, draft: &Draft) -> Object {
    let digest = input.idempotency_key.map(|_| draft.digest());
    arguments.text("request_key", input.idempotency_key).text("request_digest", digest.as_deref())
}

/// The id of the row that a path names; of `me` the user's.
fn row_id<P: Platform>(call: &UserCall<'_, P>) -> Result<String, Problem> {
    match call.path.scope()?.resource.id.kind {
        IdKind::Owner => Ok(call.session.sub().to_string()),
        _ => call.path.id("id").map(str::to_owned),
    }
}

async fn write<P: Platform>(call: &UserCall<'_, P>, function: Function, arguments: Object) -> Result<Outcome, Problem> {
    let resource = call.path.scope()?.resource;
    let mut outcome = call.database.write(function, arguments, Some(resource)).await?;
    outcome.versionless = resource.version.is_none();
    Ok(outcome)
}

/// 201 with the row and its place below `collection`, or the problem of another outcome. `id` comes
/// from the request's path, if that names the row.
pub(crate) fn created(outcome: Outcome, collection: &str, id: Option<&str>) -> Result<Response, Problem> {
    if outcome.outcome != State::Created {
        return changed(outcome);
    }
    let row = outcome.row()?;
    let id = id.map_or_else(|| row.id(), Ok)?;
    let location = format!("{collection}/{id}");
    Ok(shown(201, row).with("location", &location))
}

/// 200 with the row, or the problem of another outcome.
pub(crate) fn changed(outcome: Outcome) -> Result<Response, Problem> {
    Err(match outcome.outcome {
        State::Created | State::Done | State::Already => return Ok(shown(200, outcome.row()?)),
        State::Mismatch => {
            let row = outcome.row()?;
            let version = row.version().ok_or(Code::UpstreamInvalid.because(NO_VERSION))?;
            Problem::version_mismatch(row.json().to_owned(), version)
        }
        State::Missing => Code::NotFound.into(),
        State::Forbidden => Code::Forbidden.into(),
        State::Taken => Problem::new(
            Code::Conflict,
            "This id is taken by something that is not a live row of this user. Use another id.",
        ),
        State::Reused => Code::IdempotencyKeyReused.into(),
        State::Deleted => Problem::new(
            Code::Conflict,
            "What this Idempotency-Key made was deleted since. Use a new key to make another.",
        ),
    })
}

/// 200 with the row, 304 if the client has this version, or 404.
pub(crate) fn found(row: Option<Row>, input: &Input<'_>) -> Result<Response, Problem> {
    let row = row.ok_or(Code::NotFound)?;
    if row.version().is_some() != input.versioned {
        return Err(Code::UpstreamInvalid.because(NO_VERSION));
    }
    let known = row.version().filter(|version| {
        let condition = input.if_none_match.as_ref();
        condition.is_some_and(|condition| condition.names(*version))
    });
    Ok(match known {
        Some(version) => empty(304).with("etag", &version.etag()),
        None => shown(200, row),
    })
}

fn shown(status: u16, row: Row) -> Response {
    let version = row.version();
    let response = document(status, "application/json", row.into_body());
    match version {
        Some(version) => response.with("etag", &version.etag()),
        None => response,
    }
}
