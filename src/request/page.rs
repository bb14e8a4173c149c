//! Pages of a list: `limit` and `cursor`, and for resources `state` and `q`, and as declared `sort`,
//! `count` and filters, such as `done.eq`.
//!
//! Keyset pages, usually in `created_at desc, id desc`: page 1000 costs as much as page 1, and a
//! row that is written meanwhile moves no other row.

use std::borrow::Cow;

use serde::Serialize;

use super::query::Parameters;
use crate::error::Problem;
use crate::resources::{Field, Operator, Resource};
use crate::types::Object;

const LIMIT_MAX: u8 = 100;
const LIMIT_DEFAULT: u8 = 20;

/// Longest `q`, in Unicode scalar values.
const WORDS_MAX: usize = 200;

/// Longest cursor. It holds the value that a list is sorted by.
const CURSOR_MAX: usize = 2048;

/// Most values of a filter by `in`.
const VALUES_MAX: usize = 100;

/// The rule for a cursor. The database gives the same message for an unreadable one.
pub(crate) const CURSOR: &str = "must be a next_cursor of an earlier page, unchanged";

/// Which page of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageQuery {
    /// 1 to 100.
    page_size: u8,
    /// The cursor of the row after which the page begins. The database writes and reads it.
    after: Option<String>,
}

/// Which page of a resource is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListQuery<'a> {
    page: PageQuery,
    state: &'static str,
    /// 1 to 200 characters in the syntax of `websearch_to_tsquery`, in which nothing is an error.
    words: Option<String>,
    /// A field, `created` or `updated`, after `-` for descending order.
    sort: Option<String>,
    filters: Vec<(&'a str, &'static str, Filter)>,
    counted: bool,
    included: Option<String>,
}

/// The value that a field is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Filter {
    One(String),
    Any(Vec<String>),
}

impl PageQuery {
    /// Parses the query string of a list that has no other parameters.
    pub(crate) fn parse(query: &str) -> Result<Self, Problem> {
        let mut parameters = Parameters::parse(query);
        let page = Self::take(&mut parameters);
        parameters.finish()?;
        Ok(page)
    }

    /// Adds the arguments of a page function.
    pub(crate) fn add_to(&self, arguments: Object) -> Object {
        arguments.number("page_size", Some(self.page_size.into())).text("after", self.after.as_deref())
    }

    fn take(parameters: &mut Parameters) -> Self {
        let message = "must be a whole number from 1 to 100";
        let page_size = parameters.take_as("limit", message, |text| parse_limit(&text));
        let after = parameters.take_as("cursor", CURSOR, |text| {
            let base64url = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
            (base64url && (1..=CURSOR_MAX).contains(&text.len())).then_some(text)
        });
        Self { page_size: page_size.unwrap_or(LIMIT_DEFAULT), after }
    }
}

impl<'a> ListQuery<'a> {
    /// Parses the query string of a resource's list.
    pub(crate) fn parse(query: &str, resource: &'a Resource) -> Result<Self, Problem> {
        let mut parameters = Parameters::parse(query);
        let page = PageQuery::take(&mut parameters);
        // A deletion withdraws a row from all its readers, so they cannot list deleted ones.
        let deleted = resource.deleted.is_some() && resource.read.is_none();
        let states = [("active", true), ("deleted", deleted), ("published", resource.publish.is_some())];
        let states: Vec<&'static str> =
            states.into_iter().filter_map(|(state, there)| there.then_some(state)).collect();
        let mut state = "active";
        if states.len() > 1
            && let Some(text) = parameters.take("state")
        {
            match states.iter().find(|state| **state == text) {
                Some(known) => state = known,
                None => parameters.refuse("state", format!("must be one of {}", states.join(", "))),
            }
        }
        let included = take_included(&mut parameters, resource);
        let mut list = Self { page, state, words: None, sort: None, filters: Vec::new(), counted: false, included };
        if !resource.search.is_empty() {
            let message = "must have 1 to 200 characters of UTF-8, without U+0000 and U+FFFD";
            list.words = parameters.take_as("q", message, parse_words);
        }
        if !resource.sorts.is_empty()
            && let Some(text) = parameters.take("sort")
        {
            let name = text.strip_prefix('-').unwrap_or(&text);
            if resource.sorts.iter().any(|sort| sort == name) {
                list.sort = Some(text);
            } else {
                let sorts = resource.sorts.join(", ");
                parameters.refuse("sort", format!("must be one of {sorts}, or one of them after -"));
            }
        }
        if resource.count {
            let count = parameters.take_as("count", "must be exact", |text| (text == "exact").then_some(()));
            list.counted = count.is_some();
        }
        for (name, operators) in &resource.filters {
            for operator in operators {
                let Some(field) = resource.field(name) else { continue };
                let parameter = format!("{name}.{}", operator.word());
                let Some(text) = parameters.take(&parameter) else { continue };
                match Filter::parse(field, *operator, &text) {
                    Ok(filter) => list.filters.push((name, operator.word(), filter)),
                    Err(message) => parameters.refuse(&parameter, message),
                }
            }
        }
        parameters.finish()?;
        Ok(list)
    }
}

