//! Pages of a list: how many, from where, and where the next one begins.
//!
//! Promise: keyset pages in `created_at desc, id desc`, so that page 1000 costs what page 1 costs and a row
//! that is written meanwhile moves nothing. It refuses a limit out of range and a cursor that names no place.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use uuid::Uuid;

use super::Timestamp;
use crate::problem::{FieldError, Problem};
use crate::query::Parameters;

const LIMIT_MAX: usize = 100;
const LIMIT_DEFAULT: usize = 20;

/// Which page of a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageQuery {
    /// 1 to 100.
    pub(crate) limit: usize,
    /// Where the page begins: after this row.
    pub(crate) after: Option<Place>,
}

/// A place in the order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) created_at: Timestamp,
    pub(crate) id: Uuid,
}

/// A page as it goes over the wire.
#[derive(Debug, Serialize)]
pub(crate) struct Page<T> {
    data: Vec<T>,
    next_cursor: Option<String>,
}

/// What a list can be paged by.
pub(crate) trait Listed {
    /// Where it stands in its list.
    fn place(&self) -> Place;
}

impl PageQuery {
    /// Parses the query string of a list that has no other parameters.
    pub(crate) fn parse(query: &str) -> Result<Self, Problem> {
        let mut parameters = Parameters::parse(query);
        let taken = Self::take(&mut parameters);
        let mut errors = parameters.finish();
        match taken.or_refuse(&mut errors) {
            Some(page) if errors.is_empty() => Ok(page),
            _ => Err(Problem::validation(errors)),
        }
    }

    /// Takes the parameters of a page, not yet judged.
    pub(crate) fn take(parameters: &mut Parameters) -> Taken {
        Taken {
            limit: parameters.take("limit").map(|text| parse_limit(&text)),
            after: parameters.take("cursor").map(|text| Place::decode(&text)),
        }
    }

    /// Up to `limit` rows; one more than that tells that there is a next page. `None` if the last one has no
    /// usable place.
    pub(crate) fn page<T: Listed>(&self, mut rows: Vec<T>) -> Option<Page<T>> {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let next_cursor = match rows.last() {
            Some(last) if more => Some(last.place().encode()?),
            _ => None,
        };
        Some(Page {
            data: rows,
            next_cursor,
        })
    }
}

/// Parameters of a page, parsed: `Some(None)` is a flaw.
pub(crate) struct Taken {
    limit: Option<Option<usize>>,
    after: Option<Option<Place>>,
}

impl Taken {
    /// The page that is wanted, or a flaw more.
    pub(crate) fn or_refuse(self, errors: &mut Vec<FieldError>) -> Option<PageQuery> {
        if self.limit == Some(None) {
            errors.push(FieldError::parameter(
                "limit",
                "must be a whole number from 1 to 100",
            ));
        }
        if self.after == Some(None) {
            errors.push(FieldError::parameter(
                "cursor",
                "must be a next_cursor of an earlier page, unchanged",
            ));
        }
        Some(PageQuery {
            limit: self.limit.unwrap_or(Some(LIMIT_DEFAULT))?,
            after: match self.after {
                None => None,
                Some(after) => Some(after?),
            },
        })
    }
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
    /// Opaque to clients: 24 bytes in base64url. `None` for a time that is in no calendar.
    pub(crate) fn encode(&self) -> Option<String> {
        let mut bytes = [0_u8; 24];
        let (time, id) = bytes.split_at_mut(8);
        time.copy_from_slice(&self.created_at.micros()?.to_be_bytes());
        id.copy_from_slice(self.id.as_bytes());
        Some(URL_SAFE_NO_PAD.encode(bytes))
    }

    fn decode(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (time, id) = bytes.split_first_chunk::<8>()?;
        Some(Self {
            created_at: Timestamp::from_micros(i64::from_be_bytes(*time))?,
            id: Uuid::from_slice(id).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(query: &str) -> bool {
        PageQuery::parse(query).is_err()
    }

    #[test]
    fn without_parameters_it_is_the_first_twenty() {
        let first = PageQuery {
            limit: 20,
            after: None,
        };
        assert_eq!(PageQuery::parse(""), Ok(first));
    }

    #[test]
    fn limits_from_1_to_100_are_taken_and_nothing_else() {
        assert_eq!(PageQuery::parse("limit=1").unwrap().limit, 1);
        assert_eq!(PageQuery::parse("limit=%31%300").unwrap().limit, 100);
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
    fn unknown_and_repeated_parameters_are_refused() {
        for query in ["q=a", "Limit=1", "limit=1&limit=1", "limit[]=1", "=1"] {
            assert!(refused(query), "{query}");
        }
    }

    #[test]
    fn a_cursor_leads_back_to_its_place() {
        #[derive(Debug, Clone, Copy, PartialEq)]
        struct At(i64);
        impl Listed for At {
            fn place(&self) -> Place {
                Place {
                    created_at: Timestamp::from_micros(self.0).unwrap(),
                    id: Uuid::from_u128(7),
                }
            }
        }

        let query = PageQuery::parse("limit=1").unwrap();
        let page = query.page(vec![At(2), At(1)]).unwrap();
        assert_eq!(page.data, [At(2)]);
        let next = format!("cursor={}", page.next_cursor.unwrap());
        assert_eq!(PageQuery::parse(&next).unwrap().after, Some(At(2).place()));
        assert_eq!(query.page(vec![At(2)]).unwrap().next_cursor, None);
        assert_eq!(query.page(Vec::<At>::new()).unwrap().next_cursor, None);
    }

    #[test]
    fn a_cursor_that_names_no_place_is_refused() {
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
