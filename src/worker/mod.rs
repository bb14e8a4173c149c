//! The Worker on workerd: the only module that names `worker` or JavaScript.
//!
//! It translates and decides nothing (see [`crate::pipeline`]). The request's target and body are
//! passed on unchanged, and every call out of the isolate has a deadline.
//!
//! `exchange.js` is the JavaScript half of this file. A crossing between JavaScript and WASM costs
//! more than most checks, so there are few.

mod task;

use std::cell::{Cell, OnceCell, RefCell};
use std::ops::Range;

use worker::js_sys::{Reflect, parse_float};
use worker::wasm_bindgen::JsValue;
use worker::wasm_bindgen::prelude::wasm_bindgen;

use crate::jobs::Jobs;
use crate::pipeline::{Handled, Pipeline};
use crate::platform::{
    Accept, Bindings, BodyError, Content, Header, Incoming, Level, Limiter, Millis, PARSE_NUMBER, Platform, SendError,
    Unanswered, UpstreamRequest, UpstreamResponse,
};
use crate::resources;
use crate::response::Body;
use task::Step;

#[wasm_bindgen(module = "/src/worker/exchange.js")]
extern "C" {
    fn declaration() -> String;
    fn log(level: u8, line: &str);

    pub type Exchange;
    #[wasm_bindgen(method, getter)]
    fn env(this: &Exchange) -> JsValue;
    #[wasm_bindgen(method)]
    fn outlive(this: &Exchange);
    #[wasm_bindgen(method)]
    fn body(this: &Exchange, max: usize, millis: u32);
    #[wasm_bindgen(method)]
    fn finish(this: &Exchange);
    #[wasm_bindgen(method, js_name = limitUser)]
    fn limit_user(this: &Exchange, key: &str, millis: u32);
    #[wasm_bindgen(method, js_name = limitAddress)]
    fn limit_address(this: &Exchange, key: &str);
    #[wasm_bindgen(method)]
    fn verify(this: &Exchange, jwk: &str, message: &[u8], signature: &[u8]);
    #[wasm_bindgen(method)]
    fn asset(this: &Exchange, path: &str, millis: u32);
    #[wasm_bindgen(method)]
    fn send(this: &Exchange, head: &str, body: Option<&str>, stream: bool, max: usize, millis: u32);
    #[wasm_bindgen(method)]
    fn sleep(this: &Exchange, millis: u32);
    #[wasm_bindgen(method)]
    fn respond(this: &Exchange, status: u16, head: &str, body: Option<&[u8]>);
}

/// Outcomes of a step that failed, as `exchange.js` numbers them.
const LATE: i32 = -1;
const TOO_LARGE: i32 = -3;
const BUSY: i32 = -4;
const NO_HOST: i32 = -5;

thread_local! {
    /// Environment and declaration do not change while an isolate lives. The pipeline is leaked, so
    /// requests can borrow it.
    static PIPELINE: OnceCell<&'static Pipeline> = const { OnceCell::new() };
    /// The platform's clock, which stands still while code runs. So each call into the module brings
    /// the time, and reading it takes no crossing.
    static NOW: Cell<Millis> = const { Cell::new(0) };
}

/// Called once for each instance of the module. Returns the names of the headers that `fetch`
/// passes on, one on each line; an empty line for a header that is not read.
#[wasm_bindgen]
#[expect(unreachable_pub, reason = "exported to JavaScript, which the lint can't see")]
pub fn start(env: &JsValue) -> String {
    pipeline(|| env.clone()).headers()
}

/// `env` is asked for the first time only: that takes a crossing.
fn pipeline(env: impl FnOnce() -> JsValue) -> &'static Pipeline {
    let start = || {
        let _ = PARSE_NUMBER.set(parse_float);
        &*Box::leak(Box::new(Pipeline::new(&Environment(&env()), &declaration(), &write_line)))
    };
    PIPELINE.with(|cell| *cell.get_or_init(start))
}

/// Cloudflare's `fetch` event. (The `event` macro of `worker` would wrap request, response and promise
/// once more.) Returns the number of its task, for [`wake`].
#[wasm_bindgen]
#[expect(unreachable_pub, reason = "exported to JavaScript, which the lint can't see")]
pub fn fetch(exchange: Exchange, head: String, now: f64) -> u32 {
    let now = set_clock(now);
    let pipeline = pipeline(|| exchange.env());
    task::spawn(now, now.saturating_add(pipeline.longest()), async move {
        let mut request = Request::new(&exchange, head);
        let platform = Workerd(&exchange);
        let Handled { response, counts } = pipeline.handle(&mut request, &platform).await;
        let body = match &response.body {
            Body::Bytes(bytes) => Some(bytes.as_slice()),
            Body::Upstream => None,
        };
        exchange.respond(response.status, response.headers.as_str(), body);
        if let Some(address) = counts {
            pipeline.count(address, &platform).await;
        }
    })
}

