//! PostgREST: outbound requests and what their answers mean.
//!
//! Promise: every request carries the user's own token, so that Row Level Security decides with
//! it, and names the user besides: a policy that was dropped by mistake still shows nobody another
//! user's note. A [`Store`] can't be had without a [`Session`] and an [`Admitted`]. It refuses redirects
//! and answers that are not what was asked for, and maps PostgREST's errors to problems without a
//! word of theirs going out.

use http::Method;
use postgrest::{Builder, Postgrest};
use serde::{Deserialize, Serialize};

use crate::note::page::{ListQuery, State};
use crate::note::{COLUMNS, Note, NoteId, Version};
use crate::problem::{At, Code, FieldError, Problem};
use crate::replay::Admitted;
use crate::seam::{Edge, HeaderLines, Millis, Outbound, Reply, SendError};
use crate::token::Session;

/// Most that an answer may have. A page of 100 notes at their limits, escaped, is under 13 MB.
const REPLY_MAX: usize = 16 * 1024 * 1024;

/// Where the data is. Part of the configuration.
pub(crate) struct Database {
    client: Postgrest,
    timeout: Millis,
}

impl Database {
    /// `publishable_key` must be printable ASCII.
    pub(crate) fn new(rest_url: &str, publishable_key: &str, timeout: Millis) -> Self {
        Self {
            client: Postgrest::new(rest_url).insert_header("apikey", publishable_key),
            timeout,
        }
    }

    /// The database as one user sees it, for one request: its statements share one deadline.
    pub(crate) fn open<'a, E: Edge>(
        &'a self,
        session: &'a Session,
        _: Admitted,
        edge: &'a E,
    ) -> Store<'a, E> {
        Store {
            database: self,
            session,
            edge,
            deadline: edge.now().saturating_add(self.timeout),
        }
    }
}

/// The notes of one user.
pub(crate) struct Store<'a, E> {
    database: &'a Database,
    session: &'a Session,
    edge: &'a E,
    deadline: Millis,
}

/// Which of the user's notes a statement is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    pub(crate) id: NoteId,
    /// Live or deleted; `None` is either.
    pub(crate) state: Option<State>,
    /// In this version only.
    pub(crate) version: Option<Version>,
}

/// What came of an INSERT.
pub(crate) enum Inserted {
    /// It is there now.
    Created(Note),
    /// The id is taken, by whomever.
    Taken,
}

impl<E: Edge> Store<'_, E> {
    /// The rows of a page of the user's notes and one more.
    pub(crate) async fn list(&self, query: &ListQuery) -> Result<Vec<u8>, Problem> {
        let mut select = self
            .mine(query.state.into())
            .select(COLUMNS)
            .order("created_at.desc,id.desc")
            .limit(query.rows());
        if let Some(place) = &query.after {
            // Row comparison, spelled so that the index begins the scan at the place: as
            // `or(lt, and(eq, lt))` alone, Postgres reads and drops all rows before it.
            let (time, id) = (place.created_at.as_str(), place.id);
            select = select
                .lte("created_at", time)
                .or(format!("created_at.lt.{time},id.lt.{id}"));
        }
        self.rows(select).await
    }

    /// The note, if it is the user's and as `target` says.
    pub(crate) async fn find(&self, target: Target) -> Result<Option<Note>, Problem> {
        one(&self.rows(self.one(target)).await?)
    }

    /// Changes the note, if it is the user's and as `target` says; `None` if there is no such.
    pub(crate) async fn update(
        &self,
        target: Target,
        changes: &impl Serialize,
    ) -> Result<Option<Note>, Problem> {
        let update = self.one(target).update(to_json(changes)?);
        one(&self.rows(update).await?)
    }

    /// Writes a new note of the user.
    pub(crate) async fn insert(&self, note: &impl Serialize) -> Result<Inserted, Problem> {
        let insert = self.table().select(COLUMNS).insert(to_json(note)?);
        let reply = self.send(insert).await?;
        if reply.status == 201 {
            let note = one(&reply.body)?;
            return note
                .map(Inserted::Created)
                .ok_or(Problem::upstream_invalid("an INSERT without its row"));
        }
        match PgError::read(&reply) {
            Some(error) if error.code == UNIQUE_VIOLATION => Ok(Inserted::Taken),
            _ => Err(problem(&reply)),
        }
    }

    fn table(&self) -> Builder {
        self.database
            .client
            .from("notes")
            .auth(self.session.token())
    }

    fn mine(&self, state: Option<State>) -> Builder {
        let mine = self.table().eq("user_id", self.session.sub().to_string());
        match state {
            Some(State::Active) => mine.is("deleted_at", "null"),
            Some(State::Deleted) => mine.not("is", "deleted_at", "null"),
            None => mine,
        }
    }

    /// Every UPDATE goes through here: one without an id would change all of the user's notes.
    fn one(&self, target: Target) -> Builder {
        let one = self
            .mine(target.state)
            .select(COLUMNS)
            .eq("id", target.id.to_string());
        match target.version {
            Some(version) => one.eq("version", version.to_string()),
            None => one,
        }
    }

    async fn rows(&self, statement: Builder) -> Result<Vec<u8>, Problem> {
        let reply = self.send(statement).await?;
        if reply.status == 200 {
            Ok(reply.body)
        } else {
            Err(problem(&reply))
        }
    }

    async fn send(&self, statement: Builder) -> Result<Reply, Problem> {
        let request = outbound(statement)?;
        match self.edge.send(request, REPLY_MAX, self.deadline).await {
            Ok(reply) => Ok(reply),
            Err(SendError::Timeout) => Err(Problem::upstream_timeout("no whole answer in time")),
            Err(SendError::Unreachable) => {
                Err(Problem::upstream_unavailable("no connection, or it broke"))
            }
            Err(SendError::TooLarge) => Err(Problem::upstream_invalid("more than 16 MiB")),
        }
    }
}

