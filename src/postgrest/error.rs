//! The problem for each answer other than 200.
//!
//! Codes: <https://docs.postgrest.org/en/stable/references/errors.html>,
//! <https://www.postgresql.org/docs/current/errcodes-appendix.html>. A transient fault is never a 4xx:
//! an app's queue of unsent changes drops an entry on a 4xx. No text of the database reaches a client.

use crate::error::{Answered, At, Code, FieldError, Problem};
use crate::json;
use crate::platform::{Content, UpstreamResponse};
use crate::request::page::CURSOR;
use crate::resources::{Field, IdKind, Resource};

/// PostgREST's error body, as far as it is read.
struct PostgrestError {
    code: String,
    message: Option<String>,
    details: Option<String>,
}

const SERIALIZATION_FAILURE: &str = "40001";
const DEADLOCK_DETECTED: &str = "40P01";

impl PostgrestError {
    fn read(response: &UpstreamResponse) -> Option<Self> {
        let Content::Whole(body) = &response.content else { return None };
        let text = std::str::from_utf8(body).ok()?.trim_start();
        let [code, message, details] = json::members(text, ["code", "message", "details"])?;
        let text = |raw: Option<&str>| raw.and_then(|raw| serde_json::from_str(raw).ok());
        Some(Self { code: text(code)?, message: text(message), details: text(details) })
    }

    fn message(&self) -> &str {
        self.message.as_deref().unwrap_or_default()
    }

    /// The name in `... constraint "<name>"`, which Postgres quotes in its message.
    fn constraint(&self) -> Option<&str> {
        let (_, quoted) = self.message().split_once("constraint \"")?;
        Some(quoted.split_once('"')?.0)
    }

    /// The first column in `Key (<columns>)=...` of the details.
    fn key_column(&self) -> Option<&str> {
        let details = self.details.as_deref()?.strip_prefix("Key (")?;
        let (columns, _) = details.split_once(")=")?;
        columns.split(", ").next()
    }
}

/// Whether the database rolled the transaction back for another transaction's sake. Only then may a
/// write be sent again.
pub(super) fn was_rolled_back(problem: &Problem) -> bool {
    matches!(problem.upstream_code(), Some(SERIALIZATION_FAILURE | DEADLOCK_DETECTED))
}

/// The problem of an answer. `resource` explains constraints by its declaration.
pub(super) fn problem(response: &UpstreamResponse, resource: Option<&Resource>) -> Problem {
    let status = response.status;
    let error = PostgrestError::read(response);
    let problem = match &error {
        None => of_gateway(response),
        Some(error) => {
            let ours = matches!(&*error.code, "PT400" | "PT403" | "PT404" | "PT409" | "PT422" | "23503");
            let raised = ours.then(|| raised(error)).flatten();
            raised.unwrap_or_else(|| of_database(error, status, resource))
        }
    };
    let code = error.map(|error| error.code).filter(|code| is_code(code));
    problem.about(Answered { status: Some(status), code })
}

