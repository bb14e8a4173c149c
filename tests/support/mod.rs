//! A pipeline whose surroundings a test controls: the clock, the limiters, the key set and the database.
//! It runs the Worker's own path natively.

#![expect(dead_code, reason = "each test binary uses its own part")]
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::allow_attributes,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test code"
)]

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use airlock::pipeline::{Handled, Pipeline};
use airlock::platform::{
    Accept, Bindings, BodyError, Content, Header, HeaderLines, Incoming, Level, Limiter, Millis, Platform, SendError,
    Unanswered, UpstreamRequest, UpstreamResponse,
};
use airlock::response::Body;
use airlock::{Canonical, TokenDigest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};
use sha2::Sha256;

pub const NOW: i64 = 1_795_348_800;
pub const ALICE: &str = "a11ce000-0000-4000-8000-000000000001";
pub const BOB: &str = "b0b00000-0000-4000-8000-000000000001";
pub const ID: &str = "7efe3d84-2d6a-4174-899e-8ffddea7a39a";
pub const ORG: &str = "0f0e0d0c-2d6a-4174-899e-8ffddea7a39a";
pub const TIME: &str = "2026-11-22T12:15:40.760000Z";
pub const SECRET: &str = "0123456789abcdef0123456789abcdef";
pub const APP_SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
pub const URL: &str = "https://project.supabase.co";
pub const ISSUER: &str = "https://project.supabase.co/auth/v1";

/// The sections of airlock.toml that the tests use: the one that the project comes with, and one with other
/// kinds that is a user's alone.
pub const DECLARATION: &str = r#"{"resources": {
    "notes": {
        "owner": "both", "search": ["title", "body"], "publish": ["title", "body"],
        "fields": {"title": "text(1..200)", "body": "verbatim(0..20000) = ''"}
    },
    "tasks": {
        "owner": "user", "unique": {"tasks_code_key": "code"},
        "fields": {"code": "text(1..20)", "rank": "integer(0..10) = 0", "due": "timestamp?", "parent": "ref(tasks)?"}
    }
}}"#;

/// The OpenAPI document, as far as it is written by hand: all but the resources.
pub const DOCUMENT: &str = include_str!("../../tools/openapi/base.json");

/// Everything around the pipeline.
pub struct World {
    pub vars: HashMap<&'static str, String>,
    pub missing: Option<&'static str>,
    pub declaration: String,
    pub now: Cell<Millis>,
    pub logs: RefCell<Vec<(Level, String)>>,
    pub throttled: RefCell<Vec<(Limiter, String)>>,
    pub limits: Cell<Result<bool, Unanswered>>,
    pub user_limit: Cell<Result<bool, Unanswered>>,
    /// The answer of the key set endpoint and the number of requests to it.
    pub key_set: RefCell<Result<UpstreamResponse, SendError>>,
    pub key_set_fetches: Cell<u32>,
    /// The URLs that key sets were fetched from.
    pub fetched: RefCell<Vec<String>>,
    /// How many signatures of public keys were verified.
    pub verifications: Cell<u32>,
    pub crypto_down: Cell<bool>,
    /// How often a request was to outlive its client.
    pub outliving: Cell<u32>,
    /// How long a call of the database takes.
    pub takes: Cell<Millis>,
    /// Answers of the database, the first one first, and the requests to it.
    pub replies: RefCell<Vec<Result<UpstreamResponse, SendError>>>,
    pub sent: RefCell<Vec<UpstreamRequest>>,
    /// The body of the answer that streams.
    pub streaming: RefCell<Vec<u8>>,
    /// The deadlines of all calls out that have one, in order.
    pub deadlines: RefCell<Vec<(&'static str, Millis)>>,
    pub accepts: RefCell<Vec<Accept>>,
}

impl World {
    pub fn new() -> Self {
        let guard = json!({"apps": {"rn-ios": {"keys": [{"id": "k1", "secret": APP_SECRET}]}}});
        Self {
            vars: HashMap::from([
                ("SUPABASE_URL", URL.to_owned()),
                ("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_test".to_owned()),
                ("SUPABASE_JWT_SECRET", SECRET.to_owned()),
                ("APP_GUARD", guard.to_string()),
            ]),
            missing: None,
            declaration: DECLARATION.to_owned(),
            now: Cell::new(NOW * 1000),
            logs: RefCell::default(),
            throttled: RefCell::default(),
            limits: Cell::new(Ok(true)),
            user_limit: Cell::new(Ok(true)),
            key_set: RefCell::new(reply(200, &key_set())),
            key_set_fetches: Cell::new(0),
            fetched: RefCell::default(),
            verifications: Cell::new(0),
            crypto_down: Cell::new(false),
            outliving: Cell::new(0),
            takes: Cell::new(1000),
            replies: RefCell::default(),
            sent: RefCell::default(),
            streaming: RefCell::default(),
            deadlines: RefCell::default(),
            accepts: RefCell::default(),
        }
    }

    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.vars.insert(name, value.to_owned());
        self
    }

