//! The edge: the only place that names `worker`, and all that it does is translate.
//!
//! Promise: what the platform gives is handed on unchanged (the target as received, the body's very
//! bytes), and every call out of the isolate has a deadline that holds until the last byte is read.
//! It refuses to decide: see [`crate::gateway`].
//!
//! Requests and responses stay the platform's own objects, and headers are read one by one when
//! they are needed: wrapping and copying between JavaScript and WASM costs more than all checks.

mod replay;

use std::cell::OnceCell;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use worker::js_sys::futures::{JsFuture, future_to_promise};
use worker::js_sys::{Reflect, Uint8Array};
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::web_sys::{
    AbortSignal, Headers, ReadableStream, ReadableStreamDefaultReader, RequestInit,
    RequestRedirect, Response, ResponseInit, WorkerGlobalScope,
};
use worker::{Context, Delay, Env, RateLimiter, event, js_sys, web_sys};

use crate::gateway::Gateway;
use crate::seam::{
    Bindings, BodyError, Claim, Edge, Incoming, Level, Limiter, Millis, Outbound, Reply, SendError,
    Unanswered, Verdict,
};

thread_local! {
    /// The environment does not change while an isolate lives.
    static GATEWAY: OnceCell<&'static Gateway> = const { OnceCell::new() };
}

#[event(fetch)]
async fn fetch(request: web_sys::Request, env: Env, context: Context) -> worker::Result<Response> {
    let answer = future_to_promise(answer(request, env));
    // A client that goes away must not end its request half-way. workerd would drop the request's
    // promises, and what waits for them in WASM would wait for ever: its memory lost, its log line
    // never written, its fetch of the key set never settled.
    let kept = answer.clone();
    context.wait_until(async move {
        let _ = JsFuture::from(kept).await;
    });
    Ok(JsFuture::from(answer).await?.unchecked_into())
}

async fn answer(request: web_sys::Request, env: Env) -> Result<JsValue, JsValue> {
    let platform = Platform { env };
    let gateway = GATEWAY.with(|cell| {
        // Leaked once per isolate, so that it can be borrowed for as long as a request takes.
        *cell.get_or_init(|| Box::leak(Box::new(Gateway::new(&platform.env, &platform))))
    });
    let mut request = RawRequest::new(request);
    let response = gateway.handle(&mut request, &platform).await;
    into_platform(response).map(JsValue::from)
}

impl Bindings for Env {
    fn text(&self, name: &str) -> Option<String> {
        Reflect::get(self, &name.into()).ok()?.as_string()
    }

    fn has(&self, name: &str) -> bool {
        Reflect::get(self, &name.into()).is_ok_and(|binding| binding.is_object())
    }
}

/// A request as workerd hands it over.
struct RawRequest {
    inner: web_sys::Request,
    headers: Headers,
    method: String,
    url: String,
}

impl RawRequest {
    fn new(inner: web_sys::Request) -> Self {
        Self {
            headers: inner.headers(),
            method: inner.method(),
            url: inner.url(),
            inner,
        }
    }
}

impl Incoming for RawRequest {
    fn method(&self) -> &str {
        &self.method
    }

    fn target(&self) -> &str {
        // workerd puts scheme and host before the raw target. Parsing would normalise it.
        let after_scheme = self.url.split_once("://").map_or("", |(_, rest)| rest);
        let authority = after_scheme
            .find(['/', '?', '#'])
            .unwrap_or(after_scheme.len());
        after_scheme.get(authority..).unwrap_or_default()
    }

    fn header(&self, name: &'static str) -> Option<String> {
        self.headers.get(name).ok().flatten()
    }

    async fn body(&mut self, max: usize, deadline: Millis) -> Result<Vec<u8>, BodyError> {
        let Some(stream) = self.inner.body() else {
            return Ok(Vec::new());
        };
        match by(deadline, read(stream, max)).await {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(ReadError::TooLarge)) => Err(BodyError::TooLarge),
            Ok(Err(ReadError::Broken)) => Err(BodyError::Broken),
            Err(Unanswered) => Err(BodyError::Slow),
        }
    }
}

enum ReadError {
    TooLarge,
    Broken,
}

/// Reads a stream to its end, or until it has given more than `max` bytes.
async fn read(stream: ReadableStream, max: usize) -> Result<Vec<u8>, ReadError> {
    let reader: ReadableStreamDefaultReader = stream.get_reader().unchecked_into();
    let mut bytes = Vec::new();
    loop {
        let result = JsFuture::from(reader.read())
            .await
            .map_err(|_| ReadError::Broken)?;
        let done = Reflect::get(&result, &"done".into()).is_ok_and(|done| done.is_truthy());
        if done {
            return Ok(bytes);
        }
        let chunk = Reflect::get(&result, &"value".into())
            .ok()
            .and_then(|chunk| chunk.dyn_into::<Uint8Array>().ok())
            .ok_or(ReadError::Broken)?;
        let length = usize::try_from(chunk.length()).map_err(|_| ReadError::TooLarge)?;
        let total = bytes.len().saturating_add(length);
        if total > max {
            // Nobody reads the rest; its sender is told, and whether that works changes nothing.
            let _ = JsFuture::from(reader.cancel()).await;
            return Err(ReadError::TooLarge);
        }
        let start = bytes.len();
        bytes.resize(total, 0);
        if let Some(space) = bytes.get_mut(start..) {
            chunk.copy_to(space);
        }
    }
}

