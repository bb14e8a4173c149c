//! Times on the wire: RFC 3339, UTC, `Z`, six fraction digits. Always.
//!
//! Promise: one spelling for one instant, so that clients may compare texts. It refuses what is no
//! time; `infinity` and years beyond four digits are none here.

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Timelike};
use serde::{Deserialize, Serialize, Serializer};

/// How many characters a time has on the wire.
const LENGTH: usize = 27;

/// An instant in its wire form, `2026-11-22T12:15:40.760000Z`.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "&str")]
pub(crate) struct Timestamp([u8; LENGTH]);

impl Timestamp {
    /// From what PostgREST (`2026-11-22T12:15:40.76+00:00`) or the embedded Supabase
    /// (`2026-11-22 12:15:40.76+00`) prints.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (local, offset) = Self::split(text.as_bytes())?;
        match offset {
            // The usual case, without calendar arithmetic: twenty rows have up to sixty times.
            b"+00:00" | b"+00" | b"Z" => local.is_on_the_clock().then_some(local),
            // A database whose `timezone` is not UTC prints local time and an offset.
            _ => {
                let offset = TimeDelta::seconds(seconds_of(offset)?);
                Self::from_micros(local.micros()?.checked_sub(offset.num_microseconds()?)?)
            }
        }
    }

    /// From a text that begins with a time in UTC and goes on with `end`; and what is left of it.
    pub(crate) fn read_utc<'a>(text: &'a [u8], end: &str) -> Option<(Self, &'a [u8])> {
        let (time, rest) = Self::split(text)?;
        let rest = rest.strip_prefix(end.as_bytes())?;
        time.is_on_the_clock().then_some((time, rest))
    }

    /// The time as it is spelled, and what follows it.
    fn split(text: &[u8]) -> Option<(Self, &[u8])> {
        let (seconds, rest) = text.split_first_chunk::<19>()?;
        if !is_spelled(seconds) {
            return None;
        }
        let mut wire = *b"0000-00-00T00:00:00.000000Z";
        wire.get_mut(..10)?.copy_from_slice(seconds.get(..10)?);
        wire.get_mut(11..19)?.copy_from_slice(seconds.get(11..)?);
        let Some(fraction) = rest.strip_prefix(b".") else {
            return Some((Self(wire), rest));
        };
        let digits = fraction
            .iter()
            .take(7)
            .take_while(|b| b.is_ascii_digit())
            .count();
        if !(1..=6).contains(&digits) {
            return None;
        }
        let (fraction, rest) = fraction.split_at_checked(digits)?;
        wire.get_mut(20..)?
            .get_mut(..digits)?
            .copy_from_slice(fraction);
        Some((Self(wire), rest))
    }

    /// Whether every part is within its range. (Which days a month has is for who reckons with them.)
    fn is_on_the_clock(&self) -> bool {
        let within = |start: usize, low: &[u8; 2], high: &[u8; 2]| {
            self.0
                .get(start..)
                .and_then(<[u8]>::first_chunk::<2>)
                .is_some_and(|digits| (low..=high).contains(&digits))
        };
        !self.0.starts_with(b"0000")
            && within(5, b"01", b"12")
            && within(8, b"01", b"31")
            && within(11, b"00", b"23")
            && within(14, b"00", b"59")
            && within(17, b"00", b"59")
    }

    /// From microseconds since the Unix epoch; `None` outside the years 1 to 9999.
    pub(crate) fn from_micros(micros: i64) -> Option<Self> {
        let at = DateTime::from_timestamp_micros(micros)?;
        let year = u32::try_from(at.year())
            .ok()
            .filter(|year| (1..=9999).contains(year))?;
        let mut wire = *b"0000-00-00T00:00:00.000000Z";
        for (start, width, value) in [
            (0, 4, year),
            (5, 2, at.month()),
            (8, 2, at.day()),
            (11, 2, at.hour()),
            (14, 2, at.minute()),
            (17, 2, at.second()),
            (20, 6, at.nanosecond() / 1000),
        ] {
            let mut value = value;
            for digit in wire.iter_mut().skip(start).take(width).rev() {
                *digit = b'0'.wrapping_add(u8::try_from(value % 10).ok()?);
                value /= 10;
            }
        }
        Some(Self(wire))
    }

    /// Microseconds since the Unix epoch; `None` for a day that the calendar does not have.
    pub(crate) fn micros(&self) -> Option<i64> {
        let number = |start: usize, width: usize| -> u32 {
            let digits = self.0.iter().skip(start).take(width);
            digits.fold(0, |number: u32, digit| {
                number
                    .wrapping_mul(10)
                    .wrapping_add(u32::from(digit.wrapping_sub(b'0')))
            })
        };
        let date = NaiveDate::from_ymd_opt(
            i32::try_from(number(0, 4)).ok()?,
            number(5, 2),
            number(8, 2),
        )?;
        let time =
            date.and_hms_micro_opt(number(11, 2), number(14, 2), number(17, 2), number(20, 6))?;
        Some(time.and_utc().timestamp_micros())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn as_str(&self) -> &str {
        // It is ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl std::fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl TryFrom<&str> for Timestamp {
    type Error = &'static str;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        Self::parse(text).ok_or("not a time")
    }
}

