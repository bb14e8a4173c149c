//! Bytes of a request body to what is written about organisations.
//!
//! Promise: a draft in hand satisfies every limit of the database. It refuses what
//! [`crate::wire::body`] refuses, roles that there are not, and tokens that no invitation ever had.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use validator::Validate;

use super::Role;
use crate::problem::Problem;
use crate::wire::body::{Members, checked, flaw, no_nul};

/// Longest name, in Unicode scalar values, after trimming. The database's `organizations_name_length`.
const NAME_MAX: u64 = 200;

/// Random bytes of an invitation's token.
const TOKEN_BYTES: usize = 32;

/// An organisation, to be created or named anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Validate)]
pub(crate) struct OrgDraft {
    #[validate(length(min = 1, max = NAME_MAX, message = "must have 1 to 200 characters, trimmed"), custom(function = no_nul))]
    name: String,
}

/// The one member of a body that gives somebody a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct RoleDraft {
    pub(crate) role: Role,
}

/// What an invitation is accepted with: 256 random bits in base64url. Whoever holds it can join once.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub(crate) struct InvitationToken(String);

/// Without the token: it opens a door.
impl std::fmt::Debug for InvitationToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InvitationToken")
    }
}

impl OrgDraft {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn parse(json: &[u8]) -> Result<Self, Problem> {
        let mut members = Members::parse(json, &["name"])?;
        members.require("name");
        // Stored trimmed of Unicode White_Space, which is what `trim` removes.
        let name = members.take("name").unwrap_or_default().trim().to_owned();
        checked(Self { name }, members.into_errors())
    }
}

impl RoleDraft {
    pub(crate) fn parse(json: &[u8]) -> Result<Self, Problem> {
        let mut members = Members::parse(json, &["role"])?;
        members.require("role");
        let role = members.take("role");
        let mut errors = members.into_errors();
        let known = match role.as_deref() {
            Some("owner") => Some(Role::Owner),
            Some("editor") => Some(Role::Editor),
            Some("viewer") => Some(Role::Viewer),
            Some(_) => {
                errors.push(flaw("role", "value", "must be owner, editor or viewer"));
                None
            }
            None => None,
        };
        match known {
            Some(role) if errors.is_empty() => Ok(Self { role }),
            _ => Err(Problem::validation(errors)),
        }
    }
}

impl InvitationToken {
    /// A new one.
    pub(crate) fn random() -> Result<Self, Problem> {
        let mut bytes = [0; TOKEN_BYTES];
        getrandom::fill(&mut bytes).map_err(|_| Problem::internal("no random bytes"))?;
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// From the body of the request that accepts it.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, Problem> {
        let mut members = Members::parse(json, &["token"])?;
        members.require("token");
        let token = members.take("token");
        let mut errors = members.into_errors();
        let form = |token: &String| {
            URL_SAFE_NO_PAD
                .decode(token)
                .is_ok_and(|bytes| bytes.len() == TOKEN_BYTES)
        };
        if token.as_ref().is_some_and(|token| !form(token)) {
            errors.push(flaw("token", "value", "must be the token of an invitation"));
        }
        match token {
            Some(token) if errors.is_empty() => Ok(Self(token)),
            _ => Err(Problem::validation(errors)),
        }
    }

    /// What the database keeps of it: SHA-256 in hex.
    pub(crate) fn digest(&self) -> String {
        let digest = Sha256::digest(self.0.as_bytes());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Code;

    fn errors(problem: Problem) -> String {
        assert_eq!(problem.code(), Code::ValidationFailed);
        let body: serde_json::Value =
            serde_json::from_slice(&problem.into_response("-").body).unwrap();
        body["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| format!("{} {};", error["pointer"], error["code"]).replace('"', ""))
            .collect()
    }

    #[test]
    fn a_name_is_trimmed_then_counted_in_characters() {
        let longest = "\u{1F469}".repeat(200);
        let json = serde_json::json!({ "name": format!("\u{a0}{longest}\n") });
        let draft = OrgDraft::parse(json.to_string().as_bytes()).unwrap();
        assert_eq!(draft.name(), longest);
        for (json, flaws) in [
            (format!(r#"{{"name":"{longest}a"}}"#), "/name length;"),
            (r#"{"name":" "}"#.to_owned(), "/name length;"),
            (r#"{"name":"a\u0000"}"#.to_owned(), "/name characters;"),
            (r#"{"name":null}"#.to_owned(), "/name type;"),
            ("{}".to_owned(), "/name required;"),
            (
                r#"{"name":"a","role":"owner","id":"x"}"#.to_owned(),
                "/role unknown;/id unknown;",
            ),
        ] {
            let problem = OrgDraft::parse(json.as_bytes()).unwrap_err();
            assert_eq!(errors(problem), flaws, "{json}");
        }
    }

    #[test]
    fn a_role_is_one_of_three_words() {
        for (word, role) in [
            ("owner", Role::Owner),
            ("editor", Role::Editor),
            ("viewer", Role::Viewer),
        ] {
            let draft = RoleDraft::parse(format!(r#"{{"role":"{word}"}}"#).as_bytes()).unwrap();
            assert_eq!(draft, RoleDraft { role });
            assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{word}\""));
        }
        for (json, flaws) in [
            (r#"{"role":"Owner"}"#, "/role value;"),
            (r#"{"role":""}"#, "/role value;"),
            (r#"{"role":1}"#, "/role type;"),
            ("{}", "/role required;"),
            (r#"{"role":"owner","user_id":"x"}"#, "/user_id unknown;"),
        ] {
            let problem = RoleDraft::parse(json.as_bytes()).unwrap_err();
            assert_eq!(errors(problem), flaws, "{json}");
        }
    }

    #[test]
    fn a_token_is_43_characters_that_nobody_sees() {
        let token = InvitationToken::random().unwrap();
        assert_eq!(format!("{token:?}"), "InvitationToken");
        assert_ne!(token, InvitationToken::random().unwrap());
        let json = serde_json::json!({ "token": token }).to_string();
        assert_eq!(InvitationToken::parse(json.as_bytes()).unwrap(), token);
        for (json, flaws) in [
            (r#"{"token":""}"#.to_owned(), "/token value;"),
            (
                format!(r#"{{"token":"{}"}}"#, "A".repeat(42)),
                "/token value;",
            ),
            (
                format!(r#"{{"token":"{}="}}"#, "A".repeat(43)),
                "/token value;",
            ),
            ("{}".to_owned(), "/token required;"),
        ] {
            let problem = InvitationToken::parse(json.as_bytes()).unwrap_err();
            assert_eq!(errors(problem), flaws, "{json}");
        }
    }

    #[test]
    fn the_database_hashes_a_token_as_we_do() {
        // select encode(sha256(convert_to(repeat('A', 43), 'UTF8')), 'hex')
        let token = InvitationToken("A".repeat(43));
        assert_eq!(
            token.digest(),
            "0f007385b6f9d4b7eeb2748605afe1a984a0a3bfa3f014d09e2a784ce9e5cd1a"
        );
    }
}
