//! Query parameters (`application/x-www-form-urlencoded`, as the URL standard reads it).
//!
//! Promise: every parameter of a request was asked for by its route, once. It refuses the rest by name.

use url::form_urlencoded;

use crate::problem::{At, FieldError, Problem};

/// For routes that have no parameters.
pub(crate) fn none(query: &str) -> Result<(), Problem> {
    let errors = Parameters::parse(query).finish();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Problem::validation(errors))
    }
}

/// The query's name-value pairs, each to be taken once.
pub(crate) struct Parameters {
    pairs: Vec<(String, String)>,
    errors: Vec<FieldError>,
}

impl Parameters {
    pub(crate) fn parse(query: &str) -> Self {
        Self {
            pairs: form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
            errors: Vec::new(),
        }
    }

    /// The value of this parameter, decoded.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        let (mine, others) = std::mem::take(&mut self.pairs)
            .into_iter()
            .partition::<Vec<_>, _>(|(other, _)| other == name);
        self.pairs = others;
        if mine.len() > 1 {
            self.errors.push(FieldError {
                at: At::Parameter(name.to_owned()),
                code: "duplicate",
                message: "must be given once",
            });
        }
        mine.into_iter().next().map(|(_, value)| value)
    }

    /// All flaws: what is left is unknown.
    pub(crate) fn finish(mut self) -> Vec<FieldError> {
        self.errors
            .extend(self.pairs.into_iter().take(8).map(|(name, _)| FieldError {
                at: At::Parameter(name.chars().take(64).collect()),
                code: "unknown",
                message: "is not a parameter of this route",
            }));
        self.errors
    }
}