    pub fn pipeline(&self) -> Pipeline {
        Pipeline::new(self, &self.declaration, &|level, line: &str| self.log(level, line))
    }

    /// The database answers this next.
    pub fn will_reply(&self, status: u16, body: Value) {
        self.replies.borrow_mut().push(reply(status, &body));
    }

    pub fn pass(&self, seconds: i64) {
        self.now.set(self.now.get() + seconds * 1000);
    }

    pub fn last_log(&self) -> Value {
        let logs = self.logs.borrow();
        serde_json::from_str(&logs.last().unwrap().1).unwrap()
    }
}

/// An answer of an upstream.
pub fn reply(status: u16, body: &Value) -> Result<UpstreamResponse, SendError> {
    Ok(UpstreamResponse {
        status,
        content_type: "application/json; charset=utf-8".to_owned(),
        content: Content::Whole(body.to_string().into_bytes()),
    })
}

impl Bindings for World {
    fn text(&self, name: &str) -> Option<String> {
        self.vars.get(name).cloned()
    }

    fn has(&self, name: &str) -> bool {
        self.missing != Some(name)
    }
}

impl Platform for World {
    fn now(&self) -> Millis {
        self.now.get()
    }

    fn outlive(&self) {
        self.outliving.set(self.outliving.get() + 1);
    }

    async fn sleep(&self, millis: u32) {
        self.now.set(self.now.get() + Millis::from(millis));
        yield_once().await;
    }

    fn log(&self, level: Level, line: &str) {
        self.logs.borrow_mut().push((level, line.to_owned()));
    }

    async fn throttle(&self, limiter: Limiter, key: &str, deadline: Millis) -> Result<bool, Unanswered> {
        self.deadlines.borrow_mut().push(("limiter", deadline));
        self.throttled.borrow_mut().push((limiter, key.to_owned()));
        match limiter {
            Limiter::Ip => self.limits.get(),
            Limiter::User => self.user_limit.get(),
        }
    }

    async fn verify(&self, jwk: &str, message: &[u8], signature: &[u8]) -> Result<bool, Unanswered> {
        self.verifications.set(self.verifications.get() + 1);
        if self.crypto_down.get() {
            return Err(Unanswered);
        }
        Ok(airlock::conformance::verify_signature(jwk, message, signature))
    }

    async fn asset(&self, path: &str, _: Millis) -> Result<Vec<u8>, Unanswered> {
        assert_eq!(path, "/openapi.json");
        if self.missing == Some("ASSETS") { Err(Unanswered) } else { Ok(DOCUMENT.as_bytes().to_vec()) }
    }

    async fn send(
        &self,
        request: UpstreamRequest,
        accept: Accept,
        deadline: Millis,
    ) -> Result<UpstreamResponse, SendError> {
        self.accepts.borrow_mut().push(accept);
        if request.url().ends_with("/jwks.json") || request.url().ends_with("/jwks") {
            self.fetched.borrow_mut().push(request.url().to_owned());
            self.deadlines.borrow_mut().push(("keys", deadline));
            self.key_set_fetches.set(self.key_set_fetches.get() + 1);
            // Other requests run while this one waits for the network.
            yield_once().await;
            return self.key_set.borrow().clone();
        }
        self.deadlines.borrow_mut().push(("database", deadline));
        self.sent.borrow_mut().push(request);
        self.now.set(self.now.get() + self.takes.get());
        let mut replies = self.replies.borrow_mut();
        assert!(!replies.is_empty(), "an unexpected request to the database");
        let mut reply = replies.remove(0)?;
        if let (Accept::Stream { .. }, 200, Content::Whole(body)) = (accept, reply.status, &mut reply.content) {
            *self.streaming.borrow_mut() = std::mem::take(body);
            reply.content = Content::Streaming { declared_length: None };
        }
        Ok(reply)
    }
}

async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if yielded {
            return std::task::Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

/// A request, signed unless a test says otherwise.
#[derive(Clone)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    pub fault: Option<BodyError>,
    /// How often the body was read, counted for all clones.
    pub reads: Rc<Cell<u32>>,
}

