//! How resources belong together: rows that are served below rows of another resource, and rows that are answered with
//! others.

use serde::ser::Error;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::declaration::{Declaration, Embed, Field, IdKind, Owner, Readers, Resource, Under, is_identifier};
use super::kind::{Kind, string};

/// The last segments of paths below a row.
const ACTIONS: [&str; 3] = ["restore", "publish", "unpublish"];

/// The member of a row that has the embedded rows.
const INCLUDED: &str = "included";

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

impl Embed {
    /// Finds the relation with its name in this resource.
    fn resolve(&self, resource: &Resource, declaration: &Declaration) -> Option<String> {
        let Self { name, fields, .. } = self;
        let own = match resource.field(name).map(|field| &field.kind) {
            Some(Kind::Ref { resource: target, .. }) => Some(target),
            _ => None,
        };
        let target = declaration.resource(own.unwrap_or(name))?;
        let unseen = resource.read == Some(Readers::App) && target.read != Some(Readers::App);
        if unseen || own.is_some() && target.under.is_some() {
            return None;
        }
        let mut field = Some(name);
        if own.is_none() {
            let refers = |field: &&Field| matches!(&field.kind, Kind::Ref { resource: to, .. } if *to == resource.name);
            let mut refs = target.fields.iter().filter(refers).map(|field| &field.name);
            field = match &target.under {
                Some(under) if under.resource == resource.name => None,
                Some(_) => return None,
                None => Some(refs.next().filter(|_| refs.next().is_none())?),
            };
            let (mine, others) = (resource.owner, target.owner);
            if mine != others && others != Owner::Both {
                return None;
            }
        }
        if fields.is_empty() || !fields.iter().all(|name| name == "id" || target.field(name).is_some()) {
            return None;
        }
        let (target, many, fields) = (&target.name, own.is_none(), fields.join("\",\""));
        let field = field.map_or("null".to_owned(), |field| format!("\"{field}\""));
        Some(format!(
            r#"{{"name":"{name}","resource":"{target}","many":{many},"field":{field},"fields":["{fields}"]}}"#
        ))
    }
}

impl Serialize for Embed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.json.clone()).map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl Declaration {
    /// Finds the relations with the names of the embedded rows.
    pub(super) fn set_embeds(&mut self) -> Result<(), String> {
        let mut found = Vec::new();
        for resource in &self.resources {
            for embed in &resource.embed {
                let json = embed.resolve(resource, self).filter(|_| resource.field(INCLUDED).is_none());
                found.push(json.ok_or_else(|| {
                    format!(
                        "resources.{}.embed.{}: must be named after a field that is a ref to a resource under none, or \
                         after a resource of the same owners that is under this one, or under none and with one field \
                         that is a ref to this one; with read = \"app\" after one that apps read; and list fields of it, \
                         or id. No field of this resource can be called {INCLUDED} then.",
                        resource.name, embed.name
                    )
                })?);
            }
        }
        for (embed, json) in self.resources.iter_mut().flat_map(|resource| &mut resource.embed).zip(found) {
            embed.json = json;
        }
        Ok(())
    }

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
