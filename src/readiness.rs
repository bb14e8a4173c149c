//! Whether Supabase's key set and database are ready, for `GET /ready`.
//!
//! The route needs no proof, so an isolate asks Supabase at most once in [`FRESH`].

use std::cell::{Cell, RefCell};

use crate::auth::{self, Verifier};
use crate::error::{Answered, Problem};
use crate::platform::{Millis, Platform};
use crate::postgrest::Database;
use crate::resources::Declaration;

/// How long an answer is kept.
const FRESH: Millis = 15_000;

/// The last answer of an isolate.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    /// Absent before the first answer.
    last: RefCell<Option<Result<(), (&'static str, Answered)>>>,
    until: Cell<Millis>,
}

impl Readiness {
    /// 503 if the key set or the database is not ready.
    pub(crate) async fn check(
        &self,
        verifier: &Verifier,
        database: &Database,
        declaration: &Declaration,
        platform: &impl Platform,
    ) -> Result<(), Problem> {
        let last = self.last.borrow().clone();
        let ready = match last {
            Some(last) if platform.now() < self.until.get() => last,
            _ => {
                // Other requests get the last answer meanwhile.
                platform.outlive();
                self.until.set(platform.now().saturating_add(FRESH));
                let ready = ask(verifier, database, declaration, platform).await.map_err(|mut problem| {
                    (problem.reason().unwrap_or("the database refuses the question"), problem.answered())
                });
                self.last.replace(Some(ready.clone()));
                ready
            }
        };
        ready.map_err(|(reason, answered)| Problem::dependency(reason, 15).about(answered))
    }
}

async fn ask(
    verifier: &Verifier,
    database: &Database,
    declaration: &Declaration,
    platform: &impl Platform,
) -> Result<(), Problem> {
    auth::ready(verifier, platform).await?;
    database.ready(declaration, platform).await
}
