//! The bypass: what may be done past Row Level Security, with the secret key.
//!
//! Promise: whoever has a [`Bypass`] can have one batch of one [`Job`] done, under that job's label, and
//! the database records it in the same transaction. Only the scheduled handler has one: this module is
//! private to [`job`](super), and nothing else reads the key. It refuses a key that is less or other
//! than a secret key, and has no way to any table.

use std::ops::RangeInclusive;

use postgrest::Postgrest;
use serde::Serialize;
use uuid::Uuid;

use crate::config::{Misconfigured, bad, is_key, legacy_role, optional, project_url, whole};
use crate::json;
use crate::problem::Problem;
use crate::seam::{Bindings, Edge, Millis, Outbound};
use crate::store;

const KEY: &str = "SUPABASE_SECRET_KEY";

/// Rows of one batch: as many as can be deleted well within the database's own timeout.
const BATCH: u32 = 1000;

/// Days that something deleted is kept.
const DAYS: RangeInclusive<u16> = 1..=3650;

/// A job, by what it deletes for good. The database knows the same labels, and does what they say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Job {
    Notes,
    IdempotencyKeys,
    Organizations,
    Invitations,
}

impl Job {
    pub(super) const ALL: [Self; 4] = [
        Self::Notes,
        Self::IdempotencyKeys,
        Self::Organizations,
        Self::Invitations,
    ];

    /// What each use is recorded under, in the database and in the log.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Notes => "job:purge-deleted-notes",
            Self::IdempotencyKeys => "job:purge-expired-idempotency-keys",
            Self::Organizations => "job:purge-deleted-organizations",
            Self::Invitations => "job:purge-expired-invitations",
        }
    }
}

/// The capability. It prints nothing of itself: there is no `Debug`.
pub(super) struct Bypass {
    client: Postgrest,
    /// A legacy key, which is a token besides.
    token: Option<String>,
    timeout: Millis,
    days: u16,
}

/// What came of one batch.
pub(super) struct Batch {
    pub(super) rows: u32,
    /// Whether there was no more to do.
    pub(super) last: bool,
}

impl Bypass {
    /// None without a secret key.
    pub(super) fn load(bindings: &impl Bindings) -> Result<Option<Self>, Misconfigured> {
        let days = whole(bindings, "PURGE_AFTER_DAYS", "days", DAYS, 30)?;
        let Some(key) = optional(bindings, KEY) else {
            return Ok(None);
        };
        let token = secret_key(&key)?;
        let url = optional(bindings, "SUPABASE_URL")
            .ok_or_else(|| bad("SUPABASE_URL", "is missing"))
            .and_then(|text| project_url(&text))?;
        let millis = 1..=u16::MAX;
        let timeout = whole(
            bindings,
            "UPSTREAM_TIMEOUT_MS",
            "milliseconds",
            millis,
            10_000,
        )?;
        let rest_url = format!("{}rest/v1", url.as_str());
        Ok(Some(Self {
            client: Postgrest::new(rest_url).insert_header("apikey", &key),
            token: token.then_some(key),
            timeout: timeout.into(),
            days,
        }))
    }

    /// Has one batch of a job done, before `deadline`.
    pub(super) async fn batch<E: Edge>(
        &self,
        job: Job,
        run: Uuid,
        deadline: Millis,
        edge: &E,
    ) -> Result<Batch, Problem> {
        /// The parameters of the function in `supabase/migrations`.
        #[derive(Serialize)]
        struct Parameters {
            job_label: &'static str,
            job_run: Uuid,
            after_days: u16,
            at_most: u32,
        }

        let mut request = self.client.rpc("run_job", "");
        if let Some(token) = &self.token {
            request = request.auth(token);
        }
        let request = Outbound {
            head: store::head(request)?,
            body: Some(store::to_json(&Parameters {
                job_label: job.label(),
                job_run: run,
                after_days: self.days,
                at_most: BATCH,
            })?),
        };
        let deadline = deadline.min(edge.now().saturating_add(self.timeout));
        let body = store::rows(store::send(edge, request, deadline).await?)?;
        match json::read(&body) {
            Some(rows) if rows <= BATCH => Ok(Batch {
                rows,
                last: rows < BATCH,
            }),
            _ => Err(Problem::upstream_invalid("a batch without its count")),
        }
    }
}

/// An `sb_secret_` key, or a legacy key of role `service_role`; true for that one. The gateway of hosted
/// Supabase makes a token of the first, which is none itself; the second has to be sent as one.
fn secret_key(key: &str) -> Result<bool, Misconfigured> {
    let legacy = legacy_role(key);
    if !key.bytes().all(|b| b.is_ascii_graphic()) {
        Err(bad(KEY, "holds characters that no key has"))
    } else if is_key(key, "sb_secret_") {
        Ok(false)
    } else if legacy.as_deref() == Some("service_role") {
        Ok(true)
    } else if key.starts_with("sb_publishable_") || legacy.is_some() {
        Err(bad(KEY, "is a key of another role than service_role"))
    } else {
        Err(bad(
            KEY,
            "is neither an sb_secret_ key nor the legacy service_role key",
        ))
    }
}