impl ListQuery<'_> {
    /// Adds the arguments of `airlock_list`.
    pub(crate) fn add_to(&self, arguments: Object) -> Object {
        let mut arguments = self.page.add_to(arguments).text("state", self.state).text("words", self.words.as_deref());
        // Most lists have none of these, which then have their defaults.
        for (name, text) in [("sort", &self.sort), ("included", &self.included)] {
            if let Some(text) = text {
                arguments = arguments.text(name, &**text);
            }
        }
        if !self.filters.is_empty() {
            arguments = arguments.value("filters", &self.filters);
        }
        if self.counted { arguments.json("counted", "true") } else { arguments }
    }
}

impl Filter {
    fn parse(field: &Field, operator: Operator, text: &str) -> Result<Self, Cow<'static, str>> {
        match operator {
            Operator::Is if matches!(text, "null" | "not_null") => Ok(Self::One(text.to_owned())),
            Operator::Is => Err("must be null or not_null".into()),
            Operator::In => {
                let values = unescaped(text).filter(|values| values.len() <= VALUES_MAX);
                let values =
                    values.ok_or("must be at most 100 values with commas between them; write \\, for a comma")?;
                let values: Result<_, _> = values.iter().map(|value| field.filtered(value)).collect();
                Ok(Self::Any(values?))
            }
            _ => Ok(Self::One(field.filtered(text)?)),
        }
    }
}

/// The rows to embed in an answer, as a JSON list.
pub(crate) fn included(query: &str, resource: &Resource) -> Result<Option<String>, Problem> {
    let mut parameters = Parameters::parse(query);
    let included = take_included(&mut parameters, resource);
    parameters.finish()?;
    Ok(included)
}

fn take_included(parameters: &mut Parameters, resource: &Resource) -> Option<String> {
    let embeds = &resource.embed;
    if embeds.is_empty() {
        return None;
    }
    let mut found: Vec<&str> = Vec::new();
    for name in parameters.take("include")?.split(',') {
        match embeds.iter().find(|embed| embed.name == name) {
            Some(embed) if !found.contains(&embed.json.as_str()) => found.push(&embed.json),
            _ => {
                let names: Vec<&str> = embeds.iter().map(|embed| embed.name.as_str()).collect();
                parameters.refuse("include", format!("must be some of {}, with commas between them", names.join(", ")));
                break;
            }
        }
    }
    Some(format!("[{}]", found.join(",")))
}

/// The values between commas. After `\`, a comma or `\` is part of a value.
fn unescaped(text: &str) -> Option<Vec<String>> {
    let mut values = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let last = values.last_mut()?;
        match character {
            ',' => values.push(String::new()),
            '\\' => last.push(characters.next().filter(|escaped| matches!(escaped, ',' | '\\'))?),
            character => last.push(character),
        }
    }
    Some(values)
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

#[cfg(test)]
#[path = "tests/page.rs"]
mod tests;
