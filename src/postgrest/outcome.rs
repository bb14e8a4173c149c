//! The results of the functions of schema `public`.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::{Code, Problem};
use crate::types::Version;

/// How a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// A row was made, or the `Idempotency-Key` had made it before.
    Created,
    /// A row was changed.
    Done,
    /// The row was already as wanted.
    Already,
    /// The precondition did not hold.
    Mismatch,
    /// There is no such row for this user.
    Missing,
    /// The id belongs to something that is not a live row of this user.
    Taken,
    /// A policy refuses it.
    Forbidden,
    /// The `Idempotency-Key` was used for something else.
    Reused,
    /// The row of the `Idempotency-Key` is deleted.
    Deleted,
}

/// The answer of a write function.
#[derive(Debug, Deserialize)]
pub(crate) struct Outcome {
    /// How it ended.
    pub(crate) outcome: State,
    /// The row as it is now, where there is one to show.
    row: Option<Box<RawValue>>,
    /// Whether its rows have no version.
    #[serde(skip)]
    pub(crate) versionless: bool,
}

impl Outcome {
    /// The row's JSON, of an outcome that has a row.
    pub(crate) fn json(self) -> Result<Box<RawValue>, Problem> {
        self.row.ok_or(Code::UpstreamInvalid.because("an outcome without its row"))
    }

    /// The JSON, if there is any.
    pub(crate) fn result(self) -> Option<Box<RawValue>> {
        self.row
    }

    /// The row of an outcome that has one.
    pub(crate) fn row(self) -> Result<Row, Problem> {
        let versioned = !self.versionless;
        let row = Row::new(self.json()?).ok().filter(|row| row.version.is_some() == versioned);
        row.ok_or(Code::UpstreamInvalid.because(NO_VERSION))
    }
}

pub(crate) const NO_VERSION: &str = "a row without its version";

/// A row in its wire form, as the database wrote it.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Box<RawValue>")]
pub(crate) struct Row {
    json: Box<RawValue>,
    version: Option<Version>,
}

impl Row {
    fn new(json: Box<RawValue>) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Versioned<'a> {
            #[serde(borrow)]
            version: Option<&'a RawValue>,
        }

        let Versioned { version } = serde_json::from_str(json.get())?;
        // A time is a string.
        let version = version.and_then(|version| Version::parse(version.get().trim_matches('"')));
        Ok(Self { json, version })
    }

    /// Its version, if rows of its resource have one.
    pub(crate) fn version(&self) -> Option<Version> {
        self.version
    }

    /// Its JSON.
    pub(crate) fn json(&self) -> &str {
        self.json.get()
    }

    /// Its `id`, as a path has it.
    pub(crate) fn id(&self) -> Result<String, Problem> {
        #[derive(Deserialize)]
        struct Identified<'a> {
            #[serde(borrow)]
            id: &'a RawValue,
        }

        serde_json::from_str(self.json.get())
            .map(|Identified { id }| id.get().trim_matches('"').to_owned())
            .map_err(|_| Code::UpstreamInvalid.because("a row without its id"))
    }
}

impl TryFrom<Box<RawValue>> for Row {
    type Error = serde_json::Error;

    fn try_from(json: Box<RawValue>) -> Result<Self, Self::Error> {
        Self::new(json)
    }
}
