//! A field of airlock.toml as text: a kind with its limits, such as `text(1..200)`, and a default.

use serde::de::IgnoredAny;

use super::kind::{Errors, INTEGER_MAX, Kind, Value, finite};
use crate::types::spelled;

/// Greatest length or count in a declaration: PostgreSQL's `integer`.
pub(super) const COUNT_MAX: u64 = 2_147_483_647;

/// Most digits of a decimal: PostgreSQL's limit of `numeric(p, s)`.
const DIGITS_MAX: u64 = 1000;

/// The kinds and their limits.
const KINDS: [(&str, &str); 16] = [
    ("text", "needs both limits, the lower one first, such as text(1..200)"),
    ("verbatim", "needs both limits, the lower one first, such as verbatim(0..20000)"),
    ("integer", "needs both limits, whole and within +-9007199254740991, such as integer(0..100)"),
    ("number", "needs both limits, the lower one first, such as number(0..1.5)"),
    ("decimal", "needs 1 to 1000 digits and how many of them are after the point, such as decimal(10,2)"),
    ("boolean", "needs no limits; write boolean"),
    ("uuid", "needs no limits; write uuid"),
    ("date", "needs no limits; write date"),
    ("time", "needs no limits; write time"),
    ("timestamp", "needs no limits; write timestamp"),
    ("one_of", "needs different values of A-Z a-z 0-9 _ . - or in single quotes, such as one_of(draft,final)"),
    ("texts", "needs a number of items and a length, such as texts(20,50)"),
    ("integers", "needs a number of items and both limits, such as integers(20,0..100)"),
    ("uuids", "needs a number of items, such as uuids(20)"),
    ("json", "needs the greatest size in bytes, 2 or more, such as json(4096)"),
    ("ref", "needs the name of a resource, such as ref(projects)"),
];

/// The kind at the beginning of a field's text, and the rest of the text.
pub(super) fn kind(text: &str) -> Result<(Kind, &str), String> {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_lowercase() || c == '_');
    let word = text.strip_suffix(rest).unwrap_or_default();
    let rest = rest.trim_start();
    let (inner, rest) = match rest.strip_prefix('(') {
        None => (None, rest),
        Some(rest) => rest
            .split_once(outside_quotes(')'))
            .map(|(inner, rest)| (Some(inner.trim()), rest.trim_start()))
            .ok_or_else(|| format!("{text} needs a closing parenthesis."))?,
    };
    let Some((_, needs)) = KINDS.iter().find(|(kind, _)| *kind == word) else {
        let kinds = KINDS.map(|(kind, _)| kind).join(", ");
        let found =
            if text.is_empty() { "it has no kind".to_owned() } else { format!("{text} does not begin with a kind") };
        return Err(format!("{found}; the kinds are {kinds}."));
    };
    let kind = kind_of(word, inner).ok_or_else(|| {
        let limits = inner.map(|inner| format!("({inner})")).unwrap_or_default();
        format!("{word}{limits} {needs}.")
    })?;
    Ok((kind, rest))
}

