//! The edge: the only place that names `worker`, and all that it does is translate.
//!
//! Promise: what the platform gives is handed on unchanged (the target as received, the body's very
//! bytes), and every call out of the isolate has a deadline that holds until the last byte is read.
//! It refuses to decide: see [`crate::gateway`].
//!
//! A step over the boundary between JavaScript and WASM costs more than most checks, so there are
//! few: `exchange.js` is the other half of this file.

mod replay;
mod task;

use std::cell::OnceCell;
use std::ops::Range;

use worker::js_sys::{Date, Promise, Reflect};
use worker::wasm_bindgen::JsValue;
use worker::wasm_bindgen::closure::Closure;
use worker::wasm_bindgen::prelude::wasm_bindgen;
use worker::web_sys::console;

use crate::gateway::Gateway;
use crate::job::Jobs;
use crate::seam::{
    Bindings, BodyError, Claim, Edge, Field, Incoming, Level, Limiter, Millis, Outbound, PublicKey,
    Reply, SendError, Unanswered, Verdict,
};
use task::Step;

#[wasm_bindgen(module = "/src/edge/exchange.js")]
extern "C" {
    fn attach(fields: &str, wake: &JsValue);

    type Exchange;
    #[wasm_bindgen(constructor)]
    fn new(request: JsValue, env: &JsValue, context: JsValue) -> Exchange;
    #[wasm_bindgen(method, setter)]
    fn set_task(this: &Exchange, task: u32);
    #[wasm_bindgen(method, getter)]
    fn response(this: &Exchange) -> Promise;
    #[wasm_bindgen(method)]
    fn outlive(this: &Exchange);
    #[wasm_bindgen(method)]
    fn head(this: &Exchange) -> String;
    #[wasm_bindgen(method)]
    fn body(this: &Exchange, max: usize, millis: u32);
    #[wasm_bindgen(method)]
    fn limit(this: &Exchange, user: bool, key: &str, millis: u32);
    #[wasm_bindgen(method)]
    fn claim(this: &Exchange, shard: u32, url: &str, millis: u32);
    #[wasm_bindgen(method)]
    fn verify(this: &Exchange, jwk: &str, message: &[u8], signature: &[u8]);
    #[wasm_bindgen(method)]
    fn send(this: &Exchange, head: &str, body: Option<&[u8]>, max: usize, millis: u32);
    #[wasm_bindgen(method)]
    fn sleep(this: &Exchange, millis: u32);
    #[wasm_bindgen(method)]
    fn respond(this: &Exchange, status: u16, head: &str, body: &[u8]);
}

/// Outcomes below zero, as `exchange.js` numbers them.
const LATE: i32 = -1;
const TOO_LARGE: i32 = -3;

thread_local! {
    /// The environment does not change while an isolate lives.
    static GATEWAY: OnceCell<&'static Gateway> = const { OnceCell::new() };
    static ATTACHED: OnceCell<()> = const { OnceCell::new() };
}

/// Cloudflare's `fetch` event. (The `event` macro of `worker` would wrap request, response and promise
/// once more.)
#[wasm_bindgen]
#[expect(
    unreachable_pub,
    reason = "exported to JavaScript, which the lint can't see"
)]
pub fn fetch(request: JsValue, env: &JsValue, context: JsValue) -> Promise {
    attached();
    let gateway = GATEWAY.with(|cell| *cell.get_or_init(|| start(env)));
    let exchange = Exchange::new(request, env, context);
    let response = exchange.response();
    let now = now();
    task::spawn(
        now,
        now.saturating_add(gateway.longest()),
        async move |id| {
            exchange.set_task(id);
            let mut request = Request::new(&exchange);
            let response = gateway.handle(&mut request, &Platform(&exchange)).await;
            exchange.respond(response.status, response.headers.as_str(), &response.body);
        },
    );
    response
}

/// Cloudflare's `scheduled` event. What a job needs is made for this event and gone with it: nothing that a request
/// is given holds the secret key.
#[wasm_bindgen]
#[expect(
    unreachable_pub,
    reason = "exported to JavaScript, which the lint can't see"
)]
pub fn scheduled(event: JsValue, env: &JsValue, context: JsValue) -> Promise {
    attached();
    let jobs = Jobs::load(&Environment(env));
    let exchange = Exchange::new(event, env, context);
    let end = exchange.response();
    let now = now();
    task::spawn(now, now.saturating_add(Jobs::LONGEST), async move |id| {
        exchange.set_task(id);
        jobs.run(&Platform(&exchange)).await;
        // Nobody reads it: that it is there ends the event.
        exchange.respond(204, "", &[]);
    });
    end
}

