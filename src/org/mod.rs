//! Organisations: their members, who is invited, and who may do what.
//!
//! Promise: what is read of the database has the shape that goes over the wire. It refuses to know who may
//! do what: the policies do, and a [`Role`] here is a word to show.

pub(crate) mod draft;

use serde::{Deserialize, Serialize};

use crate::store::Columns;
use crate::wire::page::{Listed, Place};
use crate::wire::{Id, Timestamp, Version};

/// The id of an organisation.
pub(crate) type OrgId = Id<OfOrg>;
/// The id of a user: `sub` in their tokens.
pub(crate) type UserId = Id<OfUser>;
/// The id of an invitation.
pub(crate) type InvitationId = Id<OfInvitation>;

/// Marks an [`OrgId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OfOrg {}
/// Marks a [`UserId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OfUser {}
/// Marks an [`InvitationId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OfInvitation {}

/// What a member may do: a viewer reads notes, an editor writes them too, an owner manages the organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    Owner,
    Editor,
    Viewer,
}

/// An organisation as one of its members sees it.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Org {
    id: OrgId,
    name: String,
    /// The caller's own.
    role: Role,
    /// Rises with every change of its name and of its members.
    pub(crate) version: Version,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// A member.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Member {
    user_id: UserId,
    role: Role,
    pub(crate) version: Version,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// An invitation, without its token: nobody can read that.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Invitation {
    id: InvitationId,
    role: Role,
    created_at: Timestamp,
    expires_at: Timestamp,
    accepted_at: Option<Timestamp>,
}

impl Columns for Org {
    const COLUMNS: &'static str = "id,name,role,version,created_at,updated_at";
}

impl Columns for Member {
    const COLUMNS: &'static str = "user_id,role,version,created_at,updated_at";
}

impl Columns for Invitation {
    const COLUMNS: &'static str = "id,role,created_at,expires_at,accepted_at";
}

impl Org {
    pub(crate) fn id(&self) -> OrgId {
        self.id
    }

    pub(crate) fn role(&self) -> Role {
        self.role
    }
}

impl Listed for Org {
    fn place(&self) -> Place {
        Place {
            created_at: self.created_at,
            id: self.id.uuid(),
        }
    }
}

impl Listed for Member {
    fn place(&self) -> Place {
        Place {
            created_at: self.created_at,
            id: self.user_id.uuid(),
        }
    }
}

impl Listed for Invitation {
    fn place(&self) -> Place {
        Place {
            created_at: self.created_at,
            id: self.id.uuid(),
        }
    }
}
