//! Scheduled jobs: what is to go for good goes at night, in bounded batches.
//!
//! Promise: one log line a job, with its label, and none without a use that the database has recorded under
//! the same run and label. A job that fails holds up no other, and what a run leaves is left to the
//! next. No request comes here, and none can: what acts past Row Level Security is a private module,
//! [`bypass`]. It refuses to run without a secret key, or with one that is none.

mod bypass;

use serde::Serialize;
use uuid::Uuid;

use crate::config::{Misconfigured, notice};
use crate::problem::Problem;
use crate::seam::{Bindings, Edge, Level, Millis};
use bypass::{Bypass, Job};

/// Batches of one job in one run. Four jobs stay below the 50 requests that an event may send on
/// Cloudflare's free plan.
const BATCHES: u32 = 10;

/// How long a run may take. Cloudflare ends it after 15 minutes.
const RUN: Millis = 300_000;

/// What there is to do when the schedule says so, made for one event.
pub struct Jobs {
    bypass: Result<Option<Bypass>, Misconfigured>,
}

impl Jobs {
    /// How long a run takes at most.
    pub const LONGEST: Millis = RUN;

    /// Reads the configuration of the jobs, which no request has.
    pub fn load(bindings: &impl Bindings) -> Self {
        Self {
            bypass: Bypass::load(bindings),
        }
    }

    /// Does all jobs, and writes a log line for each.
    pub async fn run<E: Edge>(&self, edge: &E) {
        let bypass = match &self.bypass {
            Ok(Some(bypass)) => bypass,
            Ok(None) => {
                let message = "SUPABASE_SECRET_KEY is not set: scheduled jobs are off.";
                return edge.log(Level::Info, &notice("jobs_off", message));
            }
            Err(error) => {
                return edge.log(Level::Error, &notice("misconfigured", &error.to_string()));
            }
        };
        let run = new_run();
        let deadline = edge.now().saturating_add(RUN);
        for job in Job::ALL {
            let mut trace = Trace::begin(job, run, edge.now());
            let outcome = work(bypass, job, deadline, &mut trace, edge).await;
            trace.end(&outcome, edge);
        }
    }
}

/// Whether a run would find its settings as they should be.
pub(crate) fn check(bindings: &impl Bindings) -> Result<(), Misconfigured> {
    Bypass::load(bindings).map(drop)
}

enum Outcome {
    /// Nothing is left that is due.
    Done,
    /// A bound was reached first.
    Unfinished,
}

async fn work<E: Edge>(
    bypass: &Bypass,
    job: Job,
    deadline: Millis,
    trace: &mut Trace,
    edge: &E,
) -> Result<Outcome, Problem> {
    while trace.batches < BATCHES && edge.now() < deadline {
        let batch = bypass.batch(job, trace.run, deadline, edge).await?;
        trace.batches = trace.batches.saturating_add(1);
        trace.rows = trace.rows.saturating_add(batch.rows);
        if batch.last {
            return Ok(Outcome::Done);
        }
    }
    Ok(Outcome::Unfinished)
}

/// What the log line of a job says.
struct Trace {
    job: Job,
    run: Uuid,
    began: Millis,
    rows: u32,
    batches: u32,
}

#[derive(Serialize)]
struct Line {
    event: &'static str,
    label: &'static str,
    run: Uuid,
    outcome: &'static str,
    code: Option<&'static str>,
    reason: Option<&'static str>,
    rows: u32,
    batches: u32,
    duration_ms: Millis,
}

impl Trace {
    fn begin(job: Job, run: Uuid, now: Millis) -> Self {
        Self {
            job,
            run,
            began: now,
            rows: 0,
            batches: 0,
        }
    }

    fn end(&self, outcome: &Result<Outcome, Problem>, edge: &impl Edge) {
        let problem = outcome.as_ref().err();
        let (level, word) = match outcome {
            Ok(Outcome::Done) => (Level::Info, "done"),
            Ok(Outcome::Unfinished) => (Level::Warn, "unfinished"),
            // Nobody else will hear of it.
            Err(_) => (Level::Error, "failed"),
        };
        let line = Line {
            event: "job",
            label: self.job.label(),
            run: self.run,
            outcome: word,
            code: problem.map(|problem| problem.code().row().code),
            reason: problem.and_then(Problem::reason),
            rows: self.rows,
            batches: self.batches,
            duration_ms: edge.now().saturating_sub(self.began),
        };
        edge.log(level, &serde_json::to_string(&line).unwrap_or_default());
    }
}

/// Names a run in the log and in the database's record of it; nothing rests on its being random.
fn new_run() -> Uuid {
    let mut bits = [0; 16];
    let _ = getrandom::fill(&mut bits);
    uuid::Builder::from_random_bytes(bits).into_uuid()
}
