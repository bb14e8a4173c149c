//! Statements: what PostgREST is asked, as `postgrest` writes it.
//!
//! Promise: each statement is written once an isolate, with a gap where a request puts a value of its
//! own, and every one has a gap for the user's token. What fits into a gap can't end it: base64url, a
//! UUID, a number, or a text that is percent-encoded. It refuses to write an UPDATE that names no note.
//!
//! (To write a statement anew takes a seventh of the time of a whole request.)

use std::fmt::Write as _;

use postgrest::{Builder, Postgrest};
use url::form_urlencoded::byte_serialize;
use uuid::Uuid;

use crate::note::page::State;
use crate::note::{COLUMNS, NoteId, Timestamp, Version};
use crate::problem::Problem;

/// Which statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shape {
    /// SELECT of a page of notes, from the first one or from where another page ended, of all notes or
    /// of those with some words.
    Page {
        state: State,
        goes_on: bool,
        searches: bool,
    },
    /// SELECT of one note.
    Find(Filter),
    /// UPDATE of one note.
    Update(Filter),
    /// INSERT of one note.
    Insert,
    /// INSERT of one note under an idempotency key.
    InsertOnce,
}

/// What a statement asks of its one note besides its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Filter {
    /// Live or deleted; `None` is either.
    pub(super) state: Option<State>,
    /// Whether its version is to be the one that is given.
    pub(super) version: bool,
}

/// What goes into the gaps.
pub(super) struct Values<'a> {
    pub(super) token: &'a str,
    pub(super) user: Uuid,
    pub(super) note: Option<NoteId>,
    pub(super) version: Option<Version>,
    pub(super) time: Option<Timestamp>,
    pub(super) words: Option<&'a str>,
    /// The last row that is wanted, counted from 0.
    pub(super) last: usize,
}

impl<'a> Values<'a> {
    /// Those that every statement needs. `token` must be base64url with dots.
    pub(super) fn of(token: &'a str, user: Uuid) -> Self {
        Self {
            token,
            user,
            note: None,
            version: None,
            time: None,
            words: None,
            last: 0,
        }
    }
}

/// Where a value goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gap {
    Token,
    User,
    Note,
    Version,
    Time,
    Words,
    Last,
}

impl Gap {
    const ALL: [Self; 7] = [
        Self::Token,
        Self::User,
        Self::Note,
        Self::Version,
        Self::Time,
        Self::Words,
        Self::Last,
    ];

