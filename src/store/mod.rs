//! The database: what it is asked, and what its answers mean.
//!
//! Promise: every request carries the user's own token, so that Row Level Security decides with
//! it, and names the user besides: a policy that was dropped by mistake still shows nobody another
//! user's note. A [`Store`] can't be had without a [`Session`] and an [`Admitted`]. It refuses redirects
//! and answers that are not what was asked for.

mod failure;
mod statement;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use postgrest::Postgrest;
use serde::Serialize;

use crate::command::Once;
use crate::note::draft::NoteDraft;
use crate::note::page::{ListQuery, State};
use crate::note::{Note, NoteId, Version};
use crate::problem::Problem;
use crate::proof::Signer;
use crate::replay::Admitted;
use crate::seam::{Edge, Millis, Outbound, Reply, SendError};
use crate::token::Session;
use statement::{Shape, Statement, Values};

/// Most that an answer may have. A page of 100 notes at their limits, escaped, is under 13 MB.
const REPLY_MAX: usize = 16 * 1024 * 1024;

/// Where the data is. Part of the configuration.
pub(crate) struct Database {
    client: Postgrest,
    timeout: Millis,
    /// In edge-only mode.
    signer: Option<Signer>,
    /// As they were written when they were first needed.
    statements: RefCell<BTreeMap<Shape, Rc<Statement>>>,
}

impl Database {
    /// `publishable_key` must be printable ASCII.
    pub(crate) fn new(
        rest_url: &str,
        publishable_key: &str,
        timeout: Millis,
        signer: Option<Signer>,
    ) -> Self {
        Self {
            client: Postgrest::new(rest_url).insert_header("apikey", publishable_key),
            timeout,
            signer,
            statements: RefCell::default(),
        }
    }

    /// How long the statements of one request may take.
    pub(crate) fn timeout(&self) -> Millis {
        self.timeout
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

    fn statement(&self, shape: Shape) -> Result<Rc<Statement>, Problem> {
        if let Some(known) = self.statements.borrow().get(&shape) {
            return Ok(Rc::clone(known));
        }
        let statement = Rc::new(Statement::write(&self.client, shape)?);
        let mut statements = self.statements.borrow_mut();
        statements.insert(shape, Rc::clone(&statement));
        Ok(statement)
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
        let shape = Shape::Page {
            state: query.state,
            goes_on: query.after.is_some(),
            searches: query.words.is_some(),
        };
        let values = Values {
            time: query.after.as_ref().map(|place| place.created_at),
            note: query.after.as_ref().map(|place| place.id),
            words: query.words.as_deref(),
            // One more than the page holds tells whether there is a next page.
            last: query.limit,
            ..self.values()
        };
        rows(self.send(shape, &values, None).await?)
    }

    /// The note, if it is the user's and as `target` says.
    pub(crate) async fn find(&self, target: Target) -> Result<Option<Note>, Problem> {
        let (filter, values) = self.one(target);
        one(&rows(self.send(Shape::Find(filter), &values, None).await?)?)
    }

    /// Changes the note, if it is the user's and as `target` says; `None` if there is no such.
    pub(crate) async fn update(
        &self,
        target: Target,
        changes: &impl Serialize,
    ) -> Result<Option<Note>, Problem> {
        let (filter, values) = self.one(target);
        let changes = Some(to_json(changes)?);
        one(&rows(
            self.send(Shape::Update(filter), &values, changes).await?,
        )?)
    }

    /// Writes a new note of the user.
    pub(crate) async fn insert(&self, note: &impl Serialize) -> Result<Inserted, Problem> {
        let note = Some(to_json(note)?);
        let reply = self.send(Shape::Insert, &self.values(), note).await?;
        match reply.status {
            201 => one(&reply.body)?
                .map(Inserted::Created)
                .ok_or(Problem::upstream_invalid("an INSERT without its row")),
            _ if failure::is_taken(&reply) => Ok(Inserted::Taken),
            _ => Err(failure::problem(&reply)),
        }
    }

    /// Writes a new note of the user, or finds the one that this key made, deleted ones too. `None` if it
    /// was used for something else.
    pub(crate) async fn insert_once(
        &self,
        draft: &NoteDraft,
        once: &Once,
    ) -> Result<Option<Note>, Problem> {
        /// The parameters of the function in `supabase/migrations`.
        #[derive(Serialize)]
        struct Parameters<'a> {
            request_key: &'a str,
            request_digest: &'a str,
            note_title: &'a str,
            note_body: &'a str,
        }

        let parameters = Parameters {
            request_key: &once.key,
            request_digest: &once.digest,
            note_title: draft.title(),
            note_body: draft.body(),
        };
        let parameters = Some(to_json(&parameters)?);
        let reply = self
            .send(Shape::InsertOnce, &self.values(), parameters)
            .await?;
        one(&rows(reply)?)
    }

    /// What every statement needs.
    fn values(&self) -> Values<'_> {
        Values::of(self.session.token(), self.session.sub())
    }

    fn one(&self, target: Target) -> (statement::Filter, Values<'_>) {
        let filter = statement::Filter {
            state: target.state,
            version: target.version.is_some(),
        };
        let values = Values {
            note: Some(target.id),
            version: target.version,
            ..self.values()
        };
        (filter, values)
    }

    async fn send(
        &self,
        shape: Shape,
        values: &Values<'_>,
        body: Option<Vec<u8>>,
    ) -> Result<Reply, Problem> {
        let head = self.database.statement(shape)?.fill(values);
        let mut request = Outbound { head, body };
        if let Some(signer) = &self.database.signer {
            signer.sign(&mut request, Some(self.session.sub()), self.edge.now());
        }
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

fn rows(reply: Reply) -> Result<Vec<u8>, Problem> {
    if reply.status == 200 {
        Ok(reply.body)
    } else {
        Err(failure::problem(&reply))
    }
}

/// The one row of a statement about one note, or none.
fn one(rows: &[u8]) -> Result<Option<Note>, Problem> {
    Note::of_rows(rows).map_err(|reason| Problem::upstream_invalid(reason.0))
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(value).map_err(|_| Problem::internal("a row could not be written as JSON"))
}
