//! Request bodies, checked against fields.
//!
//! A [`Draft`] in hand satisfies every limit of its fields. All errors are reported at once, in the
//! order of the declaration.

use serde::de::IgnoredAny;
use sha2::{Digest, Sha256};

use super::declaration::Field;
use super::kind::{Errors, Value, error, string};
use crate::error::{Code, Problem};
use crate::json::parts;
use crate::types::spelled;

/// How many characters of a name that a client sent an error repeats.
const ECHO_MAX: usize = 64;

/// The parsed fields of a body.
#[derive(Debug)]
pub(crate) struct Draft {
    members: Vec<Member>,
    json: String,
}

#[derive(Debug)]
struct Member {
    name: String,
    value: Value,
    /// Whether an absent field would have this value.
    usual: bool,
}

impl Draft {
    /// All fields, for a row to be created or replaced: an absent one has its default.
    pub(crate) fn whole(fields: &[Field], body: &[u8]) -> Result<Self, Problem> {
        Self::parse(fields, body, true)
    }

    /// The fields that are given, at least one, for a row to be changed.
    pub(crate) fn patch(fields: &[Field], body: &[u8]) -> Result<Self, Problem> {
        Self::parse(fields, body, false)
    }

    fn parse(fields: &[Field], body: &[u8], whole: bool) -> Result<Self, Problem> {
        let Found { values, members, unknown } = Found::read(fields, body)?;

        let mut errors = Errors::default();
        if members == 0 && !whole {
            errors.add(String::new(), error("required", "must have at least one field"));
        }
        let mut draft = Self { members: Vec::new(), json: "{".to_owned() };
        for (field, given) in fields.iter().zip(values) {
            let value = match given {
                Given::Absent if !whole || field.read_only || field.database_default => continue,
                Given::Absent => field.absent(),
                Given::Once(raw) => field.check(raw),
                Given::Repeated => Err(error("duplicate", "must be given once").into()),
            };
            match value {
                Ok(value) => draft.push(field, value),
                Err(inner) => errors.append(&pointer(&field.name), inner),
            }
        }
        draft.json.push('}');
        errors.append("", unknown);
        errors.unless_any(draft).map_err(|errors| Problem::validation(errors.into_list()))
    }

    fn push(&mut self, field: &Field, value: Value) {
        let comma = if self.members.is_empty() { "" } else { "," };
        self.json.push_str(&format!(r#"{comma}"{}":{}"#, field.name, spelled(&value)));
        self.members.push(Member { name: field.name.clone(), usual: field.is_usual(&value), value });
    }

    /// A JSON object of the fields, in the order of the declaration.
    pub(crate) fn json(&self) -> &str {
        &self.json
    }

    /// SHA-256 in hex of the fields that are not as if they were absent. Two bodies with the same
    /// meaning have the same digest.
    pub(crate) fn digest(&self) -> String {
        // Sorted, so that a declaration in another order changes nothing.
        let mut lines: Vec<String> = Vec::new();
        for member in self.members.iter().filter(|member| !member.usual) {
            let line = format!("{}:{}\n", member.name, member.value.canonical());
            lines.insert(lines.partition_point(|other| *other < line), line);
        }
        base16ct::lower::encode_string(&Sha256::digest(lines.concat()))
    }

    /// The text of this field, if it has one.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let member = self.members.iter().find(|member| member.name == name)?;
        match &member.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl Field {
    fn absent(&self) -> Result<Value, Errors> {
        match &self.default {
            Some(value) => Ok(value.clone()),
            None if self.nullable => Ok(Value::Null),
            None => Err(error("required", "is required").into()),
        }
    }

    fn check(&self, raw: &str) -> Result<Value, Errors> {
        match raw {
            "null" if self.nullable => Ok(Value::Null),
            raw => self.kind.check(raw),
        }
    }

    fn is_usual(&self, value: &Value) -> bool {
        match &self.default {
            Some(default) => value.means(default),
            None => *value == Value::Null,
        }
    }
}

/// The members of a body, not yet checked.
struct Found<'a> {
    /// The values, one for each field.
    values: Vec<Given<'a>>,
    members: usize,
    unknown: Errors,
}

#[derive(Clone, Copy)]
enum Given<'a> {
    Absent,
    Once(&'a str),
    Repeated,
}

impl<'a> Found<'a> {
    /// 400 if this is not JSON, 422 if it is not an object.
    fn read(fields: &[Field], body: &'a [u8]) -> Result<Self, Problem> {
        // `IgnoredAny` checks the grammar without recursion, so any depth is fine. It skips the bytes of
        // strings, so UTF-8 is checked first.
        let text = std::str::from_utf8(body).ok();
        let text = text
            .filter(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
            .map(str::trim_start)
            .ok_or_else(|| Problem::new(Code::MalformedJson, "The body must be one JSON text in UTF-8."))?;
        let members = parts(text, '{')
            .ok_or_else(|| Problem::validation(Errors::from(error("type", "must be an object")).into_list()))?;

        let mut found =
            Self { values: vec![Given::Absent; fields.len()], members: members.len(), unknown: Errors::default() };
        for (name, raw) in members {
            let Ok(name) = string(name) else {
                let message = "has a name with half of a surrogate pair";
                found.unknown.add(String::new(), error("value", message));
                continue;
            };
            let mut known = fields.iter().zip(&mut found.values);
            match known.find(|(field, _)| field.name == name && !field.read_only) {
                Some((_, given)) => {
                    *given = match given {
                        Given::Absent => Given::Once(raw),
                        _ => Given::Repeated,
                    }
                }
                None => found.unknown.add(pointer(&name), error("unknown", "is not a known field")),
            }
        }
        Ok(found)
    }
}

/// JSON Pointer to a member (RFC 6901 section 3). A name may come from the client, so it is cut.
fn pointer(name: &str) -> String {
    let name: String = name.chars().take(ECHO_MAX).collect();
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
#[path = "tests/draft.rs"]
mod tests;