/// Cloudflare's `scheduled` event. Its settings are read for this event alone, so no request
/// reaches the secret key.
#[wasm_bindgen]
#[expect(unreachable_pub, reason = "exported to JavaScript, which the lint can't see")]
pub fn scheduled(exchange: Exchange, now: f64) -> u32 {
    let now = set_clock(now);
    let jobs = Jobs::load(&Environment(&exchange.env()));
    task::spawn(now, now.saturating_add(Jobs::LONGEST), async move {
        let done = jobs.run(&Workerd(&exchange)).await;
        // No one reads this response; it ends the event, which fails unless the status is 204.
        exchange.respond(if done { 204 } else { 500 }, "", Some(&[]));
    })
}

/// Continues a task with the outcome of its step; returns false if the task was dropped.
#[wasm_bindgen]
#[expect(unreachable_pub, reason = "exported to JavaScript, which the lint can't see")]
pub fn wake(task: u32, outcome: i32, bytes: Vec<u8>, now: f64) -> bool {
    set_clock(now);
    task::wake(task, (outcome, bytes))
}

/// Checks a declaration for the tools, which call this in Node.js.
#[wasm_bindgen]
#[expect(unreachable_pub, reason = "exported to JavaScript, which the lint can't see")]
pub fn inspect(declaration: &str) -> String {
    let _ = PARSE_NUMBER.set(parse_float);
    resources::inspect(declaration)
}

/// The log lines with which a Worker would start, for the tools, which call this in Node.js.
#[wasm_bindgen]
#[expect(unreachable_pub, reason = "exported to JavaScript, which the lint can't see")]
pub fn diagnose(env: &JsValue, declaration: &str) -> String {
    let _ = PARSE_NUMBER.set(parse_float);
    let lines = RefCell::new(String::new());
    Pipeline::new(&Environment(env), declaration, &|_, line| {
        let mut lines = lines.borrow_mut();
        lines.push_str(line);
        lines.push('\n');
    });
    lines.into_inner()
}

struct Environment<'a>(&'a JsValue);

impl Bindings for Environment<'_> {
    fn text(&self, name: &str) -> Option<String> {
        Reflect::get(self.0, &name.into()).ok()?.as_string()
    }

    fn has(&self, name: &str) -> bool {
        Reflect::get(self.0, &name.into()).is_ok_and(|binding| binding.is_object())
    }
}

/// A request as workerd hands it over.
struct Request<'a> {
    exchange: &'a Exchange,
    head: String,
    method: Range<usize>,
    target: Range<usize>,
    has_body: bool,
    headers: [Option<Range<usize>>; Header::ALL.len()],
}

impl<'a> Request<'a> {
    fn new(exchange: &'a Exchange, head: String) -> Self {
        // Neither a URL nor a header's value can hold a line feed.
        let mut start: usize = 0;
        let mut next = || {
            let rest = head.get(start..).unwrap_or_default();
            let length = rest.bytes().position(|byte| byte == b'\n').unwrap_or(rest.len());
            let range = start..start.saturating_add(length);
            start = range.end.saturating_add(1);
            (rest.get(..length).unwrap_or_default(), range)
        };
        let (_, method) = next();
        let (url, range) = next();
        let target = range.start.saturating_add(authority_end(url))..range.end;
        let has_body = next().0 == "=";
        let headers = Header::ALL.map(|_| {
            let (line, range) = next();
            line.starts_with('=').then(|| range.start.saturating_add(1)..range.end)
        });
        Self { exchange, method, target, has_body, headers, head }
    }

    fn part(&self, range: &Range<usize>) -> &str {
        self.head.get(range.clone()).unwrap_or_default()
    }
}

/// workerd puts scheme and host before the raw target. Parsing would normalise it.
fn authority_end(url: &str) -> usize {
    let authority = url.find("://").map_or(url.len(), |at| at.saturating_add(3));
    let rest = url.get(authority..).unwrap_or_default();
    let length = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    authority.saturating_add(length)
}

