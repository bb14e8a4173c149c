//! The values of airlock.toml, each read as the type that its key has.
//!
//! A refusal is made where a value is wrong, and gets its place on the way out: the names of the
//! tables around the value.

use std::borrow::Cow;

use super::kind::string;
use crate::json::parts;

/// Why a declaration is refused: its place, a colon and one sentence. The place is empty at first.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) String);

impl<T: AsRef<str>> From<T> for Refusal {
    fn from(sentence: T) -> Self {
        Self([": ", sentence.as_ref()].concat())
    }
}

/// A value, or why it is refused.
pub(super) type Read<T> = Result<T, Refusal>;

/// Refuses a value.
pub(super) fn refuse<T>(sentence: impl Into<Refusal>) -> Read<T> {
    Err(sentence.into())
}

/// Refuses the value of `key` if it is wrong.
pub(super) fn refuse_if(wrong: bool, key: &str, sentence: &str) -> Read<()> {
    if wrong { refuse(sentence).within(key) } else { Ok(()) }
}

/// Adds the name of a value to the place of its refusal.
pub(super) trait Within {
    fn within(self, name: &str) -> Self;
}

impl<T> Within for Read<T> {
    fn within(self, name: &str) -> Self {
        self.map_err(|refusal| placed(name, refusal))
    }
}

fn placed(name: &str, Refusal(text): Refusal) -> Refusal {
    let dot = if text.starts_with(':') { "" } else { "." };
    Refusal([name, dot, &text].concat())
}

/// The keys and values of a table, each key once.
pub(super) fn table(raw: &str) -> Read<Vec<(Cow<'_, str>, &str)>> {
    let mut table: Vec<(Cow<'_, str>, &str)> = Vec::new();
    for (key, raw) in parts(raw, '{').ok_or("must be a table.")? {
        let key = string(key).map_err(|_| "has a key that is not text.")?;
        if table.iter().any(|(one, _)| *one == key) {
            return Err(twice(&key));
        }
        table.push((key, raw));
    }
    Ok(table)
}

/// Reads a table whose keys are `keys`. `read` takes a value and returns whether there is such a key.
pub(super) fn keyed<'a>(raw: &'a str, keys: &str, read: &mut dyn FnMut(&str, &'a str) -> Read<bool>) -> Read<()> {
    for (key, raw) in table(raw)? {
        if !read(&key, raw).within(&key)? {
            return Err(format!("{key} is not a key; the keys are {keys}.").into());
        }
    }
    Ok(())
}

/// Reads a table of any names.
pub(super) fn named(raw: &str, read: &mut dyn FnMut(&str, &str) -> Read<()>) -> Read<()> {
    table(raw)?.into_iter().try_for_each(|(name, raw)| read(&name, raw).within(&name))
}

/// Checks the form of a name of the API.
pub(super) fn check_form(name: &str) -> Read<()> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let first = name.starts_with(|c: char| c.is_ascii_lowercase());
    if first && name.len() <= 40 && name.chars().all(good) {
        Ok(())
    } else {
        refuse("a name has 1 to 40 of a-z, 0-9 and _, and begins with a letter.")
    }
}

/// Whether PostgreSQL allows this as a name.
pub(super) fn is_identifier(name: &str) -> bool {
    (1..=63).contains(&name.len()) && !name.contains('\0')
}

/// The name of a column.
pub(super) fn column(raw: &str) -> Read<String> {
    let name = string(raw).ok().filter(|name| is_identifier(name));
    Ok(name.ok_or("must be the name of a column, of 1 to 63 bytes.")?.into_owned())
}

/// The name of a column, or `false` for none.
pub(super) fn optional_column(raw: &str) -> Read<Option<String>> {
    if raw == "false" { Ok(None) } else { column(raw).map(Some) }
}

pub(super) fn boolean(raw: &str) -> Read<bool> {
    if matches!(raw, "true" | "false") { Ok(raw == "true") } else { refuse("must be true or false.") }
}

/// The place of a word in this list.
pub(super) fn word(raw: &str, words: &[&str]) -> Read<usize> {
    let text = string(raw).unwrap_or_default();
    let place = words.iter().position(|word| *word == text);
    Ok(place.ok_or_else(|| {
        let (last, first) = words.split_last().unwrap_or((&"", &[]));
        format!("must be \"{}\" or \"{last}\".", first.join("\", \""))
    })?)
}

/// The places of words in this list, each once.
pub(super) fn places(raw: &str, words: &[&str]) -> Read<Vec<usize>> {
    let mut found = Vec::new();
    for (_, raw) in parts(raw, '[').ok_or("must be a list.")? {
        let value = word(raw, words)?;
        if found.contains(&value) {
            return Err(twice(raw));
        }
        found.push(value);
    }
    Ok(found)
}

/// A list of names, each once.
pub(super) fn names(raw: &str) -> Read<Vec<String>> {
    let no_list = "must be a list of names of fields, such as [\"title\"].";
    let mut names = Vec::new();
    for (_, raw) in parts(raw, '[').ok_or(no_list)? {
        let name = string(raw).map_err(|_| no_list)?;
        if names.iter().any(|one| *one == name) {
            return Err(twice(&name));
        }
        names.push(name.into_owned());
    }
    Ok(names)
}

/// The place of a kind among these, in quotes or in a table with a column.
pub(super) fn kind_and_column(raw: &str, kinds: &[&str]) -> Read<(usize, Option<String>)> {
    if !raw.starts_with('{') {
        return Ok((word(raw, kinds)?, None));
    }
    let (mut kind, mut named) = (None, None);
    keyed(raw, "kind and column", &mut |key, raw| {
        match key {
            "kind" => kind = Some(word(raw, kinds)?),
            "column" => named = Some(column(raw)?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok((kind.ok_or("needs a kind.")?, named))
}

fn twice(name: &str) -> Refusal {
    format!("has {name} twice; remove one.").into()
}
