//! Kinds of fields, and the check of one JSON value against a kind.
//!
//! Every value is parsed here, and PostgREST is sent the parsed form: `1e2` becomes `100`. Only
//! `json` is passed on as the client wrote it.

use std::borrow::Cow;

use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::Number;
use serde_json::value::RawValue;
use validator::{ValidateLength, ValidateRange, ValidationError};

use crate::error::{At, FieldError};
use crate::json::parts;
use crate::platform::nearest_double;
use crate::types::{datetime, parse_uuid, spelled};

/// Whole numbers beyond this (2^53 - 1) change in clients that read numbers as doubles.
pub(super) const INTEGER_MAX: i64 = 9_007_199_254_740_991;

/// Deepest nesting of a `json` field; the object itself is depth 1.
const DEPTH_MAX: usize = 32;

/// Most errors of one answer; a body may hold tens of thousands.
const ERRORS_MAX: usize = 16;

/// PostgreSQL's text cannot hold it.
const NO_NUL: &str = "must not contain U+0000";

/// The kinds of values that a field holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Trimmed text, its length in characters.
    Text {
        min: u64,
        max: u64,
    },
    /// Text as it was sent, its length in characters.
    Verbatim {
        min: u64,
        max: u64,
    },
    Integer {
        min: i64,
        max: i64,
    },
    Number {
        min: f64,
        max: f64,
    },
    /// A number in a string, with at most `precision` digits, `scale` of them after the point.
    Decimal {
        precision: u64,
        scale: u64,
    },
    Boolean,
    Uuid,
    Date,
    /// A time of day.
    Time,
    Timestamp,
    OneOf {
        values: Vec<String>,
    },
    /// At most `items` texts of 1 to `length` characters.
    Texts {
        items: u64,
        length: u64,
    },
    /// At most `items` whole numbers.
    Integers {
        items: u64,
        min: i64,
        max: i64,
    },
    /// At most `items` UUIDs.
    Uuids {
        items: u64,
    },
    /// An object of at most `bytes` bytes.
    Json {
        bytes: u64,
    },
    /// The id of a row of this resource.
    Ref {
        resource: String,
        /// Whether that id is a number.
        #[serde(skip)]
        bigint: bool,
    },
}

/// A parsed value of a field.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Value {
    Null,
    Boolean(bool),
    Integer(i64),
    Number(f64),
    Text(String),
    List(Vec<Value>),
    /// JSON text, as the client wrote it.
    #[serde(serialize_with = "as_written")]
    Json(String),
}

impl Kind {
    /// Whether its values are neither lists nor objects, and so can be compared.
    pub(super) fn is_scalar(&self) -> bool {
        !matches!(self, Self::Texts { .. } | Self::Integers { .. } | Self::Uuids { .. } | Self::Json { .. })
    }

    /// The value of this JSON text, which is known to be JSON.
    pub(super) fn check(&self, raw: &str) -> Result<Value, Errors> {
        let formatted = |good: &dyn Fn(&str) -> Option<String>, message| {
            let text = string(raw)?;
            let value = good(&text).ok_or_else(|| error("format", message))?;
            Ok::<_, Errors>(Value::Text(value))
        };
        match self {
            Self::Text { min, max } => {
                let text = string(raw)?;
                limited(text.trim(), *min, *max, " after trimming").map(Value::Text)
            }
            Self::Verbatim { min, max } => limited(&string(raw)?, *min, *max, "").map(Value::Text),
            Self::Integer { min, max } => integer(raw, *min, *max).map(Value::Integer),
            Self::Number { min, max } => number(raw, *min, *max).map(Value::Number),
            Self::Decimal { precision, scale } => decimal(&string(raw)?, *precision, *scale).map(Value::Text),
            Self::Boolean => match raw {
                "true" => Ok(Value::Boolean(true)),
                "false" => Ok(Value::Boolean(false)),
                _ => Err(error("type", "must be true or false").into()),
            },
            Self::Ref { bigint: true, .. } => integer(raw, 1, INTEGER_MAX).map(Value::Integer),
            Self::Uuid | Self::Ref { .. } => {
                formatted(&|text| parse_uuid(text).map(|_| text.to_owned()), "must be a UUID in lower case")
            }
            Self::Date => formatted(
                &|text| datetime::is_date(text).then(|| text.to_owned()),
                "must be a date that exists, such as 2026-11-29",
            ),
            Self::Time => formatted(
                &datetime::time_of_day,
                "must be a time of day with at most six fraction digits, such as 09:30:00",
            ),
            Self::Timestamp => formatted(
                &datetime::utc,
                "must be an RFC 3339 time with at most six fraction digits, such as 2026-11-29T12:00:00Z",
            ),
            Self::OneOf { values } => {
                let text = string(raw)?;
                let value = values.iter().find(|value| **value == text);
                let message = || format!("must be one of {}", values.join(", "));
                Ok(Value::Text(value.ok_or_else(|| error("one_of", message()))?.clone()))
            }
            Self::Texts { items, length } => list(raw, *items, "strings", &Self::Verbatim { min: 1, max: *length }),
            Self::Integers { items, min, max } => {
                list(raw, *items, "whole numbers", &Self::Integer { min: *min, max: *max })
            }
            Self::Uuids { items } => list(raw, *items, "UUIDs", &Self::Uuid),
            Self::Json { bytes } => json(raw, *bytes).map(Value::Json),
        }
    }
}