/// The one row of a statement about one note, or none.
fn one(rows: &[u8]) -> Result<Option<Note>, Problem> {
    Note::of_rows(rows).map_err(|reason| Problem::upstream_invalid(reason.0))
}

/// Takes the request out of postgrest's hands: its own client has no deadline and follows
/// redirects, with the token.
fn outbound(statement: Builder) -> Result<Outbound, Problem> {
    let failed = |_| Problem::internal("postgrest could not build the request");
    let request = statement.build().build().map_err(failed)?;
    let method = Method::from_bytes(request.method().as_str().as_bytes())
        .map_err(|_| Problem::internal("postgrest named a method that is none"))?;
    let mut headers = HeaderLines::default();
    for (name, value) in request.headers() {
        // One that got lost on the way could be the user's token.
        let value = value
            .to_str()
            .map_err(|_| Problem::internal("a header of the request is no text"))?;
        headers.push(name.as_str(), value);
    }
    // It sets an empty body on every request.
    let body = request
        .body()
        .and_then(|body| body.as_bytes())
        .filter(|bytes| !bytes.is_empty())
        .map(<[u8]>::to_vec);
    Ok(Outbound {
        method,
        url: request.url().to_string(),
        headers,
        body,
    })
}

fn to_json(value: &impl Serialize) -> Result<String, Problem> {
    serde_json::to_string(value)
        .map_err(|_| Problem::internal("a row could not be written as JSON"))
}

/// PostgREST's error body. Its `details` and `hint` are not read at all.
#[derive(Deserialize)]
struct PgError {
    code: String,
    #[serde(default)]
    message: String,
}

const UNIQUE_VIOLATION: &str = "23505";

impl PgError {
    fn read(reply: &Reply) -> Option<Self> {
        serde_json::from_slice(&reply.body).ok()
    }
}

/// What an answer that is no success means.
///
/// Codes: <https://docs.postgrest.org/en/stable/references/errors.html>,
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
/// A fault that may pass is never a 4xx: an app's queue of unsent changes drops an entry on 4xx.
fn problem(reply: &Reply) -> Problem {
    let Some(PgError { code, message }) = PgError::read(reply) else {
        return match reply.status {
            // A gateway in front of PostgREST, with a page of its own.
            401 | 403 => Problem::internal("the gateway refused SUPABASE_PUBLISHABLE_KEY"),
            429 | 502 | 503 | 520..=530 => Problem::upstream_unavailable("a gateway said so"),
            402 => {
                Problem::upstream_unavailable("Supabase restricts this project: quota or payment")
            }
            540 => Problem::upstream_unavailable("this project is paused"),
            504 | 544 => Problem::upstream_timeout("a gateway said so"),
            _ => Problem::upstream_invalid("neither rows nor an error of PostgREST"),
        };
    };
    match code.as_str() {
        "PGRST301" | "PGRST302" | "PGRST303" if message.contains("expired") => {
            Problem::token_expired().because("the database's clock is ahead")
        }
        "PGRST301" | "PGRST302" | "PGRST303" => {
            Problem::token_invalid("verified here, refused by the database").alarming()
        }
        // Only `user_id` has a foreign key: the account was deleted, its token lives on.
        "23503" => Problem::token_invalid("the user no longer exists"),
        "42501" if message.contains("row-level security") => Problem::new(
            Code::Forbidden,
            "The database's policies do not allow this for this user.",
        ),
        "42501" => Problem::internal("permission denied: a grant is missing"),
        "42P17" => Problem::internal("a policy recurses"),
        "42P01" | "42703" | "PGRST202" | "PGRST204" | "PGRST205" => Problem::internal(
            "the schema lacks what the Worker expects: are the migrations applied?",
        ),
        UNIQUE_VIOLATION => Problem::conflict(),
        "23502" | "23514" | "22P02" | "22P05" | "22021" => Problem::validation(vec![FieldError {
            at: At::Pointer(String::new()),
            code: "value",
            message: "holds a value that the database refused",
        }])
        .because("a CHECK or a type was stricter than the Worker")
        .alarming(),
        "PGRST116" => Problem::no_such_note(),
        "40001" | "40P01" => Problem::upstream_unavailable("serialization failure or deadlock"),
        "57014" => Problem::upstream_timeout("statement timeout"),
        "PGRST003" => Problem::upstream_timeout("no database connection in time"),
        "25006" => Problem::upstream_unavailable("the database is read-only"),
        "PGRST000" | "PGRST001" | "PGRST002" | "53300" | "57P03" => {
            Problem::upstream_unavailable("PostgREST has no database")
        }
        _ => match reply.status {
            429 | 503 => Problem::upstream_unavailable("unknown code with a status that says so"),
            _ => Problem::upstream_invalid("an error code that is not in the table"),
        },
    }
}
