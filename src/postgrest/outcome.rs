//! The results of the functions of schema `public`.

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::value::RawValue;

use crate::error::{Code, Problem};
use crate::json::members;
use crate::types::Version;

/// How a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

impl State {
    fn parse(json: &str) -> Option<Self> {
        Some(match json.trim_matches('"') {
            "created" => Self::Created,
            "done" => Self::Done,
            "already" => Self::Already,
            "mismatch" => Self::Mismatch,
            "missing" => Self::Missing,
            "taken" => Self::Taken,
            "forbidden" => Self::Forbidden,
            "reused" => Self::Reused,
            "deleted" => Self::Deleted,
            _ => return None,
        })
    }
}

/// The answer of a write function.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// How it ended.
    pub(crate) outcome: State,
    /// The JSON of the row as it is now, where there is one to show.
    row: Option<String>,
    /// Whether its rows have no version.
    pub(crate) versionless: bool,
}

impl Outcome {
    fn parse(json: &str) -> Option<Self> {
        let [outcome, row] = members(json, ["outcome", "row"])?;
        let row = row.filter(|row| *row != "null").map(str::to_owned);
        Some(Self { outcome: State::parse(outcome?)?, row, versionless: false })
    }

    /// The row's JSON, of an outcome that has a row.
    pub(crate) fn json(self) -> Result<String, Problem> {
        self.row.ok_or(Code::UpstreamInvalid.because("an outcome without its row"))
    }

    /// The JSON, if there is any.
    pub(crate) fn result(self) -> Option<String> {
        self.row
    }

    /// The row of an outcome that has one.
    pub(crate) fn row(self) -> Result<Row, Problem> {
        let versioned = !self.versionless;
        let row = Row::parse(self.json()?).filter(|row| row.version.is_some() == versioned);
        row.ok_or(Code::UpstreamInvalid.because(NO_VERSION))
    }
}

impl<'de> Deserialize<'de> for Outcome {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(<&RawValue>::deserialize(deserializer)?.get()).ok_or(D::Error::custom("no outcome"))
    }
}

pub(crate) const NO_VERSION: &str = "a row without its version";

/// A row in its wire form, as the database wrote it.
#[derive(Debug)]
pub(crate) struct Row {
    json: String,
    /// As a path has it.
    id: Option<String>,
    version: Option<Version>,
}

impl Row {
    fn parse(json: String) -> Option<Self> {
        // Numbers stand as they are, other ids and times in quotes.
        let bare = members(&json, ["id", "version"])?.map(|value| value.map(|value| value.trim_matches('"')));
        let [id, version] = bare;
        let (id, version) = (id.map(str::to_owned), version.and_then(Version::parse));
        Some(Self { json, id, version })
    }

    /// The row's version, if rows of its resource have one.
    pub(crate) fn version(&self) -> Option<Version> {
        self.version
    }

    /// The row's JSON.
    pub(crate) fn json(&self) -> &str {
        &self.json
    }

    /// The row's JSON, as the body of an answer.
    pub(crate) fn into_body(self) -> Vec<u8> {
        self.json.into_bytes()
    }

    /// The row's `id`, as it is written in a path.
    pub(crate) fn id(&self) -> Result<&str, Problem> {
        self.id.as_deref().ok_or(Code::UpstreamInvalid.because("a row without its id"))
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(<&RawValue>::deserialize(deserializer)?.get().to_owned()).ok_or(D::Error::custom("no row"))
    }
}
