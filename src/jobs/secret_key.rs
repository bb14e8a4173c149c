//! The secret key: the only way past Row Level Security.
//!
//! A [`ServiceRole`] runs one batch of one [`Job`] under that job's label, and the database records it
//! in the same transaction. Only the scheduled handler has one: this module is private to
//! [`jobs`](super), and nothing else reads the key. It has no way to any table.

use std::ops::RangeInclusive;

use ::postgrest::Postgrest;

use crate::config::{Misconfigured, bad, is_key, legacy_role, optional, project_url, whole};
use crate::error::{Code, Problem};
use crate::json;
use crate::platform::{Accept, Bindings, Millis, Platform, UpstreamRequest};
use crate::postgrest;
use crate::types::Object;

const KEY: &str = "SUPABASE_SECRET_KEY";

/// Rows of one batch: few enough that the database's own timeout does not end it.
pub(super) const BATCH: i64 = 1000;

/// Most bytes of an answer, which is a number.
const ANSWER_MAX: usize = 64 * 1024;

/// Days that deleted rows are kept.
const DAYS: RangeInclusive<u16> = 1..=3650;

/// A job, named after the rows that it deletes for good. The database knows the same labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Job {
    Rows,
    IdempotencyKeys,
    Organizations,
    Invitations,
}

impl Job {
    pub(super) const ALL: [Self; 4] = [Self::Rows, Self::IdempotencyKeys, Self::Organizations, Self::Invitations];

    /// The label in the log and in the database's record.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Rows => "job:purge-deleted-rows",
            Self::IdempotencyKeys => "job:purge-expired-idempotency-keys",
            Self::Organizations => "job:purge-deleted-organizations",
            Self::Invitations => "job:purge-expired-invitations",
        }
    }
}

/// The role `service_role`. There is no `Debug`, so nothing prints the key.
pub(super) struct ServiceRole {
    client: Postgrest,
    /// A legacy key, which is a token too.
    token: Option<String>,
    timeout: Millis,
    days: u16,
}

impl ServiceRole {
    /// `None` without a secret key.
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
        let timeout = whole(bindings, "UPSTREAM_TIMEOUT_MS", "milliseconds", millis, 10_000)?;
        let rest_url = format!("{}rest/v1", url.as_str());
        Ok(Some(Self {
            client: Postgrest::new(rest_url).insert_header("apikey", &key),
            token: token.then_some(key),
            timeout: timeout.into(),
            days,
        }))
    }

    /// Runs one batch of a job, before `deadline`. Returns its number of rows.
    pub(super) async fn batch<P: Platform>(
        &self,
        job: Job,
        run: &str,
        deadline: Millis,
        platform: &P,
    ) -> Result<i64, Problem> {
        let mut request = self.client.rpc("airlock_run_job", "");
        if let Some(token) = &self.token {
            request = request.auth(token);
        }
        let parameters = Object::new()
            .text("job_label", job.label())
            .text("job_run", run)
            .number("after_days", i64::from(self.days))
            .number("at_most", BATCH);
        let request = UpstreamRequest { head: postgrest::head(request)?, body: Some(parameters.finish()) };
        let deadline = deadline.min(platform.now().saturating_add(self.timeout));
        let accept = Accept::Whole { max: ANSWER_MAX };
        let response = postgrest::send(platform, request, accept, deadline).await?;
        match json::read(&postgrest::answer(response, None)?) {
            Some(rows) if (0..=BATCH).contains(&rows) => Ok(rows),
            _ => Err(Code::UpstreamInvalid.because("a batch without its count")),
        }
    }
}

/// Whether the key is a legacy key of role `service_role`, which must be sent as a token as well. The
/// gateway of hosted Supabase makes a token of an `sb_secret_` key by itself.
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
        Err(bad(KEY, "is neither an sb_secret_ key nor the legacy service_role key"))
    }
}
