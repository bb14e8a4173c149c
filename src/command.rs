//! Validation: from a guarded request to a [`Command`].
//!
//! Promise: a command in hand is valid as it stands; what it does depends on the database alone.
//! It refuses what a route does not support instead of ignoring it: parameters, conditional
//! headers, a body, an `Idempotency-Key`.

use crate::guard::GuardedRequest;
use crate::note::draft::{NoteDraft, NotePatch};
use crate::note::page::ListQuery;
use crate::note::{NoteId, Scope};
use crate::org::draft::{InvitationToken, OrgDraft, RoleDraft};
use crate::org::{InvitationId, OrgId, UserId};
use crate::precondition::{IfMatch, IfNoneMatch};
use crate::problem::{Code, Problem};
use crate::query;
use crate::route::{self, NotesRoute, OrgsRoute, Resource};
use crate::wire::page::PageQuery;

/// What a valid request asks for.
#[derive(Debug)]
pub(crate) enum Command {
    /// To see the session, which needs no database.
    Me,
    /// Something of the database.
    Data(DataCommand),
}

/// What a valid request asks the database for.
#[derive(Debug)]
pub(crate) enum DataCommand {
    /// Something about notes.
    Notes(Scope, NotesCommand),
    /// Something about organisations.
    Orgs(OrgsCommand),
}

/// What a valid request asks of notes.
#[derive(Debug)]
pub(crate) enum NotesCommand {
    List(ListQuery),
    Create(NoteDraft, Option<Once>),
    Read(NoteId, Option<IfNoneMatch>),
    Put(NoteId, NoteDraft, PutCondition),
    Patch(NoteId, NotePatch, Option<IfMatch>),
    Delete(NoteId, Option<IfMatch>),
    Restore(NoteId, Option<IfMatch>),
    Publish(NoteId, Option<IfMatch>),
    Unpublish(NoteId, Option<IfMatch>),
}

/// What a valid request asks of organisations.
#[derive(Debug)]
pub(crate) enum OrgsCommand {
    List(PageQuery),
    Create(OrgDraft),
    Join(InvitationToken),
    Read(OrgId, Option<IfNoneMatch>),
    Rename(OrgId, OrgDraft, Option<IfMatch>),
    Delete(OrgId, Option<IfMatch>),
    Members(OrgId, PageQuery),
    Member(OrgId, UserId, Option<IfNoneMatch>),
    SetRole(OrgId, UserId, RoleDraft, Option<IfMatch>),
    RemoveMember(OrgId, UserId),
    Invitations(OrgId, PageQuery),
    Invite(OrgId, RoleDraft),
    Revoke(OrgId, InvitationId),
}

/// What a published note is asked for with.
#[derive(Debug)]
pub(crate) struct PublishedCommand(pub(crate) Option<IfNoneMatch>);

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
        let sent = Sent::read(resource.takes(), request)?;
        Ok(match resource {
            Resource::Me => match sent.conditions() {
                (None, None) => Self::Me,
                _ => return Err(unsupported_condition()),
            },
            Resource::Notes(scope, route) => {
                Self::Data(DataCommand::Notes(scope, notes(route, sent)?))
            }
            Resource::Orgs(route) => Self::Data(DataCommand::Orgs(orgs(route, sent)?)),
        })
    }
}

impl PublishedCommand {
    /// Validates everything that the client sent besides the proof of its app.
    pub(crate) fn parse(request: &GuardedRequest) -> Result<Self, Problem> {
        let sent = Sent::read(Takes::NOTHING, request)?;
        match sent.conditions() {
            (None, condition) => Ok(Self(condition)),
            _ => Err(unsupported_condition()),
        }
    }
}

fn notes(route: NotesRoute, sent: Sent<'_>) -> Result<NotesCommand, Problem> {
    let (query, body, once) = (sent.query, sent.body, sent.once.clone());
    Ok(match (route, sent.conditions()) {
        (NotesRoute::List, (None, None)) => NotesCommand::List(ListQuery::parse(query)?),
        (NotesRoute::Create, (None, None)) => NotesCommand::Create(NoteDraft::parse(body)?, once),
        (NotesRoute::Read(id), (None, condition)) => NotesCommand::Read(id, condition),
        (NotesRoute::Put(id), conditions) => {
            let condition = match conditions {
                (None, None) => PutCondition::None,
                (None, Some(IfNoneMatch::Any)) => PutCondition::CreateOnly,
                (Some(condition), None) => PutCondition::ReplaceOnly(condition),
                _ => return Err(unsupported_condition()),
            };
            NotesCommand::Put(id, NoteDraft::parse(body)?, condition)
        }
        (NotesRoute::Patch(id), (condition, None)) => {
            NotesCommand::Patch(id, NotePatch::parse(body)?, condition)
        }
        (NotesRoute::Delete(id), (condition, None)) => NotesCommand::Delete(id, condition),
        (NotesRoute::Restore(id), (condition, None)) => NotesCommand::Restore(id, condition),
        (NotesRoute::Publish(id), (condition, None)) => NotesCommand::Publish(id, condition),
        (NotesRoute::Unpublish(id), (condition, None)) => NotesCommand::Unpublish(id, condition),
        _ => return Err(unsupported_condition()),
    })
}

