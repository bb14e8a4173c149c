//! The life of the project's key set in this isolate.
//!
//! Promise: a key that its endpoint withdrew is good for at most ten minutes more (an hour while the
//! endpoint fails); a key that it added is found at once. A flood of made-up `kid`s costs one fetch
//! in thirty seconds, and requests that arrive together share one. It refuses to let a broken
//! answer replace good keys, and to answer "invalid" when the truth is "can't tell".

use std::cell::RefCell;
use std::rc::Rc;

use super::jwks::{KeySet, PublicKey};
use crate::seam::{Edge, Level, Millis, Outbound};

const FRESH: Millis = 10 * 60_000;
const STALE_MAX: Millis = 60 * 60_000;
const COOL_DOWN: Millis = 30_000;

/// A project's set is about 1 KB.
const SET_MAX: usize = 256 * 1024;

/// How long beyond its deadline a fetch is waited for before another request takes it over: it must
/// have the time to say that it failed.
const GRACE: Millis = 500;

/// How often a request looks whether another one's fetch is back. Waiting for that fetch itself
/// would tie this request to the other's: the platform ends a request's I/O with the request.
const POLL: u32 = 10;

/// The cached key set.
#[derive(Debug)]
pub(crate) struct Keys {
    url: String,
    timeout: Millis,
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    set: KeySet,
    /// When `set` was fetched; `None` before the first good fetch.
    fetched_at: Option<Millis>,
    /// Until when unknown `kid`s cause no fetch.
    cool_until: Millis,
    /// Until when a failed endpoint is left alone; 0 after a good fetch.
    failed_until: Millis,
    /// Until when a running fetch is waited for. It may have been abandoned with its request.
    fetching_until: Millis,
}

/// Where a search for a key ends.
pub(super) enum Lookup {
    /// The key.
    Found(Rc<PublicKey>),
    /// The project has no such key.
    Unknown,
    /// The project can't be asked. Worth another try in so many seconds.
    Unavailable { retry_after: u32 },
}

/// The next step of a search.
enum Step {
    Done(Lookup),
    Wait,
    Fetch,
}

impl Keys {
    pub(crate) fn new(url: String, timeout: Millis) -> Self {
        Self {
            url,
            timeout,
            state: RefCell::default(),
        }
    }

    /// How long [`Keys::find`] takes at most.
    pub(super) fn longest(&self) -> Millis {
        self.timeout.saturating_mul(2).saturating_add(4 * GRACE)
    }

    /// Finds the key that a token names.
    pub(super) async fn find(&self, kid: &str, edge: &impl Edge) -> Lookup {
        let patience = edge
            .now()
            .saturating_add(self.timeout)
            .saturating_add(2 * GRACE);
        loop {
            // In a statement of its own: the borrow must be over before anything is awaited.
            let step = self.state.borrow_mut().step(kid, edge.now(), self.timeout);
            match step {
                Step::Done(lookup) => return lookup,
                Step::Wait if edge.now() < patience => edge.sleep(POLL).await,
                Step::Wait => return Lookup::Unavailable { retry_after: 1 },
                Step::Fetch => {
                    let fetched = self.fetch(edge).await;
                    if let Err(reason) = fetched {
                        let line = format!(r#"{{"event":"jwks_failed","reason":"{reason}"}}"#);
                        edge.log(Level::Error, &line);
                    }
                    let now = edge.now();
                    let emptied = self.state.borrow_mut().settle(kid, fetched.ok(), now);
                    if emptied {
                        edge.log(Level::Warn, r#"{"event":"jwks_empty"}"#);
                    }
                }
            }
        }
    }

    async fn fetch(&self, edge: &impl Edge) -> Result<KeySet, &'static str> {
        let request = Outbound {
            head: format!("GET\n{}\n", self.url),
            body: None,
        };
        // Others wait for this set.
        edge.outlive();
        let deadline = edge.now().saturating_add(self.timeout);
        match edge.send(request, SET_MAX, deadline).await {
            Ok(reply) if reply.status == 200 => {
                KeySet::parse(&reply.body).map_err(|rejected| rejected.0)
            }
            Ok(_) => Err("status is not 200"),
            Err(_) => Err("no answer in time, or too much of one"),
        }
    }
}

impl State {
    fn step(&mut self, kid: &str, now: Millis, timeout: Millis) -> Step {
        let age = self.fetched_at.map(|at| now.saturating_sub(at));
        let fresh = age.is_some_and(|age| age < FRESH);
        let key = self.set.find(kid);
        if let (true, Some(key)) = (fresh, key) {
            return Step::Done(Lookup::Found(Rc::clone(key)));
        }
        let fetching = now < self.fetching_until;
        // The endpoint failed the last time it was asked; somebody may just be asking again.
        if now < self.failed_until || (fetching && self.failed_until > 0) {
            let usable = age.is_some_and(|age| age < STALE_MAX);
            match key {
                Some(key) if usable => return Step::Done(Lookup::Found(Rc::clone(key))),
                _ if fetching => {}
                _ => {
                    let retry_after = seconds_until(self.failed_until, now);
                    return Step::Done(Lookup::Unavailable { retry_after });
                }
            }
        }
        if fetching {
            return Step::Wait;
        }
        if fresh && now < self.cool_until {
            return Step::Done(Lookup::Unknown);
        }
        self.fetching_until = now.saturating_add(timeout).saturating_add(GRACE);
        if fresh {
            // From the start, so that a fetch that never ends counts as well.
            self.cool_until = now.saturating_add(COOL_DOWN);
        }
        Step::Fetch
    }

    /// Takes in what a fetch gave; true if there were keys and now there are none, which a project may
    /// want and an operator should know.
    fn settle(&mut self, kid: &str, fetched: Option<KeySet>, now: Millis) -> bool {
        self.fetching_until = 0;
        match fetched {
            Some(set) => {
                let emptied = set.is_empty() && !self.set.is_empty();
                if set.find(kid).is_none() {
                    self.cool_until = now.saturating_add(COOL_DOWN);
                }
                self.set = set;
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
