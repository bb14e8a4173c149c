//! Attestation: does Apple or Google vouch for the installation of the app that asks?
//!
//! Firebase App Check and Approov ask them and issue a token, which the app sends beside its signature.
//! Only a request with a good signature comes here, so a client without an app key causes no fetch
//! and no RSA verification. The header is not signed. Changing it can cause a refusal; it avoids
//! one only with a valid token. Claims are compared with the policy of the request's own key each
//! time, and are cached before that.

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};

use super::Mode;
use crate::error::{Code, Problem};
use crate::json::object;
use crate::jwt::key_set::KeySet;
use crate::jwt::{self, Failure, Keys, LEEWAY, Rejected, TokenDigest, Verifier, is_for, numeric_date, parse_claims};
use crate::platform::Platform;

/// The longest life of an App Check token, in seconds.
const LIFE_MAX: i64 = 7 * 86_400;

/// The placeholder that Firebase's libraries send when they have no token:
/// `{"error":"UNKNOWN_ERROR"}`.
const PLACEHOLDER: &str = "eyJlcnJvciI6IlVOS05PV05fRVJST1IifQ==";

const IDS: &str = "has a firebase without 1 to 8 app_ids such as 1:<project>:ios:0a1b2c3d";

/// The tokens of one vendor.
pub(crate) type Tokens = Verifier<Claims>;

/// The attestation that a key asks for.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(super) mode: Mode,
    firebase: Option<Firebase>,
    approov: Option<Approov>,
}

#[derive(Debug)]
struct Firebase {
    issuer: String,
    audience: String,
    /// The accepted app ids, separated by line feeds, which no id contains.
    app_ids: String,
}

#[derive(Debug)]
struct Approov {
    tokens: Tokens,
    /// Whether a token must name the `Authorization` that it came with.
    bind: bool,
}

/// The claims of either vendor.
#[derive(Debug)]
pub(crate) struct Claims {
    claims: Map<String, Value>,
    exp: i64,
}

/// The headers with attestation tokens.
#[derive(Clone, Copy)]
pub(crate) struct Sent<'a> {
    pub(crate) app_check: Option<&'a str>,
    pub(crate) approov: Option<&'a str>,
}

/// The result. Where two tokens came, the later one in this order counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Off,
    Missing,
    /// A word in the place of a token.
    Placeholder,
    /// Nothing is wrong but the time.
    Expired,
    Malformed,
    BadSignature,
    WrongProject,
    WrongApp,
    Unbound,
    UnknownKey,
    KeysUnavailable,
    Verified,
}

/// The result of attestation, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attested {
    verdict: Verdict,
    /// Why the token was not verified, if that is known.
    failure: Option<Failure>,
    /// The vendor whose token it is about.
    pub(crate) by: Option<&'static str>,
    /// The id of the app at Firebase, of a token with a good signature.
    pub(crate) app: Option<String>,
}

impl Attested {
    pub(crate) fn as_str(&self) -> &'static str {
        match self.verdict {
            Verdict::Off => "off",
            Verdict::Missing => "missing",
            Verdict::Placeholder => "placeholder",
            Verdict::Expired => "expired",
            Verdict::Malformed => "malformed",
            Verdict::BadSignature => "bad_signature",
            Verdict::WrongProject => "wrong_project",
            Verdict::WrongApp => "wrong_app",
            Verdict::Unbound => "unbound",
            Verdict::UnknownKey => "unknown_key",
            Verdict::KeysUnavailable => "keys_unavailable",
            Verdict::Verified => "verified",
        }
    }
}

