//! What the commands about organisations mean: from an [`OrgsCommand`] to the response.
//!
//! Promise: the policies decide who may do what, and this says what they decided: 404 to who is not in the
//! organisation, whether there is one or not, 403 to a member whose role does not allow it. It refuses to
//! decide itself: a role is looked at only to explain a refusal.

use serde::Serialize;

use crate::command::OrgsCommand;
use crate::org::draft::{InvitationToken, OrgDraft, RoleDraft};
use crate::org::{Invitation, InvitationId, Org, OrgId, Role, UserId};
use crate::precondition::{IfMatch, IfNoneMatch};
use crate::problem::{Code, Problem};
use crate::reply::{Response, empty, json};
use crate::seam::Edge;
use crate::store::{OrgChange, Store};
use crate::wire::Version;
use crate::wire::page::{Listed, PageQuery};

/// Runs a command as the user of `store`.
pub(crate) async fn run<E: Edge>(
    command: OrgsCommand,
    store: &Store<'_, E>,
) -> Result<Response, Problem> {
    match command {
        OrgsCommand::List(query) => page(&query, store.orgs(&query).await?),
        OrgsCommand::Create(draft) => create(store, &draft).await,
        OrgsCommand::Join(token) => join(store, &token).await,
        OrgsCommand::Read(id, condition) => {
            let org = org(store, id).await?;
            Ok(read(org.version, &org, condition.as_ref()))
        }
        OrgsCommand::Rename(id, draft, condition) => {
            change(store, id, &OrgChange::Rename(&draft), condition).await?;
            let org = org(store, id).await?;
            Ok(shown(200, org.version, &org))
        }
        OrgsCommand::Delete(id, condition) => {
            let deleted = OrgChange::Delete { deleted_at: "now" };
            change(store, id, &deleted, condition).await?;
            Ok(empty(204))
        }
        OrgsCommand::Members(id, query) => {
            let members = store.members(id, &query).await?;
            // A member sees one at least.
            if members.is_empty() {
                org(store, id).await?;
            }
            page(&query, members)
        }
        OrgsCommand::Member(id, user, condition) => {
            let member = store.member(id, user).await?;
            let member = member.ok_or(Problem::no_such_org())?;
            Ok(read(member.version, &member, condition.as_ref()))
        }
        OrgsCommand::SetRole(id, user, draft, condition) => {
            set_role(store, id, user, draft, condition).await
        }
        OrgsCommand::RemoveMember(id, user) => remove(store, id, user).await,
        OrgsCommand::Invitations(id, query) => {
            let invitations = store.invitations(id, &query).await?;
            if invitations.is_empty() {
                owner(store, id).await?;
            }
            page(&query, invitations)
        }
        OrgsCommand::Invite(id, draft) => invite(store, id, draft.role).await,
        OrgsCommand::Revoke(id, invitation) => revoke(store, id, invitation).await,
    }
}

async fn create<E: Edge>(store: &Store<'_, E>, draft: &OrgDraft) -> Result<Response, Problem> {
    let id = store.create_org(draft).await?;
    let org = org(store, id).await?;
    let location = format!("/v1/orgs/{}", org.id());
    Ok(shown(201, org.version, &org).with("location", &location))
}

async fn join<E: Edge>(store: &Store<'_, E>, token: &InvitationToken) -> Result<Response, Problem> {
    let id = store.join(token).await?.ok_or(Problem::new(
        Code::NotFound,
        "This invitation is not there: used, taken back, or past its time.",
    ))?;
    let org = org(store, id).await?;
    Ok(shown(200, org.version, &org))
}

async fn set_role<E: Edge>(
    store: &Store<'_, E>,
    id: OrgId,
    user: UserId,
    draft: RoleDraft,
    condition: Option<IfMatch>,
) -> Result<Response, Problem> {
    if let Some(version) = IfMatch::version(condition)
        && let Some(member) = store.set_role(id, user, version, draft).await?
    {
        return Ok(shown(200, member.version, &member));
    }
    let member = store.member(id, user).await?;
    let current = member.ok_or(Problem::no_such_org())?;
    Err(refusal(current.version, &current, condition))
}

/// Removing a member, or leaving.
async fn remove<E: Edge>(
    store: &Store<'_, E>,
    id: OrgId,
    user: UserId,
) -> Result<Response, Problem> {
    if store.remove_member(id, user).await? {
        return Ok(empty(204));
    }
    match store.member(id, user).await? {
        Some(_) => Err(Problem::forbidden()),
        None => Err(Problem::no_such_org()),
    }
}

async fn invite<E: Edge>(store: &Store<'_, E>, id: OrgId, role: Role) -> Result<Response, Problem> {
    /// The token is shown this once: the database keeps its digest.
    #[derive(Serialize)]
    struct WithToken<'a> {
        #[serde(flatten)]
        invitation: Invitation,
        token: &'a InvitationToken,
    }

    let token = InvitationToken::random()?;
    let invitation = match store.invite(id, role, &token).await {
        Err(problem) if problem.code() == Code::Forbidden => {
            org(store, id).await?;
            return Err(problem);
        }
        outcome => outcome?,
    };
    Ok(json(
        201,
        &WithToken {
            invitation,
            token: &token,
        },
    ))
}

async fn revoke<E: Edge>(
    store: &Store<'_, E>,
    id: OrgId,
    invitation: InvitationId,
) -> Result<Response, Problem> {
    if store.revoke(id, invitation).await? {
        return Ok(empty(204));
    }
    owner(store, id).await?;
    Err(Problem::no_such_org())
}

/// Changes an organisation, or says why not.
async fn change<E: Edge>(
    store: &Store<'_, E>,
    id: OrgId,
    change: &OrgChange<'_>,
    condition: Option<IfMatch>,
) -> Result<(), Problem> {
    if let Some(version) = IfMatch::version(condition)
        && store.change_org(id, version, change).await?
    {
        return Ok(());
    }
    let current = org(store, id).await?;
    Err(refusal(current.version, &current, condition))
}

/// The organisation, if the user is in it.
async fn org<E: Edge>(store: &Store<'_, E>, id: OrgId) -> Result<Org, Problem> {
    store.org(id).await?.ok_or(Problem::no_such_org())
}

/// 403 for a member who does not own it.
async fn owner<E: Edge>(store: &Store<'_, E>, id: OrgId) -> Result<(), Problem> {
    match org(store, id).await?.role() {
        Role::Owner => Ok(()),
        Role::Editor | Role::Viewer => Err(Problem::forbidden()),
    }
}

/// Why something that is there was not changed.
fn refusal(version: Version, current: &impl Serialize, condition: Option<IfMatch>) -> Problem {
    if condition.is_some_and(|condition| !condition.matches(version)) {
        let current = serde_json::to_string(current).unwrap_or_default();
        Problem::version_mismatch(current, version)
    } else {
        Problem::forbidden()
    }
}

fn page<T: Listed + Serialize>(query: &PageQuery, rows: Vec<T>) -> Result<Response, Problem> {
    let page = query
        .page(rows)
        .ok_or(Problem::upstream_invalid("a created_at is in no calendar"))?;
    Ok(json(200, &page))
}

fn read(version: Version, body: &impl Serialize, condition: Option<&IfNoneMatch>) -> Response {
    if condition.is_some_and(|condition| condition.names(version)) {
        empty(304).with("etag", &version.etag())
    } else {
        shown(200, version, body)
    }
}

fn shown(status: u16, version: Version, body: &impl Serialize) -> Response {
    json(status, body).with("etag", &version.etag())
}
