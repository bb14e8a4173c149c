//! Resources, as `airlock.toml` declares them: tables of rows that belong to users or organisations.
//!
//! A [`Declaration`] says which fields a row has, whose it is, and whether it can be searched and
//! published. No resource has code of its own. A [`Draft`] is a request body that fits the fields.

mod declaration;
mod draft;
mod function;
mod grammar;
mod kind;
mod reader;
mod relation;

pub(crate) use declaration::{Declaration, DeclaredFunction, Field, IdKind, Operator, Readers, Resource, Verb};
pub(crate) use draft::Draft;
pub(crate) use kind::Kind;

use serde::Serialize;
use serde::de::IgnoredAny;

use crate::types::spelled;
use kind::Value;

impl Field {
    /// A field that the engine itself declares, for bodies that are not of a resource.
    pub(crate) fn required(name: &str, kind: Kind) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            nullable: false,
            default: None,
            database_default: false,
            column: name.to_owned(),
            read_only: false,
        }
    }

    /// The value of a filter as the database reads it, or an error message.
    pub(crate) fn filtered(&self, text: &str) -> Result<String, String> {
        let bare = matches!(self.kind, Kind::Integer { .. } | Kind::Number { .. } | Kind::Boolean)
            || matches!(self.kind, Kind::Ref { bigint: true, .. });
        let raw = if bare { text.to_owned() } else { spelled(text) };
        let json = serde_json::from_str::<IgnoredAny>(&raw).is_ok() && !text.contains('\u{FFFD}');
        // A text that is not JSON has none of these types.
        let value = self.kind.check(if json { raw.trim() } else { "null" }).map_err(kind::Errors::message)?;
        Ok(match value {
            Value::Text(text) => text,
            value => spelled(&value),
        })
    }
}

impl Resource {
    /// A field by its name.
    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// Checks a declaration for the tools of the project, which have its text as JSON. Returns
/// `{"ok": <the checked declaration>}` or `{"error": "<sentence>"}`.
pub fn inspect(declaration: &str) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "lowercase")]
    enum Inspection {
        Ok(Declaration),
        Error(String),
    }

    let inspection = match Declaration::parse(declaration) {
        Ok(declaration) => Inspection::Ok(declaration),
        Err(sentence) => Inspection::Error(sentence),
    };
    spelled(&inspection)
}
