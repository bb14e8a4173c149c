//! The database: what it is asked, and what its answers mean.
//!
//! Promise: every request carries the user's own token, so that Row Level Security decides with
//! it, and names the user besides: a policy that was dropped by mistake still shows nobody another
//! user's note. A [`Store`] can't be had without a [`Session`] and an [`Admitted`]. It refuses redirects
//! and answers that are not what was asked for.

mod failure;
mod notes;
mod orgs;
mod published;
mod shape;
mod statement;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use postgrest::Postgrest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::json;
use crate::problem::Problem;
use crate::proof::Signer;
use crate::replay::Admitted;
use crate::seam::{Edge, Millis, Outbound, Reply, SendError};
use crate::token::Session;
pub(crate) use notes::{Inserted, NewNote, Target};
pub(crate) use orgs::OrgChange;
use shape::Shape;
pub(crate) use statement::head;
use statement::{Statement, Values};

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

    /// Boxed, or the whole of it would be in the module once for each of the thirty places that ask.
    fn send<'a>(
        &'a self,
        shape: Shape,
        values: &Values<'_>,
        body: Option<Vec<u8>>,
        deadline: Millis,
        edge: &'a impl Edge,
    ) -> Pin<Box<dyn Future<Output = Result<Reply, Problem>> + 'a>> {
        let head = self
            .statement(shape)
            .map(|statement| statement.fill(values));
        let user = (!shape.is_for_anybody()).then_some(values.user);
        Box::pin(async move {
            let mut request = Outbound { head: head?, body };
            if let Some(signer) = &self.signer {
                signer.sign(&mut request, user, edge.now());
            }
            send(edge, request, deadline).await
        })
    }
}

/// Sends a request; no answer is a problem.
pub(crate) async fn send(
    edge: &impl Edge,
    request: Outbound,
    deadline: Millis,
) -> Result<Reply, Problem> {
    match edge.send(request, REPLY_MAX, deadline).await {
        Ok(reply) => Ok(reply),
        Err(SendError::Timeout) => Err(Problem::upstream_timeout("no whole answer in time")),
        Err(SendError::Unreachable) => {
            Err(Problem::upstream_unavailable("no connection, or it broke"))
        }
        Err(SendError::TooLarge) => Err(Problem::upstream_invalid("more than 16 MiB")),
    }
}

/// What one user may see and change.
pub(crate) struct Store<'a, E> {
    database: &'a Database,
    session: &'a Session,
    edge: &'a E,
    deadline: Millis,
}

impl<E: Edge> Store<'_, E> {
    /// What every statement needs.
    fn values(&self) -> Values<'_> {
        Values {
            token: self.session.token(),
            user: self.session.sub(),
            ..Values::default()
        }
    }

    fn send(
        &self,
        shape: Shape,
        values: &Values<'_>,
        body: Option<Vec<u8>>,
    ) -> Pin<Box<dyn Future<Output = Result<Reply, Problem>> + '_>> {
        self.database
            .send(shape, values, body, self.deadline, self.edge)
    }
}

/// What is read from the database as rows of its own kind.
pub(crate) trait Columns {
    /// For `select`.
    const COLUMNS: &'static str;
}

/// What a statement gives back of which only its being there matters.
#[derive(Deserialize)]
struct Touched {}

/// The rows of a statement that reads or changes them, or what a function returns.
pub(crate) fn rows(reply: Reply) -> Result<Vec<u8>, Problem> {
    if reply.status == 200 {
        Ok(reply.body)
    } else {
        Err(failure::problem(&reply))
    }
}

/// Rows of a kind of their own.
fn typed<T: DeserializeOwned>(rows: &[u8]) -> Result<Vec<T>, Problem> {
    json::read(rows).ok_or(Problem::upstream_invalid(
        "the answer is no array of such rows",
    ))
}

/// The one row of a statement about one thing, or none.
fn at_most_one<T: DeserializeOwned>(rows: &[u8]) -> Result<Option<T>, Problem> {
    let mut rows = typed(rows)?;
    let row = rows.pop();
    if rows.is_empty() {
        Ok(row)
    } else {
        Err(Problem::upstream_invalid("more than one row for one id"))
    }
}

pub(crate) fn to_json(value: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(value).map_err(|_| Problem::internal("a row could not be written as JSON"))
}
