//! Scheduled jobs: they delete expired rows for good, in bounded batches.
//!
//! Each job writes one log line under its label, and the database records each use under the same run
//! and label. A job that fails does not stop the others; the next run continues. No request can
//! start one: the secret key is in a private module, [`secret_key`].

mod secret_key;

use crate::config::{Misconfigured, notice};
use crate::error::{Answered, Problem};
use crate::platform::{Bindings, Level, Millis, Platform};
use crate::types::{Object, random_uuid};
use secret_key::{BATCH, Job, ServiceRole};

/// Batches of one job in one run. Four jobs stay below the 50 requests that an event may send on
/// Cloudflare's free plan.
const BATCHES: u32 = 10;

/// How long a run may take. Cloudflare ends it after 15 minutes.
const RUN: Millis = 300_000;

/// The jobs of one scheduled event.
pub struct Jobs {
    service_role: Result<Option<ServiceRole>, Misconfigured>,
}

impl Jobs {
    /// How long a run takes at most.
    pub const LONGEST: Millis = RUN;

    /// Reads the configuration of the jobs. No request has it.
    pub fn load(bindings: &impl Bindings) -> Self {
        Self { service_role: ServiceRole::load(bindings) }
    }

    /// Runs all jobs and writes a log line for each. Returns whether none failed.
    pub async fn run<P: Platform>(&self, platform: &P) -> bool {
        let service_role = match &self.service_role {
            Ok(Some(service_role)) => service_role,
            Ok(None) => {
                let message = "SUPABASE_SECRET_KEY is not set: scheduled jobs are off.";
                platform.log(Level::Info, &notice("jobs_off", message));
                return true;
            }
            Err(error) => {
                platform.log(Level::Error, &notice("misconfigured", &error.to_string()));
                return false;
            }
        };
        let run = random_uuid().to_string();
        let deadline = platform.now().saturating_add(RUN);
        let mut good = true;
        for job in Job::ALL {
            let began = platform.now();
            let mut progress = Progress::default();
            let result = work(service_role, job, &run, deadline, &mut progress, platform).await;
            good &= result.is_ok();
            report(job, &run, result, &progress, platform.now().saturating_sub(began), platform);
        }
        good
    }
}

/// Checks the settings of the jobs.
pub(crate) fn check(bindings: &impl Bindings) -> Result<(), Misconfigured> {
    ServiceRole::load(bindings).map(drop)
}

enum End {
    /// Nothing is left that is due.
    Done,
    /// A bound was reached first.
    Unfinished,
}

async fn work<P: Platform>(
    service_role: &ServiceRole,
    job: Job,
    run: &str,
    deadline: Millis,
    progress: &mut Progress,
    platform: &P,
) -> Result<End, Problem> {
    while progress.batches < BATCHES && platform.now() < deadline {
        let rows = service_role.batch(job, run, deadline, platform).await?;
        progress.batches = progress.batches.saturating_add(1);
        progress.rows = progress.rows.saturating_add(rows);
        if rows < BATCH {
            return Ok(End::Done);
        }
    }
    Ok(End::Unfinished)
}

/// The work of a job so far.
#[derive(Default)]
struct Progress {
    rows: i64,
    batches: u32,
}

/// Writes the log line of a job.
fn report(
    job: Job,
    run: &str,
    result: Result<End, Problem>,
    progress: &Progress,
    duration_ms: Millis,
    platform: &impl Platform,
) {
    let (level, outcome) = match &result {
        Ok(End::Done) => (Level::Info, "done"),
        Ok(End::Unfinished) => (Level::Warn, "unfinished"),
        // No client sees it.
        Err(_) => (Level::Error, "failed"),
    };
    let mut problem = result.err();
    let mut line = Object::new()
        .text("event", "job")
        .text("label", job.label())
        .text("run", run)
        .text("outcome", outcome)
        .text("code", problem.as_ref().map(|problem| problem.code().definition().code))
        .text("reason", problem.as_ref().and_then(Problem::reason));
    let Answered { status, code } = problem.as_mut().map(Problem::answered).unwrap_or_default();
    if let Some(status) = status {
        line = line.number("upstream_status", i64::from(status));
    }
    if let Some(code) = &code {
        line = line.text("upstream_code", code.as_str());
    }
    let line = line.number("rows", progress.rows).number("batches", i64::from(progress.batches));
    platform.log(level, &line.number("duration_ms", duration_ms).finish());
}