fn into_platform(response: http::Response<Vec<u8>>) -> Result<Response, JsValue> {
    let headers = Headers::new()?;
    for (name, value) in response.headers() {
        headers.append(name.as_str(), value.to_str().unwrap_or_default())?;
    }
    let init = ResponseInit::new();
    init.set_status(response.status().as_u16());
    init.set_headers(&headers);
    if response.body().is_empty() {
        Response::new_with_opt_str_and_init(None, &init)
    } else {
        let body = Uint8Array::from(response.body().as_slice());
        Response::new_with_opt_js_u8_array_and_init(Some(&body), &init)
    }
}

/// workerd, as the gateway sees it.
struct Platform {
    env: Env,
}

impl Edge for Platform {
    fn now(&self) -> Millis {
        now()
    }

    async fn sleep(&self, millis: u32) {
        Delay::from(Duration::from_millis(millis.into())).await;
    }

    fn log(&self, level: Level, line: &str) {
        match level {
            Level::Info => web_sys::console::log_1(&line.into()),
            Level::Warn => web_sys::console::warn_1(&line.into()),
            Level::Error => web_sys::console::error_1(&line.into()),
        }
    }

    async fn throttle(
        &self,
        limiter: Limiter,
        key: &str,
        deadline: Millis,
    ) -> Result<Verdict, Unanswered> {
        let name = match limiter {
            Limiter::Ip => "LIMIT_IP",
            Limiter::User => "LIMIT_USER",
        };
        let limiter: RateLimiter = self.env.rate_limiter(name).map_err(|_| Unanswered)?;
        let outcome = by(deadline, limiter.limit(key.to_owned())).await?;
        match outcome {
            Ok(outcome) if outcome.success => Ok(Verdict::Granted),
            Ok(_) => Ok(Verdict::Refused),
            Err(_) => Err(Unanswered),
        }
    }

    async fn claim(&self, claim: &Claim, deadline: Millis) -> Result<Verdict, Unanswered> {
        let namespace = self.env.durable_object("REPLAY").map_err(|_| Unanswered)?;
        match by(deadline, replay::claim(&namespace, claim)).await? {
            Ok(verdict) => Ok(verdict),
            Err(_) => Err(Unanswered),
        }
    }

    async fn send(
        &self,
        request: Outbound,
        max_body: usize,
        deadline: Millis,
    ) -> Result<Reply, SendError> {
        let remaining = u32::try_from(deadline.saturating_sub(self.now()))
            .ok()
            .filter(|millis| *millis > 0)
            .ok_or(SendError::Timeout)?;
        // One signal over the answer and its body: a body may hang, too.
        let signal = AbortSignal::timeout_with_u32(remaining);
        let broken = || {
            if signal.aborted() {
                SendError::Timeout
            } else {
                SendError::Unreachable
            }
        };
        let init = outbound(&request, &signal).map_err(|_| SendError::Unreachable)?;
        let global: WorkerGlobalScope = js_sys::global().unchecked_into();
        let response: Response =
            JsFuture::from(global.fetch_with_str_and_init(&request.url, &init))
                .await
                .map_err(|_| broken())?
                .unchecked_into();
        let body = match response.body() {
            None => Vec::new(),
            Some(stream) => read(stream, max_body).await.map_err(|error| match error {
                ReadError::TooLarge => SendError::TooLarge,
                ReadError::Broken => broken(),
            })?,
        };
        Ok(Reply {
            status: response.status(),
            body,
        })
    }
}

/// The platform's clock.
fn now() -> Millis {
    let millis = js_sys::Date::now();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole milliseconds, below 2^53"
    )]
    let millis = millis as Millis;
    millis
}

/// What `future` gives, or nothing if `deadline` comes first.
async fn by<T>(deadline: Millis, future: impl Future<Output = T>) -> Result<T, Unanswered> {
    let remaining = u64::try_from(deadline.saturating_sub(now())).unwrap_or(0);
    let alarm = Delay::from(Duration::from_millis(remaining));
    match select(pin!(future), pin!(alarm)).await {
        Either::Left((value, _)) => Ok(value),
        Either::Right(_) => Err(Unanswered),
    }
}

fn outbound(request: &Outbound, signal: &AbortSignal) -> Result<RequestInit, JsValue> {
    let headers = Headers::new()?;
    for (name, value) in &request.headers {
        headers.append(name.as_str(), value.to_str().unwrap_or_default())?;
    }
    let init = RequestInit::new();
    init.set_method(request.method.as_str());
    init.set_headers(&headers);
    // A redirect would carry the user's token to wherever it points.
    init.set_redirect(RequestRedirect::Manual);
    init.set_signal(Some(signal));
    if let Some(body) = &request.body {
        init.set_body(&Uint8Array::from(body.as_slice()));
    }
    Ok(init)
}