/// Once per isolate, and instance of the module.
fn attached() {
    let wake = |id: u32, outcome: i32, bytes: Vec<u8>| task::wake(id, (outcome, bytes));
    ATTACHED.with(|cell| {
        cell.get_or_init(|| {
            attach(
                &Field::ALL.map(Field::name).join("\n"),
                &Closure::<dyn Fn(u32, i32, Vec<u8>) -> bool>::new(wake).into_js_value(),
            );
        });
    });
}

/// Once per isolate. What is made here is leaked, so that it can be borrowed for as long as a request
/// takes.
fn start(env: &JsValue) -> &'static Gateway {
    Box::leak(Box::new(Gateway::new(&Environment(env), &log)))
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
    fields: [Option<Range<usize>>; Field::ALL.len()],
}

impl<'a> Request<'a> {
    fn new(exchange: &'a Exchange) -> Self {
        let head = exchange.head();
        // Neither a URL nor a header's value can hold a line feed.
        let mut start: usize = 0;
        let mut lines = head.split('\n').map(|line| {
            let range = start..start.saturating_add(line.len());
            start = range.end.saturating_add(1);
            (line, range)
        });
        let mut next = || lines.next().unwrap_or_default();
        let (_, method) = next();
        let (url, range) = next();
        let target = range.start.saturating_add(authority_end(url))..range.end;
        let fields = Field::ALL.map(|_| {
            let (line, range) = next();
            line.starts_with('=')
                .then(|| range.start.saturating_add(1)..range.end)
        });
        Self {
            exchange,
            method,
            target,
            fields,
            head,
        }
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

    fn header(&self, field: Field) -> Option<&str> {
        let range = self.fields.get(field as usize)?.as_ref()?;
        Some(self.part(range))
    }

    async fn body(&mut self, max: usize, deadline: Millis) -> Result<Vec<u8>, BodyError> {
        match Step::new(|| self.exchange.body(max, remaining(deadline))).await {
            (0, body) if body.len() <= max => Ok(body),
            (0 | TOO_LARGE, _) => Err(BodyError::TooLarge),
            (LATE, _) => Err(BodyError::Slow),
            _ => Err(BodyError::Broken),
        }
    }
}

/// workerd, as the gateway sees it.
struct Platform<'a>(&'a Exchange);

impl Edge for Platform<'_> {
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
        log(level, line);
    }

    async fn throttle(
        &self,
        limiter: Limiter,
        key: &str,
        deadline: Millis,
    ) -> Result<Verdict, Unanswered> {
        let user = limiter == Limiter::User;
        match Step::new(|| self.0.limit(user, key, remaining(deadline))).await {
            (1, _) => Ok(Verdict::Granted),
            (0, _) => Ok(Verdict::Refused),
            _ => Err(Unanswered),
        }
    }

    async fn claim(&self, claim: &Claim, deadline: Millis) -> Result<Verdict, Unanswered> {
        let (shard, url) = replay::address(claim, now());
        let step = Step::new(|| self.0.claim(shard, &url, remaining(deadline)));
        replay::verdict(step.await.0)
    }

    async fn verify(
        &self,
        key: &PublicKey,
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, Unanswered> {
        match Step::new(|| self.0.verify(key.jwk(), message, signature)).await {
            (1, _) => Ok(true),
            (0, _) => Ok(false),
            _ => Err(Unanswered),
        }
    }

    async fn send(
        &self,
        request: Outbound,
        max_body: usize,
        deadline: Millis,
    ) -> Result<Reply, SendError> {
        if remaining(deadline) == 0 {
            return Err(SendError::Timeout);
        }
        let (head, body) = (request.head.as_str(), request.body.as_deref());
        let step = Step::new(|| self.0.send(head, body, max_body, remaining(deadline)));
        match step.await {
            (LATE, _) => Err(SendError::Timeout),
            (TOO_LARGE, _) => Err(SendError::TooLarge),
            (_, body) if body.len() > max_body => Err(SendError::TooLarge),
            (status, body) => {
                let status = u16::try_from(status).map_err(|_| SendError::Unreachable)?;
                Ok(Reply { status, body })
            }
        }
    }
}

fn log(level: Level, line: &str) {
    let write = match level {
        Level::Info => console::log_1,
        Level::Warn => console::warn_1,
        Level::Error => console::error_1,
    };
    write(&line.into());
}

/// The platform's clock.
fn now() -> Millis {
    let millis = Date::now();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole milliseconds, below 2^53"
    )]
    let millis = millis as Millis;
    millis
}

/// Milliseconds until `deadline`, which is never far away; 0 if it is past.
fn remaining(deadline: Millis) -> u32 {
    u32::try_from(deadline.saturating_sub(now())).unwrap_or(0)
}
