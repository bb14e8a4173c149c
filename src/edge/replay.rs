//! The nonce store: Durable Objects that remember which nonces were used.
//!
//! Promise: of all claims of one key, however many at once, exactly one is granted, and it stays
//! granted to nobody else until it may be forgotten; an object that is evicted reads its claims
//! from its own SQLite when it comes back. It refuses to answer at all rather than guess.

use std::cell::Cell;
use std::time::Duration;

use serde::Deserialize;
use worker::{
    Date, DurableObject, Env, Request, Response, Result, SqlStorage, State, durable_object,
};

use crate::seam::{Claim, Millis, Unanswered, Verdict};

/// Objects that share the work. One handles some hundreds of claims a second; keys are spread over
/// them by their nonce, which is random. A change of this number forgets the claims of the last eleven
/// minutes, and so does one of what an object is asked for: deploy it when a replay of those does no harm.
const SHARDS: u32 = 32;

/// Seconds between two sweeps at least: one alarm for many claims.
const SWEEP: i64 = 60;

/// The number of the object that a key belongs to, and what to ask it for. How long a claim is kept is said in
/// seconds from `now`: an object whose clock goes ahead would forget it too soon.
pub(super) fn address(claim: &Claim, now: Millis) -> (u32, String) {
    // FNV-1a: which object a key belongs to must only be the same every time.
    let hash = claim.key.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    // App ids, nonces and numbers need no encoding.
    let seconds = claim.keep_until.saturating_sub(now.div_euclid(1000));
    let url = format!("https://replay/{seconds}/{}", claim.key);
    (hash % SHARDS, url)
}

/// What the status of its answer means.
pub(super) fn verdict(status: i32) -> Result<Verdict, Unanswered> {
    match status {
        200 => Ok(Verdict::Granted),
        409 => Ok(Verdict::Refused),
        _ => Err(Unanswered),
    }
}

/// One shard.
#[durable_object(alarm)]
pub struct Replay {
    state: State,
    sql: SqlStorage,
    sweeping: Cell<bool>,
}

/// A row that an INSERT returned.
#[derive(Deserialize)]
struct Claimed {}

#[derive(Deserialize)]
struct Earliest {
    /// Unix seconds; none in an empty table.
    keep_until: Option<f64>,
}

impl DurableObject for Replay {
    fn new(state: State, _: Env) -> Self {
        let sql = state.storage().sql();
        // Fails only where `exec` below would fail as well, and that is answered.
        let _ = sql.exec(
            "CREATE TABLE IF NOT EXISTS claims (key TEXT PRIMARY KEY, keep_until INTEGER NOT NULL) \
             WITHOUT ROWID",
            None,
        );
        Self {
            state,
            sql,
            sweeping: Cell::new(false),
        }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        let path = request.path();
        let (seconds, key) = path
            .trim_start_matches('/')
            .split_once('/')
            .ok_or("a claim is /<seconds to keep it>/<key>")?;
        // Not even a second: whoever asks should have refused it by itself.
        let seconds: u32 = seconds.parse().map_err(|_| "seconds is no number")?;
        let keep_until = now().saturating_add(seconds.into());

        // One statement, and nothing is awaited before it: no other claim can come between.
        let claimed: Vec<Claimed> = self
            .sql
            .exec(
                "INSERT INTO claims (key, keep_until) VALUES (?, ?) ON CONFLICT DO NOTHING \
                 RETURNING key",
                vec![key.into(), keep_until.into()],
            )?
            .to_array()?;
        if !self.sweeping.get() {
            self.sweep_at(keep_until).await?;
        }
        Response::empty()
            .map(|response| response.with_status(if claimed.is_empty() { 409 } else { 200 }))
    }

    async fn alarm(&self) -> Result<Response> {
        let now = now();
        self.sql
            .exec("DELETE FROM claims WHERE keep_until < ?", vec![now.into()])?;
        let left: Earliest = self
            .sql
            .exec("SELECT min(keep_until) AS keep_until FROM claims", None)?
            .one()?;
        self.sweeping.set(false);
        if let Some(earliest) = left.keep_until {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "seconds, as they were stored"
            )]
            let earliest = earliest as i64;
            self.sweep_at(earliest.max(now.saturating_add(SWEEP)))
                .await?;
        }
        Response::empty()
    }
}

impl Replay {
    /// Sees to it that a sweep comes once `keep_until` is past, if none is due already.
    async fn sweep_at(&self, keep_until: i64) -> Result<()> {
        let storage = self.state.storage();
        if storage.get_alarm().await?.is_none() {
            let wait = keep_until.saturating_sub(now()).max(0).saturating_add(1);
            storage
                .set_alarm(Duration::from_secs(wait.unsigned_abs()))
                .await?;
        }
        self.sweeping.set(true);
        Ok(())
    }
}

/// Unix seconds.
fn now() -> i64 {
    i64::try_from(Date::now().as_millis())
        .unwrap_or(i64::MAX)
        .div_euclid(1000)
}