    /// What stands there while the statement is written: nothing that would be encoded.
    const fn mark(self) -> &'static str {
        match self {
            Self::Token => "GAP-TOKEN",
            Self::User => "GAP-USER",
            Self::Note => "GAP-NOTE",
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

/// The limit whose last row is the mark of [`Gap::Last`].
const LIMIT: usize = 4_294_967_295;

/// Method, URL and headers as an [`Outbound`](crate::seam::Outbound) has them, in pieces: each is
/// followed by a gap, but for the last one.
#[derive(Debug)]
pub(super) struct Statement {
    pieces: Vec<(String, Option<Gap>)>,
}

impl Statement {
    /// Writes it with a gap at every mark.
    pub(super) fn write(client: &Postgrest, shape: Shape) -> Result<Self, Problem> {
        let head = head(builder(client, shape))?;
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
        if statement
            .pieces
            .iter()
            .any(|(_, gap)| *gap == Some(Gap::Token))
        {
            Ok(statement)
        } else {
            Err(Problem::internal("a statement without the user's token"))
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
                Some(Gap::Note) => put(&mut head, values.note),
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

fn builder(client: &Postgrest, shape: Shape) -> Builder {
    let as_the_user = |builder: Builder| builder.auth(Gap::Token.mark()).select(COLUMNS);
    let table = as_the_user(client.from("notes"));
    match shape {
        Shape::Page {
            state,
            goes_on,
            searches,
        } => {
            let mut page = mine(table, Some(state))
                .order("created_at.desc,id.desc")
                .limit(LIMIT);
            if searches {
                page = page.wfts("search", Gap::Words.mark(), Some("simple"));
            }
            if !goes_on {
                return page;
            }
            // Row comparison, spelled so that the index begins the scan at the place: as
            // `or(lt, and(eq, lt))` alone, Postgres reads and drops all rows before it.
            let (time, id) = (Gap::Time.mark(), Gap::Note.mark());
            page.lte("created_at", time)
                .or(format!("created_at.lt.{time},id.lt.{id}"))
        }
        Shape::Find(filter) => one(table, filter),
        Shape::Update(filter) => one(table, filter).update("{}"),
        Shape::Insert => table.insert("{}"),
        Shape::InsertOnce => as_the_user(client.rpc("create_note_once", "{}")),
    }
}

fn mine(table: Builder, state: Option<State>) -> Builder {
    let mine = table.eq("user_id", Gap::User.mark());
    match state {
        Some(State::Active) => mine.is("deleted_at", "null"),
        Some(State::Deleted) => mine.not("is", "deleted_at", "null"),
        None => mine,
    }
}

/// Every UPDATE goes through here: one without an id would change all of the user's notes.
fn one(table: Builder, filter: Filter) -> Builder {
    let one = mine(table, filter.state).eq("id", Gap::Note.mark());
    if filter.version {
        one.eq("version", Gap::Version.mark())
    } else {
        one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "h.p.s";
    const ID: &str = "7efe3d84-2d6a-4174-899e-8ffddea7a39a";

    fn shapes() -> Vec<Shape> {
        let states = [None, Some(State::Active), Some(State::Deleted)];
        let filters = states
            .into_iter()
            .flat_map(|state| [false, true].map(|version| Filter { state, version }));
        let pages = [State::Active, State::Deleted]
            .into_iter()
            .flat_map(|state| [false, true].map(|goes_on| (state, goes_on)))
            .flat_map(|(state, goes_on)| {
                [false, true].map(|searches| Shape::Page {
                    state,
                    goes_on,
                    searches,
                })
            });
        filters
            .flat_map(|filter| [Shape::Find(filter), Shape::Update(filter)])
            .chain(pages)
            .chain([Shape::Insert, Shape::InsertOnce])
            .collect()
    }

    /// A key and a host that look like marks.
    fn filled(shape: Shape) -> String {
        let client = Postgrest::new("https://4294967294.gap-user.example.com/GAP-NOTE/rest/v1")
            .insert_header("apikey", "GAP-TOKEN-4294967294");
        let values = Values {
            note: NoteId::parse(ID),
            version: Version::try_from(7).ok(),
            time: Timestamp::from_micros(1_795_348_800_000_001),
            last: 20,
            words: Some("a&user_id=eq.x\n\u{e9} \"b\""),
            ..Values::of(TOKEN, Uuid::from_u128(1))
        };
        Statement::write(&client, shape).unwrap().fill(&values)
    }

    #[test]
    fn every_statement_is_the_users_and_has_no_gap_left() {
        for shape in shapes() {
            let head = filled(shape);
            assert_eq!(
                head.matches("authorization\nBearer h.p.s\n").count(),
                1,
                "{head}"
            );
            assert_eq!(
                head.matches("apikey\nGAP-TOKEN-4294967294\n").count(),
                1,
                "{head}"
            );
            let place = "\nhttps://4294967294.gap-user.example.com/GAP-NOTE/rest/v1/";
            assert_eq!(head.matches(place).count(), 1, "{head}");
            let rest = head.replace("GAP-TOKEN-4294967294", "").replace(place, "");
            assert!(
                !rest.contains("GAP-") && !rest.contains("4294967294"),
                "{head}"
            );
            let named = rest.contains("user_id=eq.00000000-0000-0000-0000-000000000001&");
            assert_eq!(
                named,
                !matches!(shape, Shape::Insert | Shape::InsertOnce),
                "{head}"
            );
            assert!(
                head.lines().count().is_multiple_of(2) && head.ends_with('\n'),
                "{head}"
            );
        }
    }

    #[test]
    fn an_update_names_its_note() {
        for shape in shapes() {
            let head = filled(shape);
            if let Shape::Find(filter) | Shape::Update(filter) = shape {
                assert!(head.contains(&format!("&id=eq.{ID}")), "{head}");
                assert_eq!(head.contains("&version=eq.7"), filter.version, "{head}");
            }
            let method = match shape {
                Shape::Page { .. } | Shape::Find(_) => "GET\n",
                Shape::Update(_) => "PATCH\n",
                Shape::Insert | Shape::InsertOnce => "POST\n",
            };
            assert!(head.starts_with(method), "{head}");
        }
    }

    #[test]
    fn times_and_words_are_encoded_and_a_page_has_its_range() {
        let head = filled(Shape::Page {
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
