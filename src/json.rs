//! Strict JSON (RFC 8259) for everything that security rests on: tokens, key sets, configuration.
//!
//! A text that parses has exactly one meaning. A repeated name in any object is refused, where
//! `serde_json` would keep the last one and other readers the first (RFC 8725 section 2.6).

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

/// Parses `text`, refusing repeated names at any depth. There is no error text that a caller could
/// show to a client.
pub(crate) fn parse(text: &[u8]) -> Option<Value> {
    read::<Strict>(text).map(|strict| strict.0)
}

/// As [`parse`], for texts that must be an object.
pub(crate) fn parse_object(text: &[u8]) -> Option<Map<String, Value>> {
    match parse(text)? {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

/// The object; `None` if it has a name that is not in `names`.
pub(crate) fn object<'a>(value: &'a Value, names: &[&str]) -> Option<&'a Map<String, Value>> {
    value.as_object().filter(|object| object.iter().all(|(name, _)| names.contains(&name.as_str())))
}

/// The names and values of a JSON object (`{`), or the elements of a list (`[`), whose names are empty,
/// as they are written. `None` for any other value.
pub(crate) fn parts(raw: &str, opening: char) -> Option<Vec<(&str, &str)>> {
    struct Parts<'a>(Vec<(&'a str, &'a str)>);

    impl<'de> Deserialize<'de> for Parts<'de> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(Self(Vec::new()))
        }
    }

    impl<'de> Visitor<'de> for Parts<'de> {
        type Value = Self;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object or a list")
        }

        fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
            while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                self.0.push((name.get(), value.get()));
            }
            Ok(self)
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Self, A::Error> {
            while let Some(value) = list.next_element::<&RawValue>()? {
                self.0.push(("", value.get()));
            }
            Ok(self)
        }
    }

    let raw = raw.starts_with(opening).then_some(raw)?;
    serde_json::from_str(raw).ok().map(|Parts(parts)| parts)
}

/// The values of these members of a JSON object, as they are written. `None` for any other value, and
/// if one of them is repeated.
pub(crate) fn members<'a, const N: usize>(raw: &'a str, names: [&str; N]) -> Option<[Option<&'a str>; N]> {
    let mut found = [None; N];
    for (name, value) in parts(raw, '{')? {
        for (wanted, found) in names.iter().zip(&mut found) {
            if name.trim_matches('"') == *wanted && found.replace(value).is_some() {
                return None;
            }
        }
    }
    Some(found)
}

