//! The log line of a request: JSON, one line. Never a token, a signature, a secret, a title or a body.

use std::borrow::Cow;

use serde::Serialize;
use uuid::Uuid;

use crate::app_guard::{Attested, Finding};
use crate::error::{Answered, Problem};
use crate::platform::{Level, Millis, Platform};
use crate::response::Response;
use crate::types::{random_uuid, spelled};

/// The facts of a request. They are serialised as the log line, in this order.
#[derive(Serialize)]
pub(crate) struct Trace {
    event: &'static str,
    request_id: String,
    method: String,
    pub(crate) route: Option<String>,
    status: u16,
    code: Option<&'static str>,
    pub(crate) reason: Option<Cow<'static, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_code: Option<String>,
    guard: Option<&'static str>,
    guard_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attest: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attest_by: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attest_app: Option<String>,
    pub(crate) app_id: Option<String>,
    /// The app id of a request without a good signature, as it claims.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) claimed_app_id: Option<String>,
    /// Name and version of the client's library, as it states them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client: Option<String>,
    pub(crate) user_id: Option<Uuid>,
    duration_ms: Millis,
    upstream_ms: Option<Millis>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) streamed: bool,
    /// How many requests this line stands for; absent if each has a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    one_in: Option<u16>,

    /// Whether the request counts against its address with any outcome.
    #[serde(skip)]
    pub(crate) counts: bool,
    /// Random bits of the request id, which also decide whether a read is logged.
    #[serde(skip)]
    random: u16,
    #[serde(skip)]
    began: Millis,
    /// When the handler began.
    #[serde(skip)]
    pub(crate) upstream_since: Option<Millis>,
    #[serde(skip)]
    level: Level,
    /// Whether there is no line: of a probe that found all well.
    #[serde(skip)]
    pub(crate) quiet: bool,
}

impl Trace {
    pub(crate) fn begin(method: &str, now: Millis) -> Self {
        let id = random_uuid();
        let [first, second, ..] = id.into_bytes();
        Self {
            event: "request",
            request_id: id.to_string(),
            method: method.chars().take(16).collect(),
            route: None,
            status: 0,
            code: None,
            reason: None,
            upstream_status: None,
            upstream_code: None,
            guard: None,
            guard_key: None,
            attest: None,
            attest_by: None,
            attest_app: None,
            app_id: None,
            claimed_app_id: None,
            client: None,
            user_id: None,
            duration_ms: 0,
            upstream_ms: None,
            streamed: false,
            one_in: None,
            counts: false,
            random: u16::from_be_bytes([first, second]),
            began: now,
            upstream_since: None,
            level: Level::Info,
            quiet: false,
        }
    }

    /// The id for `X-Request-Id`, problems and the log.
    pub(crate) fn request_id(&self) -> &str {
        &self.request_id
    }

    /// Notes the verdict of App Guard.
    pub(crate) fn guarded(&mut self, finding: &Finding) {
        self.guard = Some(finding.as_str());
        if let Finding::Verified { key } | Finding::Retired { key } = finding {
            self.guard_key = Some(key.clone());
        }
    }

    /// Notes the verdict of attestation.
    pub(crate) fn attested(&mut self, attested: &Attested) {
        self.attest = Some(attested.as_str());
        self.attest_by = attested.by;
        self.attest_app = attested.app.clone();
    }

    /// The response of a problem, which the line then names.
    pub(crate) fn refuse(&mut self, mut problem: Problem) -> Response {
        self.level = problem.level();
        self.code = Some(problem.code().definition().code);
        self.reason = problem.reason().map(Cow::Borrowed);
        Answered { status: self.upstream_status, code: self.upstream_code } = problem.answered();
        problem.into_response(&self.request_id)
    }

    /// Writes the line. Of reads that went well, one in `reads` has one.
    pub(crate) fn end(&mut self, status: u16, reads: u16, platform: &impl Platform) {
        if reads > 1 && status < 400 && matches!(&*self.method, "GET" | "HEAD") {
            self.one_in = Some(reads);
            self.quiet |= self.random.checked_rem(reads) != Some(0);
        }
        if self.quiet {
            return;
        }
        let now = platform.now();
        self.status = status;
        self.duration_ms = now.saturating_sub(self.began);
        self.upstream_ms = self.upstream_since.map(|since| now.saturating_sub(since));
        platform.log(self.level, &spelled(self));
    }
}
