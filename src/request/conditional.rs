//! Conditional requests (RFC 9110 section 13) over a row's version.
//!
//! A condition is evaluated or refused, never ignored: ignoring one could overwrite another
//! client's change.

use crate::error::{Code, Problem};
use crate::types::Version;

/// A valid `If-Match`: one tag, or `*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfMatch {
    /// Any version, but the row must exist.
    Any,
    /// This version. `None` is a tag that no row ever has.
    Tag(Option<Version>),
}

/// A valid `If-None-Match`: a list of tags, or `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IfNoneMatch {
    /// Any version.
    Any,
    /// These versions.
    Tags(Vec<Version>),
}

impl IfMatch {
    /// Parses the header.
    pub(crate) fn parse(header: &str) -> Result<Self, Problem> {
        if header == "*" {
            return Ok(Self::Any);
        }
        match entity_tag(header) {
            Some((tag, "")) => Ok(Self::Tag(tag)),
            _ => Err(Problem::new(Code::MalformedRequest, "If-Match must be one entity tag, such as \"3\", or *.")),
        }
    }

    /// The version that a write function compares. `None`: nothing is compared. A tag that no row
    /// can have becomes -1, which no row has either. `W/` counts too: Cloudflare weakens tags when
    /// it compresses.
    pub(crate) fn version(condition: Option<Self>) -> Option<i64> {
        match condition {
            None | Some(Self::Any) => None,
            Some(Self::Tag(tag)) => Some(tag.map_or(-1, Version::number)),
        }
    }
}

impl IfNoneMatch {
    /// Parses the header.
    pub(crate) fn parse(header: &str) -> Result<Self, Problem> {
        if header == "*" {
            return Ok(Self::Any);
        }
        entity_tags(header).map(Self::Tags).ok_or_else(|| {
            Problem::new(Code::MalformedRequest, "If-None-Match must be a list of entity tags, such as \"3\", or *.")
        })
    }

    /// Whether the client has this version (weak comparison, section 8.8.3.2).
    pub(crate) fn names(&self, version: Version) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.contains(&version),
        }
    }
}

/// `#entity-tag` (RFC 9110 section 5.6.1): at least one tag, empty elements allowed. Tags that no row
/// ever has are not kept: a long list of them would hold memory while the database works.
fn entity_tags(list: &str) -> Option<Vec<Version>> {
    let mut tags = Vec::new();
    let mut any = false;
    let mut rest = list;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return any.then_some(tags);
        }
        let (tag, after) = entity_tag(rest)?;
        tags.extend(tag);
        any = true;
        rest = after.trim_start_matches([' ', '\t']);
        if !rest.is_empty() && !rest.starts_with(',') {
            return None;
        }
    }
}

/// One `entity-tag` (section 8.8.3) and the text after it. Tags are opaque, so only a tag exactly
/// as we write it matches.
fn entity_tag(text: &str) -> Option<(Option<Version>, &str)> {
    let opaque = text.strip_prefix("W/").unwrap_or(text).strip_prefix('"')?;
    let (tag, rest) = opaque.split_once('"')?;
    tag.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x7e)).then(|| (Version::parse(tag), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v(number: i64) -> Version {
        Version::parse(&number.to_string()).unwrap()
    }

    #[test]
    fn if_match_is_one_tag_or_star() {
        assert_eq!(IfMatch::parse("*"), Ok(IfMatch::Any));
        assert_eq!(IfMatch::parse("\"3\""), Ok(IfMatch::Tag(Some(v(3)))));
        assert_eq!(IfMatch::parse("W/\"3\""), Ok(IfMatch::Tag(Some(v(3)))));
        for foreign in [
            "\"03\"",
            "\"+3\"",
            "\"-0\"",
            "\"9007199254740992\"",
            "\"9223372036854775808\"",
            "\"-3\"",
            "\"abc\"",
            "\"\"",
            "\"99999999999999999999\"",
        ] {
            assert_eq!(IfMatch::parse(foreign), Ok(IfMatch::Tag(None)), "{foreign}");
        }
        for bad in [
            "",
            "3",
            "\"3",
            "3\"",
            "\"3\", \"4\"",
            "w/\"3\"",
            "W/3",
            "*, \"3\"",
            "\"a b\"",
            "\"3\"x",
            "\"3\",",
            ", \"3\"",
            "-",
            "\"é\"",
        ] {
            assert_eq!(IfMatch::parse(bad).unwrap_err().code(), Code::MalformedRequest, "{bad}");
        }
    }

    #[test]
    fn if_none_match_is_a_list_or_star() {
        assert_eq!(IfNoneMatch::parse("*"), Ok(IfNoneMatch::Any));
        let list = IfNoneMatch::parse("\"1\" , W/\"3\",,\"x,y\"").unwrap();
        assert!(list.names(v(1)) && list.names(v(3)) && !list.names(v(2)));
        for bad in ["", ",", "1", "\"1\" \"2\"", "\"1\", *"] {
            assert!(IfNoneMatch::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn foreign_tag_matches_no_version() {
        assert_eq!(IfMatch::version(IfMatch::parse("\"03\"").ok()), Some(-1));
        assert_eq!(IfMatch::version(IfMatch::parse("W/\"3\"").ok()), Some(3));
        assert_eq!(IfMatch::version(Some(IfMatch::Any)), None);
    }
}