/// Postgres's offsets: a sign and hours, perhaps minutes, and seconds in times long past.
fn seconds_of(offset: &[u8]) -> Option<i64> {
    let (sign, rest) = offset.split_first()?;
    let sign = match sign {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let parts: Vec<&str> = std::str::from_utf8(rest).ok()?.split(':').collect();
    let number = |place: usize| match parts.get(place) {
        None => Some(0),
        Some(text) if text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit()) => {
            text.parse::<i64>().ok().filter(|number| *number < 60)
        }
        Some(_) => None,
    };
    let seconds = number(0)?
        .wrapping_mul(3600)
        .wrapping_add(number(1)?.wrapping_mul(60))
        .wrapping_add(number(2)?);
    (parts.len() <= 3).then(|| seconds.wrapping_mul(sign))
}

/// Whether these are a date and a time as they are spelled, whatever their digits. Without a branch
/// between the bytes, so that the compiler looks at many at once.
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
fn is_spelled(text: &[u8; 19]) -> bool {
    /// The least and the greatest byte at each place; at the eleventh, any.
    const LEAST: &[u8; 19] = b"0000-00-00\x0000:00:00";
    const GREATEST: &[u8; 19] = b"9999-99-99\xff99:99:99";
    let bounds = LEAST.iter().zip(GREATEST);
    let within = text.iter().zip(bounds);
    within.fold(true, |good, (byte, (least, greatest))| {
        good & (byte >= least) & (byte <= greatest)
    }) && matches!(text[10], b'T' | b' ')
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
            "2026-11-22 04:22:42.76-07:52:58",
        ] {
            let time = Timestamp::parse(text).unwrap();
            assert_eq!(format!("{time:?}"), time.as_str());
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
    fn each_byte_of_a_time_has_its_form() {
        let good = b"2026-11-22T12:15:40";
        for at in 0..good.len() {
            for byte in 0..=u8::MAX {
                let mut bytes = *good;
                bytes[at] = byte;
                let fits = match good[at] {
                    b'0'..=b'9' => byte.is_ascii_digit(),
                    b'T' => byte == b'T' || byte == b' ',
                    separator => byte == separator,
                };
                assert_eq!(is_spelled(&bytes), fits, "{byte} at {at}");
            }
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "infinity",
            "2026-11-22",
            "2026-11-22T12:15:40",
            "2026-11-22T12:15:40.+00",
            "2026-11-22T12:15:40.1234567+00",
            "12026-11-22T12:15:40+00",
            "2026-11-22t12:15:40+00",
            "2026-11-22T12:15:40é+00",
            "2026-11-22T12:15:40+00:00 ",
            "2026-13-22T12:15:40+01",
            "2026-13-22T12:15:40+00",
            "2026-00-22T12:15:40+00",
            "2026-11-32T12:15:40Z",
            "2026-11-22T24:15:40+00:00",
            "2026-11-22T12:60:40+00:00",
            "2026-11-22T12:15:60+00:00",
            "0000-11-22T12:15:40+00:00",
            "2026-11-22T12:15:40+1",
            "2026-11-22T12:15:40+01:60",
            "2026-11-22T12:15:40+01:00:00:00",
            "2026-11-22T12:15:40*01",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
        assert_eq!(Timestamp::from_micros(i64::MAX), None);
        assert_eq!(Timestamp::from_micros(i64::MIN), None);
        assert_eq!(Timestamp::from_micros(-62_135_596_800_000_001), None);
        assert_eq!(
            Timestamp::from_micros(-62_135_596_800_000_000)
                .unwrap()
                .as_str(),
            "0001-01-01T00:00:00.000000Z"
        );
    }
}
