//! Bytes of a request body to the fields of a note.
//!
//! Promise: a draft in hand satisfies every limit of the database, so that a CHECK constraint never
//! speaks to a client. It refuses what [`crate::wire::body`] refuses (`user_id`, `version` and the like
//! can't be smuggled), and NUL.

use serde::Serialize;
use validator::Validate;

use crate::problem::Problem;
use crate::wire::body::{Members, checked, no_nul};

/// Longest title, in Unicode scalar values, after trimming. The database's `notes_title_length`.
const TITLE_MAX: u64 = 200;

/// Longest body, in Unicode scalar values. The database's `notes_body_length`.
const BODY_MAX: u64 = 20_000;

const MEMBERS: &[&str] = &["title", "body"];

/// A whole note, to be created or to replace one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Validate)]
pub(crate) struct NoteDraft {
    #[validate(length(min = 1, max = TITLE_MAX, message = "must have 1 to 200 characters, trimmed"), custom(function = no_nul))]
    title: String,
    #[validate(length(max = BODY_MAX, message = "must have at most 20000 characters"), custom(function = no_nul))]
    body: String,
}

/// Some fields of a note, to be changed; never none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Validate)]
pub(crate) struct NotePatch {
    #[validate(length(min = 1, max = TITLE_MAX, message = "must have 1 to 200 characters, trimmed"), custom(function = no_nul))]
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[validate(length(max = BODY_MAX, message = "must have at most 20000 characters"), custom(function = no_nul))]
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
}

impl NoteDraft {
    pub(crate) fn title(&self) -> &str {
        &self.title
    }

    pub(crate) fn body(&self) -> &str {
        &self.body
    }

    /// `title` is required, an absent `body` is empty.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, Problem> {
        let mut members = Members::parse(json, MEMBERS)?;
        members.require("title");
        let draft = Self {
            title: trimmed(members.take("title")).unwrap_or_default(),
            body: members.take("body").unwrap_or_default(),
        };
        checked(draft, members.into_errors())
    }
}

impl NotePatch {
    /// At least one field.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, Problem> {
        let mut members = Members::parse(json, MEMBERS)?;
        members.require_any("must have title, body or both");
        let patch = Self {
            title: trimmed(members.take("title")),
            body: members.take("body"),
        };
        checked(patch, members.into_errors())
    }
}