impl Value {
    /// Whether both mean the same.
    pub(super) fn means(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Json(_), Self::Json(_)) => self.canonical() == other.canonical(),
            _ => self == other,
        }
    }

    /// The value in the one form that all its spellings share.
    pub(super) fn canonical(&self) -> String {
        match self {
            Self::Json(text) => parsed(text).map(|(value, _)| spelled(&value)).unwrap_or_default(),
            _ => spelled(self),
        }
    }
}

/// Writes JSON text unchanged.
fn as_written<S: Serializer>(json: &str, serializer: S) -> Result<S::Ok, S::Error> {
    let raw: &RawValue = serde_json::from_str(json).map_err(S::Error::custom)?;
    raw.serialize(serializer)
}

/// The errors of one value or one body, in order, each with its JSON Pointer. Never too many.
#[derive(Debug, Default)]
pub(super) struct Errors(Vec<(String, ValidationError)>);

impl Errors {
    pub(super) fn add(&mut self, pointer: String, error: ValidationError) {
        let same = |(one, other): &(String, ValidationError)| *one == pointer && other.code == error.code;
        if self.0.len() < ERRORS_MAX && !self.0.iter().any(same) {
            self.0.push((pointer, error));
        }
    }

    /// Adds the errors of a part of this value.
    pub(super) fn append(&mut self, pointer: &str, errors: Self) {
        for (inner, error) in errors.0 {
            self.add(format!("{pointer}{inner}"), error);
        }
    }

    /// The value if there are no errors.
    pub(super) fn unless_any<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }

    /// The first message, after the place if it is about a part of the value.
    pub(super) fn message(self) -> String {
        let first = self.0.into_iter().next();
        let (pointer, error) = first.unwrap_or_else(|| (String::new(), ValidationError::new("value")));
        let message = error.message.unwrap_or_default();
        if pointer.is_empty() { message.into_owned() } else { format!("at {pointer} {message}") }
    }

    /// The errors as `errors` of a problem lists them.
    pub(super) fn into_list(self) -> Vec<FieldError> {
        let list = self.0.into_iter().map(|(pointer, error)| FieldError {
            at: At::Pointer(pointer),
            code: match error.code {
                Cow::Borrowed(code) => code,
                Cow::Owned(_) => "value",
            },
            message: error.message.unwrap_or_default(),
        });
        list.collect()
    }
}

impl From<ValidationError> for Errors {
    fn from(error: ValidationError) -> Self {
        Self(vec![(String::new(), error)])
    }
}

pub(super) fn error(code: &'static str, message: impl Into<Cow<'static, str>>) -> ValidationError {
    ValidationError::new(code).with_message(message.into())
}

/// The text of a JSON string.
pub(super) fn string(raw: &str) -> Result<Cow<'_, str>, ValidationError> {
    let inner = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let inner = inner.ok_or_else(|| error("type", "must be a string"))?;
    if !inner.contains('\\') {
        return Ok(inner.into());
    }
    // It is JSON, so the one thing that can be wrong is half of a surrogate pair.
    let text = serde_json::from_str::<String>(raw);
    Ok(text.map_err(|_| error("value", "must not contain half of a surrogate pair"))?.into())
}

/// The text, if it has `min` to `max` characters and no U+0000.
fn limited(text: &str, min: u64, max: u64, trimmed: &str) -> Result<String, Errors> {
    let mut errors = Errors::default();
    if !text.validate_length(Some(min), Some(max), None) {
        let limits = match min {
            0 => format!("at most {max}"),
            min if min == max => format!("exactly {max}"),
            min => format!("{min} to {max}"),
        };
        let noun = if max == 1 { "character" } else { "characters" };
        let message = format!("must have {limits} {noun}{trimmed}");
        errors.add(String::new(), error("length", message));
    }
    if text.contains('\0') {
        errors.add(String::new(), error("characters", NO_NUL));
    }
    errors.unless_any(text.to_owned())
}

