//! Which notes a list shows: page, state and words.
//!
//! Promise: a page of a state, by [`crate::wire::page`]. It refuses every parameter it does not know, known
//! ones twice, and values out of their range.

use super::row;
use crate::problem::{FieldError, Problem};
use crate::query::Parameters;
use crate::wire::page::{PageQuery, Place};

const WORDS_MAX: usize = 200;

/// What a list of notes was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListQuery {
    pub(crate) page: PageQuery,
    /// Which of the lists.
    pub(crate) state: State,
    /// Only notes with these words: 1 to 200 characters, in the syntax of Postgres's
    /// `websearch_to_tsquery`, in which nothing is an error.
    pub(crate) words: Option<String>,
}

/// What may be asked of a note besides its id. A list shows the active, the deleted or the published ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// Was not deleted.
    Active,
    /// Was deleted; no other list shows it.
    Deleted,
    /// Active, and everybody may read it.
    Published,
    /// Active, and not published.
    Unpublished,
}

impl ListQuery {
    /// Parses the query string as received.
    pub(crate) fn parse(query: &str) -> Result<Self, Problem> {
        let mut parameters = Parameters::parse(query);
        let page = PageQuery::take(&mut parameters);
        let state = parameters.take("state").map(|text| match text.as_str() {
            "active" => Some(State::Active),
            "deleted" => Some(State::Deleted),
            "published" => Some(State::Published),
            _ => None,
        });
        let words = parameters.take("q").map(parse_words);
        let mut errors = parameters.finish();
        let page = page.or_refuse(&mut errors);
        if state == Some(None) {
            let message = "must be active, deleted or published";
            errors.push(FieldError::parameter("state", message));
        }
        if words == Some(None) {
            let message = "must have 1 to 200 characters and no U+0000";
            errors.push(FieldError::parameter("q", message));
        }
        match page {
            Some(page) if errors.is_empty() => Ok(Self {
                page,
                state: state.flatten().unwrap_or(State::Active),
                words: words.flatten(),
            }),
            _ => Err(Problem::validation(errors)),
        }
    }

    /// The page as it goes over the wire, from the rows that the database answered. `None` if they are
    /// no rows, or the last one has no usable place.
    pub(crate) fn page(&self, rows: &[u8]) -> Option<Vec<u8>> {
        let mut page = br#"{"data":["#.to_vec();
        let copied = row::copy(rows, self.page.limit, &mut page)?;
        page.extend_from_slice(br#"],"next_cursor":"#);
        match copied.last {
            Some(last) if copied.more => {
                let place = Place {
                    created_at: last.created_at,
                    id: last.id.uuid(),
                };
                page.push(b'"');
                page.extend_from_slice(place.encode()?.as_bytes());
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
            page: PageQuery::parse("").unwrap(),
            state: State::Active,
            words: None,
        };
        assert_eq!(ListQuery::parse(""), Ok(query));
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
            "state=all",
            "cursor=x",
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
            .page
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
}
