//! The whole path of a request, on one screen: [`decide`].
//!
//! The order of the steps matters. Cheap refusals come first, no value is used before it is
//! verified, and no request reaches the database without both proofs. A request that cannot be
//! decided is refused.

use crate::app_guard::{self, Finding, Head, Sent};
use crate::auth;
use crate::config::{self, Config, Misconfigured, notice};
use crate::cors;
use crate::error::{Code, Problem};
use crate::handlers::{AppCall, UserCall};
use crate::jobs;
use crate::limit;
use crate::log::Trace;
use crate::platform::{Bindings, BodyError, Header, Incoming, Level, Millis, Platform};
use crate::request::Input;
use crate::response::{self, Body, Response};
use crate::router::{self, Guarded, Handler, Matched, Probe, Route};

/// Most bytes that a request body may have.
pub const BODY_MAX: usize = 256 * 1024;

/// How long a body may take to arrive: 256 KiB at 70 kbit/s.
const BODY_TIMEOUT: Millis = 30_000;

/// The header of the Worker's version: of its probes and its problems.
const VERSION: &str = "x-airlock-version";

/// The Worker's logic, made once per isolate.
pub struct Pipeline {
    config: Result<Config, Misconfigured>,
}

impl Pipeline {
    /// Reads the configuration and the declaration (JSON text). Errors and warnings are logged here,
    /// once.
    pub fn new(bindings: &impl Bindings, declaration: &str, log: &dyn Fn(Level, &str)) -> Self {
        match Config::load(bindings, declaration) {
            Ok((config, warnings)) => {
                // A bad setting of the jobs turns the jobs off, not the API.
                if let Err(error) = jobs::check(bindings) {
                    log(Level::Error, &notice("misconfigured", &error.to_string()));
                }
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

    /// The names of the headers in the order of [`Header::ALL`], a line each; empty for those that are not
    /// read, since reading one costs time.
    pub fn headers(&self) -> String {
        let config = self.config.as_ref().ok();
        let cors = config.is_some_and(|config| !config.cors.is_empty());
        let attested = config.is_some_and(|config| config.apps.attest());
        let name = |header: Header| {
            let read = match header {
                Header::Origin | Header::RequestMethod => cors,
                Header::AppCheck | Header::Approov => attested,
                _ => true,
            };
            if read { header.name() } else { "" }
        };
        Header::ALL.map(name).join("\n")
    }

    /// The longest that a request takes: the sum of the deadlines of all that it may wait for.
    pub fn longest(&self) -> Millis {
        let of = |config: &Config| {
            // LIMIT_USER, and LIMIT_IP after the response.
            let limiters = config.store_timeout.saturating_mul(2);
            let attestation = if config.apps.attest() { config.app_check.tokens.longest() } else { 0 };
            [limiters, attestation, config.verifier.tokens.longest(), config.database.timeout()]
                .into_iter()
                .fold(BODY_TIMEOUT, Millis::saturating_add)
        };
        self.config.as_ref().map_or(BODY_TIMEOUT, of)
    }

    /// Answers a request and writes its log line.
    pub async fn handle<R: Incoming, P: Platform>(&self, request: &mut R, platform: &P) -> Handled {
        let mut trace = Trace::begin(request.method(), platform.now());
        let outcome = match &self.config {
            Ok(config) => match cors::preflight::<P>(config, request) {
                Some(preflight) => Ok(preflight),
                None => decide(config, request, platform, &mut trace).await,
            },
            Err(_) => Err(Code::Misconfigured.into()),
        };
        let counts = trace.counts || outcome.as_ref().is_err_and(Problem::is_against_address);
        let response = outcome.unwrap_or_else(|problem| trace.refuse(problem));
        if let Err(error) = &self.config {
            trace.reason = Some(error.to_string().into());
        }
        let mut response = response.with("x-request-id", trace.request_id()).with("x-content-type-options", "nosniff");
        if response.headers.get("cache-control").is_none() {
            response = response.with("cache-control", "no-store");
        }
        if response.status >= 400 {
            // A client that is newer than this Worker can tell why it was refused.
            let version = self.config.as_ref().map_or(config::VERSION, |config| &config.version);
            response = response.with(VERSION, version);
        }
        if let Ok(config) = &self.config {
            response = cors::expose(&config.cors, request, response);
        }
        if request.method() == "HEAD" {
            response.body = Body::Bytes(Vec::new());
        }
        trace.streamed = response.body == Body::Upstream;
        trace.end(response.status, self.config.as_ref().map_or(1, |config| config.log_reads), platform);
        Handled { response, counts: counts.then(|| limit::address_key(request.header(Header::ConnectingIp))) }
    }

    /// Counts a request against its address, once its response is on its way.
    pub async fn count<P: Platform>(&self, address: String, platform: &P) {
        if let Ok(config) = &self.config {
            config.addresses.count(address, config.store_timeout, platform).await;
        }
    }
}

/// The end of a request.
#[derive(Debug)]
pub struct Handled {
    /// The response.
    pub response: Response,
    /// The address that the request counts against, for [`Pipeline::count`].
    pub counts: Option<String>,
}

/// The path. Every `?` is a refusal.
async fn decide<R: Incoming, P: Platform>(
    config: &Config,
    request: &mut R,
    platform: &P,
    trace: &mut Trace,
) -> Result<Response, Problem> {
    // 1. Route: 404, 405, 400. Probes and the public document need no proof.
    let matched = router::resolve(&config.declaration, request.method(), request.target())?;
    trace.route = Some(matched.name());
    let Matched { route, path, .. } = matched;
    let Route { accepts, handler, .. } = route;
    let address = limit::address_key(request.header(Header::ConnectingIp));
    let handler = match handler {
        Handler::Probe(probe) => {
            if probe == Probe::Ready {
                // No app's id begins with a colon.
                limit::admit_user(&format!(":ready {address}"), config.store_timeout, platform).await?;
                config.readiness.check(&config.verifier, &config.database, &config.declaration, platform).await?;
            }
            trace.quiet = true;
            let well = response::document(200, "application/json", br#"{"status":"ok"}"#.to_vec());
            return Ok(well.with(VERSION, &config.version));
        }
        Handler::Public(handler) => return handler(platform).await,
        Handler::Guarded(handler) => handler,
    };

    // 2. Declared size: 413.
    refuse_declared_size(request)?;

    // 3. The form of the app headers: 401.
    let head = Head::read(request);
    trace.client = request.header(Header::ClientInfo).filter(|name| is_client(name)).map(str::to_owned);
    trace.claimed_app_id = head.claimed_app_id().map(str::to_owned);
    app_guard::require_headers(&config.apps, &head).inspect_err(|_| trace.guarded(&Finding::Incomplete))?;

    // 4. An address that is known to be over its limit: 429.
    config.addresses.admit(&address, platform.now())?;

    // A read ends when its client disconnects. A write runs to completion, and to its log line.
    if !matches!(request.method(), "GET" | "HEAD") {
        platform.outlive();
    }

    // 5. The body, counted while it is read: 413; 503 if it takes too long or the isolate is full.
    let deadline = platform.now().saturating_add(BODY_TIMEOUT);
    let body = request.body(BODY_MAX, deadline).await.map_err(refuse_body)?;

    // 6. App Guard, the app's signature: 401; 426 for a retired key.
    let now = platform.now().div_euclid(1000);
    let (finding, signed) = app_guard::check(&config.apps, head, body, now);
    trace.guarded(&finding);
    let signed = signed?;
    if signed.app_id().is_some() {
        trace.app_id = trace.claimed_app_id.take();
    }

    // 7. Attestation, where the app's key asks for it: 401, 429; 503 if the vendor's keys are not there.
    let sent = Sent { app_check: request.header(Header::AppCheck), approov: request.header(Header::Approov) };
    let attested = signed.attest(sent, &config.app_check, now, platform).await;
    if let Some(attested) = &attested {
        trace.attested(attested);
    }
    let request = match signed.admit(attested.as_ref()) {
        Err(problem) if problem.code().is_unattested() => {
            let app = trace.app_id.as_deref().unwrap_or_default();
            limit::admit_user(&format!("attest {app} {address}"), config.store_timeout, platform).await?;
            return Err(problem);
        }
        admitted => admitted?,
    };
    trace.counts = !request.is_enforced();

    match handler {
        Guarded::App(handler) => {
            if let Some(app) = request.app_id() {
                limit::admit_user(&format!("{app} {address}"), config.store_timeout, platform).await?;
            }
            let input = Input::read(accepts, &request)?;
            let database = config.database.as_app(&request, platform);
            trace.upstream_since = Some(platform.now());
            handler(AppCall { input, database, path }).await
        }
        Guarded::User(handler) => {
            // 8. The user's token: 401; 503 if the key set gives no answer.
            let session = auth::authenticate(&config.verifier, &request, platform).await?;
            trace.user_id = Some(session.sub());

            // 9. Limit of this user: 429; 503 if the limiter gives no answer.
            limit::admit_user(&session.sub().to_string(), config.store_timeout, platform).await?;

            // 10. The parameters, headers and body that the route accepts: 400, 415, 422. The
            // handler validates the rest.
            let input = Input::read(accepts, &request)?;

            // 11. Supabase, with the user's own token. One transaction decides, changes the row and
            // claims the nonce: 403, 404, 409, 412, 5xx.
            let database = config.database.as_user(&session, &request, platform);
            trace.upstream_since = Some(platform.now());
            handler(UserCall { input, session: &session, app_id: request.app_id(), database, path }).await
        }
    }
}

/// 1 to 64 of `A-Z a-z 0-9 . _ / + -` and spaces, such as `react-native-airlock/0.1.0`.
fn is_client(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'/' | b'+' | b'-' | b' '))
}

fn refuse_declared_size(request: &impl Incoming) -> Result<(), Problem> {
    match request.header(Header::ContentLength) {
        None => Ok(()),
        // A number that does not fit into a `usize`, which has 32 bits on wasm, is too large as well.
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
        // A slow network is a transient fault, so this is not a 4xx.
        BodyError::Slow => Problem::new(Code::DependencyUnavailable, "The body took longer than 30 seconds to arrive.")
            .because("the request body was slow"),
        BodyError::Busy => Problem::dependency("the isolate holds too many request bodies", 5),
    }
}

fn too_large() -> Problem {
    Problem::from(Code::PayloadTooLarge).against_address()
}