impl Policy {
    /// Judges the tokens of a request. `now` is in Unix seconds.
    pub(super) async fn judge(
        &self,
        sent: Sent<'_>,
        authorization: Option<&str>,
        app_check: &Tokens,
        now: i64,
        platform: &impl Platform,
    ) -> Attested {
        let mut best = Attested { verdict: Verdict::Missing, failure: None, by: None, app: None };
        if self.mode == Mode::Off {
            best.verdict = Verdict::Off;
        }
        for (by, token, tokens) in [
            ("firebase", sent.app_check, self.firebase.as_ref().map(|_| app_check)),
            ("approov", sent.approov, self.approov.as_ref().map(|approov| &approov.tokens)),
        ] {
            let (Some(token), Some(tokens)) = (token.filter(|token| !token.is_empty()), tokens) else { continue };
            if matches!(best.verdict, Verdict::Off | Verdict::Verified) {
                break;
            }
            let (mut failure, mut app) = (None, None);
            let verdict = if is_placeholder(token) {
                Verdict::Placeholder
            } else {
                match tokens.verify(token, TokenDigest::of(token), platform).await {
                    Ok(claims) => {
                        app = claims.text("sub").map(str::to_owned);
                        self.check(by, &claims, authorization, now)
                    }
                    Err(error) => {
                        failure = Some(error);
                        match error {
                            Failure::Malformed(_) => Verdict::Malformed,
                            Failure::BadSignature => Verdict::BadSignature,
                            Failure::UnknownKey(_) => Verdict::UnknownKey,
                            Failure::Undecided(..) => Verdict::KeysUnavailable,
                        }
                    }
                }
            };
            if verdict > best.verdict {
                best = Attested { verdict, failure, by: Some(by), app };
            }
        }
        best
    }

    /// The refusal where attestation is enforced. Honest phones fail to attest too, so a token that is
    /// missing or expired does not count against the address, which many of them share.
    pub(super) fn admit(&self, attested: Option<&Attested>) -> Result<(), Problem> {
        let verdict = attested.map_or(Verdict::Missing, |attested| attested.verdict);
        if self.mode != Mode::Enforce || verdict == Verdict::Verified {
            return Ok(());
        }
        let code = match verdict {
            Verdict::Missing | Verdict::Placeholder => Code::AttestationMissing,
            Verdict::Expired => Code::AttestationExpired,
            _ => Code::AttestationInvalid,
        };
        let failure = attested.and_then(|attested| attested.failure);
        let problem = failure.map_or_else(|| code.into(), |failure| failure.refusal(code));
        Err(if problem.code() == Code::AttestationInvalid { problem.against_address() } else { problem })
    }

    /// The time comes last, so that "expired" means that nothing else is wrong.
    fn check(&self, by: &str, claims: &Claims, authorization: Option<&str>, now: i64) -> Verdict {
        let wrong = match (by, &self.firebase, &self.approov) {
            ("firebase", Some(firebase), _) => firebase.wrong(claims, now),
            // Without a session there is none to be bound to.
            (_, _, Some(approov)) if approov.bind => {
                authorization.filter(|value| !claims.is_bound_to(value)).map(|_| Verdict::Unbound)
            }
            _ => None,
        };
        match wrong {
            Some(wrong) => wrong,
            None if now >= claims.exp.saturating_add(LEEWAY) => Verdict::Expired,
            None => Verdict::Verified,
        }
    }
}

