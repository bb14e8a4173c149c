//! Rows of the database to notes as they go over the wire.
//!
//! Promise: what comes out has the contract's shape whatever the database's JSON looked like, and the
//! texts of a note are what they were. It refuses rows that lack a field or carry one of another type:
//! such an answer is no note.
//!
//! PostgREST writes a row just as the wire has it, but for the spelling of its times. So a row in the
//! usual form is checked from end to end and copied. To take it apart and put it together again took
//! a third of the time of a whole request; what has another form goes that way, by `serde`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Facts, NoteId};
use crate::wire::{Timestamp, Version};

/// What [`copy`] copied.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Copied {
    /// The last note.
    pub(super) last: Option<Facts>,
    /// Whether there are rows beyond those that were wanted.
    pub(super) more: bool,
}

/// Appends to `wire` the notes of the first `max` rows of a JSON array, a comma between two. `None` if
/// it is no array of rows.
pub(super) fn copy(rows: &[u8], max: usize, wire: &mut Vec<u8>) -> Option<Copied> {
    let before = wire.len();
    wire.reserve(rows.len().saturating_add(64));
    usual(rows, max, wire).or_else(|| {
        wire.truncate(before);
        general(std::str::from_utf8(rows).ok()?, max, wire)
    })
}

/// Rows of any spelling.
fn general(rows: &str, max: usize, wire: &mut Vec<u8>) -> Option<Copied> {
    let rows: Vec<Row<'_>> = serde_json::from_str(rows).ok()?;
    let mut last = None;
    for row in rows.iter().take(max) {
        if last.is_some() {
            wire.push(b',');
        }
        serde_json::to_writer(&mut *wire, row).ok()?;
        last = Some(row.facts());
    }
    let more = rows.len() > max;
    Some(Copied { last, more })
}

/// A row, and the note that is made of it.
#[derive(Deserialize, Serialize)]
struct Row<'a> {
    id: NoteId,
    #[serde(borrow)]
    title: Cow<'a, str>,
    #[serde(borrow)]
    body: Cow<'a, str>,
    version: Version,
    created_at: Timestamp,
    updated_at: Timestamp,
    deleted_at: Option<Timestamp>,
}

impl Row<'_> {
    fn facts(&self) -> Facts {
        Facts {
            id: self.id,
            version: self.version,
            created_at: self.created_at,
            deleted: self.deleted_at.is_some(),
        }
    }
}

/// Rows without white space, without other fields, in the order in which they were selected.
fn usual(rows: &[u8], max: usize, wire: &mut Vec<u8>) -> Option<Copied> {
    let mut text = Text(rows);
    let (mut last, mut count) = (None, 0_usize);
    text.literal("[")?;
    while text.literal("]").is_none() {
        if count > 0 {
            // Postgres puts a line break between the elements of an array.
            text.literal(",")?;
            text.white_space();
        }
        if count < max {
            if count > 0 {
                wire.push(b',');
            }
            last = Some(text.row(wire)?);
        } else {
            text.row(&mut Vec::new())?;
        }
        count = count.saturating_add(1);
    }
    text.white_space();
    let last = match last {
        Some(last) => Some(last.facts()?),
        None => None,
    };
    let more = count > max;
    text.0.is_empty().then_some(Copied { last, more })
}

/// [`Facts`] that are taken apart for the last row alone.
struct Seen<'a> {
    id: &'a str,
    version: Version,
    created_at: Timestamp,
    deleted: bool,
}

impl Seen<'_> {
    fn facts(&self) -> Option<Facts> {
        Some(Facts {
            id: NoteId::parse(self.id)?,
            version: self.version,
            created_at: self.created_at,
            deleted: self.deleted,
        })
    }
}

