//! Statements: what PostgREST is asked, as `postgrest` writes it.
//!
//! Promise: each statement is written once an isolate, with a gap where a request puts a value of its
//! own, and every one but that for anybody has a gap for the user's token. What fits into a gap can't end it:
//! base64url, a UUID, a number, or a text that is percent-encoded.
//!
//! (To write a statement anew takes a seventh of the time of a whole request.)

use std::fmt::Write as _;

use postgrest::{Builder, Postgrest};
use url::form_urlencoded::byte_serialize;
use uuid::Uuid;

use super::shape::Shape;
use crate::problem::Problem;
use crate::wire::page::Place;
use crate::wire::{Timestamp, Version};

/// What goes into the gaps.
#[derive(Default)]
pub(super) struct Values<'a> {
    pub(super) token: &'a str,
    pub(super) user: Uuid,
    pub(super) org: Option<Uuid>,
    /// Of the one row, or of the row before a page.
    pub(super) id: Option<Uuid>,
    pub(super) version: Option<Version>,
    pub(super) time: Option<Timestamp>,
    pub(super) words: Option<&'a str>,
    /// The last row that is wanted, counted from 0.
    pub(super) last: usize,
}

impl Values<'_> {
    /// Those of a page: after a place, if it is not the first one.
    pub(super) fn of_page(self, after: Option<Place>, limit: usize) -> Self {
        Self {
            time: after.map(|place| place.created_at),
            id: after.map(|place| place.id),
            // One more than the page holds tells whether there is a next page.
            last: limit,
            ..self
        }
    }
}

/// Where a value goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gap {
    Token,
    User,
    Org,
    Id,
    Version,
    Time,
    Words,
    Last,
}

impl Gap {
    const ALL: [Self; 8] = [
        Self::Token,
        Self::User,
        Self::Org,
        Self::Id,
        Self::Version,
        Self::Time,
        Self::Words,
        Self::Last,
    ];

    /// What stands there while the statement is written: nothing that would be encoded.
    pub(super) const fn mark(self) -> &'static str {
        match self {
            Self::Token => "GAP-TOKEN",
            Self::User => "GAP-USER",
            Self::Org => "GAP-ORG",
            Self::Id => "GAP-ID",
            Self::Version => "GAP-VERSION",
            Self::Time => "GAP-TIME",
            Self::Words => "GAP-WORDS",
            Self::Last => "4294967294",
        }
    }
}

/// Takes a request out of postgrest's hands: its own client has no deadline and follows redirects, with
/// the token. What comes out is the head of an [`Outbound`](crate::seam::Outbound).
pub(crate) fn head(builder: Builder) -> Result<String, Problem> {
    let failed = |_| Problem::internal("postgrest could not build the request");
    let request = builder.build().build().map_err(failed)?;
    let mut head = format!("{}\n{}\n", request.method(), request.url());
    for (name, value) in request.headers() {
        let value = value
            .to_str()
            .map_err(|_| Problem::internal("a header of the request is no text"))?;
        // A `String` takes all that is written.
        let _ = writeln!(head, "{name}\n{value}");
    }
    Ok(head)
}

/// Method, URL and headers as an [`Outbound`](crate::seam::Outbound) has them, in pieces: each is
/// followed by a gap, but for the last one.
#[derive(Debug)]
pub(super) struct Statement {
    pieces: Vec<(String, Option<Gap>)>,
}

impl Statement {
    /// Writes it with a gap at every mark.
    pub(super) fn write(client: &Postgrest, shape: Shape) -> Result<Self, Problem> {
        let head = head(shape.build(client))?;
        let mut statement = Self { pieces: Vec::new() };
        let mut lines = head.lines();
        let mut next = || lines.next().unwrap_or_default();
        statement.add(next(), &[]);
        // Where a request goes, with the user's token, no value has a say in.
        let url = next();
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        statement.text(place);
        statement.text("?");
        statement.add(query, &Gap::ALL);
        while let Some(name) = lines.next() {
            statement.add(name, &[]);
            // The key is the operator's, whatever it looks like.
            let own = if name == "apikey" { &[][..] } else { &Gap::ALL };
            statement.add(lines.next().unwrap_or_default(), own);
        }
        let mut gaps = statement.pieces.iter().map(|(_, gap)| *gap);
        if gaps.any(|gap| gap == Some(Gap::Token)) == shape.is_for_anybody() {
            Err(Problem::internal(
                "a statement for another than it is meant for",
            ))
        } else {
            Ok(statement)
        }
    }