/// Whether it has the form of an SQLSTATE or of a code of PostgREST. Anything else is not logged.
fn is_code(text: &str) -> bool {
    matches!(text.len(), 5 | 8) && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// An answer that does not come from PostgREST but from a gateway in front of it.
fn of_gateway(response: &UpstreamResponse) -> Problem {
    match response.status {
        530 if is_unknown_host(response) => Code::UpstreamUnavailable.because(NO_HOST),
        401 | 403 => Code::Internal.because("the gateway refused the API key"),
        429 | 502 | 503 | 520..=530 => Code::UpstreamUnavailable.because("a gateway says that Supabase is unavailable"),
        402 => Code::UpstreamUnavailable.because("Supabase restricts this project: quota or payment"),
        540 => Code::UpstreamUnavailable.because("this project is paused"),
        504 | 544 => Code::UpstreamTimeout.because("a gateway got no answer in time"),
        _ => Code::UpstreamInvalid.because("neither an answer nor an error of PostgREST"),
    }
}

/// The host of `SUPABASE_URL` is not in DNS.
pub(super) const NO_HOST: &str = "no such host: compare SUPABASE_URL";

/// Cloudflare answers a `fetch` of an unknown host with `error code: 1016`.
fn is_unknown_host(response: &UpstreamResponse) -> bool {
    matches!(&response.content, Content::Whole(body) if body.windows(4).any(|part| part == b"1016"))
}

/// An error that one of Airlock's functions raised. Its message tells its code from that of a
/// team's trigger.
fn raised(error: &PostgrestError) -> Option<Problem> {
    Some(match error.message() {
        "airlock_request_replayed" => Code::RequestReplayed.into(),
        "airlock_last_owner" => Problem::new(
            Code::Conflict,
            "An organisation keeps at least one owner. Make another member its owner first.",
        ),
        "airlock_already_member" => Problem::new(Code::Conflict, "This user is a member of the organisation already."),
        "airlock_not_found" => Code::NotFound.into(),
        "airlock_unknown_resource" => {
            Code::Internal.because("the database does not know the resource: apply its migration")
        }
        "airlock_malformed_claim" => Code::Internal.because("the database refused the claim header"),
        "airlock_edge_only" => Code::Internal.because(NO_PROOF),
        "airlock_reference" => reference(error.details.as_deref()),
        "airlock_cursor" => Problem::validation(vec![FieldError {
            at: At::Parameter("cursor".into()),
            code: "value",
            message: CURSOR.into(),
        }]),
        _ => return None,
    })
}

const NO_PROOF: &str = "the database did not accept the edge proof: compare the secrets and the clocks";

fn of_database(error: &PostgrestError, status: u16, resource: Option<&Resource>) -> Problem {
    let message = error.message();
    match error.code.as_str() {
        "PGRST303" if message.contains("issued at future") => {
            Code::UpstreamUnavailable.because("the database's clock is behind")
        }
        "PGRST301" | "PGRST302" | "PGRST303" if message.contains("expired") => {
            Code::TokenExpired.because("the database's clock is ahead")
        }
        "PGRST301" | "PGRST302" | "PGRST303" => {
            Code::TokenInvalid.because("verified here, refused by the database").alarming()
        }
        "23503" if is_account(error, resource) => Code::TokenInvalid.because("the user no longer exists"),
        "23503" if message.starts_with("update or delete") => {
            Problem::new(Code::Conflict, "Other rows refer to this one. Delete or change them first.")
        }
        "23503" => {
            // Where the target has Row Level Security, the details leave the column out.
            let constraint = error.constraint().and_then(|name| name.strip_suffix("_fkey"));
            let named = |field: &&Field| {
                let is_column = |name: Option<&str>| name == Some(field.column.as_str());
                let after_table =
                    |resource: &Resource| constraint?.strip_prefix(&resource.table.name)?.strip_prefix('_');
                is_column(error.key_column()) || is_column(resource.and_then(after_table))
            };
            let field = resource.and_then(|resource| resource.fields.iter().find(named));
            reference(field.map(|field| field.name.as_str()))
        }
        "23505" if is_own_id(error, resource) => {
            Code::UpstreamUnavailable.because("the database made an id that is taken: its sequence is behind")
        }
        "23505" | "23P01" => {
            Problem::new(Code::Conflict, "A value that must be unique is taken.").with_errors(taken(error, resource))
        }
        "42501" if message.contains("_edge_only\"") => Code::Internal.because(NO_PROOF),
        "42501" if message.starts_with("permission denied") || message.starts_with("must be ") => {
            Code::Internal.because("permission denied: a grant is missing")
        }
        // A policy, or a trigger that raises this code itself.
        "42501" => Code::Forbidden.into(),
        "42P17" => Code::Internal.because("a policy recurses"),
        "42P01" | "42703" | "42883" | "PGRST106" | "PGRST202" | "PGRST203" | "PGRST204" | "PGRST205" => {
            Code::Internal.because("the schema lacks what the Worker expects: are the migrations applied?")
        }
        SERIALIZATION_FAILURE | DEADLOCK_DETECTED => {
            Code::UpstreamUnavailable.because("serialization failure or deadlock")
        }
        "25006" | "0A000" => Code::UpstreamUnavailable.because("the database is a read-only replica"),
        "PGRST000" | "PGRST001" | "PGRST002" | "53300" | "57P03" => {
            Code::UpstreamUnavailable.because("PostgREST has no database")
        }
        "55P03" => Code::UpstreamTimeout.because("a lock was not available in time"),
        "57014" => Code::UpstreamTimeout.because("statement timeout"),
        "PGRST003" => Code::UpstreamTimeout.because("no database connection in time"),
        code if is_rule(code) => Problem::invalid("", "rule", "breaks a rule of the database")
            .because("a constraint or a trigger of the database"),
        _ => match status {
            429 | 503 => Code::UpstreamUnavailable.because("an unknown code with a status of 429 or 503"),
            _ => Code::UpstreamInvalid.because("an error code that the Worker does not know"),
        },
    }
}

/// A CHECK or NOT NULL, a value that a type refuses (class 22), or an exception of a trigger.
fn is_rule(code: &str) -> bool {
    let classes = ["22", "54", "PT"];
    matches!(code, "23502" | "23514" | "P0001") || classes.iter().any(|class| code.starts_with(class))
}

/// Whether a foreign key to `auth.users` is broken: the account was deleted, its token lives on. Postgres leaves the
/// column out of its details when the caller may not read that table.
fn is_account(error: &PostgrestError, resource: Option<&Resource>) -> bool {
    let details = error.details.as_deref().unwrap_or_default();
    let constraint = error.constraint().unwrap_or_default();
    let owner = resource.and_then(|resource| resource.owner_column.column.as_deref()).unwrap_or("user_id");
    let is_owner = match error.key_column() {
        Some(column) => column == owner,
        None => constraint.ends_with(&format!("_{owner}_fkey")),
    };
    is_owner && details.contains("\"users\"")
}

/// Whether the taken value is an id that the database made. The next attempt gets another one.
fn is_own_id(error: &PostgrestError, resource: Option<&Resource>) -> bool {
    let id = resource.map(|resource| &resource.id).filter(|id| id.kind == IdKind::Bigint);
    id.is_some_and(|id| error.key_column() == Some(&id.column))
}

/// 422 `reference`. A missing row, a deleted one and another user's get the same answer.
fn reference(field: Option<&str>) -> Problem {
    let pointer = field.map(|name| format!("/{name}")).unwrap_or_default();
    Problem::invalid(&pointer, "reference", "must be the id of a row that exists and that this user may see")
}

/// An error for each field of a unique constraint, if the declaration names any.
fn taken(error: &PostgrestError, resource: Option<&Resource>) -> Vec<FieldError> {
    let fields = error.constraint().and_then(|constraint| {
        let mut unique = resource?.unique.iter();
        Some(&unique.find(|(name, _)| name == constraint)?.1)
    });
    let error = |pointer: String| FieldError::pointer(pointer, "unique", "is taken");
    match fields {
        None => vec![error(String::new())],
        Some(fields) => fields.iter().map(|field| error(format!("/{field}"))).collect(),
    }
}
