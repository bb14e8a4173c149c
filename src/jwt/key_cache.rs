//! A key set, cached in this isolate.
//!
//! A withdrawn key is good for at most ten minutes more (an hour while the endpoint fails). For App
//! Check these are one and six hours. An added key is found at once. A flood of unknown `kid`s
//! costs one fetch in thirty seconds, and requests that arrive together share one. A broken key set
//! never replaces good keys: where the answer is not known, it is 503 and not 401.

use std::cell::RefCell;
use std::rc::Rc;

use super::key_set::{KeySet, PublicKey};
use crate::platform::{Accept, Content, Level, Millis, Platform, SendError, UpstreamRequest, UpstreamResponse};

const MINUTE: Millis = 60_000;
const COOL_DOWN: Millis = 30_000;

/// A project's set is about 1 KB.
const SET_MAX: usize = 256 * 1024;

/// How long after its deadline another request takes a fetch over: a fetch needs the time to report
/// its failure.
const GRACE: Millis = 500;

/// How often, in milliseconds, a request looks whether another request's fetch has ended. It cannot
/// await that fetch itself: the platform ends a request's I/O with the request.
const POLL: u32 = 10;

/// The place of a key set. Its kind decides how long keys are kept.
#[derive(Debug)]
pub(crate) enum Source {
    /// The Supabase project's.
    Project(String),
    /// Firebase App Check's, which no setting can replace.
    AppCheck,
    /// The stand-in for App Check's key set during development, on this machine.
    Development(String),
}

impl Source {
    fn url(&self) -> &str {
        match self {
            Self::Project(url) | Self::Development(url) => url,
            Self::AppCheck => "https://firebaseappcheck.googleapis.com/v1/jwks",
        }
    }

    /// How long a set is fresh, and how long its keys are good while the endpoint fails. Google's own
    /// limit for App Check's is six hours.
    fn ages(&self) -> (Millis, Millis) {
        match self {
            Self::Project(_) => (10 * MINUTE, 60 * MINUTE),
            Self::AppCheck | Self::Development(_) => (60 * MINUTE, 360 * MINUTE),
        }
    }

    /// The name of the source in the log.
    fn name(&self) -> &'static str {
        match self {
            Self::Project(_) => "project",
            Self::AppCheck | Self::Development(_) => "app_check",
        }
    }
}

/// The cached key set.
#[derive(Debug)]
pub(crate) struct KeyCache {
    source: Source,
    timeout: Millis,
    state: RefCell<Cached>,
}

#[derive(Debug, Default)]
struct Cached {
    set: KeySet,
    /// How many fetches were good.
    fetches: u32,
    /// When `set` was fetched; `None` before the first good fetch.
    fetched_at: Option<Millis>,
    /// Until this time an unknown `kid` causes no fetch.
    cool_until: Millis,
    /// Until this time a failed endpoint is not asked again; 0 after a good fetch.
    failed_until: Millis,
    /// Until this time other requests wait for the running fetch. It may have ended with its request.
    fetching_until: Millis,
}

/// The result of a search for a key.
pub(super) enum Lookup {
    /// The key.
    Found(Rc<PublicKey>),
    /// The source has no such key.
    Unknown,
    /// The set lacked it when it was fetched a moment ago. Try again in this many seconds.
    CoolingDown { retry_after: u32 },
    /// The key set cannot be fetched now. Try again in this many seconds.
    Unavailable { retry_after: u32 },
}

/// The next step of a search.
enum Next {
    Done(Lookup),
    Wait,
    Fetch,
}

impl KeyCache {
    pub(crate) fn new(source: Source, timeout: Millis) -> Self {
        Self { source, timeout, state: RefCell::default() }
    }

    /// How long [`KeyCache::find`] takes at most.
    pub(super) fn longest(&self) -> Millis {
        self.timeout.saturating_mul(2).saturating_add(4 * GRACE)
    }