/// The kind of this word, if the text in its parentheses suits it.
fn kind_of(word: &str, inner: Option<&str>) -> Option<Kind> {
    let (min, max) = (INTEGER_MAX.saturating_neg(), INTEGER_MAX);
    let any_integer = Kind::Integer { min, max };
    let integer = |text: &str| match any_integer.check(text) {
        Ok(Value::Integer(value)) if is_json(text) => Some(value),
        _ => None,
    };
    let number = |text: &str| finite(text).ok().filter(|_| is_json(text));
    let length = |text: &str| count(text, 0);
    match (word, inner) {
        ("text", Some(inner)) => limits(inner, length).map(|(min, max)| Kind::Text { min, max }),
        ("verbatim", Some(inner)) => limits(inner, length).map(|(min, max)| Kind::Verbatim { min, max }),
        ("integer", Some(inner)) => limits(inner, integer).map(|(min, max)| Kind::Integer { min, max }),
        ("number", Some(inner)) => limits(inner, number).map(|(min, max)| Kind::Number { min, max }),
        ("decimal", Some(inner)) => {
            let (precision, scale) = inner.split_once(',')?;
            let (precision, scale) = (count(precision.trim(), 1)?, count(scale.trim(), 0)?);
            (scale <= precision && precision <= DIGITS_MAX).then_some(Kind::Decimal { precision, scale })
        }
        ("boolean", None) => Some(Kind::Boolean),
        ("uuid", None) => Some(Kind::Uuid),
        ("date", None) => Some(Kind::Date),
        ("time", None) => Some(Kind::Time),
        ("timestamp", None) => Some(Kind::Timestamp),
        ("one_of", Some(inner)) => one_of(inner).map(|values| Kind::OneOf { values }),
        ("texts", Some(inner)) => {
            let (items, length) = inner.split_once(',')?;
            let (items, length) = (count(items.trim(), 1)?, count(length.trim(), 1)?);
            Some(Kind::Texts { items, length })
        }
        ("integers", Some(inner)) => {
            let (items, inner) = inner.split_once(',')?;
            let (items, (min, max)) = (count(items.trim(), 1)?, limits(inner, integer)?);
            Some(Kind::Integers { items, min, max })
        }
        ("uuids", Some(inner)) => count(inner, 1).map(|items| Kind::Uuids { items }),
        ("json", Some(inner)) => count(inner, 2).map(|bytes| Kind::Json { bytes }),
        ("ref", Some(name)) if !name.is_empty() => Some(Kind::Ref { resource: name.to_owned(), bigint: false }),
        _ => None,
    }
}

/// `min..max`, the lower one first.
fn limits<T: PartialOrd>(text: &str, read: impl Fn(&str) -> Option<T>) -> Option<(T, T)> {
    let (min, max) = text.split_once("..")?;
    let limits = read(min.trim()).zip(read(max.trim()));
    limits.filter(|(min, max)| min <= max)
}

/// Different values, each bare or in single quotes.
fn one_of(inner: &str) -> Option<Vec<String>> {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let mut values = Vec::new();
    for text in inner.split(outside_quotes(',')).map(str::trim) {
        let is_bare = (1..=63).contains(&text.len()) && text.chars().all(bare);
        let value = unquoted(text).or_else(|| is_bare.then(|| text.to_owned()))?;
        if value.contains('\0') || values.contains(&value) {
            return None;
        }
        values.push(value);
    }
    Some(values)
}

/// The value after `=`: JSON, or text in single quotes.
pub(super) fn default(kind: &Kind, text: &str) -> Result<Value, String> {
    let raw = unquoted(text).map_or_else(|| text.to_owned(), |text| spelled(&text));
    if !is_json(&raw) {
        let sentence = if text.is_empty() {
            "there is no default after =; write one, or leave = out. An empty text is = ''.".to_owned()
        } else {
            format!("the default {text} is not JSON; write text in single quotes, such as = 'a', and others as JSON.")
        };
        return Err(sentence);
    }
    if raw == "null" {
        return Err("null is not a default; write ? after the kind instead.".into());
    }
    let sentence = |errors: Errors| format!("the default {text} {}; change it.", errors.message());
    kind.check(&raw).map_err(sentence)
}

/// The text within single quotes, in which `''` is a quote.
fn unquoted(text: &str) -> Option<String> {
    let inner = text.strip_prefix('\'')?.strip_suffix('\'')?;
    let paired = inner.split("''").all(|part| !part.contains('\''));
    paired.then(|| inner.replace("''", "'"))
}

/// Finds this character outside of single quotes.
fn outside_quotes(wanted: char) -> impl FnMut(char) -> bool {
    let mut quoted = false;
    move |c| {
        quoted ^= c == '\'';
        c == wanted && !quoted
    }
}

/// A whole number in digits, from `min` to [`COUNT_MAX`].
fn count(text: &str, min: u64) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    number.filter(|number| (min..=COUNT_MAX).contains(number))
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}
