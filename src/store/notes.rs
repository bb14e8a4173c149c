//! Statements about the notes of a user, and of the organisations that the user is in.
//!
//! Promise: each is about one scope, the user's own notes or one organisation's. It refuses more than one row
//! for one id.

use serde::Serialize;

use super::shape::{Filter, Shape, Whose};
use super::statement::Values;
use super::{Store, failure, rows, to_json};
use crate::command::Once;
use crate::note::draft::NoteDraft;
use crate::note::page::{ListQuery, State};
use crate::note::{Note, NoteId, Scope};
use crate::org::OrgId;
use crate::problem::Problem;
use crate::seam::Edge;
use crate::wire::Version;

/// Which note a statement is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    pub(crate) scope: Scope,
    pub(crate) id: NoteId,
    /// `None` is any.
    pub(crate) state: Option<State>,
    /// In this version only.
    pub(crate) version: Option<Version>,
}

/// A note to be written.
#[derive(Serialize)]
pub(crate) struct NewNote<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<NoteId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    org_id: Option<OrgId>,
    title: &'a str,
    body: &'a str,
}

impl<'a> NewNote<'a> {
    /// Without an id the database makes one.
    pub(crate) fn new(scope: Scope, id: Option<NoteId>, draft: &'a NoteDraft) -> Self {
        Self {
            id,
            org_id: org(scope),
            title: draft.title(),
            body: draft.body(),
        }
    }
}

/// What came of an INSERT.
pub(crate) enum Inserted {
    /// It is there now.
    Created(Note),
    /// The id is taken, by whomever.
    Taken,
}

impl<E: Edge> Store<'_, E> {
    /// The rows of a page of notes and one more.
    pub(crate) async fn list(&self, scope: Scope, query: &ListQuery) -> Result<Vec<u8>, Problem> {
        let shape = Shape::Page {
            whose: whose(scope),
            state: query.state,
            goes_on: query.page.after.is_some(),
            searches: query.words.is_some(),
        };
        let values = Values {
            words: query.words.as_deref(),
            ..self.within(scope)
        };
        let values = values.of_page(query.page.after, query.page.limit);
        rows(self.send(shape, &values, None).await?)
    }

    /// The note, if it is as `target` says.
    pub(crate) async fn find(&self, target: Target) -> Result<Option<Note>, Problem> {
        let (filter, values) = self.one(target);
        one(&rows(self.send(Shape::Find(filter), &values, None).await?)?)
    }

    /// Changes the note, if it is as `target` says; `None` if there is no such.
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

    /// Writes a new note.
    pub(crate) async fn insert(&self, note: &NewNote<'_>) -> Result<Inserted, Problem> {
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

    /// Writes a new note, or finds the one that this key made, deleted ones too. `None` if it
    /// was used for something else.
    pub(crate) async fn insert_once(
        &self,
        scope: Scope,
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
            #[serde(skip_serializing_if = "Option::is_none")]
            note_org: Option<OrgId>,
        }

        let parameters = Parameters {
            request_key: &once.key,
            request_digest: &once.digest,
            note_title: draft.title(),
            note_body: draft.body(),
            note_org: org(scope),
        };
        let parameters = Some(to_json(&parameters)?);
        let reply = self
            .send(Shape::InsertOnce, &self.values(), parameters)
            .await?;
        one(&rows(reply)?)
    }

    fn one(&self, target: Target) -> (Filter, Values<'_>) {
        let filter = Filter {
            whose: whose(target.scope),
            state: target.state,
            version: target.version.is_some(),
        };
        let values = Values {
            id: Some(target.id.uuid()),
            version: target.version,
            ..self.within(target.scope)
        };
        (filter, values)
    }

    fn within(&self, scope: Scope) -> Values<'_> {
        Values {
            org: org(scope).map(OrgId::uuid),
            ..self.values()
        }
    }
}

fn org(scope: Scope) -> Option<OrgId> {
    match scope {
        Scope::Own => None,
        Scope::Org(org) => Some(org),
    }
}

fn whose(scope: Scope) -> Whose {
    match scope {
        Scope::Own => Whose::Own,
        Scope::Org(_) => Whose::Org,
    }
}

/// The one row of a statement about one note, or none.
fn one(rows: &[u8]) -> Result<Option<Note>, Problem> {
    Note::of_rows(rows).map_err(|reason| Problem::upstream_invalid(reason.0))
}