    /// Finds the key that a token names, or any key.
    pub(super) async fn find(&self, kid: Option<&str>, platform: &impl Platform) -> Lookup {
        let seen = self.state.borrow().fetches;
        let patience = platform.now().saturating_add(self.timeout).saturating_add(2 * GRACE);
        loop {
            // In a statement of its own: the borrow must end before anything is awaited.
            let step = (self.state.borrow_mut()).step(kid, seen, platform.now(), self.timeout, self.source.ages());
            match step {
                Next::Done(lookup) => return lookup,
                Next::Wait if platform.now() < patience => platform.sleep(POLL).await,
                Next::Wait => return Lookup::Unavailable { retry_after: 1 },
                Next::Fetch => {
                    let fetched = self.fetch(platform).await;
                    let fetched = fetched.map_err(|(reason, status)| {
                        let source = self.source.name();
                        let line = format!(
                            r#"{{"event":"jwks_failed","reason":"{reason}","upstream_status":{status},"source":"{source}"}}"#
                        );
                        platform.log(Level::Error, &line);
                    });
                    let now = platform.now();
                    let emptied = self.state.borrow_mut().settle(kid, fetched.ok(), now);
                    if emptied {
                        platform.log(Level::Warn, r#"{"event":"jwks_empty"}"#);
                    }
                }
            }
        }
    }

    /// An error is a reason and the status that there was, or 0.
    async fn fetch(&self, platform: &impl Platform) -> Result<KeySet, (&'static str, u16)> {
        let request = UpstreamRequest { head: format!("GET\n{}\n", self.source.url()), body: None };
        // Others wait for this set.
        platform.outlive();
        let deadline = platform.now().saturating_add(self.timeout);
        let accept = Accept::Whole { max: SET_MAX };
        match platform.send(request, accept, deadline).await {
            Ok(UpstreamResponse { status: 200, content: Content::Whole(body), .. }) => {
                KeySet::parse(&body).map_err(|rejected| (rejected.0, 200))
            }
            Ok(response) => Err(("status is not 200", response.status)),
            Err(SendError::NoHost) => Err(("no such host: compare SUPABASE_URL", 0)),
            Err(SendError::Unreachable) => Err(("no connection, or it broke", 0)),
            Err(_) => Err(("no answer in time, or too much of one", 0)),
        }
    }
}

impl Cached {
    fn key(&self, kid: Option<&str>) -> Option<&Rc<PublicKey>> {
        match kid {
            Some(kid) => self.set.find(kid),
            None => self.set.first(),
        }
    }

    fn step(
        &mut self,
        kid: Option<&str>,
        seen: u32,
        now: Millis,
        timeout: Millis,
        (fresh, stale): (Millis, Millis),
    ) -> Next {
        let age = self.fetched_at.map(|at| now.saturating_sub(at));
        let fresh = age.is_some_and(|age| age < fresh);
        let key = self.key(kid);
        if let (true, Some(key)) = (fresh, key) {
            return Next::Done(Lookup::Found(Rc::clone(key)));
        }
        let fetching = now < self.fetching_until;
        // The last fetch failed; another request may just be fetching again.
        if now < self.failed_until || (fetching && self.failed_until > 0) {
            let usable = age.is_some_and(|age| age < stale);
            match key {
                Some(key) if usable => return Next::Done(Lookup::Found(Rc::clone(key))),
                _ if fetching => {}
                _ => {
                    let retry_after = seconds_until(self.failed_until, now);
                    return Next::Done(Lookup::Unavailable { retry_after });
                }
            }
        }
        if fetching {
            return Next::Wait;
        }
        // The set was fetched while this request waited, and lacks the key. Or it has no key at all.
        if fresh && (self.fetches != seen || kid.is_none()) {
            return Next::Done(Lookup::Unknown);
        }
        // The source may have added the key since the last fetch.
        if fresh && now < self.cool_until {
            let retry_after = seconds_until(self.cool_until, now);
            return Next::Done(Lookup::CoolingDown { retry_after });
        }
        self.fetching_until = now.saturating_add(timeout).saturating_add(GRACE);
        if fresh {
            // From the start, so that a fetch that never ends counts as well.
            self.cool_until = now.saturating_add(COOL_DOWN);
        }
        Next::Fetch
    }

    /// Stores the result of a fetch. Returns whether a set with keys became an empty one, which an
    /// operator should know of.
    fn settle(&mut self, kid: Option<&str>, fetched: Option<KeySet>, now: Millis) -> bool {
        self.fetching_until = 0;
        match fetched {
            Some(set) => {
                let emptied = set.is_empty() && !self.set.is_empty();
                self.set = set;
                if kid.is_some() && self.key(kid).is_none() {
                    self.cool_until = now.saturating_add(COOL_DOWN);
                }
                self.fetches = self.fetches.wrapping_add(1);
                self.fetched_at = Some(now);
                self.failed_until = 0;
                emptied
            }
            None => {
                self.failed_until = now.saturating_add(COOL_DOWN);
                false
            }
        }
    }
}

fn seconds_until(then: Millis, now: Millis) -> u32 {
    let millis = u32::try_from(then.saturating_sub(now)).unwrap_or(0);
    millis.div_ceil(1000).max(1)
}
