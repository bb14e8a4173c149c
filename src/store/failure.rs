//! What PostgREST's errors mean.
//!
//! Promise: an error becomes the problem that says what the client can do about it, and not a word of
//! the database's goes out. It refuses to guess: what is not in the table is a fault of the database's
//! and no client's.

use serde::Deserialize;

use crate::json;
use crate::problem::{At, FieldError, Problem};
use crate::seam::Reply;

/// PostgREST's error body. Its `details` and `hint` are not read at all.
#[derive(Deserialize)]
struct PgError {
    code: String,
    #[serde(default)]
    message: String,
}

const UNIQUE_VIOLATION: &str = "23505";

/// Edge-only mode refused this Worker: nothing that a client could do about it.
const NO_PROOF: &str = "the database did not accept the edge proof: is the secret the same there, and the clock right?";

impl PgError {
    fn read(reply: &Reply) -> Option<Self> {
        json::read(&reply.body)
    }
}

/// Whether what was to be written is there already, under a unique constraint.
pub(super) fn is_taken(reply: &Reply) -> bool {
    PgError::read(reply).is_some_and(|error| error.code == UNIQUE_VIOLATION)
}

/// What an answer that is no success means.
///
/// Codes: <https://docs.postgrest.org/en/stable/references/errors.html>,
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
/// A fault that may pass is never a 4xx: an app's queue of unsent changes drops an entry on 4xx.
pub(super) fn problem(reply: &Reply) -> Problem {
    let Some(PgError { code, message }) = PgError::read(reply) else {
        return match reply.status {
            // A gateway in front of PostgREST, with a page of its own.
            401 | 403 => Problem::internal("the gateway refused the API key"),
            429 | 502 | 503 | 520..=530 => Problem::upstream_unavailable("a gateway said so"),
            402 => {
                Problem::upstream_unavailable("Supabase restricts this project: quota or payment")
            }
            540 => Problem::upstream_unavailable("this project is paused"),
            504 | 544 => Problem::upstream_timeout("a gateway said so"),
            _ => Problem::upstream_invalid("neither rows nor an error of PostgREST"),
        };
    };
    match code.as_str() {
        "PGRST301" | "PGRST302" | "PGRST303" if message.contains("expired") => {
            Problem::token_expired().because("the database's clock is ahead")
        }
        "PGRST301" | "PGRST302" | "PGRST303" => {
            Problem::token_invalid("verified here, refused by the database").alarming()
        }
        // The user's: the account was deleted, its token lives on. (An organisation that there is not is
        // refused by a policy before.)
        "23503" => Problem::token_invalid("the user no longer exists"),
        "PT403" => Problem::internal(NO_PROOF),
        "42501" if message.contains("_edge_only\"") => Problem::internal(NO_PROOF),
        "42501" if message.contains("row-level security") => Problem::forbidden(),
        "42501" => Problem::internal("permission denied: a grant is missing"),
        "42P17" => Problem::internal("a policy recurses"),
        "42P01" | "42703" | "PGRST202" | "PGRST204" | "PGRST205" => Problem::internal(
            "the schema lacks what the Worker expects: are the migrations applied?",
        ),
        UNIQUE_VIOLATION => Problem::conflict(),
        // Raised by our own functions, as <https://docs.postgrest.org/en/stable/references/errors.html#raise-errors-with-http-status-codes>.
        "PT409" => Problem::membership(),
        "23502" | "23514" | "22P02" | "22P05" | "22021" => Problem::validation(vec![FieldError {
            at: At::Pointer(String::new()),
            code: "value",
            message: "holds a value that the database refused",
        }])
        .because("a CHECK or a type was stricter than the Worker")
        .alarming(),
        "PGRST116" => Problem::no_such_note(),
        "40001" | "40P01" => Problem::upstream_unavailable("serialization failure or deadlock"),
        "57014" => Problem::upstream_timeout("statement timeout"),
        "PGRST003" => Problem::upstream_timeout("no database connection in time"),
        "25006" => Problem::upstream_unavailable("the database is read-only"),
        "PGRST000" | "PGRST001" | "PGRST002" | "53300" | "57P03" => {
            Problem::upstream_unavailable("PostgREST has no database")
        }
        _ => match reply.status {
            429 | 503 => Problem::upstream_unavailable("unknown code with a status that says so"),
            _ => Problem::upstream_invalid("an error code that is not in the table"),
        },
    }
}
