//! Statements about organisations, their members and their invitations.
//!
//! Promise: each names its organisation. What the policies keep from this user is no row here, never an
//! error that tells that it exists.

use serde::{Deserialize, Serialize};

use super::shape::Shape;
use super::statement::Values;
use super::{Store, Touched, at_most_one, failure, rows, to_json, typed};
use crate::org::draft::{InvitationToken, OrgDraft, RoleDraft};
use crate::org::{Invitation, InvitationId, Member, Org, OrgId, Role, UserId};
use crate::problem::Problem;
use crate::seam::{Edge, Reply};
use crate::wire::Version;
use crate::wire::page::PageQuery;

#[derive(Deserialize)]
struct Named {
    id: OrgId,
}

/// A change of an organisation.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum OrgChange<'a> {
    Rename(&'a OrgDraft),
    /// The database's trigger writes its own time, whatever is sent.
    Delete {
        deleted_at: &'static str,
    },
}

impl<E: Edge> Store<'_, E> {
    /// The user's organisations on a page, and one more.
    pub(crate) async fn orgs(&self, query: &PageQuery) -> Result<Vec<Org>, Problem> {
        let goes_on = query.after.is_some();
        let values = self.values().of_page(query.after, query.limit);
        typed(&rows(
            self.send(Shape::Orgs { goes_on }, &values, None).await?,
        )?)
    }

    /// The organisation, if the user is in it.
    pub(crate) async fn org(&self, id: OrgId) -> Result<Option<Org>, Problem> {
        at_most_one(&rows(self.send(Shape::Org, &self.of(id), None).await?)?)
    }

    /// Makes an organisation whose owner the user is.
    pub(crate) async fn create_org(&self, draft: &OrgDraft) -> Result<OrgId, Problem> {
        #[derive(Serialize)]
        struct Parameters<'a> {
            org_name: &'a str,
        }

        let parameters = to_json(&Parameters {
            org_name: draft.name(),
        })?;
        let reply = self
            .send(Shape::CreateOrg, &self.values(), Some(parameters))
            .await?;
        let row: Option<Named> = at_most_one(&rows(reply)?)?;
        row.map(|row| row.id)
            .ok_or(Problem::upstream_invalid("an INSERT without its row"))
    }

    /// Makes the user a member; `None` if the token is good for nothing.
    pub(crate) async fn join(&self, token: &InvitationToken) -> Result<Option<OrgId>, Problem> {
        #[derive(Serialize)]
        struct Parameters<'a> {
            invitation_token: &'a InvitationToken,
        }

        let parameters = to_json(&Parameters {
            invitation_token: token,
        })?;
        let reply = self
            .send(Shape::Join, &self.values(), Some(parameters))
            .await?;
        let row: Option<Named> = at_most_one(&rows(reply)?)?;
        Ok(row.map(|row| row.id))
    }

    /// Changes the organisation, if the user may and it is in this version; whether that was so.
    pub(crate) async fn change_org(
        &self,
        id: OrgId,
        version: Option<Version>,
        change: &OrgChange<'_>,
    ) -> Result<bool, Problem> {
        let values = Values {
            version,
            ..self.of(id)
        };
        let shape = Shape::UpdateOrg {
            version: version.is_some(),
        };
        touched(self.send(shape, &values, Some(to_json(change)?)).await?)
    }

    /// Members on a page, and one more.
    pub(crate) async fn members(
        &self,
        org: OrgId,
        query: &PageQuery,
    ) -> Result<Vec<Member>, Problem> {
        let goes_on = query.after.is_some();
        let values = self.of(org).of_page(query.after, query.limit);
        typed(&rows(
            self.send(Shape::Members { goes_on }, &values, None).await?,
        )?)
    }

    /// The member, if the user may see it.
    pub(crate) async fn member(&self, org: OrgId, user: UserId) -> Result<Option<Member>, Problem> {
        let values = self.member_of(org, user);
        at_most_one(&rows(self.send(Shape::Member, &values, None).await?)?)
    }

    /// Gives the member this role, if the user may and it is in this version.
    pub(crate) async fn set_role(
        &self,
        org: OrgId,
        user: UserId,
        version: Option<Version>,
        draft: RoleDraft,
    ) -> Result<Option<Member>, Problem> {
        let values = Values {
            version,
            ..self.member_of(org, user)
        };
        let shape = Shape::UpdateMember {
            version: version.is_some(),
        };
        at_most_one(&rows(
            self.send(shape, &values, Some(to_json(&draft)?)).await?,
        )?)
    }

    /// Ends the membership, if the user may; whether that was so.
    pub(crate) async fn remove_member(&self, org: OrgId, user: UserId) -> Result<bool, Problem> {
        let values = self.member_of(org, user);
        touched(self.send(Shape::RemoveMember, &values, None).await?)
    }

    /// Invitations on a page, and one more.
    pub(crate) async fn invitations(
        &self,
        org: OrgId,
        query: &PageQuery,
    ) -> Result<Vec<Invitation>, Problem> {
        let goes_on = query.after.is_some();
        let values = self.of(org).of_page(query.after, query.limit);
        let shape = Shape::Invitations { goes_on };
        typed(&rows(self.send(shape, &values, None).await?)?)
    }

    /// Writes an invitation to this role, to be accepted with `token`.
    pub(crate) async fn invite(
        &self,
        org: OrgId,
        role: Role,
        token: &InvitationToken,
    ) -> Result<Invitation, Problem> {
        #[derive(Serialize)]
        struct New {
            org_id: OrgId,
            role: Role,
            token_digest: String,
        }

        let new = to_json(&New {
            org_id: org,
            role,
            token_digest: token.digest(),
        })?;
        let reply = self.send(Shape::Invite, &self.values(), Some(new)).await?;
        if reply.status != 201 {
            return Err(failure::problem(&reply));
        }
        at_most_one(&reply.body)?.ok_or(Problem::upstream_invalid("an INSERT without its row"))
    }

    /// Takes an invitation back, if the user may; whether that was so.
    pub(crate) async fn revoke(&self, org: OrgId, id: InvitationId) -> Result<bool, Problem> {
        let values = Values {
            id: Some(id.uuid()),
            ..self.of(org)
        };
        touched(self.send(Shape::Revoke, &values, None).await?)
    }

    fn of(&self, org: OrgId) -> Values<'_> {
        Values {
            org: Some(org.uuid()),
            ..self.values()
        }
    }

    fn member_of(&self, org: OrgId, user: UserId) -> Values<'_> {
        Values {
            id: Some(user.uuid()),
            ..self.of(org)
        }
    }
}

fn touched(reply: Reply) -> Result<bool, Problem> {
    let row: Option<Touched> = at_most_one(&rows(reply)?)?;
    Ok(row.is_some())
}