    /// Adds a line, with a gap wherever it has the mark of one.
    fn add(&mut self, line: &str, gaps: &[Gap]) {
        let mut rest = line;
        let next = |text: &str| {
            let found = gaps
                .iter()
                .filter_map(|gap| Some((text.find(gap.mark())?, *gap)));
            found.min_by_key(|(at, _)| *at)
        };
        while let Some((at, gap)) = next(rest) {
            let (before, from) = rest.split_at_checked(at).unwrap_or_default();
            self.text(before);
            if let Some((_, last)) = self.pieces.last_mut() {
                *last = Some(gap);
            }
            self.pieces.push((String::new(), None));
            rest = from.strip_prefix(gap.mark()).unwrap_or_default();
        }
        self.text(rest);
        self.text("\n");
    }

    fn text(&mut self, text: &str) {
        match self.pieces.last_mut() {
            Some((piece, _)) => piece.push_str(text),
            None => self.pieces.push((text.to_owned(), None)),
        }
    }

    /// The statement with these values.
    pub(super) fn fill(&self, values: &Values<'_>) -> String {
        let mut head = String::with_capacity(1024);
        for (piece, gap) in &self.pieces {
            head.push_str(piece);
            match gap {
                None => {}
                Some(Gap::Token) => head.push_str(values.token),
                Some(Gap::User) => put(&mut head, Some(values.user)),
                Some(Gap::Org) => put(&mut head, values.org),
                Some(Gap::Id) => put(&mut head, values.id),
                Some(Gap::Version) => put(&mut head, values.version),
                Some(Gap::Time) => {
                    let time = values.time.as_ref().map(Timestamp::as_str);
                    head.extend(byte_serialize(time.unwrap_or_default().as_bytes()));
                }
                Some(Gap::Words) => {
                    head.extend(byte_serialize(values.words.unwrap_or_default().as_bytes()));
                }
                Some(Gap::Last) => put(&mut head, Some(values.last)),
            }
        }
        head
    }
}

/// A value that is absent leaves a filter that PostgREST refuses.
fn put(head: &mut String, value: Option<impl std::fmt::Display>) {
    if let Some(value) = value {
        // A `String` takes all that is written.
        let _ = write!(head, "{value}");
    }
}

#[cfg(test)]
mod tests {
    use super::super::shape::{Filter, Whose};
    use super::*;
    use crate::note::page::State;

    const TOKEN: &str = "h.p.s";
    const ID: &str = "7efe3d84-2d6a-4174-899e-8ffddea7a39a";

    const ORG: &str = "0f0e0d0c-2d6a-4174-899e-8ffddea7a39a";
    const USER: &str = "00000000-0000-0000-0000-000000000001";

    fn shapes() -> Vec<Shape> {
        let both = [false, true];
        let states = [
            State::Active,
            State::Deleted,
            State::Published,
            State::Unpublished,
        ];
        let mut shapes = vec![
            Shape::Insert,
            Shape::InsertOnce,
            Shape::Published,
            Shape::Org,
            Shape::CreateOrg,
            Shape::Join,
            Shape::Member,
            Shape::RemoveMember,
            Shape::Invite,
            Shape::Revoke,
        ];
        for flag in both {
            shapes.extend([
                Shape::Orgs { goes_on: flag },
                Shape::UpdateOrg { version: flag },
                Shape::Members { goes_on: flag },
                Shape::UpdateMember { version: flag },
                Shape::Invitations { goes_on: flag },
            ]);
        }
        for whose in [Whose::Own, Whose::Org] {
            for state in states.map(Some).into_iter().chain([None]) {
                for flag in both {
                    let filter = Filter {
                        whose,
                        state,
                        version: flag,
                    };
                    shapes.extend([Shape::Find(filter), Shape::Update(filter)]);
                    let pages = state.into_iter().flat_map(|state| {
                        both.map(|searches| Shape::Page {
                            whose,
                            state,
                            goes_on: flag,
                            searches,
                        })
                    });
                    shapes.extend(pages);
                }
            }
        }
        shapes
    }