/// Parses `text` as `T`, as strictly as `T` is. For answers of the database.
pub(crate) fn read<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Option<T> {
    // Always of a `&str`: each other kind of source would be all of the parser once more.
    serde_json::from_str(std::str::from_utf8(text).ok()?).ok()
}

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
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
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
    fn repeated_name_is_refused_at_any_depth() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"a":{"b":1,"b":2}}"#, r#"[{"a":[{"b":1,"\u0062":2}]}]"#] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn members_of_an_object_are_there_once() {
        let found = members(r#" {"b": "x", "c": [{"a": 2}]}"#.trim_start(), ["a", "b"]);
        assert_eq!(found, Some([None, Some("\"x\"")]));
        assert_eq!(members(r#"{"a":1,"c":2,"c":3}"#, ["a"]), Some([Some("1")]));
        for raw in [r#"{"a":1,"a":1}"#, r#"["a"]"#, r#"{"a":1"#, "null", ""] {
            assert_eq!(members(raw, ["a"]), None, "{raw}");
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
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn deep_nesting_is_an_error_and_not_a_crash() {
        let text = "[".repeat(100_000);
        assert_eq!(parse(text.as_bytes()), None);
    }

    #[test]
    fn other_json_is_read_like_serde_json() {
        let text = br#"{"s":"\u00e9","n":-1,"f":1.5,"u":18446744073709551615,"b":true,"z":null,"a":[{}]}"#;
        assert_eq!(parse(text), Some(serde_json::from_slice(text).unwrap()));
    }

    #[expect(clippy::arithmetic_side_effects, reason = "test code")]
    mod properties {
        use proptest::prelude::*;

        use super::*;

        /// JSON that may repeat a name.
        #[derive(Debug, Clone)]
        enum Tree {
            Scalar(String),
            Array(Vec<Tree>),
            Object(Vec<(String, Tree)>),
        }

        impl Tree {
            /// `space` goes wherever white space may be.
            fn write(&self, space: &str, text: &mut String) {
                text.push_str(space);
                match self {
                    Self::Scalar(scalar) => text.push_str(scalar),
                    Self::Array(items) => {
                        text.push('[');
                        for (place, item) in items.iter().enumerate() {
                            text.push_str(if place > 0 { "," } else { "" });
                            item.write(space, text);
                        }
                        text.push(']');
                    }
                    Self::Object(members) => {
                        text.push('{');
                        for (place, (name, value)) in members.iter().enumerate() {
                            text.push_str(if place > 0 { "," } else { "" });
                            text.push_str(&format!("{space}{name}{space}:"));
                            value.write(space, text);
                        }
                        text.push('}');
                    }
                }
                text.push_str(space);
            }

            fn repeats_a_name(&self) -> bool {
                match self {
                    Self::Scalar(_) => false,
                    Self::Array(items) => items.iter().any(Self::repeats_a_name),
                    Self::Object(members) => {
                        let names: std::collections::BTreeSet<String> =
                            members.iter().map(|(name, _)| serde_json::from_str(name).unwrap()).collect();
                        names.len() < members.len() || members.iter().any(|(_, value)| value.repeats_a_name())
                    }
                }
            }
        }

        /// A name in one of its spellings.
        fn name() -> impl Strategy<Value = String> {
            prop_oneof![
                Just(r#""a""#.to_owned()),
                Just(r#""\u0061""#.to_owned()),
                Just(r#""A""#.to_owned()),
                Just(r#""\u00e9""#.to_owned()),
                Just("\"\u{e9}\"".to_owned()),
                Just("\"e\u{301}\"".to_owned()),
                Just(r#""\ud83d\ude00""#.to_owned()),
                Just("\"\u{1f600}\"".to_owned()),
                any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
            ]
        }

        fn tree() -> impl Strategy<Value = Tree> {
            let scalar =
                prop_oneof![name(), "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,8})?([eE][-+]?[0-9]{1,2})?", "null|true|false",];
            scalar.prop_map(Tree::Scalar).prop_recursive(5, 40, 5, |inner| {
                prop_oneof![
                    prop::collection::vec(inner.clone(), 0..5).prop_map(Tree::Array),
                    prop::collection::vec((name(), inner), 0..5).prop_map(Tree::Object),
                ]
            })
        }

        /// How many members there are in a text that is JSON: colons outside of strings.
        fn colons(text: &[u8]) -> usize {
            let (mut count, mut quoted, mut escaped) = (0, false, false);
            for byte in text {
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' => escaped = quoted,
                    b'"' => quoted = !quoted,
                    b':' if !quoted => count += 1,
                    _ => {}
                }
            }
            count
        }

        fn members(value: &Value) -> usize {
            match value {
                Value::Array(items) => items.iter().map(members).sum(),
                Value::Object(object) => object.len() + object.values().map(members).sum::<usize>(),
                _ => 0,
            }
        }

        proptest! {
            #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..Default::default() })]

            #[test]
            fn json_is_refused_exactly_if_it_repeats_a_name(
                tree in tree(), space in "[ \t\r\n]{0,2}"
            ) {
                let mut text = String::new();
                tree.write(&space, &mut text);
                let read = parse(text.as_bytes());
                if tree.repeats_a_name() {
                    prop_assert_eq!(read, None, "{}", text);
                } else {
                    prop_assert_eq!(read, Some(serde_json::from_str(&text).unwrap()), "{}", text);
                }
            }

            #[test]
            fn mutated_json_is_read_like_serde_json_without_repeated_names(
                tree in tree(), cut in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 0..3),
                skip in 0..3_usize
            ) {
                let mut text = String::new();
                tree.write("", &mut text);
                let mut text = text.into_bytes();
                let from = cut.index(text.len() + 1);
                let to = (from + skip).min(text.len());
                text.splice(from..to, bytes);
                let expected = serde_json::from_slice::<Value>(&text)
                    .ok()
                    .filter(|value| members(value) == colons(&text));
                prop_assert_eq!(parse(&text), expected, "{:?}", text);
            }
        }
    }
}
