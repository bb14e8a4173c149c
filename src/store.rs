//! PostgREST: outbound requests and what their answers mean.
//!
//! Promise: every request carries the user's own token, so that Row Level Security decides with
//! it, and names the user besides: a policy that was dropped by mistake still shows nobody another
//! user's note. There is no function here that does not demand a [`Session`]. It refuses redirects
//! and answers that are not what was asked for, and maps PostgREST's errors to problems without a
//! word of theirs going out.

use http::Method;
use postgrest::{Builder, Postgrest};
use serde::{Deserialize, Serialize};

use crate::note::page::{ListQuery, State};
use crate::note::{COLUMNS, Note, NoteId, Version};
use crate::problem::{At, Code, FieldError, Problem};
use crate::seam::{Edge, Millis, Outbound, Reply, SendError};
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
    pub(crate) fn open<'a, E: Edge>(&'a self, session: &'a Session, edge: &'a E) -> Store<'a, E> {
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
pub(crate) enum Inserted<T> {
    /// It is there now.
    Created(T),
    /// The id is taken, by whomever.
    Taken,
}

/// The rows of an answer, still borrowing from its bytes.
pub(crate) struct Rows(Vec<u8>);

impl Rows {
    pub(crate) fn notes(&self) -> Result<Vec<Note<'_>>, Problem> {
        serde_json::from_slice(&self.0).map_err(|_| invalid("the answer is no array of notes"))
    }

    /// The one row of a statement about one note, or none.
    fn one(&self) -> Result<Option<Note<'static>>, Problem> {
        let mut notes = self.notes()?.into_iter();
        match (notes.next(), notes.next()) {
            (note, None) => Ok(note.map(Note::into_owned)),
            _ => Err(invalid("more than one row for one id")),
        }
    }
}

impl<E: Edge> Store<'_, E> {
    pub(crate) fn session(&self) -> &Session {
        self.session
    }

    /// A page of the user's notes and one more.
    pub(crate) async fn list(&self, query: &ListQuery) -> Result<Rows, Problem> {
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
    pub(crate) async fn find(&self, target: Target) -> Result<Option<Note<'static>>, Problem> {
        self.rows(self.one(target)).await?.one()
    }

    /// Changes the note, if it is the user's and as `target` says; `None` if there is no such.
    pub(crate) async fn update(
        &self,
        target: Target,
        changes: &impl Serialize,
    ) -> Result<Option<Note<'static>>, Problem> {
        let update = self.one(target).update(to_json(changes)?);
        self.rows(update).await?.one()
    }

    /// Writes a new note of the user.
    pub(crate) async fn insert(
        &self,
        note: &impl Serialize,
    ) -> Result<Inserted<Note<'static>>, Problem> {
        let insert = self.table().select(COLUMNS).insert(to_json(note)?);
        let reply = self.send(insert).await?;
        if reply.status == 201 {
            let note = Rows(reply.body).one()?;
            return note
                .map(Inserted::Created)
                .ok_or_else(|| invalid("an INSERT without its row"));
        }
        match problem(&reply) {
            taken if taken.code() == Code::Conflict => Ok(Inserted::Taken),
            problem => Err(problem),
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

    async fn rows(&self, statement: Builder) -> Result<Rows, Problem> {
        let reply = self.send(statement).await?;
        if reply.status == 200 {
            Ok(Rows(reply.body))
        } else {
            Err(problem(&reply))
        }
    }

    async fn send(&self, statement: Builder) -> Result<Reply, Problem> {
        let request = outbound(statement)?;
        match self.edge.send(request, REPLY_MAX, self.deadline).await {
            Ok(reply) => Ok(reply),
            Err(SendError::Timeout) => Err(timeout("no whole answer in time")),
            Err(SendError::Unreachable) => Err(unavailable("no connection, or it broke")),
            Err(SendError::TooLarge) => Err(invalid("more than 16 MiB")),
        }
    }
}