/// Stored trimmed of Unicode White_Space, which is what `trim` removes.
fn trimmed(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;
    use crate::problem::Code;

    fn draft(json: &str) -> Result<NoteDraft, Problem> {
        NoteDraft::parse(json.as_bytes())
    }

    /// The flaws as `pointer code`, read from the problem as a client reads it.
    fn flaws_of<T: fmt::Debug>(result: Result<T, Problem>) -> Vec<String> {
        let problem = result.unwrap_err();
        assert_eq!(problem.code(), Code::ValidationFailed);
        let body: serde_json::Value =
            serde_json::from_slice(&problem.into_response("-").body).unwrap();
        body["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| {
                format!(
                    "{} {}",
                    e["pointer"].as_str().unwrap(),
                    e["code"].as_str().unwrap()
                )
            })
            .collect()
    }

    #[test]
    fn the_limits_are_those_of_the_database() {
        let migrations: String = std::fs::read_dir("supabase/migrations")
            .unwrap()
            .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
            .collect();
        for check in [
            format!("char_length(title) between 1 and {TITLE_MAX}"),
            format!("char_length(body) <= {BODY_MAX}"),
        ] {
            assert_eq!(migrations.matches(&check).count(), 1, "{check}");
        }
    }

    #[test]
    fn the_database_trims_the_characters_that_we_trim() {
        let migrations: String = std::fs::read_dir("supabase/migrations")
            .unwrap()
            .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
            .collect();
        let white_space: Vec<char> = (0..=u32::from(char::MAX))
            .filter_map(char::from_u32)
            .filter(|c| c.is_whitespace())
            .collect();
        assert_eq!(white_space.len(), 25);
        for c in white_space {
            let escape = format!("\\{:04X}", u32::from(c));
            assert!(
                migrations.to_uppercase().contains(&escape),
                "{escape} is missing in the title's CHECK"
            );
        }
    }

    #[test]
    fn titles_are_trimmed_then_counted_in_characters() {
        assert_eq!(
            draft(r#"{"title":"\u00a0 a b \u3000"}"#).unwrap().title,
            "a b"
        );
        let longest = "\u{1F469}".repeat(200);
        let body = "\u{0301}".repeat(20_000);
        let json = serde_json::json!({ "title": format!("  {longest}\n"), "body": body });
        assert_eq!(draft(&json.to_string()).unwrap().title, longest);

        let long =
            serde_json::json!({ "title": format!("{longest}a"), "body": format!("{body}a") });
        assert_eq!(
            flaws_of(draft(&long.to_string())),
            ["/title length", "/body length"]
        );
        assert_eq!(
            flaws_of(draft(r#"{"title":" \t\u2003 "}"#)),
            ["/title length"]
        );
        assert_eq!(
            draft(r#"{"title":"\u200b"}"#).unwrap().title,
            "\u{200b}",
            "a zero width space is a character, not White_Space"
        );
    }

    #[test]
    fn an_absent_body_is_empty_and_an_absent_title_is_a_flaw() {
        assert_eq!(draft(r#"{"title":"t"}"#).unwrap().body, "");
        assert_eq!(flaws_of(draft("{}")), ["/title required"]);
    }

    #[test]
    fn fields_that_are_not_the_clients_to_write_are_refused() {
        for field in [
            "user_id",
            "id",
            "version",
            "created_at",
            "updated_at",
            "deleted_at",
            "Title",
        ] {
            let json = format!(r#"{{"title":"t","{field}":"x"}}"#);
            assert_eq!(flaws_of(draft(&json)), [format!("/{field} unknown")]);
            assert_eq!(
                flaws_of(NotePatch::parse(json.as_bytes())),
                [format!("/{field} unknown")]
            );
        }
        assert_eq!(
            flaws_of(draft(r#"{"title":"t","a/b~c":[[1]]}"#)),
            ["/a~1b~0c unknown"]
        );
    }

    #[test]
    fn every_flaw_of_shape_is_named() {
        assert_eq!(
            flaws_of(draft(r#"{"title":null,"body":7,"title":"x","x":{}}"#)),
            [
                "/title type",
                "/body type",
                "/title duplicate",
                "/x unknown"
            ]
        );
        for wrong in ["[]", "1", "\"title\"", "null", "true", "1.5", "-1"] {
            assert_eq!(flaws_of(draft(wrong)), [" type"], "{wrong}");
        }
        assert_eq!(
            flaws_of(draft(r#"{"title":"a\u0000b"}"#)),
            ["/title characters"]
        );
        assert_eq!(
            flaws_of(NotePatch::parse(br#"{"body":"\u0000"}"#)),
            ["/body characters"]
        );
    }

    #[test]
    fn a_field_of_any_other_type_is_a_flaw() {
        for value in [
            "null",
            "true",
            "false",
            "0",
            "7",
            "-7",
            "1.5",
            "1e2",
            "[]",
            "[[1],{}]",
            "{}",
            r#"{"a":{"a":[]}}"#,
        ] {
            let json = format!(r#"{{"title":"t","body":{value}}}"#);
            assert_eq!(flaws_of(draft(&json)), ["/body type"], "{value}");
            let json = format!(r#"{{"title":{value}}}"#);
            assert_eq!(flaws_of(draft(&json)), ["/title type"], "{value}");
            assert_eq!(flaws_of(NotePatch::parse(json.as_bytes())), ["/title type"]);
        }
    }

    #[test]
    fn an_echo_is_bounded() {
        let json = format!(r#"{{"title":"t","{}":1}}"#, "x".repeat(10_000));
        assert_eq!(flaws_of(draft(&json))[0].len(), 1 + 64 + " unknown".len());
        let many: String = (0..1000).map(|i| format!(",\"{i}\":1")).collect();
        assert_eq!(
            flaws_of(draft(&format!(r#"{{"title":"t"{many}}}"#))).len(),
            16
        );
    }

    #[test]
    fn a_patch_has_at_least_one_field_and_none_is_null() {
        assert_eq!(flaws_of(NotePatch::parse(b"{}")), [" required"]);
        assert_eq!(
            flaws_of(NotePatch::parse(br#"{"body":null}"#)),
            ["/body type"]
        );
        assert_eq!(
            flaws_of(NotePatch::parse(br#"{"title":""}"#)),
            ["/title length"]
        );
        let patch = NotePatch::parse(br#"{"body":""}"#).unwrap();
        assert_eq!(serde_json::to_string(&patch).unwrap(), r#"{"body":""}"#);
    }

    #[test]
    fn what_is_not_json_is_malformed_wherever_its_flaw_lies() {
        for text in [
            "",
            " ",
            "{",
            "[1,",
            "{\"title\":\"t\"",
            "{\"title\":\"t\"} x",
            "\u{feff}{}",
            "{title:1}",
            "{\"title\":\"\u{1}\"}",
            "[01]",
            "[1.]",
            "nul",
            "{\"x\":\"\\x\"}",
            "[\"a\" 1]",
        ] {
            assert_eq!(
                draft(text).unwrap_err().code(),
                Code::MalformedJson,
                "{text}"
            );
        }
        let invalid_utf8 = b"{\"x\":\"\xc3\x28\"}";
        assert_eq!(
            NoteDraft::parse(invalid_utf8).unwrap_err().code(),
            Code::MalformedJson
        );
    }

    #[test]
    fn extremes_are_refused_without_a_crash() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(flaws_of(draft(&deep)), [" type"]);
        let inside = format!(r#"{{"title":{deep}}}"#);
        assert_eq!(flaws_of(draft(&inside)), ["/title type"]);
        for json in [
            r#"{"title":1e999}"#,
            r#"{"title":"\ud800"}"#,
            r#"{"title":"\udc00\ud800"}"#,
        ] {
            assert_eq!(flaws_of(draft(json)), [" value"], "{json}");
        }
    }

    #[expect(clippy::arithmetic_side_effects, reason = "test code")]
    mod properties {
        use proptest::prelude::*;

        use super::*;

        /// A JSON string that means `text`, some of its characters escaped where that is allowed.
        fn spelled(text: &str, escape: &[bool]) -> String {
            let mut json = String::from("\"");
            for (place, character) in text.chars().enumerate() {
                let must = character < ' ' || matches!(character, '"' | '\\');
                if must || escape.get(place % escape.len().max(1)) == Some(&true) {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        json.push_str(&format!("\\u{unit:04X}"));
                    }
                } else {
                    json.push(character);
                }
            }
            json.push('"');
            json
        }

        /// Texts around a limit: of any characters, of one character only, with space around them.
        fn text(limit: usize) -> impl Strategy<Value = String> {
            let one = prop_oneof![
                any::<char>(),
                Just('\u{1f469}'),
                Just('\u{301}'),
                Just('\u{200b}')
            ];
            prop_oneof![
                3 => any::<String>(),
                3 => prop::collection::vec(any::<char>(), 0..40).prop_map(String::from_iter),
                2 => (one, limit - 1..=limit + 1).prop_map(|(one, count)| one.to_string().repeat(count)),
                1 => "[ \t\u{a0}\u{2003}\u{3000}]{0,3}[a\0]{0,2}[ \n\u{85}\u{2028}]{0,3}",
            ]
        }

        proptest! {
            #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..Default::default() })]

            #[test]
            fn a_note_is_taken_exactly_when_it_keeps_the_limits_and_its_texts_stay_what_they_are(
                title in text(200), body in text(20_000), escape in prop::collection::vec(any::<bool>(), 0..4)
            ) {
                let json = format!(
                    r#"{{"title":{},"body":{}}}"#,
                    spelled(&title, &escape),
                    spelled(&body, &escape)
                );
                let trimmed = title.trim_matches(char::is_whitespace);
                let good = (1..=200).contains(&trimmed.chars().count())
                    && body.chars().count() <= 20_000
                    && !trimmed.contains('\0')
                    && !body.contains('\0');
                match NoteDraft::parse(json.as_bytes()) {
                    Ok(draft) => {
                        prop_assert!(good, "{}", json);
                        prop_assert_eq!(&draft.title, trimmed);
                        prop_assert_eq!(&draft.body, &body);
                        let written = serde_json::to_value(&draft).unwrap();
                        prop_assert_eq!(written, serde_json::json!({"title": trimmed, "body": body}));
                    }
                    Err(problem) => {
                        prop_assert!(!good, "{}", json);
                        prop_assert_eq!(problem.code(), Code::ValidationFailed);
                    }
                }
                prop_assert_eq!(NotePatch::parse(json.as_bytes()).is_ok(), good);
            }

            #[test]
            fn a_body_is_malformed_exactly_when_it_is_not_json(
                title in "\\PC{0,20}", cut in any::<prop::sample::Index>(),
                bytes in prop::collection::vec(any::<u8>(), 0..3), skip in 0..3_usize
            ) {
                let mut json = serde_json::json!({"title": title, "body": [null, 1.5, {"x": true}]})
                    .to_string()
                    .into_bytes();
                let from = cut.index(json.len() + 1);
                let to = (from + skip).min(json.len());
                json.splice(from..to, bytes);
                // `Value` also refuses what is JSON but has no value, such as half a character: two bytes
                // make none of this text.
                let is_json = serde_json::from_slice::<serde_json::Value>(&json).is_ok();
                let code = NoteDraft::parse(&json).unwrap_err().code();
                prop_assert_eq!(code == Code::MalformedJson, !is_json, "{:?}", json);
            }
        }
    }
}
