//! The database: calls of `public.airlock_*` through PostgREST.
//!
//! Every call of a user carries that user's own token, so Row Level Security decides. A
//! [`UserDatabase`] is made from a [`Session`] and a [`GuardedRequest`], a [`Reader`] without a user from a
//! [`GuardedRequest`] alone; there is no other way to the database from a route.

pub(crate) mod edge_proof;
mod error;
mod outcome;

use std::cell::RefCell;
use std::fmt::Write as _;
use std::ops::Deref;

use postgrest::{Builder, Postgrest};
use serde::de::DeserializeOwned;

use crate::app_guard::{GuardedRequest, Nonce};
use crate::auth::Session;
use crate::error::{Code, Problem};
use crate::json;
use crate::platform::{Accept, Content, Millis, Platform, SendError, UpstreamRequest, UpstreamResponse};
use crate::resources::{Declaration, Resource};
use crate::types::{Object, random_uuid};
use edge_proof::Signer;
pub(crate) use outcome::{NO_VERSION, Outcome, Row, State};

/// Most bytes of an answer that is read whole. One row of 20 fields at their limits fits many times.
const ANSWER_MAX: usize = 16 * 1024 * 1024;
const WHOLE: Accept = Accept::Whole { max: ANSWER_MAX };

/// Most bytes that a list may declare.
const LIST_MAX: u64 = 64 * 1024 * 1024;

/// The longest that the database keeps a claim, in seconds.
const KEEP_MAX: i64 = 900;

/// How often a write is sent in all when the database rolled it back for another transaction's sake.
const ATTEMPTS: u32 = 3;

/// The version of schema `airlock` that this Worker works with.
const SCHEMA_VERSION: i64 = 1;

const READY: Function = Function::new("airlock_ready");

/// The database behind PostgREST. Part of the configuration.
pub(crate) struct Database {
    client: Postgrest,
    timeout: Millis,
    /// Makes the proofs of edge-only mode; absent if the mode is off.
    signer: Option<Signer>,
    /// Method, URL and headers of each function's calls, as `postgrest` builds them. No request changes
    /// them, and building them takes a tenth of a request's time.
    heads: RefCell<Vec<(&'static str, String)>>,
}

/// A function of schema `public` that PostgREST exposes. Its name is a constant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Function(&'static str);

impl Function {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self(name)
    }
}

impl Database {
    /// `publishable_key` must be printable ASCII.
    pub(crate) fn new(rest_url: &str, publishable_key: &str, timeout: Millis, signer: Option<Signer>) -> Self {
        Self {
            client: Postgrest::new(rest_url).insert_header("apikey", publishable_key),
            timeout,
            signer,
            heads: RefCell::default(),
        }
    }

    /// How long the calls of one request may take together.
    pub(crate) fn timeout(&self) -> Millis {
        self.timeout
    }

    /// The database as one user sees it, for one request. Its calls share one deadline.
    pub(crate) fn as_user<'a, P: Platform>(
        &'a self,
        session: &'a Session,
        request: &GuardedRequest,
        platform: &'a P,
    ) -> UserDatabase<'a, P> {
        let claim = request.nonce().map(|nonce| claim_header(nonce, platform.now().div_euclid(1000)));
        UserDatabase { reader: self.reader(platform, Some(session)), claim }
    }

    /// What the role `anon` sees of the database, for one request of a known app.
    pub(crate) fn as_app<'a, P: Platform>(&'a self, _: &GuardedRequest, platform: &'a P) -> Reader<'a, P> {
        self.reader(platform, None)
    }

    /// Whether the database has the migrations that this Worker and its declaration need.
    pub(crate) async fn ready<P: Platform>(&self, declaration: &Declaration, platform: &P) -> Result<(), Problem> {
        let resources = declaration.resources.iter().map(|resource| resource.name.clone());
        let functions = declaration.functions.iter().map(|function| format!("functions/{}", function.name));
        let names: Vec<String> = resources.chain(functions).collect();
        let arguments = Object::new()
            .number("schema_version", SCHEMA_VERSION)
            .value("organizations", &declaration.organizations)
            .value("resources", &names);
        if self.reader(platform, None).read(READY, arguments).await? {
            Ok(())
        } else {
            let reason = "the database lacks a migration of this Worker or of a declared resource, \
                or a declared function has an overload";
            Err(Code::Internal.because(reason))
        }
    }

    fn reader<'a, P: Platform>(&'a self, platform: &'a P, session: Option<&'a Session>) -> Reader<'a, P> {
        Reader { database: self, platform, session, deadline: platform.now().saturating_add(self.timeout) }
    }

    fn head(&self, Function(name): Function) -> Result<String, Problem> {
        if let Some((_, head)) = self.heads.borrow().iter().find(|(known, _)| *known == name) {
            return Ok(head.clone());
        }
        let head = head(self.client.rpc(name, ""))?;
        self.heads.borrow_mut().push((name, head.clone()));
        Ok(head)
    }
}

/// Calls that change nothing, for one request.
pub(crate) struct Reader<'a, P> {
    database: &'a Database,
    platform: &'a P,
    /// Whose token the calls carry. Without one Postgres sees the role `anon`.
    session: Option<&'a Session>,
    deadline: Millis,
}