/// Firebase's placeholder, or one of Approov's status words, such as `NO_NETWORK`.
fn is_placeholder(token: &str) -> bool {
    token == PLACEHOLDER || token.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

impl Firebase {
    fn wrong(&self, claims: &Claims, now: i64) -> Option<Verdict> {
        let (iss, sub) = (claims.text("iss"), claims.text("sub"));
        if iss != Some(&self.issuer) || !is_for(&claims.claims, &self.audience) {
            return Some(Verdict::WrongProject);
        }
        if !sub.is_some_and(|sub| self.app_ids.lines().any(|id| id == sub)) {
            return Some(Verdict::WrongApp);
        }
        let good = claims
            .whole("iat")
            .is_some_and(|iat| iat <= now.saturating_add(LEEWAY) && claims.exp.saturating_sub(iat) <= LIFE_MAX);
        (!good || claims.whole("exp").is_none()).then_some(Verdict::Malformed)
    }
}

impl jwt::Claims for Claims {
    /// Approov sometimes writes `exp` with a fraction.
    fn parse(payload: &[u8], _: Option<&str>) -> Result<Self, Rejected> {
        let claims = parse_claims(payload)?;
        let exp = claims.get("exp").and_then(numeric_date).ok_or(Rejected("exp"))?;
        Ok(Self { claims, exp })
    }
}

impl Claims {
    fn text(&self, name: &str) -> Option<&str> {
        self.claims.get(name).and_then(Value::as_str)
    }

    fn whole(&self, name: &str) -> Option<i64> {
        self.claims.get(name).and_then(Value::as_i64)
    }

    fn is_bound_to(&self, authorization: &str) -> bool {
        self.text("pay") == Some(&STANDARD.encode(TokenDigest::of(authorization).0))
    }
}

impl Policy {
    /// Parses `attest` of an app or of a key whose signatures have this mode. The error never quotes a
    /// value.
    pub(super) fn parse(attest: &Value, guard: Mode) -> Result<Rc<Self>, &'static str> {
        let attest = object(attest, &["mode", "firebase", "approov"])
            .ok_or("has an attest with other members than mode, firebase and approov")?;
        let mode = attest.get("mode").and_then(|mode| Mode::parse(Some(mode), Mode::Off));
        let mode = mode.ok_or("has an attest whose mode is not off, report or enforce")?;
        let firebase = attest.get("firebase").map(Firebase::parse).transpose()?;
        let approov = attest.get("approov").map(Approov::parse).transpose()?;
        if mode != Mode::Off && firebase.is_none() && approov.is_none() {
            return Err("has an attest without firebase and approov");
        }
        if mode == Mode::Enforce && guard != Mode::Enforce {
            return Err("enforces attest, but not signatures: set its mode to enforce as well");
        }
        Ok(Rc::new(Self { mode, firebase, approov }))
    }
}

impl Firebase {
    fn parse(value: &Value) -> Result<Self, &'static str> {
        let firebase = object(value, &["project", "app_ids"])
            .ok_or("has a firebase with other members than project and app_ids")?;
        let project = firebase.get("project").and_then(Value::as_str).unwrap_or_default();
        if project.is_empty() || project.len() > 20 || !project.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err("has a firebase whose project is not its number as a text: an id is something else");
        }
        let ids = firebase.get("app_ids").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let mut app_ids = String::new();
        for id in ids {
            let id = id.as_str().filter(|id| is_app_id_of(id, project));
            app_ids.push_str(id.ok_or(IDS)?);
            app_ids.push('\n');
        }
        if !(1..=8).contains(&ids.len()) {
            return Err(IDS);
        }
        Ok(Self {
            issuer: format!("https://firebaseappcheck.googleapis.com/{project}"),
            audience: format!("projects/{project}"),
            app_ids,
        })
    }
}

/// `1:<number>:<platform>:<hex>`.
fn is_app_id_of(id: &str, project: &str) -> bool {
    let mut parts = id.split(':');
    let whole = !id.contains('\n') && parts.next() == Some("1") && parts.next() == Some(project);
    whole && parts.filter(|part| !part.is_empty()).count() == 2
}

impl Approov {
    fn parse(value: &Value) -> Result<Self, &'static str> {
        let approov = object(value, &["secret", "keys", "bind"])
            .ok_or("has an approov with other members than secret, keys and bind")?;
        let bind = match approov.get("bind") {
            None => false,
            Some(bind) => bind.as_bool().ok_or("has an approov whose bind is not true or false")?,
        };
        let keys = match (approov.get("secret"), approov.get("keys")) {
            (Some(secret), None) => {
                let secret = secret.as_str().and_then(|secret| URL_SAFE_NO_PAD.decode(secret).ok());
                let secret = secret.filter(|secret| secret.len() >= 32);
                let secret =
                    secret.ok_or("has an approov whose secret is not base64url, without padding, of 32 bytes")?;
                Keys::Secret(DecodingKey::from_secret(&secret))
            }
            (None, Some(Value::Array(keys))) => {
                let set = KeySet::of(keys).ok().filter(|set| !keys.is_empty() && set.named() == keys.len());
                Keys::Given(set.ok_or("has an approov with a key that is no public JWK for ES256 or RS256 with a kid")?)
            }
            _ => return Err("has an approov that needs either a secret or a list of keys"),
        };
        Ok(Self { tokens: Verifier::new(keys, None), bind })
    }
}