/// Takes the request out of postgrest's hands: its own client has no deadline and follows
/// redirects, with the token.
fn outbound(statement: Builder) -> Result<Outbound, Problem> {
    let failed = |_| internal("postgrest could not build the request");
    let request = statement.build().build().map_err(failed)?;
    let method = Method::from_bytes(request.method().as_str().as_bytes())
        .map_err(|_| internal("postgrest named a method that is none"))?;
    let mut headers = http::HeaderMap::new();
    for (name, value) in request.headers() {
        // reqwest has its own major version of `http`: the same header, another type.
        let name = http::HeaderName::from_bytes(name.as_str().as_bytes());
        let value = http::HeaderValue::from_bytes(value.as_bytes());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
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
    serde_json::to_string(value).map_err(|_| internal("a row could not be written as JSON"))
}

/// PostgREST's error body. Its `details` and `hint` are not read at all.
#[derive(Deserialize)]
struct PgError {
    code: String,
    #[serde(default)]
    message: String,
}

/// What an answer that is no success means.
///
/// Codes: <https://docs.postgrest.org/en/stable/references/errors.html>,
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
/// A fault that may pass is never a 4xx: an app's queue of unsent changes drops an entry on 4xx.
fn problem(reply: &Reply) -> Problem {
    let Ok(PgError { code, message }) = serde_json::from_slice(&reply.body) else {
        return match reply.status {
            // A gateway in front of PostgREST, with a page of its own.
            401 | 403 => internal("the gateway refused SUPABASE_PUBLISHABLE_KEY"),
            429 | 502 | 503 | 520..=530 => unavailable("a gateway said so"),
            504 => timeout("a gateway said so"),
            _ => invalid("neither rows nor an error of PostgREST"),
        };
    };
    match code.as_str() {
        "PGRST301" | "PGRST302" | "PGRST303" if message.contains("expired") => Problem::new(
            Code::TokenExpired,
            "Refresh the session (supabase.auth.refreshSession()) and send the new token.",
        )
        .because("the database's clock is ahead"),
        "PGRST301" | "PGRST302" | "PGRST303" => Problem::new(
            Code::TokenInvalid,
            "Send a valid Supabase access token of a signed-in user of this project.",
        )
        .because("verified here, refused by the database"),
        "42501" if message.contains("row-level security") => Problem::new(
            Code::Forbidden,
            "The database's policies do not allow this for this user.",
        ),
        "42501" => internal("permission denied: a grant is missing"),
        "42P17" => internal("a policy recurses"),
        "42P01" | "42703" | "PGRST202" | "PGRST204" | "PGRST205" => {
            internal("the schema lacks what the Worker expects: are the migrations applied?")
        }
        "23505" => Problem::new(
            Code::Conflict,
            "This id is taken by something that is no live note of this user.",
        ),
        "23502" | "23514" | "22P02" | "22P05" | "22021" => Problem::validation(vec![FieldError {
            at: At::Pointer(String::new()),
            code: "value",
            message: "holds a value that the database refused",
        }])
        .because("a CHECK or a type was stricter than the Worker"),
        "PGRST116" => not_found(),
        "40001" | "40P01" => unavailable("serialization failure or deadlock"),
        "57014" => timeout("statement timeout"),
        "PGRST003" => timeout("no database connection in time"),
        "PGRST000" | "PGRST001" | "PGRST002" | "53300" | "57P03" => {
            unavailable("PostgREST has no database")
        }
        _ => match reply.status {
            429 | 503 => unavailable("unknown code with a status that says so"),
            _ => invalid("an error code that is not in the table"),
        },
    }
}

/// 404: not there, not the user's, or not in the state that the route is about. One answer.
pub(crate) fn not_found() -> Problem {
    Problem::new(Code::NotFound, "This user has no such note.")
}

fn internal(reason: &'static str) -> Problem {
    Problem::new(
        Code::Internal,
        "Something is wrong on our side; it has been logged.",
    )
    .because(reason)
}

fn invalid(reason: &'static str) -> Problem {
    Problem::new(
        Code::UpstreamInvalid,
        "The database's answer made no sense. If this was a write, its outcome is unknown.",
    )
    .because(reason)
}

pub(crate) fn unavailable(reason: &'static str) -> Problem {
    Problem::new(
        Code::UpstreamUnavailable,
        "The database can't be reached. If this was a write, its outcome is unknown.",
    )
    .because(reason)
}

fn timeout(reason: &'static str) -> Problem {
    Problem::new(
        Code::UpstreamTimeout,
        "The database took too long. If this was a write, its outcome is unknown.",
    )
    .because(reason)
}
