//! The whole path of a request, on one screen: [`decide`].
//!
//! Promise: the order of the steps is the security: cheap refusals come first, nothing is believed
//! before it was proved, and nobody reaches the database without both proofs. Whatever can't be
//! decided is refused. It refuses to run without a complete configuration.

use std::cell::RefCell;

use serde::Serialize;
use uuid::Uuid;

use crate::command::{Command, DataCommand, PublishedCommand};
use crate::config::{Config, Misconfigured, notice};
use crate::cors;
use crate::guard::{self, Head};
use crate::job;
use crate::limit;
use crate::notes;
use crate::openapi;
use crate::orgs;
use crate::problem::{Code, Problem};
use crate::replay;
use crate::reply::{Response, document, json};
use crate::route::{self, Document, Guarded, Route};
use crate::seam::{Bindings, BodyError, Edge, Field, Incoming, Level, Limiter, Millis};
use crate::token;

/// Most bytes that a request body may have.
pub const BODY_MAX: usize = 256 * 1024;

/// How long a body may take to arrive: 256 KiB at 70 kbit/s.
const BODY_TIMEOUT: Millis = 30_000;

/// The Worker's logic, made once per isolate.
pub struct Gateway {
    config: Result<Config, Misconfigured>,
}

impl Gateway {
    /// Reads the configuration. What is wrong with it, or worth a warning, is logged here, once.
    pub fn new(bindings: &impl Bindings, log: &impl Fn(Level, &str)) -> Self {
        // What the jobs need is none of a request's affair. But a key that is none is an operator's mistake, and is to
        // be seen before the night.
        match job::check(bindings).and_then(|()| Config::load(bindings)) {
            Ok((config, warnings)) => {
                for warning in warnings {
                    log(Level::Warn, &notice("warning", &warning));
                }
                Self { config: Ok(config) }
            }
            Err(error) => {
                log(Level::Error, &notice("misconfigured", &error.to_string()));
                Self { config: Err(error) }
            }
        }
    }

    /// How long a request takes at most, from the deadlines of all that it may wait for.
    pub fn longest(&self) -> Millis {
        let of = |config: &Config| {
            let stores = config.store_timeout.saturating_mul(3);
            [stores, config.verifier.longest(), config.database.timeout()]
                .into_iter()
                .fold(BODY_TIMEOUT, Millis::saturating_add)
        };
        self.config.as_ref().map_or(BODY_TIMEOUT, of)
    }

    /// Answers a request and writes its log line.
    pub async fn handle<R: Incoming, E: Edge>(&self, request: &mut R, edge: &E) -> Response {
        let mut trace = Trace::begin(request.method(), edge.now());
        let response = match &self.config {
            Ok(config) => match cors::preflight(&config.cors, request) {
                Some(preflight) => preflight,
                None => decide(config, request, edge, &mut trace)
                    .await
                    .unwrap_or_else(|problem| trace.refuse(problem)),
            },
            Err(_) => trace.refuse(Problem::new(
                Code::Misconfigured,
                "The service is not configured completely; its log says what is missing.",
            )),
        };
        let mut response = response
            .with("x-request-id", &trace.request_id)
            .with("x-content-type-options", "nosniff");
        if response.headers.get("cache-control").is_none() {
            response = response.with("cache-control", "no-store");
        }
        if let Ok(config) = &self.config {
            response = cors::expose(&config.cors, request, response);
        }
        if request.method() == "HEAD" {
            response.body.clear();
        }
        trace.end(response.status, edge);
        response
    }
}

/// The path. Every `?` is a refusal.
async fn decide<R: Incoming, E: Edge>(
    config: &Config,
    request: &mut R,
    edge: &E,
    trace: &mut Trace,
) -> Result<Response, Problem> {
    // 1. Route: 404, 405, 400. The public documents are behind no door.
    let route = route::resolve(request.method(), request.target())?;
    trace.route = Some(route.pattern());
    let wanted = match route {
        Route::Public(Document::Health) => return Ok(health()),
        Route::Public(Document::OpenApi) => return Ok(openapi::document()),
        Route::Guarded(wanted) => wanted,
    };

    // 2. Declared size: 413.
    refuse_declared_size(request)?;

    // 3. Limit of this client address: 429; 503 if the limiter can't say.
    let address = limit::address_key(request.header(Field::ConnectingIp));
    limit::admit(Limiter::Ip, &address, config.store_timeout, edge).await?;

    // A read whose client has left is given up. What may write goes on, to its log line.
    if !matches!(request.method(), "GET" | "HEAD") {
        edge.outlive();
    }

    // 4. The body, counted while it is read: 413; 503 if it takes too long.
    let deadline = edge.now().saturating_add(BODY_TIMEOUT);
    let body = request
        .body(BODY_MAX, deadline)
        .await
        .map_err(refuse_body)?;

    // 5. First door, App Guard: 401.
    let now = edge.now().div_euclid(1000);
    let (finding, guarded) = guard::check(&config.apps, Head::read(request), body, now);
    trace.guard = Some(finding);
    let request = guarded?;
    trace.app_id = request.app_id().map(str::to_owned);

    // What was published is behind the first door alone, and asked for without any user's token.
    let resource = match wanted {
        Guarded::Authenticated(resource) => resource,
        Guarded::Published(id) => {
            let command = PublishedCommand::parse(&request)?;
            let upstream = edge.now();
            let outcome = notes::published(id, command, &request, &config.database, edge).await;
            trace.upstream_ms = Some(edge.now().saturating_sub(upstream));
            return outcome;
        }
    };

    // 6. Second door, the user's token: 401; 503 if the key set can't be had.
    let session = token::authenticate(&config.verifier, &request, edge).await?;
    trace.user_id = Some(session.sub());

    // 7. Limit of this user: 429, 503.
    limit::admit(
        Limiter::User,
        &session.sub().to_string(),
        config.store_timeout,
        edge,
    )
    .await?;

    // 8. Validation: 400, 415, 422. From here on the request is a command.
    let command = match Command::parse(resource, &request)? {
        Command::Me => return Ok(json(200, &session.me(request.app_id()))),
        Command::Data(command) => command,
    };

    // 9. Replay: 409; 503 if the nonce store can't say. A claim stands whatever comes of it.
    let admitted = replay::claim(&request, config.store_timeout, edge).await?;

    // All that is needed of it is in the command: a body is not held while the database is waited for.
    drop(request);

    // 10. Supabase, with the user's own token: 403, 404, 409, 412, 5xx.
    let store = config.database.open(&session, admitted, edge);
    let upstream = edge.now();
    let outcome = match command {
        DataCommand::Notes(scope, command) => notes::run(scope, command, &store).await,
        DataCommand::Orgs(command) => orgs::run(command, &store).await,
    };
    trace.upstream_ms = Some(edge.now().saturating_sub(upstream));
    outcome
}

