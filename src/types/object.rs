//! JSON objects.

use serde::Serialize;

/// A JSON object that is written member by member: values that are JSON already stay as they are.
pub(crate) struct Object(String);

impl Object {
    pub(crate) fn new() -> Self {
        Self("{".to_owned())
    }

    /// Adds a text, or null.
    pub(crate) fn text<'a>(self, name: &'static str, text: impl Into<Option<&'a str>>) -> Self {
        self.value(name, &text.into())
    }

    /// Adds a whole number, or null.
    pub(crate) fn number(self, name: &'static str, number: impl Into<Option<i64>>) -> Self {
        self.value(name, &number.into())
    }

    /// Adds JSON.
    pub(crate) fn json(mut self, name: &'static str, json: &str) -> Self {
        let comma = if self.0.len() > 1 { "," } else { "" };
        for part in [comma, "\"", name, "\":", json] {
            self.0.push_str(part);
        }
        self
    }

    /// Adds a value as JSON.
    pub(crate) fn value(self, name: &'static str, value: &impl Serialize) -> Self {
        self.json(name, &spelled(value))
    }

    /// The text of the whole object.
    pub(crate) fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// `value` as JSON.
pub(crate) fn spelled<T: Serialize + ?Sized>(value: &T) -> String {
    // Nothing here can fail: no map with odd keys, no number that is not finite.
    serde_json::to_string(value).unwrap_or_default()
}
