//! The log line of a request: JSON, one line. Never a token, a signature, a secret, a title or a body.

use serde::Serialize;
use uuid::Uuid;

use crate::app_guard::Finding;
use crate::error::{Code, Problem};
use crate::platform::{Level, Millis, Platform};
use crate::response::Response;
use crate::types::random_uuid;

/// What is known of a request so far.
pub(crate) struct Trace {
    request_id: String,
    method: String,
    began: Millis,
    pub(crate) route: Option<String>,
    pub(crate) guard: Option<Finding>,
    pub(crate) app_id: Option<String>,
    pub(crate) user_id: Option<Uuid>,
    /// When the handler began.
    pub(crate) upstream_since: Option<Millis>,
    pub(crate) streamed: bool,
    /// Whether the request counts against its address whatever its outcome is.
    pub(crate) counts: bool,
    code: Option<Code>,
    reason: Option<&'static str>,
    level: Level,
}

#[derive(Serialize)]
struct Line<'a> {
    event: &'static str,
    request_id: &'a str,
    method: &'a str,
    route: Option<&'a str>,
    status: u16,
    code: Option<&'static str>,
    reason: Option<&'static str>,
    guard: Option<&'static str>,
    guard_key: Option<&'a str>,
    app_id: Option<&'a str>,
    user_id: Option<Uuid>,
    duration_ms: Millis,
    upstream_ms: Option<Millis>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    streamed: bool,
}

impl Trace {
    pub(crate) fn begin(method: &str, now: Millis) -> Self {
        Self {
            request_id: random_uuid().to_string(),
            method: method.chars().take(16).collect(),
            began: now,
            route: None,
            guard: None,
            app_id: None,
            user_id: None,
            upstream_since: None,
            streamed: false,
            counts: false,
            code: None,
            reason: None,
            level: Level::Info,
        }
    }

    /// The id for `X-Request-Id`, problems and the log.
    pub(crate) fn request_id(&self) -> &str {
        &self.request_id
    }

    /// The response of a problem, which the line then names.
    pub(crate) fn refuse(&mut self, problem: Problem) -> Response {
        self.level = problem.level();
        self.code = Some(problem.code());
        self.reason = problem.reason();
        problem.into_response(&self.request_id)
    }

    /// Writes the line.
    pub(crate) fn end(&self, status: u16, platform: &impl Platform) {
        let now = platform.now();
        let line = Line {
            event: "request",
            request_id: &self.request_id,
            method: &self.method,
            route: self.route.as_deref(),
            status,
            code: self.code.map(|code| code.definition().code),
            reason: self.reason,
            guard: self.guard.as_ref().map(Finding::as_str),
            guard_key: match &self.guard {
                Some(Finding::Verified { key } | Finding::Retired { key }) => Some(key),
                _ => None,
            },
            app_id: self.app_id.as_deref(),
            user_id: self.user_id,
            duration_ms: now.saturating_sub(self.began),
            upstream_ms: self.upstream_since.map(|since| now.saturating_sub(since)),
            streamed: self.streamed,
        };
        platform.log(self.level, &serde_json::to_string(&line).unwrap_or_default());
    }
}
