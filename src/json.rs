//! Strict JSON (RFC 8259) for everything that security rests on: tokens, key sets, configuration.
//!
//! Promise: a text that parses has exactly one meaning. It refuses what `serde_json` would settle
//! silently: a repeated name in any object (RFC 8725 section 2.6: the last one wins here, the first
//! one elsewhere), bytes that are not UTF-8, anything after the value.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Parses `text`, refusing repeated names at any depth. The error says nothing, on purpose: no
/// caller may let it reach a client.
pub(crate) fn parse(text: &[u8]) -> Result<Value, NotStrictJson> {
    serde_json::from_slice::<Strict>(text)
        .map(|strict| strict.0)
        .map_err(|_| NotStrictJson)
}

/// As [`parse`], for texts that must be an object.
pub(crate) fn parse_object(text: &[u8]) -> Result<Map<String, Value>, NotStrictJson> {
    match parse(text)? {
        Value::Object(object) => Ok(object),
        _ => Err(NotStrictJson),
    }
}

/// The text is not JSON, or means different things to different readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotStrictJson;

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without repeated names")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom("repeated name"));
            }
            let Strict(value) = entries.next_value()?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_name_is_refused_at_any_depth() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            r#"[{"a":[{"b":1,"\u0062":2}]}]"#,
        ] {
            assert_eq!(parse(text.as_bytes()), Err(NotStrictJson), "{text}");
        }
    }

    #[test]
    fn text_that_is_not_exactly_one_json_value_is_refused() {
        for text in [
            &b""[..],
            b"{",
            b"{} {}",
            b"{}x",
            b"\xef\xbb\xbf{}",
            b"{\"a\":\"\xff\"}",
            b"{'a':1}",
            b"[1,]",
            b"NaN",
            br#"{"a":"\ud800"}"#,
        ] {
            assert_eq!(parse(text), Err(NotStrictJson), "{text:?}");
        }
    }

    #[test]
    fn deep_nesting_is_an_error_and_not_a_crash() {
        let text = "[".repeat(100_000);
        assert_eq!(parse(text.as_bytes()), Err(NotStrictJson));
    }

    #[test]
    fn ordinary_json_is_read_as_it_stands() {
        let text =
            br#"{"s":"\u00e9","n":-1,"f":1.5,"u":18446744073709551615,"b":true,"z":null,"a":[{}]}"#;
        assert_eq!(parse(text), Ok(serde_json::from_slice(text).unwrap()));
    }
}
