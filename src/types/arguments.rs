//! The arguments of a database function.

use serde_json::Value;

/// A JSON object, which is written member by member: values that are JSON already stay as they are.
pub(crate) struct Arguments(String);

impl Arguments {
    pub(crate) fn new() -> Self {
        Self("{".to_owned())
    }

    /// Adds a text, or null.
    pub(crate) fn text<'a>(self, name: &'static str, text: impl Into<Option<&'a str>>) -> Self {
        let text = text.into().map(|text| Value::from(text).to_string());
        self.json(name, text.as_deref().unwrap_or("null"))
    }

    /// Adds a whole number, or null.
    pub(crate) fn number(self, name: &'static str, number: Option<i64>) -> Self {
        let number = number.map(|number| number.to_string());
        self.json(name, number.as_deref().unwrap_or("null"))
    }

    /// Adds JSON.
    pub(crate) fn json(mut self, name: &'static str, json: &str) -> Self {
        let comma = if self.0.len() > 1 { "," } else { "" };
        for part in [comma, "\"", name, "\":", json] {
            self.0.push_str(part);
        }
        self
    }

    /// The text of the whole object.
    pub(crate) fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// For handlers that write their arguments with `json!`.
impl From<&Value> for Arguments {
    fn from(object: &Value) -> Self {
        let mut text = object.to_string();
        text.truncate(text.len().saturating_sub(1));
        Self(text)
    }
}
