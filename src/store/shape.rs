//! Which statements there are, in postgrest's words.
//!
//! Promise: each names the user it is for, the organisation, or the one row; an UPDATE or a DELETE always
//! its row. It refuses to read more columns than go over the wire.

use postgrest::{Builder, Postgrest};

use super::Columns;
use super::statement::Gap;
use crate::note::page::State;
use crate::note::{COLUMNS, published};
use crate::org::{Invitation, Member, Org};

/// Which statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shape {
    /// SELECT of a page of notes, from the first one or from where another page ended, of all notes or
    /// of those with some words.
    Page {
        whose: Whose,
        state: State,
        goes_on: bool,
        searches: bool,
    },
    /// SELECT of one note.
    Find(Filter),
    /// UPDATE of one note.
    Update(Filter),
    /// INSERT of one note.
    Insert,
    /// INSERT of one note under an idempotency key.
    InsertOnce,
    /// SELECT of one published note, as nobody.
    Published,
    /// SELECT of a page of the user's organisations.
    Orgs { goes_on: bool },
    /// SELECT of one of them.
    Org,
    /// UPDATE of one organisation.
    UpdateOrg { version: bool },
    /// INSERT of one organisation and its owner.
    CreateOrg,
    /// UPDATE of one invitation, INSERT of one member.
    Join,
    /// SELECT of a page of members.
    Members { goes_on: bool },
    /// SELECT of one member.
    Member,
    /// UPDATE of one member.
    UpdateMember { version: bool },
    /// DELETE of one member.
    RemoveMember,
    /// SELECT of a page of invitations.
    Invitations { goes_on: bool },
    /// INSERT of one invitation.
    Invite,
    /// DELETE of one invitation.
    Revoke,
}

/// Notes of the user or of an organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Whose {
    Own,
    Org,
}

/// What a statement asks of its one note besides its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Filter {
    pub(super) whose: Whose,
    /// `None` is any.
    pub(super) state: Option<State>,
    /// Whether its version is to be the one that is given.
    pub(super) version: bool,
}

/// The limit whose last row is the mark of [`Gap::Last`].
const LIMIT: usize = 4_294_967_295;

impl Shape {
    /// As whom it is asked: with a user's token, or with none.
    pub(super) fn is_for_anybody(self) -> bool {
        self == Self::Published
    }

    pub(super) fn build(self, client: &Postgrest) -> Builder {
        let table = |name| as_the_user(client.from(name));
        let call = |name| as_the_user(client.rpc(name, "{}"));
        match self {
            Self::Page {
                whose,
                state,
                goes_on,
                searches,
            } => {
                let notes = of(whose, Some(state), table("notes").select(COLUMNS));
                let page = page(notes, "id", goes_on);
                if searches {
                    page.wfts("search", Gap::Words.mark(), Some("simple"))
                } else {
                    page
                }
            }
            Self::Find(filter) => note(filter, table("notes")),
            Self::Update(filter) => note(filter, table("notes")).update("{}"),
            Self::Insert => table("notes").select(COLUMNS).insert("{}"),
            Self::InsertOnce => call("create_note_once").select(COLUMNS),
            Self::Published => client
                .from("notes")
                .select(published::COLUMNS)
                .eq("id", Gap::Id.mark()),

            Self::Orgs { goes_on } => page(read::<Org>(table("my_organizations")), "id", goes_on),
            Self::Org => read::<Org>(table("my_organizations")).eq("id", Gap::Org.mark()),
            Self::UpdateOrg { version } => {
                let org = table("organizations").select("id");
                with(version, org.eq("id", Gap::Org.mark())).update("{}")
            }
            Self::CreateOrg => call("create_organization").select("id"),
            Self::Join => call("accept_invitation").select("id"),

            Self::Members { goes_on } => {
                page(of_org(read::<Member>(members(client))), "user_id", goes_on)
            }
            Self::Member => member(read::<Member>(members(client))),
            Self::UpdateMember { version } => {
                with(version, member(read::<Member>(members(client)))).update("{}")
            }
            Self::RemoveMember => member(members(client).select("user_id")).delete(),

            Self::Invitations { goes_on } => page(
                of_org(read::<Invitation>(invitations(client))),
                "id",
                goes_on,
            ),
            Self::Invite => read::<Invitation>(invitations(client)).insert("{}"),
            Self::Revoke => of_org(invitations(client).select("id"))
                .eq("id", Gap::Id.mark())
                .delete(),
        }
    }
}

fn as_the_user(builder: Builder) -> Builder {
    builder.auth(Gap::Token.mark())
}

fn members(client: &Postgrest) -> Builder {
    as_the_user(client.from("organization_members"))
}

fn invitations(client: &Postgrest) -> Builder {
    as_the_user(client.from("organization_invitations"))
}

fn read<T: Columns>(table: Builder) -> Builder {
    table.select(T::COLUMNS)
}

fn of_org(table: Builder) -> Builder {
    table.eq("org_id", Gap::Org.mark())
}

fn member(table: Builder) -> Builder {
    of_org(table).eq("user_id", Gap::Id.mark())
}

fn with(version: bool, row: Builder) -> Builder {
    if version {
        row.eq("version", Gap::Version.mark())
    } else {
        row
    }
}

fn of(whose: Whose, state: Option<State>, notes: Builder) -> Builder {
    let notes = match whose {
        Whose::Own => notes.eq("user_id", Gap::User.mark()).is("org_id", "null"),
        Whose::Org => of_org(notes),
    };
    match state {
        None => notes,
        Some(State::Active) => notes.is("deleted_at", "null"),
        Some(State::Deleted) => notes.not("is", "deleted_at", "null"),
        Some(State::Published) => notes
            .is("deleted_at", "null")
            .not("is", "published_at", "null"),
        Some(State::Unpublished) => notes.is("deleted_at", "null").is("published_at", "null"),
    }
}

/// Every UPDATE of notes goes through here: one without an id would change all of the user's.
fn note(filter: Filter, notes: Builder) -> Builder {
    let notes = of(filter.whose, filter.state, notes.select(COLUMNS));
    with(filter.version, notes.eq("id", Gap::Id.mark()))
}

/// A page of rows that `key` tells apart.
fn page(rows: Builder, key: &str, goes_on: bool) -> Builder {
    let page = rows
        .order(format!("created_at.desc,{key}.desc"))
        .limit(LIMIT);
    if !goes_on {
        return page;
    }
    // Row comparison, spelled so that the index begins the scan at the place: as
    // `or(lt, and(eq, lt))` alone, Postgres reads and drops all rows before it.
    let (time, id) = (Gap::Time.mark(), Gap::Id.mark());
    page.lte("created_at", time)
        .or(format!("created_at.lt.{time},{key}.lt.{id}"))
}