/// JSON that is still to be read. Everything gives `None` if what comes next is something else.
struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    fn row(&mut self, wire: &mut Vec<u8>) -> Option<Seen<'a>> {
        let begin = self.0;
        self.literal(r#"{"id":""#)?;
        let id = self.until_quote().filter(|id| NoteId::is_spelled(id))?;
        self.literal(r#","title":"#)?;
        self.string()?;
        self.literal(r#","body":"#)?;
        self.string()?;
        self.literal(r#","version":"#)?;
        let version = self.version()?;
        self.literal(r#","created_at":""#)?;
        let same = begin.len().checked_sub(self.0.len())?;
        wire.extend_from_slice(begin.get(..same)?);
        let created_at = self.time(wire)?;
        self.copied(r#","updated_at":""#, wire)?;
        self.time(wire)?;
        self.copied(r#","deleted_at":"#, wire)?;
        let deleted = self.copied("null", wire).is_none();
        if deleted {
            self.copied("\"", wire)?;
            self.time(wire)?;
        }
        self.copied("}", wire)?;
        Some(Seen {
            id,
            version,
            created_at,
            deleted,
        })
    }

    fn literal(&mut self, literal: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(literal.as_bytes())?;
        Some(())
    }

    fn copied(&mut self, literal: &str, wire: &mut Vec<u8>) -> Option<()> {
        self.literal(literal)?;
        wire.extend_from_slice(literal.as_bytes());
        Some(())
    }

    fn white_space(&mut self) {
        while let [b' ' | b'\n' | b'\t' | b'\r', rest @ ..] = self.0 {
            self.0 = rest;
        }
    }

    /// A time, up to and with the quotation mark at its end.
    fn time(&mut self, wire: &mut Vec<u8>) -> Option<Timestamp> {
        let time = match Timestamp::read_utc(self.0, "+00:00\"") {
            Some((time, rest)) => {
                self.0 = rest;
                time
            }
            None => Timestamp::parse(self.until_quote()?)?,
        };
        wire.extend_from_slice(time.as_bytes());
        wire.push(b'"');
        Some(time)
    }

    /// A short text without escapes, up to and with the quotation mark at its end.
    fn until_quote(&mut self) -> Option<&'a str> {
        let end = self.0.iter().take(40).position(|byte| *byte == b'"')?;
        let (text, rest) = self.0.split_at_checked(end)?;
        self.0 = rest.get(1..)?;
        std::str::from_utf8(text).ok()
    }

    fn version(&mut self) -> Option<Version> {
        let end = self
            .0
            .iter()
            .take(11)
            .position(|byte| !byte.is_ascii_digit())?;
        let (digits, rest) = self.0.split_at_checked(end)?;
        self.0 = rest;
        if digits.starts_with(b"0") {
            return None;
        }
        let number: i32 = std::str::from_utf8(digits).ok()?.parse().ok()?;
        Version::try_from(number).ok()
    }

    /// A string with both its quotation marks. Escapes stay as they are; `\u` beyond ASCII may name half
    /// a character, which is for [`general`] to judge.
    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
    fn string(&mut self) -> Option<()> {
        self.literal("\"")?;
        let begin = self.0;
        let mut ascii = true;
        loop {
            let plain = plain(self.0);
            ascii &= plain.ascii;
            let (special, rest) = self.0.get(plain.length..)?.split_first()?;
            self.0 = rest;
            match special {
                b'"' => break,
                b'\\' => {
                    let (escaped, rest) = self.0.split_first()?;
                    self.0 = rest;
                    match escaped {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                        b'u' => {
                            self.literal("00")?;
                            let (digits, rest) = self.0.split_at_checked(2)?;
                            if !digits.iter().all(u8::is_ascii_hexdigit) {
                                return None;
                            }
                            self.0 = rest;
                        }
                        _ => return None,
                    }
                }
                _ => return None,
            }
        }
        let string = begin.get(..begin.len().checked_sub(self.0.len())?)?;
        (ascii || std::str::from_utf8(string).is_ok()).then_some(())
    }
}

/// What a text begins with that needs no look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plain {
    /// How many bytes there are before the first that is special in a JSON string: a quotation mark, a
    /// backslash, a control character.
    length: usize,
    /// Whether these are ASCII.
    ascii: bool,
}

/// Sixteen bytes at a time: a page of notes is mostly this.
#[inline]
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
fn plain(bytes: &[u8]) -> Plain {
    let mut plain = Plain {
        length: 0,
        ascii: true,
    };
    let mut rest = bytes;
    loop {
        let Marks { special, beyond } = match rest.first_chunk() {
            Some(chunk) => marks(chunk),
            None => marks(&padded(rest)),
        };
        let before = special.wrapping_sub(1) & !special;
        plain.ascii &= beyond & before == 0;
        let length = special.trailing_zeros().min(16) as usize;
        plain.length = plain.length.saturating_add(length);
        if special != 0 {
            return plain;
        }
        rest = rest.get(16..).unwrap_or_default();
    }
}

/// Fewer than sixteen bytes, and an end after them.
#[cold]
fn padded(bytes: &[u8]) -> [u8; 16] {
    let mut padded = [b'"'; 16];
    for (to, from) in padded.iter_mut().zip(bytes) {
        *to = *from;
    }
    padded
}

/// A bit for each of sixteen bytes, the lowest for the first.
struct Marks {
    /// Special in a JSON string.
    special: u32,
    /// Beyond ASCII.
    beyond: u32,
}

#[cfg(target_arch = "wasm32")]
#[inline]
#[target_feature(enable = "simd128")]
fn marks(bytes: &[u8; 16]) -> Marks {
    use std::arch::wasm32::{u8x16_bitmask, u8x16_eq, u8x16_lt, u8x16_splat, u64x2, v128_or};

    let number = u128::from_le_bytes(*bytes);
    #[expect(clippy::cast_possible_truncation, reason = "its two halves")]
    let bytes = u64x2(number as u64, (number >> 64) as u64);
    let control = u8x16_lt(bytes, u8x16_splat(0x20));
    let quote = u8x16_eq(bytes, u8x16_splat(b'"'));
    let backslash = u8x16_eq(bytes, u8x16_splat(b'\\'));
    Marks {
        special: u32::from(u8x16_bitmask(v128_or(control, v128_or(quote, backslash)))),
        beyond: u32::from(u8x16_bitmask(bytes)),
    }
}

#[cfg(not(target_arch = "wasm32"))]
fn marks(bytes: &[u8; 16]) -> Marks {
    let bits = |is: fn(u8) -> bool| {
        let marks = bytes.iter().enumerate();
        marks.fold(0, |bits, (place, byte)| {
            bits | u32::from(is(*byte)) << place
        })
    };
    Marks {
        special: bits(|byte| byte < 0x20 || byte == b'"' || byte == b'\\'),
        beyond: bits(|byte| !byte.is_ascii()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = concat!(
        r#"{"id":"7efe3d84-2d6a-4174-899e-8ffddea7a39a","title":"a\n\"b\" é","body":"","version":3,"#,
        r#""created_at":"2026-11-22T12:15:40.76+00:00","updated_at":"2026-11-22 12:15:41+00","#,
        r#""deleted_at":null}"#
    );
    const NOTE: &str = concat!(
        r#"{"id":"7efe3d84-2d6a-4174-899e-8ffddea7a39a","title":"a\n\"b\" é","body":"","version":3,"#,
        r#""created_at":"2026-11-22T12:15:40.760000Z","updated_at":"2026-11-22T12:15:41.000000Z","#,
        r#""deleted_at":null}"#
    );

    fn wire(rows: &str, max: usize) -> Option<(String, Copied)> {
        let mut wire = b"before".to_vec();
        let copied = copy(rows.as_bytes(), max, &mut wire)?;
        let wire = String::from_utf8(wire).unwrap();
        Some((wire.strip_prefix("before").unwrap().to_owned(), copied))
    }

    fn is_usual(rows: &str) -> bool {
        usual(rows.as_bytes(), 100, &mut Vec::new()).is_some()
    }

    #[test]
    fn a_row_of_postgrest_or_of_the_embedded_supabase_becomes_the_wire_form() {
        let (one, copied) = wire(&format!("[{ROW}]"), 1).unwrap();
        assert_eq!(one, NOTE);
        let facts = copied.last.unwrap();
        assert_eq!(facts.id.to_string(), "7efe3d84-2d6a-4174-899e-8ffddea7a39a");
        assert_eq!(facts.version.to_string(), "3");
        assert!(!copied.more && !facts.deleted);

        let deleted = ROW.replace(
            r#""deleted_at":null"#,
            r#""deleted_at":"2026-11-22T12:15:42+00:00""#,
        );
        let (both, copied) = wire(&format!("[{ROW}, \n {deleted}]\n"), 2).unwrap();
        assert!(both.starts_with(&format!("{NOTE},{{")) && both.ends_with("12:15:42.000000Z\"}"));
        assert!(copied.last.unwrap().deleted);
    }

    #[test]
    fn rows_beyond_those_that_were_wanted_are_checked_and_left_out() {
        for text in [
            format!("[{ROW},{ROW},{ROW}]"),
            format!("[{ROW},{ROW},{ROW} ]"),
        ] {
            let (two, copied) = wire(&text, 2).unwrap();
            assert_eq!(two, format!("{NOTE},{NOTE}"));
            assert!(copied.more);
        }
        assert_eq!(wire(&format!("[{ROW},7]"), 1), None);
        let nothing = Copied {
            last: None,
            more: false,
        };
        assert_eq!(wire("[]", 1), Some((String::new(), nothing)));
    }

    #[test]
    fn another_spelling_of_the_same_rows_becomes_the_same_notes() {
        let reordered = ROW
            .replace(r#""version":3,"#, "")
            .replace("null}", r#"null,"version":3}"#);
        for row in [
            ROW.replace("\":", "\" : "),
            ROW.replace("null}", r#"null,"user_id":"x","x":[{}]}"#),
            ROW.replace("\"id\"", "\"\\u0069d\""),
            reordered,
        ] {
            let rows = format!("[{row}]");
            assert!(!is_usual(&rows), "{row}");
            assert_eq!(wire(&rows, 1).unwrap().0, NOTE, "{row}");
        }
        assert!(is_usual(&format!("[{ROW}]")));
    }

    #[test]
    fn a_row_of_another_shape_is_no_note() {
        for (from, to) in [
            ("\"version\":3", "\"version\":0"),
            ("\"version\":3", "\"version\":03"),
            ("\"version\":3", "\"version\":"),
            ("\"version\":3", "\"version\":\"3\""),
            ("\"version\":3", "\"version\":3.0"),
            ("\"version\":3", "\"version\":2147483648"),
            ("7efe3d84-2d6a", "7EFE3D84-2d6a"),
            ("\"title\"", "\"Title\""),
            ("\"body\":\"\"", "\"body\":null"),
            ("\"body\":\"\"", "\"body\":\"\\ud800\""),
            ("\"body\":\"\"", "\"body\":\"\\x\""),
            ("\"body\":\"\"", "\"body\":\"\\u00g0\""),
            ("\"body\":\"\"", "\"body\":\"\u{1}\""),
            ("\"body\":\"\"", "\"body\":\"1234567\u{1f}\""),
            ("12:15:41+00", "noon"),
            ("null}", "false}"),
            ("null}", "null"),
            ("null}", "null}}"),
        ] {
            let row = ROW.replace(from, to);
            assert_ne!(row, ROW);
            assert_eq!(wire(&format!("[{row}]"), 1), None, "{row}");
        }
        for rows in ["", "[", "{}", "null", "[,]", "[]]", "[null]"] {
            assert_eq!(wire(rows, 1), None, "{rows}");
        }
        assert!(copy(b"[\xff]", 1, &mut Vec::new()).is_none());
        for bytes in [
            &b"\xff"[..],
            b"\xc3",
            b"\xed\xa0\x80",
            b"\xc0\x80",
            b"a\\n\xe2\x98",
        ] {
            for field in ["\"body\":\"", "\"title\":\""] {
                let row = format!("[{ROW}]").into_bytes();
                let at = ROW.find(field).unwrap() + 1 + field.len();
                let rows = [&row[..at], bytes, &row[at..]].concat();
                assert!(copy(&rows, 1, &mut Vec::new()).is_none(), "{bytes:?}");
            }
        }
    }

    #[test]
    fn both_ways_agree_on_every_text() {
        // Every short text of what is special, around words of every length.
        let parts = [
            "",
            "a",
            "\"",
            "\\",
            "\n",
            "\u{1f}",
            "\u{7f}",
            "\u{80}",
            "é",
            "☕",
            "\u{1F469}",
            "/",
        ];
        for length in 0..20 {
            for (first, last) in parts.iter().flat_map(|a| parts.iter().map(move |b| (a, b))) {
                let text = format!("{first}{}{last}", "x".repeat(length));
                let row = ROW.replace(
                    "\"body\":\"\"",
                    &format!("\"body\":{}", serde_json::to_string(&text).unwrap()),
                );
                let rows = format!("[{row}]");
                assert!(is_usual(&rows), "{rows}");
                let (mut one, mut other) = (Vec::new(), Vec::new());
                assert_eq!(
                    usual(rows.as_bytes(), 1, &mut one),
                    general(&rows, 1, &mut other)
                );
                assert_eq!(one, other, "{text:?}");
            }
        }
    }

    #[test]
    fn the_first_special_byte_is_found_wherever_it_is() {
        for length in 0..40_usize {
            for place in 0..length {
                for byte in 0..=255_u8 {
                    let mut bytes = vec![b'x'; length];
                    bytes[place] = byte;
                    let special = byte < 0x20 || byte == b'"' || byte == b'\\';
                    let expected = Plain {
                        length: if special { place } else { length },
                        ascii: special || byte < 0x80,
                    };
                    assert_eq!(plain(&bytes), expected, "{byte} at {place} of {length}");
                }
            }
        }
    }
}
