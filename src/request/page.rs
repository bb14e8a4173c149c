//! Pages of a list: `limit` and `cursor`, and for resources `state` and `q`.
//!
//! Keyset pages in `created_at desc, id desc`: page 1000 costs what page 1 costs, and a row that is
//! written meanwhile moves no other row.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Datelike, SecondsFormat};
use serde::Serialize;
use uuid::Uuid;

use super::query::Parameters;
use crate::error::Problem;

const LIMIT_MAX: u8 = 100;
const LIMIT_DEFAULT: u8 = 20;

/// Longest `q`, in Unicode scalar values.
const WORDS_MAX: usize = 200;

/// Which page of a list is wanted. It serialises as the arguments of a page function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct PageQuery {
    /// 1 to 100.
    page_size: u8,
    /// The row after which the page begins.
    #[serde(flatten)]
    after: Cursor,
}

/// A place in the order of a list. Both parts are absent for the first page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
struct Cursor {
    after_at: Option<String>,
    after_id: Option<Uuid>,
}

/// Which page of a resource is wanted. It serialises as arguments of `airlock_list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ListQuery {
    #[serde(flatten)]
    page: PageQuery,
    state: &'static str,
    /// 1 to 200 characters in the syntax of `websearch_to_tsquery`, in which nothing is an error.
    words: Option<String>,
}

impl PageQuery {
    /// Parses the query string of a list that has no other parameters.
    pub(crate) fn parse(query: &str) -> Result<Self, Problem> {
        let mut parameters = Parameters::parse(query);
        let page = Self::take(&mut parameters);
        parameters.finish()?;
        Ok(page)
    }

    fn take(parameters: &mut Parameters) -> Self {
        let message = "must be a whole number from 1 to 100";
        let page_size = parameters.take_as("limit", message, |text| parse_limit(&text));
        let message = "must be a next_cursor of an earlier page, unchanged";
        let after = parameters.take_as("cursor", message, |text| Cursor::decode(&text));
        Self { page_size: page_size.unwrap_or(LIMIT_DEFAULT), after: after.unwrap_or_default() }
    }
}

impl ListQuery {
    /// Parses the query string of a resource's list. `searchable` and `publishable` say whether the
    /// declaration has `search` and `publish`.
    pub(crate) fn parse(query: &str, searchable: bool, publishable: bool) -> Result<Self, Problem> {
        let mut parameters = Parameters::parse(query);
        let page = PageQuery::take(&mut parameters);
        let message = if publishable { "must be active, deleted or published" } else { "must be active or deleted" };
        let state = parameters.take_as("state", message, |text| match text.as_str() {
            "active" => Some("active"),
            "deleted" => Some("deleted"),
            "published" if publishable => Some("published"),
            _ => None,
        });
        let words = if searchable {
            let message = "must have 1 to 200 characters of UTF-8, without U+0000 and U+FFFD";
            parameters.take_as("q", message, parse_words)
        } else {
            None
        };
        parameters.finish()?;
        Ok(Self { page, state: state.unwrap_or("active"), words })
    }
}

fn parse_limit(text: &str) -> Option<u8> {
    let canonical = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    let limit = text.parse().ok()?;
    (canonical && (1..=LIMIT_MAX).contains(&limit)).then_some(limit)
}

fn parse_words(text: String) -> Option<String> {
    // U+FFFD stands for bytes that were not UTF-8.
    let good = (1..=WORDS_MAX).contains(&text.chars().count()) && !text.contains(['\0', '\u{FFFD}']);
    good.then_some(text)
}

impl Cursor {
    /// Opaque to clients: microseconds since the Unix epoch and the row's id, 24 bytes in base64url, as
    /// `airlock.cursor()` writes them. `None` outside the years 1 to 9999.
    fn decode(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (micros, id) = bytes.split_first_chunk::<8>()?;
        let at = DateTime::from_timestamp_micros(i64::from_be_bytes(*micros))?;
        (1..=9999).contains(&at.year()).then_some(())?;
        Some(Self {
            after_at: Some(at.to_rfc3339_opts(SecondsFormat::Micros, true)),
            after_id: Some(Uuid::from_slice(id).ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(query: &str) -> bool {
        ListQuery::parse(query, true, true).is_err()
    }

    fn arguments(query: &str) -> serde_json::Value {
        serde_json::to_value(ListQuery::parse(query, true, true).unwrap()).unwrap()
    }

    #[test]
    fn first_page_has_twenty_active_rows() {
        assert_eq!(
            arguments(""),
            serde_json::json!({
                "page_size": 20, "after_at": null, "after_id": null, "state": "active", "words": null
            })
        );
    }

    #[test]
    fn limit_is_a_canonical_number_from_1_to_100() {
        assert_eq!(arguments("limit=1")["page_size"], 1);
        assert_eq!(arguments("limit=%31%300")["page_size"], 100);
        for bad in ["0", "101", "-1", "1.0", "1e1", "+5", "020", "", "%20", "999999999999999999999", "a"] {
            assert!(refused(&format!("limit={bad}")), "{bad}");
        }
        assert!(refused("limit"));
    }

    #[test]
    fn unknown_and_repeated_parameters_are_refused() {
        for query in
            ["Limit=1", "limit=1&limit=1", "limit[]=1", "=1", "state=x", "q=", "q=%00", "q=%ED%A0%BD", "q=a%FF"]
        {
            assert!(refused(query), "{query}");
        }
        assert!(refused(&format!("q={}", "a".repeat(201))));
        assert!(ListQuery::parse("q=a", false, true).is_err());
        assert!(ListQuery::parse("state=published", true, false).is_err());
        assert!(PageQuery::parse("state=active").is_err());
    }

    #[test]
    fn state_and_words_are_passed_on() {
        let list = arguments("state=deleted&q=a+b%26");
        assert_eq!(list["state"], "deleted");
        assert_eq!(list["words"], "a b&");
    }

    #[test]
    fn cursor_is_decoded_into_time_and_id() {
        let mut bytes = 1_795_348_800_000_001_i64.to_be_bytes().to_vec();
        bytes.extend(Uuid::from_u128(7).as_bytes());
        let list = arguments(&format!("cursor={}", URL_SAFE_NO_PAD.encode(&bytes)));
        assert_eq!(list["after_at"], "2026-11-22T12:00:00.000001Z");
        assert_eq!(list["after_id"], Uuid::from_u128(7).to_string());
        let first = [&(-62_135_596_800_000_000_i64).to_be_bytes()[..], &[0; 16]].concat();
        let list = arguments(&format!("cursor={}", URL_SAFE_NO_PAD.encode(first)));
        assert_eq!(list["after_at"], "0001-01-01T00:00:00.000000Z");
    }

    #[test]
    fn cursor_of_another_form_is_refused() {
        let good = URL_SAFE_NO_PAD.encode([0_u8; 24]);
        assert!(!refused(&format!("cursor={good}")));
        for bad in [
            String::new(),
            "x".to_owned(),
            format!("{good}A"),
            format!("{good}="),
            good.replacen(|_: char| true, "!", 1),
            URL_SAFE_NO_PAD.encode([0x7f_u8; 24]),
            URL_SAFE_NO_PAD.encode([0_u8; 23]),
            URL_SAFE_NO_PAD.encode([0_u8; 25]),
        ] {
            assert!(refused(&format!("cursor={bad}")), "{bad}");
        }
    }
}