thread_local! {
    static NONCE: Cell<u64> = const { Cell::new(0) };
}

impl Request {
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            fault: None,
            reads: Rc::default(),
        }
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(n, _)| *n != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(n, _)| *n != name);
        self
    }

    pub fn json(mut self, body: &str) -> Self {
        self.body = body.as_bytes().to_vec();
        self.header("content-type", "application/json")
    }

    pub fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// Adds a good token of alice.
    pub fn alice(self) -> Self {
        let token = hs256(&claims());
        self.token(&token)
    }

    /// Signed by `rn-ios`, now, with a fresh nonce.
    pub fn signed(self) -> Self {
        self.signed_at(NOW)
    }

    pub fn signed_at(self, time: i64) -> Self {
        let nonce = NONCE.with(|n| {
            n.set(n.get() + 1);
            format!("nonce-{:016}", n.get())
        });
        let timestamp = time.to_string();
        let get = |name: &str| {
            let found = self.headers.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| value.as_str())
        };
        let text = Canonical {
            app_id: "rn-ios",
            timestamp: &timestamp,
            nonce: &nonce,
            method: &self.method,
            target: &self.target,
            token_digest: get("authorization").and_then(|value| value.strip_prefix("Bearer ")).map(TokenDigest::of),
            body: &self.body,
            idempotency_key: get("idempotency-key"),
            if_match: get("if-match"),
            if_none_match: get("if-none-match"),
        }
        .text()
        .unwrap();
        let secret = URL_SAFE_NO_PAD.decode(APP_SECRET).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
        mac.update(text.as_bytes());
        let signature = base16ct::lower::encode_string(&mac.finalize().into_bytes());
        self.header("x-app-id", "rn-ios")
            .header("x-app-timestamp", &timestamp)
            .header("x-app-nonce", &nonce)
            .header("x-app-signature", &format!("v1={signature}"))
    }

    pub fn send(&self, pipeline: &Pipeline, world: &World) -> Answer {
        pollster::block_on(self.sending(pipeline, world))
    }

    pub async fn sending(&self, pipeline: &Pipeline, world: &World) -> Answer {
        let Handled { response, counts } = pipeline.handle(&mut self.clone(), world).await;
        if let Some(address) = counts {
            pipeline.count(address, world).await;
        }
        let streamed = response.body == Body::Upstream;
        let bytes = match response.body {
            Body::Bytes(bytes) => bytes,
            Body::Upstream => world.streaming.take(),
        };
        Answer {
            status: response.status,
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
            headers: response.headers,
            bytes,
            streamed,
        }
    }
}

impl Incoming for Request {
    fn method(&self) -> &str {
        &self.method
    }

    fn target(&self) -> &str {
        &self.target
    }

    fn header(&self, field: Header) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| *n == field.name());
        found.map(|(_, value)| value.as_str())
    }

    async fn body(&mut self, max: usize, _: Millis) -> Result<Vec<u8>, BodyError> {
        self.reads.set(self.reads.get() + 1);
        if let Some(error) = self.fault {
            Err(error)
        } else if self.body.len() > max {
            Err(BodyError::TooLarge)
        } else {
            Ok(std::mem::take(&mut self.body))
        }
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderLines,
    pub body: Value,
    pub bytes: Vec<u8>,
    /// Whether the body is the upstream's, as it streams.
    pub streamed: bool,
}

impl Answer {
    /// `status code`, such as `401 token_invalid`.
    pub fn problem(&self) -> String {
        assert_eq!(self.head("content-type"), "application/problem+json");
        assert_eq!(self.body["status"], self.status);
        format!("{} {}", self.status, self.body["code"].as_str().unwrap())
    }

    /// The status of a success, or the problem.
    pub fn verdict(&self) -> String {
        match self.status {
            ..400 => self.status.to_string(),
            _ => self.problem(),
        }
    }

    pub fn head(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_default()
    }
}

/// A signed request as alice, with the database's answers. All of these must be used.
pub fn play(request: Request, replies: &[(u16, Value)]) -> (Answer, Vec<UpstreamRequest>) {
    let world = World::new();
    for (status, body) in replies {
        world.will_reply(*status, body.clone());
    }
    let answer = request.alice().signed().send(&world.pipeline(), &world);
    let left = world.replies.borrow().len();
    assert_eq!(left, 0, "replies that were not asked for: {answer:?}");
    (answer, world.sent.take())
}

