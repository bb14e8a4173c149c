//! Dates and times in request bodies.

use chrono::{DateTime, Datelike, NaiveDate, SecondsFormat};

/// Whether this is `YYYY-MM-DD`, a day of the years 1 to 9999.
pub(crate) fn is_date(text: &str) -> bool {
    let number = |from, to| text.get(from..to)?.parse().ok();
    let day = || {
        let year = number(0, 4)?;
        let (month, day) = (number(5, 7)?, number(8, 10)?);
        NaiveDate::from_ymd_opt(year, u32::try_from(month).ok()?, u32::try_from(day).ok()?)
    };
    pattern(text) == b"0000-00-00" && day().is_some_and(|day| day.year() >= 1)
}

/// A time of day, `HH:MM:SS` with at most six fraction digits, without zeros at the end of these: so
/// PostgreSQL prints it. There is no leap second.
pub(crate) fn time_of_day(text: &str) -> Option<String> {
    // A valid date is put before it, so that `utc` can check it.
    let time = utc(&format!("2000-01-01T{text}Z"))?;
    let time = time.get(11..26)?.trim_end_matches('0');
    Some(time.trim_end_matches('.').to_owned())
}

/// An RFC 3339 time as `YYYY-MM-DDTHH:MM:SS.ffffffZ` in UTC. `None` for lower-case letters, leap
/// seconds, more than six fraction digits and years outside 1 to 9999.
pub(crate) fn utc(text: &str) -> Option<String> {
    let pattern = pattern(text);
    let rest = pattern.strip_prefix(b"0000-00-00T00:00:00")?;
    let rest = match rest.strip_prefix(b".") {
        None => rest,
        Some(fraction) => {
            let digits = fraction.iter().take_while(|byte| **byte == b'0').count();
            let (_, rest) = fraction.split_at_checked(digits)?;
            (1..=6).contains(&digits).then_some(rest)?
        }
    };
    // `chrono` also reads lower-case letters and second 60.
    let offset = matches!(rest, b"Z" | b"+00:00" | b"-00:00");
    if !offset || text.get(17..18) == Some("6") {
        return None;
    }
    let time = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
    (1..=9999).contains(&time.year()).then(|| time.to_rfc3339_opts(SecondsFormat::Micros, true))
}

/// The text with a `0` for each digit.
fn pattern(text: &str) -> Vec<u8> {
    let zero = |byte: u8| if byte.is_ascii_digit() { b'0' } else { byte };
    text.bytes().map(zero).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_is_a_day_that_exists() {
        for good in ["2026-11-29", "2024-02-29", "0001-01-01", "9999-12-31"] {
            assert!(is_date(good), "{good}");
        }
        for bad in [
            "",
            "2026-02-29",
            "1900-02-29",
            "2026-04-31",
            "2026-13-01",
            "2026-00-10",
            "2026-01-00",
            "0000-01-01",
            "10000-01-01",
            "2026-1-1",
            "+026-01-01",
            "2026-01-+1",
            "2026/01/01",
            " 2026-01-01",
            "2026-01-01 ",
            "2026-01-01T00:00:00Z",
            "٢٠٢٦-01-01",
        ] {
            assert!(!is_date(bad), "{bad}");
        }
    }

    #[test]
    fn time_of_day_has_no_zeros_at_the_end_of_its_fraction() {
        for (text, wire) in [
            ("00:00:00", "00:00:00"),
            ("10:00:00.0", "10:00:00"),
            ("10:20:30.500", "10:20:30.5"),
            ("23:59:59.999999", "23:59:59.999999"),
        ] {
            assert_eq!(time_of_day(text).as_deref(), Some(wire), "{text}");
        }
        for bad in [
            "",
            "24:00:00",
            "10:60:00",
            "10:00:60",
            "23:59:60",
            "10:00",
            "1:00:00",
            "10:00:00.",
            "10:00:00.1234567",
            "10:00:00Z",
            "10:00:00+00:00",
            " 10:00:00",
            "10:00:00 ",
            "10:00:0٠",
        ] {
            assert_eq!(time_of_day(bad), None, "{bad}");
        }
    }

    #[test]
    fn time_is_answered_in_utc_with_six_digits() {
        for (text, wire) in [
            ("2026-11-22T12:15:40Z", "2026-11-22T12:15:40.000000Z"),
            ("2026-11-22T12:15:40.7Z", "2026-11-22T12:15:40.700000Z"),
            ("2026-11-22T12:15:40.123456Z", "2026-11-22T12:15:40.123456Z"),
            ("2026-11-22T13:45:40.76+01:30", "2026-11-22T12:15:40.760000Z"),
            ("2026-11-22T12:15:40-00:00", "2026-11-22T12:15:40.000000Z"),
            ("2026-11-22T23:59:59-23:59", "2026-11-23T23:58:59.000000Z"),
            ("2024-02-29T00:00:00+23:59", "2024-02-28T00:01:00.000000Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
            ("0000-12-31T23:30:00-01:00", "0001-01-01T00:30:00.000000Z"),
            ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(utc(text).as_deref(), Some(wire), "{text}");
        }
    }

    #[test]
    fn any_other_form_of_a_time_is_refused() {
        for bad in [
            "",
            "infinity",
            "2026-11-22",
            "2026-11-22T12:15:40",
            "2026-11-22T12:15Z",
            "2026-11-22 12:15:40Z",
            "2026-11-22t12:15:40Z",
            "2026-11-22T12:15:40z",
            "2026-11-22T12:15:40.Z",
            "2026-11-22T12:15:40,5Z",
            "2026-11-22T12:15:40.1234567Z",
            "2026-11-22T12:15:60Z",
            "2026-11-22T23:59:60Z",
            "2026-11-22T12:15:61Z",
            "2026-11-22T12:60:00Z",
            "2026-11-22T24:00:00Z",
            "2026-02-29T12:15:40Z",
            "2026-13-22T12:15:40Z",
            "2026-11-22T12:15:40+24:00",
            "2026-11-22T12:15:40+01:60",
            "2026-11-22T12:15:40+0100",
            "2026-11-22T12:15:40+01",
            "2026-11-22T12:15:40Z ",
            " 2026-11-22T12:15:40Z",
            "12026-11-22T12:15:40Z",
            "0000-12-31T23:59:59Z",
            "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "2026-11-22T12:15:40\u{2212}01:00",
            "2026-11-22T12:15:4٠Z",
        ] {
            assert_eq!(utc(bad), None, "{bad}");
        }
    }
}
