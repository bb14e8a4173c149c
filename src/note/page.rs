//! Which notes a list shows: page size, place and state.
//!
//! Promise: keyset pages in `created_at desc, id desc`, so that page 1000 costs what page 1 costs
//! and a note written meanwhile moves nothing. It refuses every parameter it does not know, known
//! ones twice, and a cursor that names no place.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::{Facts, NoteId, Timestamp, row};
use crate::problem::{At, FieldError, Problem};
use crate::query::Parameters;

const LIMIT_MAX: usize = 100;
const LIMIT_DEFAULT: usize = 20;
const WORDS_MAX: usize = 200;

/// What `GET /v1/notes` was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListQuery {
    /// 1 to 100.
    pub(crate) limit: usize,
    /// Where the page begins: after this note.
    pub(crate) after: Option<Place>,
    /// Live notes or deleted ones.
    pub(crate) state: State,
    /// Only notes with these words: 1 to 200 characters, in the syntax of Postgres's
    /// `websearch_to_tsquery`, in which nothing is an error.
    pub(crate) words: Option<String>,
}

/// The two lists. A note is in exactly one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// Notes that were not deleted.
    Active,
    /// Deleted notes, which only this list shows.
    Deleted,
}

/// A place in the order of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) created_at: Timestamp,
    pub(crate) id: NoteId,
}

impl ListQuery {
    /// Parses the query string as received.
    pub(crate) fn parse(query: &str) -> Result<Self, Problem> {
        let mut parameters = Parameters::parse(query);
        let limit = parameters.take("limit").map(|text| parse_limit(&text));
        let after = parameters.take("cursor").map(|text| Place::decode(&text));
        let state = parameters.take("state").map(|text| match text.as_str() {
            "active" => Some(State::Active),
            "deleted" => Some(State::Deleted),
            _ => None,
        });
        let words = parameters.take("q").map(parse_words);
        let mut errors = parameters.finish();
        let mut refuse = |parameter: &str, message| {
            errors.push(FieldError {
                at: At::Parameter(parameter.to_owned()),
                code: "value",
                message,
            });
        };
        if limit == Some(None) {
            refuse("limit", "must be a whole number from 1 to 100");
        }
        if after == Some(None) {
            refuse(
                "cursor",
                "must be a next_cursor of an earlier page, unchanged",
            );
        }
        if state == Some(None) {
            refuse("state", "must be active or deleted");
        }
        if words == Some(None) {
            refuse("q", "must have 1 to 200 characters and no U+0000");
        }
        if errors.is_empty() {
            Ok(Self {
                limit: limit.flatten().unwrap_or(LIMIT_DEFAULT),
                after: after.flatten(),
                state: state.flatten().unwrap_or(State::Active),
                words: words.flatten(),
            })
        } else {
            Err(Problem::validation(errors))
        }
    }

    /// The page as it goes over the wire, from the rows that the database answered. `None` if they are
    /// no rows, or the last one has no usable place.
    pub(crate) fn page(&self, rows: &[u8]) -> Option<Vec<u8>> {
        let mut page = br#"{"data":["#.to_vec();
        let copied = row::copy(rows, self.limit, &mut page)?;
        page.extend_from_slice(br#"],"next_cursor":"#);
        match copied.last {
            Some(last) if copied.more => {
                page.push(b'"');
                page.extend_from_slice(Place::encode(&last)?.as_bytes());
                page.push(b'"');
            }
            _ => page.extend_from_slice(b"null"),
        }
        page.push(b'}');
        Some(page)
    }
}

fn parse_words(text: String) -> Option<String> {
    let good = (1..=WORDS_MAX).contains(&text.chars().count()) && !text.contains('\0');
    good.then_some(text)
}

fn parse_limit(text: &str) -> Option<usize> {
    let canonical = (1..=3).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_digit())
        && !text.starts_with('0');
    text.parse()
        .ok()
        .filter(|limit| canonical && (1..=LIMIT_MAX).contains(limit))
}

impl Place {
    /// Opaque to clients: the key of the last note shown, 24 bytes in base64url.
    fn encode(note: &Facts) -> Option<String> {
        let mut bytes = [0_u8; 24];
        let (time, id) = bytes.split_at_mut(8);
        time.copy_from_slice(&note.created_at.micros()?.to_be_bytes());
        id.copy_from_slice(note.id.0.as_bytes());
        Some(URL_SAFE_NO_PAD.encode(bytes))
    }