/// The function and the arguments of a call of the database.
pub fn called(sent: &UpstreamRequest) -> (&str, Value) {
    let (_, function) = sent.url().split_once("/rest/v1/rpc/").unwrap();
    let arguments = serde_json::from_str(sent.body.as_deref().unwrap()).unwrap();
    (function, arguments)
}

/// The answer of a write function that has a row to show.
pub fn with_row(outcome: &str, row: &Value) -> (u16, Value) {
    (200, json!({"outcome": outcome, "row": row}))
}

/// The answer of a write function that has none.
pub fn outcome(outcome: &str) -> (u16, Value) {
    (200, json!({ "outcome": outcome }))
}

/// An error of PostgREST.
pub fn error(status: u16, code: &str, message: &str) -> (u16, Value) {
    let body = json!({"code": code, "message": message, "details": null, "hint": null});
    (status, body)
}

/// A row of the first resource in its wire form.
pub fn row(version: i64) -> Value {
    json!({
        "id": ID, "title": "t", "body": "b", "version": version, "created_at": TIME,
        "updated_at": TIME, "deleted_at": null
    })
}

pub fn page(rows: &[Value]) -> (u16, Value) {
    (200, json!({"data": rows, "next_cursor": null}))
}

/// Claims of a good token of alice.
pub fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": "authenticated", "role": "authenticated", "sub": ALICE,
        "exp": NOW + 3600, "iat": NOW, "email": "alice@example.com", "session_id": "s", "aal": "aal1",
        "is_anonymous": false
    })
}

/// Good claims with one changed; `Null` removes it.
pub fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value;
    }
    claims
}

fn keys() -> Value {
    serde_json::from_str(include_str!("../vectors/keys.json")).unwrap()
}

/// The public half of a test key as a JWK.
pub fn jwk(key: &str, kid: &str) -> Value {
    let mut jwk = keys()[key]["jwk"].clone();
    jwk["kid"] = json!(kid);
    jwk["use"] = json!("sig");
    jwk["alg"] = json!(if jwk["kty"] == "EC" { "ES256" } else { "RS256" });
    jwk
}

pub fn key_set() -> Value {
    json!({ "keys": [jwk("ec", "ec-1"), jwk("rsa", "rsa-1")] })
}

/// A compact JWS over any header and payload, signed with `key`: `ec`, `rsa`, ... or `hs256`.
pub fn jws(header: &str, payload: &str, key: &str) -> String {
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let der = || STANDARD.decode(keys()[key]["private"].as_str().unwrap()).unwrap();
    let (key, alg) = match key {
        "hs256" => (EncodingKey::from_secret(SECRET.as_bytes()), Algorithm::HS256),
        "ec" | "other_ec" => (EncodingKey::from_ec_der(&der()), Algorithm::ES256),
        _ => (EncodingKey::from_rsa_der(&der()), Algorithm::RS256),
    };
    let signature = crypto::sign(input.as_bytes(), &key, alg).unwrap();
    format!("{input}.{signature}")
}

pub fn hs256(claims: &Value) -> String {
    jws(r#"{"alg":"HS256","typ":"JWT"}"#, &claims.to_string(), "hs256")
}

pub fn es256(claims: &Value) -> String {
    jws(r#"{"alg":"ES256","kid":"ec-1","typ":"JWT"}"#, &claims.to_string(), "ec")
}

pub fn rs256(claims: &Value) -> String {
    jws(r#"{"alg":"RS256","kid":"rsa-1","typ":"JWT"}"#, &claims.to_string(), "rsa")
}

/// A token that is good for a day, of the key of this name.
pub fn of_kid(kid: &str, key: &str) -> String {
    let header = json!({"alg": "ES256", "kid": kid}).to_string();
    let claims = claims_with("exp", json!(NOW + 86_400));
    jws(&header, &claims.to_string(), key)
}

/// The key set endpoint answers this from now on.
pub fn serve(world: &World, keys: &[Value]) {
    *world.key_set.borrow_mut() = reply(200, &json!({ "keys": keys }));
}

/// A request that is sent and signed this many seconds after `NOW`.
pub fn ask_at(world: &World, pipeline: &Pipeline, seconds: i64, token: &str) -> Answer {
    world.now.set((NOW + seconds) * 1000);
    let request = Request::new("GET", "/v1/me").token(token);
    request.signed_at(NOW + seconds).send(pipeline, world)
}

/// The status or the problem of that request.
pub fn at(world: &World, pipeline: &Pipeline, seconds: i64, token: &str) -> String {
    ask_at(world, pipeline, seconds, token).verdict()
}