fn orgs(route: OrgsRoute, sent: Sent<'_>) -> Result<OrgsCommand, Problem> {
    let (query, body) = (sent.query, sent.body);
    Ok(match (route, sent.conditions()) {
        (OrgsRoute::List, (None, None)) => OrgsCommand::List(PageQuery::parse(query)?),
        (OrgsRoute::Create, (None, None)) => OrgsCommand::Create(OrgDraft::parse(body)?),
        (OrgsRoute::Join, (None, None)) => OrgsCommand::Join(InvitationToken::parse(body)?),
        (OrgsRoute::Read(id), (None, condition)) => OrgsCommand::Read(id, condition),
        (OrgsRoute::Rename(id), (condition, None)) => {
            OrgsCommand::Rename(id, OrgDraft::parse(body)?, condition)
        }
        (OrgsRoute::Delete(id), (condition, None)) => OrgsCommand::Delete(id, condition),
        (OrgsRoute::Members(org), (None, None)) => {
            OrgsCommand::Members(org, PageQuery::parse(query)?)
        }
        (OrgsRoute::Member(org, user), (None, condition)) => {
            OrgsCommand::Member(org, user, condition)
        }
        (OrgsRoute::SetRole(org, user), (condition, None)) => {
            OrgsCommand::SetRole(org, user, RoleDraft::parse(body)?, condition)
        }
        (OrgsRoute::RemoveMember(org, user), (None, None)) => OrgsCommand::RemoveMember(org, user),
        (OrgsRoute::Invitations(org), (None, None)) => {
            OrgsCommand::Invitations(org, PageQuery::parse(query)?)
        }
        (OrgsRoute::Invite(org), (None, None)) => OrgsCommand::Invite(org, RoleDraft::parse(body)?),
        (OrgsRoute::Revoke(org, id), (None, None)) => OrgsCommand::Revoke(org, id),
        _ => return Err(unsupported_condition()),
    })
}

/// What a route supports besides conditional headers.
#[derive(Debug, Clone, Copy)]
struct Takes {
    parameters: bool,
    /// Media types of its body; none if it takes none.
    body: &'static [&'static str],
    idempotency_key: bool,
}

impl Takes {
    const NOTHING: Self = Self {
        parameters: false,
        body: &[],
        idempotency_key: false,
    };
    const PARAMETERS: Self = Self {
        parameters: true,
        ..Self::NOTHING
    };
    const JSON: Self = Self {
        body: &["application/json"],
        ..Self::NOTHING
    };
    const PATCH: Self = Self {
        body: &["application/json", "application/merge-patch+json"],
        ..Self::NOTHING
    };
}

impl Resource {
    fn takes(self) -> Takes {
        match self {
            Self::Me => Takes::NOTHING,
            Self::Notes(_, route) => match route {
                NotesRoute::List => Takes::PARAMETERS,
                NotesRoute::Create => Takes {
                    idempotency_key: true,
                    ..Takes::JSON
                },
                NotesRoute::Put(_) => Takes::JSON,
                NotesRoute::Patch(_) => Takes::PATCH,
                _ => Takes::NOTHING,
            },
            Self::Orgs(route) => match route {
                OrgsRoute::List | OrgsRoute::Members(_) | OrgsRoute::Invitations(_) => {
                    Takes::PARAMETERS
                }
                OrgsRoute::Create | OrgsRoute::Join | OrgsRoute::Invite(_) => Takes::JSON,
                OrgsRoute::Rename(_) | OrgsRoute::SetRole(..) => Takes::PATCH,
                _ => Takes::NOTHING,
            },
        }
    }
}

/// What came with a request, as far as its route takes it.
struct Sent<'a> {
    query: &'a str,
    body: &'a [u8],
    once: Option<Once>,
    if_match: Option<IfMatch>,
    if_none_match: Option<IfNoneMatch>,
}

impl<'a> Sent<'a> {
    fn read(takes: Takes, request: &'a GuardedRequest) -> Result<Self, Problem> {
        let head = request.head();
        let (_, query) = route::split(&head.target);
        if !takes.parameters {
            query::none(query)?;
        }
        let once = Once::read(request)?;
        if once.is_some() && !takes.idempotency_key {
            return Err(Problem::new(
                Code::MalformedRequest,
                "Only the creation of a note by POST takes an Idempotency-Key.",
            ));
        }
        let body = match takes.body {
            [] => no_body(request),
            types => media_type(request, types),
        }?;
        let if_none_match = head.if_none_match.as_deref();
        Ok(Self {
            query,
            body,
            once,
            if_match: head.if_match.as_deref().map(IfMatch::parse).transpose()?,
            if_none_match: if_none_match.map(IfNoneMatch::parse).transpose()?,
        })
    }

    fn conditions(self) -> (Option<IfMatch>, Option<IfNoneMatch>) {
        (self.if_match, self.if_none_match)
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
