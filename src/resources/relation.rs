//! How resources belong together: rows that are served below rows of another resource, and rows that are answered with
//! others.

use serde::ser::Error;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::declaration::{Declaration, Embed, Field, IdKind, Owner, Readers, Resource, Under};
use super::kind::string;
use super::reader::{Read, Within, is_identifier, refuse};

/// The last segments of paths below a row.
const ACTIONS: [&str; 3] = ["restore", "publish", "unpublish"];

/// The member of a row that has the embedded rows.
const INCLUDED: &str = "included";

/// The rules for the names of embedded rows; [`INCLUDED`] is one of its words.
const NO_RELATION: &str = "must be named after a field that is a ref to a resource under none, or after a resource of the \
     same owners that is under this one, or under none and with one field that is a ref to this one; with read = \"app\" \
     after one that apps read; and list fields of it, or id. No field of this resource can be called included then.";

impl Under {
    pub(super) fn parse(raw: &str) -> Read<Self> {
        let text = string(raw).unwrap_or_default();
        let parts = text.split_once('.').filter(|(_, column)| is_identifier(column));
        let (resource, column) =
            parts.ok_or("must be a resource, a dot and the column that has its id, such as \"teams.team_id\".")?;
        Ok(Self { resource: resource.to_owned(), column: column.to_owned() })
    }
}

impl Embed {
    /// Finds the relation with its name in this resource.
    fn resolve(&self, resource: &Resource, declaration: &Declaration) -> Option<String> {
        let Self { name, fields, .. } = self;
        let own = resource.field(name).and_then(Field::target);
        let target = declaration.resource(own.unwrap_or(name))?;
        let unseen = resource.read == Some(Readers::App) && target.read != Some(Readers::App);
        if unseen || own.is_some() && target.under.is_some() {
            return None;
        }
        let mut field = Some(name);
        if own.is_none() {
            let refers = |field: &&Field| field.target() == Some(&resource.name);
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
    pub(super) fn set_embeds(&mut self) -> Read<()> {
        let mut found = Vec::new();
        for resource in &self.resources {
            for embed in &resource.embed {
                let json = embed.resolve(resource, self).filter(|_| resource.field(INCLUDED).is_none());
                let json = json.ok_or(NO_RELATION.into());
                found.push(json.within(&embed.name).within("embed").within(&resource.name).within("resources")?);
            }
        }
        for (embed, json) in self.resources.iter_mut().flat_map(|resource| &mut resource.embed).zip(found) {
            embed.json = json;
        }
        Ok(())
    }

    /// Checks that a resource that is under another can be served there.
    pub(super) fn check_under(&self, resource: &Resource) -> Read<()> {
        match &resource.under {
            Some(under) => self.check_parent(resource, under).within("under"),
            None => Ok(()),
        }
    }

    fn check_parent(&self, resource: &Resource, under: &Under) -> Read<()> {
        let (name, Under { resource: parent, column }) = (&resource.name, under);
        let Some(above) = self.resource(parent) else {
            return refuse(format!("there is no resource {parent}; declare it, or leave under out."));
        };
        let sentence = if resource.owner.is_orgs() || above.owner.is_orgs() {
            &format!(
                "rows of organisations cannot have or be parents; write owner = \"user\" for {parent} and {name}, or \
                 leave under out."
            )
        } else if resource.id.kind == IdKind::Owner || above.id.kind == IdKind::Owner {
            "a resource with id = \"owner\" has one row for each user, which cannot have or be a parent; leave under \
             out."
        } else if ACTIONS.contains(&name.as_str()) {
            &format!("{name} is what can be done with a row of {parent}; choose another name.")
        } else if resource.publish.is_some() {
            "rows that have a parent cannot be published; leave publish or under out."
        } else if resource.fields.iter().any(|field| field.column == *column && !field.read_only) {
            &format!("the path has the value of {column}; add read_only = true to the field, or leave the field out.")
        } else if *column == resource.id.column || resource.owner_column.column.as_ref() == Some(column) {
            &format!("{column} is the column of the id or the owner; name the parent's column.")
        } else {
            return Ok(());
        };
        refuse(sentence)
    }
}

#[cfg(test)]
#[path = "tests/relation.rs"]
mod tests;