impl<P: Platform> Reader<'_, P> {
    async fn send(
        &self,
        function: Function,
        arguments: String,
        claim: Option<&str>,
        accept: Accept,
    ) -> Result<UpstreamResponse, Problem> {
        let mut request = UpstreamRequest { head: self.database.head(function)?, body: Some(arguments) };
        if let Some(session) = self.session {
            add_header(&mut request, "authorization", &format!("Bearer {}", session.token()));
        }
        if let Some(claim) = claim {
            add_header(&mut request, "x-airlock-claim", claim);
        }
        if let Some(signer) = &self.database.signer {
            signer.sign(&mut request, self.session.map(Session::sub), self.platform.now());
        }
        send(self.platform, request, accept, self.deadline).await
    }

    /// Calls a function that changes nothing, and reads its answer.
    pub(crate) async fn read<T: DeserializeOwned>(&self, function: Function, arguments: Object) -> Result<T, Problem> {
        let response = self.send(function, arguments.finish(), None, WHOLE).await?;
        parse(&answer(response, None)?)
    }

    /// Calls a function whose answer is the body of our response. `Ok` means that the platform holds
    /// that body.
    pub(crate) async fn stream(&self, function: Function, arguments: Object) -> Result<(), Problem> {
        let accept = Accept::Stream { max_error: ANSWER_MAX };
        streamable(self.send(function, arguments.finish(), None, accept).await?)
    }
}

/// The rows that one user may see and change.
pub(crate) struct UserDatabase<'a, P> {
    reader: Reader<'a, P>,
    /// The nonce of the request, for the transaction that changes a row.
    claim: Option<String>,
}

impl<'a, P> Deref for UserDatabase<'a, P> {
    type Target = Reader<'a, P>;

    fn deref(&self) -> &Reader<'a, P> {
        &self.reader
    }
}

impl<P: Platform> UserDatabase<'_, P> {
    /// Calls a function that changes rows. The nonce is claimed in its transaction. A write that the
    /// database rolled back for another transaction's sake is sent again; after a lost answer it is not.
    pub(crate) async fn write(
        &self,
        function: Function,
        arguments: Object,
        resource: Option<&Resource>,
    ) -> Result<Outcome, Problem> {
        let arguments = arguments.finish();
        let mut attempt = 1;
        loop {
            let response = self.send(function, arguments.clone(), self.claim.as_deref(), WHOLE).await?;
            match answer(response, resource) {
                Err(problem) if attempt < ATTEMPTS && error::was_rolled_back(&problem) => {
                    attempt = attempt.saturating_add(1);
                }
                answer => return parse(&answer?),
            }
        }
    }
}

/// Sends a request; no answer is a problem.
pub(crate) async fn send(
    platform: &impl Platform,
    request: UpstreamRequest,
    accept: Accept,
    deadline: Millis,
) -> Result<UpstreamResponse, Problem> {
    match platform.send(request, accept, deadline).await {
        Ok(response) => Ok(response),
        Err(SendError::Timeout) => Err(Code::UpstreamTimeout.because("no answer in time")),
        Err(SendError::NoHost) => Err(Code::UpstreamUnavailable.because(error::NO_HOST)),
        Err(SendError::Unreachable) => Err(Code::UpstreamUnavailable.because("no connection, or it broke")),
        Err(SendError::TooLarge) => Err(Code::UpstreamInvalid.because("more than 16 MiB")),
    }
}

/// The body of a 200.
pub(crate) fn answer(response: UpstreamResponse, resource: Option<&Resource>) -> Result<Vec<u8>, Problem> {
    match response {
        UpstreamResponse { status: 200, content: Content::Whole(body), .. } => Ok(body),
        other => Err(error::problem(&other, resource)),
    }
}

/// Whether a list's answer may be handed on unread.
fn streamable(response: UpstreamResponse) -> Result<(), Problem> {
    let Content::Streaming { declared_length } = response.content else {
        return Err(error::problem(&response, None));
    };
    let essence = response.content_type.split(';').next().unwrap_or_default();
    if response.status != 200 || !essence.trim().eq_ignore_ascii_case("application/json") {
        Err(Code::UpstreamInvalid.because("a list that is not a 200 of JSON"))
    } else if declared_length.is_some_and(|length| length > LIST_MAX) {
        Err(Code::UpstreamInvalid.because("a list of more than 64 MiB"))
    } else {
        Ok(())
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    json::read(body).ok_or(Code::UpstreamInvalid.because("the answer is not what the function returns"))
}

/// Takes a request out of the hands of `postgrest`, whose own client has no deadline and follows
/// redirects with the token.
pub(crate) fn head(builder: Builder) -> Result<String, Problem> {
    let failed = |_| Code::Internal.because("postgrest could not build the request");
    let request = builder.build().build().map_err(failed)?;
    let mut head = format!("{}\n{}\n", request.method(), request.url());
    for (name, value) in request.headers() {
        let value = value.to_str().map_err(|_| Code::Internal.because("a header of the request is not text"))?;
        // Writing to a `String` cannot fail.
        let _ = writeln!(head, "{name}\n{value}");
    }
    Ok(head)
}

/// Adds a header whose value has no line end.
fn add_header(request: &mut UpstreamRequest, name: &'static str, value: &str) {
    let _ = writeln!(request.head, "{name}\n{value}");
}

/// The value of the header `X-Airlock-Claim`, as `airlock.claim()` reads it. `now` is in Unix seconds.
fn claim_header(nonce: &Nonce, now: i64) -> String {
    let seconds = nonce.keep_until.saturating_sub(now).clamp(1, KEEP_MAX);
    format!("v1.{seconds}.{}.{}", random_uuid(), nonce.key)
}
