//! Query parameters (`application/x-www-form-urlencoded`, as the URL standard reads it).
//!
//! Every parameter must be one of its route's, given once, with a usable value.

use std::borrow::Cow;

use url::form_urlencoded;

use crate::error::{At, FieldError, Problem};

/// Unknown parameters that an answer names at most.
const UNKNOWN_MAX: usize = 8;

/// Refuses every parameter, for routes that have none.
pub(crate) fn none(query: &str) -> Result<(), Problem> {
    Parameters::parse(query).finish()
}

/// The query's name-value pairs, each to be taken once.
pub(crate) struct Parameters {
    pairs: Vec<(String, String)>,
    errors: Vec<FieldError>,
}

impl Parameters {
    pub(crate) fn parse(query: &str) -> Self {
        Self { pairs: form_urlencoded::parse(query.as_bytes()).into_owned().collect(), errors: Vec::new() }
    }

    /// The value of this parameter. A value that `parse` refuses is an error with `message`.
    pub(crate) fn take_as<T>(
        &mut self,
        name: &str,
        message: &'static str,
        parse: impl FnOnce(String) -> Option<T>,
    ) -> Option<T> {
        let value = parse(self.take(name)?);
        if value.is_none() {
            self.refuse(name, message);
        }
        value
    }

    /// The text of this parameter.
    #[inline(never)]
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        let mut value = None;
        let mut repeated = false;
        self.pairs.retain_mut(|(other, text)| {
            let mine = other == name;
            if mine {
                repeated |= value.is_some();
                value.get_or_insert_with(|| std::mem::take(text));
            }
            !mine
        });
        if repeated {
            self.push(name, "duplicate", "must be given once".into());
        }
        value
    }

    /// Adds the error of a value.
    pub(crate) fn refuse(&mut self, name: &str, message: impl Into<Cow<'static, str>>) {
        self.push(name, "value", message.into());
    }

    /// 422 if there is any error. A parameter that is left is unknown.
    pub(crate) fn finish(mut self) -> Result<(), Problem> {
        for (name, _) in std::mem::take(&mut self.pairs).iter().take(UNKNOWN_MAX) {
            self.push(name, "unknown", "is not a parameter of this route".into());
        }
        if self.errors.is_empty() { Ok(()) } else { Err(Problem::validation(self.errors)) }
    }

    fn push(&mut self, name: &str, code: &'static str, message: Cow<'static, str>) {
        self.errors.push(FieldError {
            // A name comes from the client and is echoed in part only.
            at: At::Parameter(name.chars().take(64).collect()),
            code,
            message,
        });
    }
}