    fn decode(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (time, id) = bytes.split_first_chunk::<8>()?;
        Some(Self {
            created_at: Timestamp::from_micros(i64::from_be_bytes(*time))?,
            id: NoteId(Uuid::from_slice(id).ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(created_at: &str) -> String {
        format!(
            r#"{{"id":"7efe3d84-2d6a-4174-899e-8ffddea7a39a","title":"t","body":"","version":1,"created_at":"{created_at}","updated_at":"{created_at}","deleted_at":null}}"#
        )
    }

    fn page(query: &ListQuery, times: &[&str]) -> serde_json::Value {
        let rows: Vec<String> = times.iter().map(|time| row(time)).collect();
        let page = query.page(format!("[{}]", rows.join(",")).as_bytes());
        serde_json::from_slice(&page.unwrap()).unwrap()
    }

    fn refused(query: &str) -> bool {
        ListQuery::parse(query).is_err()
    }

    #[test]
    fn without_parameters_it_is_the_first_twenty_live_notes() {
        let query = ListQuery {
            limit: 20,
            after: None,
            state: State::Active,
            words: None,
        };
        assert_eq!(ListQuery::parse(""), Ok(query));
    }

    #[test]
    fn limits_from_1_to_100_are_taken_and_nothing_else() {
        assert_eq!(ListQuery::parse("limit=1").unwrap().limit, 1);
        assert_eq!(ListQuery::parse("limit=%31%300").unwrap().limit, 100);
        for bad in [
            "0",
            "101",
            "-1",
            "1.0",
            "1e1",
            "+5",
            "020",
            "",
            "%20",
            "999999999999999999999",
            "a",
        ] {
            assert!(refused(&format!("limit={bad}")), "{bad}");
        }
        assert!(refused("limit"));
    }

    #[test]
    fn words_are_1_to_200_characters() {
        let words = |query: &str| ListQuery::parse(query).unwrap().words;
        assert_eq!(
            words("q=caf%C3%A9+%22a%20b%22").unwrap(),
            "caf\u{e9} \"a b\""
        );
        let most = format!("q={}", "%E2%98%95".repeat(200));
        assert_eq!(words(&most).unwrap().chars().count(), 200);
        for bad in ["q=", "q", "q=%00", "q=a%00", &format!("{most}a")] {
            assert!(refused(bad), "{bad}");
        }
    }

    #[test]
    fn unknown_and_repeated_parameters_are_refused() {
        for query in [
            "q=a&q=b",
            "Limit=1",
            "limit=1&limit=1",
            "state=active&state=active",
            "limit[]=1",
            "=1",
        ] {
            assert!(refused(query), "{query}");
        }
    }

    #[test]
    fn a_cursor_leads_back_to_its_place() {
        let query = ListQuery::parse("limit=1").unwrap();
        let first = "2026-11-22T12:15:40.000001+00:00";
        let second = "2026-11-22T12:15:40+00:00";
        let both = page(&query, &[first, second]);
        assert_eq!(both["data"].as_array().unwrap().len(), 1);
        let cursor = both["next_cursor"].as_str().unwrap();
        let place = ListQuery::parse(&format!("cursor={cursor}"))
            .unwrap()
            .after
            .unwrap();
        assert_eq!(place.created_at.as_str(), "2026-11-22T12:15:40.000001Z");
        assert_eq!(place.id.to_string(), both["data"][0]["id"]);

        assert!(page(&query, &[second])["next_cursor"].is_null());
        assert_eq!(
            query.page(b"[]").unwrap(),
            br#"{"data":[],"next_cursor":null}"#
        );
    }

    #[test]
    fn a_place_that_is_in_no_calendar_leads_nowhere() {
        let query = ListQuery::parse("limit=1").unwrap();
        let rows = format!(
            "[{},{}]",
            row("2026-02-30T00:00:00Z"),
            row("2026-02-28T00:00:00Z")
        );
        assert_eq!(query.page(rows.as_bytes()), None);
        assert_eq!(query.page(b"{}"), None);
    }

    #[test]
    fn a_cursor_that_names_no_place_is_refused() {
        let page = page(
            &ListQuery::parse("limit=1").unwrap(),
            &["2026-11-22T12:15:40+00:00", "2026-11-22T12:15:39+00:00"],
        );
        let good = page["next_cursor"].as_str().unwrap().to_owned();
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