impl Incoming for Request<'_> {
    fn method(&self) -> &str {
        self.part(&self.method)
    }

    fn target(&self) -> &str {
        self.part(&self.target)
    }

    fn header(&self, header: Header) -> Option<&str> {
        let range = self.headers.get(header as usize)?.as_ref()?;
        Some(self.part(range))
    }

    async fn body(&mut self, max: usize, deadline: Millis) -> Result<Vec<u8>, BodyError> {
        // Reading nothing would take two crossings and a timer.
        if !self.has_body {
            return Ok(Vec::new());
        }
        match Step::new(|| self.exchange.body(max, remaining(deadline))).await {
            (0, body) if body.len() <= max => Ok(body),
            (0 | TOO_LARGE, _) => Err(BodyError::TooLarge),
            (LATE, _) => Err(BodyError::Slow),
            (BUSY, _) => Err(BodyError::Busy),
            _ => Err(BodyError::Broken),
        }
    }
}

/// A request ends when its task ends or is dropped.
impl Drop for Request<'_> {
    fn drop(&mut self) {
        self.exchange.finish();
    }
}

/// workerd, through the exchange of one event.
struct Workerd<'a>(&'a Exchange);

impl Platform for Workerd<'_> {
    fn now(&self) -> Millis {
        now()
    }

    fn outlive(&self) {
        self.0.outlive();
    }

    async fn sleep(&self, millis: u32) {
        Step::new(|| self.0.sleep(millis)).await;
    }

    fn log(&self, level: Level, line: &str) {
        write_line(level, line);
    }

    async fn throttle(&self, limiter: Limiter, key: &str, deadline: Millis) -> Result<bool, Unanswered> {
        let begin = || match limiter {
            Limiter::User => self.0.limit_user(key, remaining(deadline)),
            Limiter::Ip => self.0.limit_address(key),
        };
        match Step::new(begin).await {
            (1, _) => Ok(true),
            (0, _) => Ok(false),
            _ => Err(Unanswered),
        }
    }

    async fn verify(&self, jwk: &str, message: &[u8], signature: &[u8]) -> Result<bool, Unanswered> {
        match Step::new(|| self.0.verify(jwk, message, signature)).await {
            (1, _) => Ok(true),
            (0, _) => Ok(false),
            _ => Err(Unanswered),
        }
    }

    async fn asset(&self, path: &str, deadline: Millis) -> Result<Vec<u8>, Unanswered> {
        match Step::new(|| self.0.asset(path, remaining(deadline))).await {
            (200, bytes) => Ok(bytes),
            _ => Err(Unanswered),
        }
    }

    async fn send(
        &self,
        request: UpstreamRequest,
        accept: Accept,
        deadline: Millis,
    ) -> Result<UpstreamResponse, SendError> {
        if remaining(deadline) == 0 {
            return Err(SendError::Timeout);
        }
        let (stream, max) = match accept {
            Accept::Whole { max } => (false, max),
            Accept::Stream { max_error } => (true, max_error),
        };
        let (head, body) = (request.head.as_str(), request.body.as_deref());
        let step = Step::new(|| self.0.send(head, body, stream, max, remaining(deadline)));
        let (status, body) = match step.await {
            (LATE, _) => return Err(SendError::Timeout),
            (TOO_LARGE, _) => return Err(SendError::TooLarge),
            (NO_HOST, _) => return Err(SendError::NoHost),
            (_, body) if body.len() > max => return Err(SendError::TooLarge),
            (status, body) => (u16::try_from(status).map_err(|_| SendError::Unreachable)?, body),
        };
        if !(stream && status == 200) {
            return Ok(UpstreamResponse { status, content_type: String::new(), content: Content::Whole(body) });
        }
        let head = String::from_utf8(body).unwrap_or_default();
        let (content_type, length) = head.split_once('\n').unwrap_or_default();
        Ok(UpstreamResponse {
            status,
            content_type: content_type.to_owned(),
            content: Content::Streaming { declared_length: length.parse().ok() },
        })
    }
}

fn write_line(level: Level, line: &str) {
    log(level as u8, line);
}

fn now() -> Millis {
    NOW.get()
}

fn set_clock(now: f64) -> Millis {
    #[expect(clippy::cast_possible_truncation, reason = "whole milliseconds, below 2^53")]
    let now = now as Millis;
    NOW.set(now);
    now
}

/// Milliseconds until `deadline`, which is never far away; 0 if it is past.
fn remaining(deadline: Millis) -> u32 {
    u32::try_from(deadline.saturating_sub(now())).unwrap_or(0)
}