fn is_number(raw: &str) -> bool {
    raw.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

fn integer(raw: &str, min: i64, max: i64) -> Result<i64, Errors> {
    let plain = raw.parse::<i64>().ok();
    if !is_number(raw) || plain.is_none() && has_fraction(raw) {
        return Err(error("type", "must be a whole number").into());
    }
    // Exact: whole numbers to 2^53 are doubles, and greater ones are out of every range, as is infinity, which is spelled null.
    let spelled = || spelled(&nearest_double(raw)).strip_suffix(".0")?.parse::<i64>().ok();
    plain
        .or_else(spelled)
        .filter(|value| value.validate_range(Some(min), Some(max), None, None))
        .ok_or_else(|| error("range", format!("must be a whole number from {min} to {max}")).into())
}

/// Whether a JSON number is not whole, without rounding.
fn has_fraction(number: &str) -> bool {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    // An exponent that does not fit outweighs all digits that a body can have.
    let sign = if exponent.starts_with('-') { isize::MIN } else { isize::MAX };
    let exponent = exponent.parse().unwrap_or(sign);
    let point = before.len().cast_signed().saturating_add(exponent);
    let digits = format!("{before}{after}");
    let significant = digits.trim_end_matches('0');
    !matches!(significant, "" | "-") && significant.len().cast_signed() > point
}

fn number(raw: &str, min: f64, max: f64) -> Result<f64, Errors> {
    if !is_number(raw) {
        return Err(error("type", "must be a number").into());
    }
    let value = finite(raw)?;
    if value.validate_range(Some(min), Some(max), None, None) {
        return Ok(value);
    }
    let (min, max) = (spelled(&min), spelled(&max));
    let (min, max) = (min.trim_end_matches(".0"), max.trim_end_matches(".0"));
    Err(error("range", format!("must be a number from {min} to {max}")).into())
}

/// The double of a JSON number.
pub(super) fn finite(raw: &str) -> Result<f64, ValidationError> {
    let value = nearest_double(raw);
    if value.is_finite() { Ok(value) } else { Err(error("value", "is too large for a number")) }
}

/// A number in the form in which PostgreSQL prints it: with all digits after the point.
fn decimal(text: &str, precision: u64, scale: u64) -> Result<String, Errors> {
    let (sign, unsigned) = text.strip_prefix('-').map_or(("", text), |unsigned| ("-", unsigned));
    let (whole, fraction) =
        unsigned.split_once('.').map_or((unsigned, None), |(whole, fraction)| (whole, Some(fraction)));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let one_form = digits(whole) && fraction.is_none_or(digits) && (whole == "0" || !whole.starts_with('0'));
    let fraction = fraction.unwrap_or_default();
    if !one_form || !fraction.validate_length(None, Some(scale), None) {
        let message = format!("must be a number in digits, with at most {scale} after the point");
        return Err(error("format", message).into());
    }
    let before = precision.saturating_sub(scale);
    if whole != "0" && !whole.validate_length(None, Some(before), None) {
        return Err(error("range", format!("must have at most {before} digits before the point")).into());
    }
    let sign = if unsigned.bytes().all(|byte| matches!(byte, b'0' | b'.')) { "" } else { sign };
    let point = if scale == 0 { "" } else { "." };
    let places = usize::try_from(scale).unwrap_or_default();
    Ok(format!("{sign}{whole}{point}{fraction:0<places$}"))
}

/// A list of at most `items` values of a kind.
fn list(raw: &str, items: u64, noun: &str, kind: &Kind) -> Result<Value, Errors> {
    let list = parts(raw, '[').ok_or_else(|| error("type", format!("must be a list of {noun}")))?;
    if !list.validate_length(None, Some(items), None) {
        let message = format!("must have at most {items} items");
        return Err(error("items", message).into());
    }
    let mut errors = Errors::default();
    let mut values = Vec::new();
    for (place, (_, raw)) in list.into_iter().enumerate() {
        match kind.check(raw) {
            Ok(value) => values.push(value),
            Err(inner) => errors.append(&format!("/{place}"), inner),
        }
    }
    errors.unless_any(Value::List(values))
}

fn json(raw: &str, bytes: u64) -> Result<String, Errors> {
    let refused = |code, message: &str| Err(error(code, message.to_owned()).into());
    if !raw.starts_with('{') {
        return refused("type", "must be an object");
    }
    if !raw.as_bytes().validate_length(None, Some(bytes), None) {
        return refused("size", &format!("must have at most {bytes} bytes"));
    }
    let scan = Scan::of(raw);
    if scan.depth > DEPTH_MAX {
        return refused("depth", &format!("must be at most {DEPTH_MAX} deep"));
    }
    match parsed(raw) {
        None => refused("value", "must not contain half of a surrogate pair or a number that is too large"),
        // Parsing keeps one member of each name.
        Some((_, members)) if members < scan.members => refused("duplicate", "must not repeat a name in an object"),
        Some(_) if scan.nul => refused("characters", NO_NUL),
        Some(_) => {
            let (text, written) = bounded_numbers(raw);
            if u64::try_from(written).is_ok_and(|written| written <= bytes.max(WRITTEN_BYTES)) {
                return Ok(text);
            }
            refused("size", &format!("must have at most {bytes} bytes with its numbers written out"))
        }
    }
}

/// Most characters of a number that is written out. No double in its shortest form has half as many.
const WRITTEN_MAX: usize = 1000;

/// Bytes that a small field may have when its numbers are written out.
const WRITTEN_BYTES: u64 = 16 * 1024;

/// The JSON with numbers that are longer than [`WRITTEN_MAX`] as the doubles that they are, and its bytes with all numbers
/// written out. An existing table may have a column of type `jsonb`, which answers `1e-16383` with 16,385 bytes.
fn bounded_numbers(json: &str) -> (String, usize) {
    let (mut text, mut copied, mut written) = (String::with_capacity(json.len()), 0_usize, json.len());
    let (mut start, mut quoted, mut escaped) = (None, false, false);
    for (place, byte) in json.bytes().enumerate() {
        let inside = !quoted && matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        if let Some(from) = start.filter(|_| !inside) {
            let number = json.get(from..place).unwrap_or_default();
            let length = written_length(number);
            if length > WRITTEN_MAX {
                text.push_str(json.get(copied..from).unwrap_or_default());
                text.push_str(&spelled(&nearest_double(number)));
                copied = place;
            } else {
                written = written.saturating_add(length.saturating_sub(number.len()));
            }
            start = None;
        } else if start.is_none() && inside && (byte == b'-' || byte.is_ascii_digit()) {
            start = Some(place);
        }
        quoted ^= byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
    }
    text.push_str(json.get(copied..).unwrap_or_default());
    (text, written)
}

/// The characters of a JSON number without an exponent, at most a few more than it has.
fn written_length(number: &str) -> usize {
    let (digits, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let places = exponent.parse().map_or(usize::MAX, isize::unsigned_abs);
    digits.len().saturating_add(places)
}

/// Properties of a JSON text that parsing does not tell.
#[derive(Default)]
struct Scan {
    /// 1 for an object without objects or lists.
    depth: usize,
    /// How many members all objects of the text have, repeated names included.
    members: usize,
    nul: bool,
}

impl Scan {
    fn of(json: &str) -> Self {
        let mut scan = Self::default();
        let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
        for (place, byte) in json.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'"' => quoted = !quoted,
                b'\\' => {
                    escaped = true;
                    let rest = json.get(place..).unwrap_or_default();
                    scan.nul |= rest.starts_with("\\u0000");
                }
                _ if quoted => {}
                b'{' | b'[' => {
                    depth = depth.saturating_add(1);
                    scan.depth = scan.depth.max(depth);
                }
                b'}' | b']' => depth = depth.saturating_sub(1),
                b':' => scan.members = scan.members.saturating_add(1),
                _ => {}
            }
        }
        scan
    }
}

/// The JSON with sorted names and numbers as doubles, and how many members its objects have.
fn parsed(json: &str) -> Option<(serde_json::Value, usize)> {
    // No deeper than `serde_json` reads.
    fn visit(value: &mut serde_json::Value) -> usize {
        match value {
            serde_json::Value::Number(number) => {
                let double = number.as_f64().and_then(Number::from_f64);
                *number = double.unwrap_or_else(|| number.clone());
                0
            }
            serde_json::Value::Array(items) => items.iter_mut().map(visit).sum(),
            serde_json::Value::Object(members) => {
                let inner: usize = members.values_mut().map(visit).sum();
                inner.saturating_add(members.len())
            }
            _ => 0,
        }
    }

    let mut value = serde_json::from_str(json).ok()?;
    let members = visit(&mut value);
    Some((value, members))
}

#[cfg(test)]
#[path = "tests/kind.rs"]
mod tests;
