//! Times on the wire: RFC 3339, UTC, `Z`, six fraction digits. Always.
//!
//! Promise: one spelling for one instant, so that clients may compare texts. It refuses what is no
//! time; `infinity` and years beyond four digits are none here.

use chrono::{DateTime, Datelike};
use serde::{Deserialize, Serialize};

/// An instant in its wire form, `2026-11-22T12:15:40.760000Z`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "&str")]
pub(crate) struct Timestamp(String);

impl Timestamp {
    /// From what PostgREST (`2026-11-22T12:15:40.76+00:00`) or the embedded Supabase
    /// (`2026-11-22 12:15:40.76+00`) prints.
    fn parse(text: &str) -> Option<Self> {
        Self::from_utc(text).or_else(|| Self::from_offset(text))
    }

    /// The usual case, without calendar arithmetic: twenty rows have up to sixty times.
    fn from_utc(text: &str) -> Option<Self> {
        let (seconds, rest) = text.split_at_checked(19)?;
        let (date, time) = seconds.split_at_checked(10)?;
        let clock = time.strip_prefix(['T', ' '])?;
        let shape = |part: &str, pattern: &str| {
            part.len() == pattern.len()
                && part.bytes().zip(pattern.bytes()).all(|(byte, expected)| {
                    if expected == b'0' {
                        byte.is_ascii_digit()
                    } else {
                        byte == expected
                    }
                })
        };
        let fraction = ["+00:00", "+00", "Z"]
            .iter()
            .find_map(|zero| rest.strip_suffix(zero))?;
        let digits = match fraction {
            "" => "",
            _ => fraction.strip_prefix('.').filter(|digits| {
                (1..=6).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
            })?,
        };
        (shape(date, "0000-00-00") && shape(clock, "00:00:00"))
            .then(|| Self(format!("{date}T{clock}.{digits:0<6}Z")))
    }

    /// A database whose `timezone` is not UTC prints local time and an offset.
    fn from_offset(text: &str) -> Option<Self> {
        let text = text.replacen(' ', "T", 1);
        let instant = DateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f%#z").ok()?;
        Self::from_micros(instant.timestamp_micros())
    }

    /// From microseconds since the Unix epoch; `None` outside the years 1 to 9999.
    pub(crate) fn from_micros(micros: i64) -> Option<Self> {
        let instant = DateTime::from_timestamp_micros(micros)?;
        (1..=9999)
            .contains(&instant.year())
            .then(|| Self(instant.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()))
    }

    /// Microseconds since the Unix epoch; `None` for a day that the calendar does not have.
    pub(crate) fn micros(&self) -> Option<i64> {
        DateTime::parse_from_rfc3339(&self.0)
            .ok()
            .map(|instant| instant.timestamp_micros())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for Timestamp {
    type Error = &'static str;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        Self::parse(text).ok_or("not a time")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_an_instant_becomes_the_same_text() {
        for text in [
            "2026-11-22T12:15:40.76+00:00",
            "2026-11-22 12:15:40.76+00",
            "2026-11-22 12:15:40.760000+00",
            "2026-11-22T12:15:40.76Z",
            "2026-11-22T13:45:40.76+01:30",
            "2026-11-22 07:15:40.76-05",
        ] {
            let time = Timestamp::parse(text).unwrap();
            assert_eq!(time.as_str(), "2026-11-22T12:15:40.760000Z", "{text}");
            assert_eq!(
                Timestamp::from_micros(time.micros().unwrap()).unwrap(),
                time
            );
        }
        assert_eq!(
            Timestamp::parse("2026-11-22T12:15:40+00:00")
                .unwrap()
                .as_str(),
            "2026-11-22T12:15:40.000000Z"
        );
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "infinity",
            "2026-11-22",
            "2026-11-22T12:15:40",
            "2026-11-22T12:15:40.+00",
            "12026-11-22T12:15:40+00",
            "2026-11-22t12:15:40+00",
            "2026-11-22T12:15:40é+00",
            "2026-13-22T12:15:40+01",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
        assert_eq!(Timestamp::from_micros(i64::MAX), None);
        assert_eq!(Timestamp::from_micros(i64::MIN), None);
        assert_eq!(Timestamp::from_micros(-62_135_596_800_000_001), None);
    }
}
