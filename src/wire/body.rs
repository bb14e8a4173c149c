//! Request bodies: one JSON object whose members are texts.
//!
//! Promise: [`Members`] in hand are the ones that were named, each at most once. It refuses unknown members, a
//! member twice, and values that are no strings, and names all flaws at once rather than the first.

use std::borrow::Cow;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use validator::{Validate, ValidationError, ValidationErrors};

use crate::problem::{At, Code, FieldError, Problem};

/// No answer needs more flaws than this; a body may hold tens of thousands.
const FLAWS_MAX: usize = 16;

/// The members of a body as they were found.
pub(crate) struct Members {
    names: &'static [&'static str],
    /// In the order of their names.
    values: Vec<Value>,
    errors: Vec<FieldError>,
}

enum Value {
    Absent,
    Text(String),
    /// Present, and no string.
    Other,
}

impl Members {
    /// 400 for what is no JSON, 422 for what is no object.
    pub(crate) fn parse(json: &[u8], names: &'static [&'static str]) -> Result<Self, Problem> {
        // Two passes: whether a text is JSON at all must not depend on where its first flaw of
        // shape lies. `IgnoredAny` checks the grammar without recursion, whatever the depth; it
        // does not look into strings that it skips, hence UTF-8 first.
        let malformed = || {
            Problem::new(
                Code::MalformedJson,
                "The body must be one JSON text in UTF-8.",
            )
        };
        let text = std::str::from_utf8(json).map_err(|_| malformed())?;
        serde_json::from_str::<IgnoredAny>(text).map_err(|_| malformed())?;

        let members = Self {
            names,
            values: names.iter().map(|_| Value::Absent).collect(),
            errors: Vec::new(),
        };
        let mut deserializer = serde_json::Deserializer::from_str(text);
        members.deserialize(&mut deserializer).map_err(|error| {
            // It is JSON, so this is no syntax: a lone surrogate or 1e999 has no value here.
            let (code, message) = if error.is_data() {
                ("type", "must be an object")
            } else {
                (
                    "value",
                    "holds a number or a character that cannot be represented",
                )
            };
            Problem::validation(vec![FieldError {
                at: At::Pointer(String::new()),
                code,
                message,
            }])
        })
    }

    /// A flaw, if this member is absent.
    pub(crate) fn require(&mut self, name: &'static str) {
        let mut members = self.names.iter().zip(&self.values);
        if members.any(|(one, value)| *one == name && matches!(value, Value::Absent)) {
            self.errors.push(flaw(name, "required", "is required"));
        }
    }

    /// A flaw, if there is no member at all.
    pub(crate) fn require_any(&mut self, message: &'static str) {
        let none = self
            .values
            .iter()
            .all(|value| matches!(value, Value::Absent));
        if none && self.errors.is_empty() {
            self.errors.push(FieldError {
                at: At::Pointer(String::new()),
                code: "required",
                message,
            });
        }
    }

    /// The text of this member; none if it is absent or no string.
    pub(crate) fn take(&mut self, name: &'static str) -> Option<String> {
        let mut members = self.names.iter().zip(&mut self.values);
        let (_, value) = members.find(|(one, _)| **one == name)?;
        match std::mem::replace(value, Value::Absent) {
            Value::Text(text) => Some(text),
            Value::Absent | Value::Other => None,
        }
    }

    /// All flaws of shape.
    pub(crate) fn into_errors(self) -> Vec<FieldError> {
        self.errors
    }

    fn note_flaw(&mut self, name: &str, code: &'static str, message: &'static str) {
        if self.errors.len() < FLAWS_MAX {
            self.errors.push(flaw(name, code, message));
        }
    }
}

/// Limits are looked at only where the shape is right, so that an absent title is not also too
/// short.
pub(crate) fn checked<T: Validate>(value: T, shape: Vec<FieldError>) -> Result<T, Problem> {
    if !shape.is_empty() {
        return Err(Problem::validation(shape));
    }
    match value.validate() {
        Ok(()) => Ok(value),
        Err(errors) => Err(Problem::validation(flaws(&errors))),
    }
}

/// For `validator`: Postgres's `text` can't hold U+0000.
pub(crate) fn no_nul(text: &str) -> Result<(), ValidationError> {
    if text.contains('\0') {
        Err(ValidationError::new("characters")
            .with_message(Cow::Borrowed("must not contain U+0000")))
    } else {
        Ok(())
    }
}

/// `validator`'s findings in our form.
fn flaws(errors: &ValidationErrors) -> Vec<FieldError> {
    let mut flaws = Vec::new();
    for (field, errors) in errors.field_errors() {
        for error in errors {
            let (code, message) = match (error.code.as_ref(), &error.message) {
                ("length", Some(Cow::Borrowed(message))) => ("length", *message),
                (_, Some(Cow::Borrowed(message))) => ("characters", *message),
                _ => ("value", "is not valid"),
            };
            flaws.push(flaw(field.as_ref(), code, message));
        }
    }
    // validator keeps them in a hash map: title before body, as in the schema.
    flaws.sort_by(|a, b| b.at.cmp(&a.at));
    flaws
}

/// A flaw of one member.
pub(crate) fn flaw(name: &str, code: &'static str, message: &'static str) -> FieldError {
    FieldError {
        at: At::Pointer(pointer(name)),
        code,
        message,
    }
}

/// JSON Pointer to a member (RFC 6901 section 3). A name comes from the client and is echoed in
/// part only.
fn pointer(name: &str) -> String {
    let name: String = name.chars().take(64).collect();
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

impl<'de> DeserializeSeed<'de> for Members {
    type Value = Self;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Members {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Self, A::Error> {
        while let Some(name) = members.next_key::<Cow<'de, str>>()? {
            let mut known = self.names.iter().zip(&mut self.values);
            let Some((_, slot)) = known.find(|(one, _)| **one == name) else {
                members.next_value::<IgnoredAny>()?;
                self.note_flaw(&name, "unknown", "is not a member of this");
                continue;
            };
            let twice = !matches!(slot, Value::Absent);
            *slot = members.next_value()?;
            let other = matches!(slot, Value::Other);
            if twice {
                self.note_flaw(&name, "duplicate", "must be given once");
            } else if other {
                self.note_flaw(&name, "type", "must be a string");
            }
        }
        Ok(self)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor;

        impl<'de> Visitor<'de> for ValueVisitor {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(Value::Text(text.to_owned()))
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Other)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
                Ok(Value::Other)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
                Ok(Value::Other)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
                Ok(Value::Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
                Ok(Value::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Value::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
                while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Value::Other)
            }
        }

        deserializer.deserialize_any(ValueVisitor)
    }
}