fn health() -> Response {
    document(200, "application/json", br#"{"status":"ok"}"#.to_vec())
}

fn refuse_declared_size(request: &impl Incoming) -> Result<(), Problem> {
    match request.header(Field::ContentLength) {
        None => Ok(()),
        // What does not fit into a `usize`, which has 32 bits on wasm, is too large as well.
        Some(length) => match length.parse::<usize>() {
            Ok(length) if length <= BODY_MAX => Ok(()),
            _ => Err(too_large()),
        },
    }
}

fn refuse_body(error: BodyError) -> Problem {
    match error {
        BodyError::TooLarge => too_large(),
        BodyError::Broken => Problem::new(Code::MalformedRequest, "The body did not arrive whole."),
        // A slow network is a fault that may pass, so it is no 4xx.
        BodyError::Slow => Problem::new(
            Code::DependencyUnavailable,
            "The body took longer than 30 seconds to arrive.",
        ),
    }
}

fn too_large() -> Problem {
    Problem::new(
        Code::PayloadTooLarge,
        "A request body is at most 256 KiB (262144 bytes).",
    )
}

/// What the log line of a request says. Never a token, a signature, a secret, a title or a body.
struct Trace {
    request_id: String,
    method: String,
    began: Millis,
    route: Option<&'static str>,
    guard: Option<guard::Finding>,
    app_id: Option<String>,
    user_id: Option<Uuid>,
    upstream_ms: Option<Millis>,
    code: Option<Code>,
    reason: Option<&'static str>,
    level: Level,
}

#[derive(Serialize)]
struct Line<'a> {
    event: &'static str,
    request_id: &'a str,
    method: &'a str,
    route: Option<&'static str>,
    status: u16,
    code: Option<&'static str>,
    reason: Option<&'static str>,
    guard: Option<&'static str>,
    guard_key: Option<&'a str>,
    app_id: Option<&'a str>,
    user_id: Option<Uuid>,
    duration_ms: Millis,
    upstream_ms: Option<Millis>,
}

impl Trace {
    fn begin(method: &str, now: Millis) -> Self {
        Self {
            request_id: request_id(),
            method: method.chars().take(16).collect(),
            began: now,
            route: None,
            guard: None,
            app_id: None,
            user_id: None,
            upstream_ms: None,
            code: None,
            reason: None,
            level: Level::Info,
        }
    }

    fn refuse(&mut self, problem: Problem) -> Response {
        self.level = problem.level();
        self.code = Some(problem.code());
        self.reason = problem.reason();
        problem.into_response(&self.request_id)
    }

    fn end(&self, status: u16, edge: &impl Edge) {
        let line = Line {
            event: "request",
            request_id: &self.request_id,
            method: &self.method,
            route: self.route,
            status,
            code: self.code.map(|code| code.row().code),
            reason: self.reason,
            guard: self.guard.as_ref().map(guard::Finding::as_str),
            guard_key: match &self.guard {
                Some(guard::Finding::Verified { key }) => Some(key),
                _ => None,
            },
            app_id: self.app_id.as_deref(),
            user_id: self.user_id,
            duration_ms: edge.now().saturating_sub(self.began),
            upstream_ms: self.upstream_ms,
        };
        edge.log(
            self.level,
            &serde_json::to_string(&line).unwrap_or_default(),
        );
    }
}

/// 128 random bits as a UUID.
fn request_id() -> String {
    thread_local! {
        /// Random bits for requests to come: to ask the platform for each by itself takes longer than
        /// to sign a request does.
        static BITS: RefCell<Vec<[u8; 16]>> = const { RefCell::new(Vec::new()) };
    }
    let bits = BITS.with_borrow_mut(|bits| {
        if bits.is_empty() {
            let mut fresh = [[0; 16]; 64];
            // A request id that can't be random is still an id; nothing rests on it but finding log lines.
            let _ = getrandom::fill(fresh.as_flattened_mut());
            bits.extend(fresh);
        }
        bits.pop().unwrap_or_default()
    });
    uuid::Builder::from_random_bytes(bits)
        .into_uuid()
        .to_string()
}
