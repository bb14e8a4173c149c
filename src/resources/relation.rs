//! How resources belong together: rows that are served below rows of another resource.

use serde::Serialize;

use super::declaration::{Declaration, IdKind, Resource, is_identifier};
use super::kind::string;

/// The last segments of paths below a row.
const ACTIONS: [&str; 3] = ["restore", "publish", "unpublish"];

/// Where rows are served that belong to a row of another resource, their parent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Under {
    /// The parent's resource.
    pub(crate) resource: String,
    /// The column that holds the parent's id.
    pub(crate) column: String,
}

impl Under {
    pub(super) fn parse(raw: &str, place: &str) -> Result<Self, String> {
        let text = string(raw).unwrap_or_default();
        match text.split_once('.') {
            Some((resource, column)) if is_identifier(column) => {
                Ok(Self { resource: resource.to_owned(), column: column.to_owned() })
            }
            _ => Err(format!(
                "{place}: must be a resource, a dot and the column that has its id, such as \"teams.team_id\"."
            )),
        }
    }
}

impl Declaration {
    /// Checks that each resource that is under another can be served there.
    pub(super) fn check_under(&self) -> Result<(), String> {
        for (resource, under) in self.resources.iter().filter_map(|one| Some((one, one.under.as_ref()?))) {
            let Resource { name, .. } = resource;
            let Under { resource: parent, column } = under;
            let refused = |sentence: String| Err(format!("resources.{name}.under: {sentence}"));
            let Some(above) = self.resource(parent) else {
                return refused(format!("there is no resource {parent}; declare it, or leave under out."));
            };
            if resource.owner.is_orgs() || above.owner.is_orgs() {
                return refused(format!(
                    "rows of organisations have no parents and are none; write owner = \"user\" for {parent} and {name}, \
                     or leave under out."
                ));
            }
            if resource.id.kind == IdKind::Owner || above.id.kind == IdKind::Owner {
                return refused(
                    "a resource with id = \"owner\" has one row for each user, which has no parent and is none; leave \
                     under out."
                        .into(),
                );
            }
            if ACTIONS.contains(&name.as_str()) {
                return refused(format!("{name} is what can be done with a row of {parent}; choose another name."));
            }
            if resource.publish.is_some() {
                return refused("rows that have a parent cannot be published; leave publish or under out.".into());
            }
            if resource.fields.iter().any(|field| field.column == *column && !field.read_only) {
                return refused(format!(
                    "the path has the value of {column}; add read_only = true to the field, or leave the field out."
                ));
            }
            if *column == resource.id.column || resource.owner_column.column.as_ref() == Some(column) {
                return refused(format!("{column} is the column of the id or the owner; name the parent's column."));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "tests/relation.rs"]
mod tests;