    /// A key and a host that look like marks.
    fn filled(shape: Shape) -> String {
        let client = Postgrest::new("https://4294967294.gap-user.example.com/GAP-ID/rest/v1")
            .insert_header("apikey", "GAP-TOKEN-4294967294");
        let values = Values {
            token: TOKEN,
            user: Uuid::from_u128(1),
            org: Uuid::parse_str(ORG).ok(),
            id: Uuid::parse_str(ID).ok(),
            version: Version::try_from(7).ok(),
            time: Timestamp::from_micros(1_795_348_800_000_001),
            words: Some("a&user_id=eq.x\n\u{e9} \"b\""),
            last: 20,
        };
        Statement::write(&client, shape).unwrap().fill(&values)
    }

    #[test]
    fn every_statement_is_the_users_but_one_and_has_no_gap_left() {
        for shape in shapes() {
            let head = filled(shape);
            let tokens = head.matches("authorization\nBearer h.p.s\n").count();
            assert_eq!(tokens, usize::from(shape != Shape::Published), "{head}");
            assert_eq!(
                head.matches("apikey\nGAP-TOKEN-4294967294\n").count(),
                1,
                "{head}"
            );
            let place = "\nhttps://4294967294.gap-user.example.com/GAP-ID/rest/v1/";
            assert_eq!(head.matches(place).count(), 1, "{head}");
            let rest = head.replace("GAP-TOKEN-4294967294", "").replace(place, "");
            assert!(
                !rest.contains("GAP-") && !rest.contains("4294967294"),
                "{head}"
            );
            assert!(
                head.lines().count().is_multiple_of(2) && head.ends_with('\n'),
                "{head}"
            );
        }
    }

    #[test]
    fn every_statement_about_rows_says_whose() {
        for shape in shapes() {
            let head = filled(shape);
            let whose = match shape {
                Shape::Page { whose, .. } => Some(whose),
                Shape::Find(filter) | Shape::Update(filter) => Some(filter.whose),
                _ => None,
            };
            let own = format!("user_id=eq.{USER}&org_id=is.null");
            assert_eq!(head.contains(&own), whose == Some(Whose::Own), "{head}");
            if whose == Some(Whose::Org) {
                assert!(head.contains(&format!("&org_id=eq.{ORG}&")), "{head}");
            }
        }
    }

    #[test]
    fn a_change_names_its_row() {
        for shape in shapes() {
            let head = filled(shape);
            let (method, one) = match shape {
                Shape::Page { .. }
                | Shape::Orgs { .. }
                | Shape::Members { .. }
                | Shape::Invitations { .. } => ("GET", String::new()),
                Shape::Find(_) | Shape::Published => ("GET", format!("&id=eq.{ID}")),
                Shape::Update(_) => ("PATCH", format!("&id=eq.{ID}")),
                Shape::Insert | Shape::InsertOnce => ("POST", String::new()),
                Shape::CreateOrg | Shape::Join | Shape::Invite => ("POST", String::new()),
                Shape::Org => ("GET", format!("&id=eq.{ORG}")),
                Shape::UpdateOrg { .. } => ("PATCH", format!("&id=eq.{ORG}")),
                Shape::Member => ("GET", format!("&org_id=eq.{ORG}&user_id=eq.{ID}")),
                Shape::UpdateMember { .. } => {
                    ("PATCH", format!("&org_id=eq.{ORG}&user_id=eq.{ID}"))
                }
                Shape::RemoveMember => ("DELETE", format!("&org_id=eq.{ORG}&user_id=eq.{ID}")),
                Shape::Revoke => ("DELETE", format!("&org_id=eq.{ORG}&id=eq.{ID}")),
            };
            assert!(head.starts_with(&format!("{method}\n")), "{head}");
            assert!(head.contains(&one), "{head}");
            let version = match shape {
                Shape::Find(filter) | Shape::Update(filter) => filter.version,
                Shape::UpdateOrg { version } | Shape::UpdateMember { version } => version,
                _ => false,
            };
            assert_eq!(head.contains("&version=eq.7"), version, "{head}");
        }
    }

    #[test]
    fn times_and_words_are_encoded_and_a_page_has_its_range() {
        let head = filled(Shape::Page {
            whose: Whose::Own,
            state: State::Active,
            goes_on: true,
            searches: true,
        });
        assert!(
            head.contains("created_at=lte.2026-11-22T12%3A00%3A00.000001Z&"),
            "{head}"
        );
        assert!(head.contains("range\n0-20\n"), "{head}");
        let words = "a%26user_id%3Deq.x%0A%C3%A9+%22b%22";
        assert!(
            head.contains(&format!("&search=wfts%28simple%29.{words}")),
            "{head}"
        );
    }
}
