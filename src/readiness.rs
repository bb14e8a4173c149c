//! Whether Supabase can be worked with, for `GET /ready`.
//!
//! The question needs no proof, so an isolate asks Supabase once in [`FRESH`] at most.

use std::cell::Cell;

use crate::auth::Verifier;
use crate::error::Problem;
use crate::platform::{Millis, Platform};
use crate::postgrest::Database;
use crate::resources::Declaration;

/// How long an answer is kept.
const FRESH: Millis = 15_000;

/// The last answer of an isolate.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    /// Absent before the first answer; otherwise the reason for the log, if Supabase is not ready.
    last: Cell<Option<Result<(), &'static str>>>,
    until: Cell<Millis>,
}

impl Readiness {
    /// 503 if Supabase cannot be worked with.
    pub(crate) async fn check(
        &self,
        verifier: &Verifier,
        database: &Database,
        declaration: &Declaration,
        platform: &impl Platform,
    ) -> Result<(), Problem> {
        let ready = match self.last.get() {
            Some(last) if platform.now() < self.until.get() => last,
            _ => {
                // Other requests get the last answer meanwhile.
                platform.outlive();
                self.until.set(platform.now().saturating_add(FRESH));
                let ready = ask(verifier, database, declaration, platform).await;
                let ready = ready.map_err(|problem| problem.reason().unwrap_or("the database refuses the question"));
                self.last.set(Some(ready));
                ready
            }
        };
        ready.map_err(|reason| Problem::dependency(reason, 15))
    }
}

async fn ask(
    verifier: &Verifier,
    database: &Database,
    declaration: &Declaration,
    platform: &impl Platform,
) -> Result<(), Problem> {
    verifier.ready(platform).await?;
    database.ready(declaration, platform).await
}
