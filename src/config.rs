//! The configuration: bindings and the declaration, checked once per isolate.
//!
//! A Worker that serves requests is configured completely. A value that is missing, malformed or too
//! powerful for its place (a service key as the publishable key, plain http to another machine) is
//! refused. Only the log names it. An optional value that is empty is absent.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use url::{Host, Url};

use crate::app_guard::{Apps, Tokens};
use crate::auth::Verifier;
use crate::json;
use crate::jwt::{KeyCache, Keys, Source};
use crate::limit::Addresses;
use crate::platform::{Bindings, Millis};
use crate::postgrest::Database;
use crate::postgrest::edge_proof::Signer;
use crate::readiness::Readiness;
use crate::resources::Declaration;
use crate::types::Object;

pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The configuration of an isolate.
pub(crate) struct Config {
    pub(crate) apps: Apps,
    /// The verifier of Firebase App Check's tokens.
    pub(crate) app_check: Tokens,
    pub(crate) verifier: Verifier,
    pub(crate) database: Database,
    pub(crate) declaration: Declaration,
    pub(crate) addresses: Addresses,
    pub(crate) readiness: Readiness,
    pub(crate) cors: Vec<String>,
    /// How long a rate limiter may take.
    pub(crate) store_timeout: Millis,
    /// This program's version, and the commit that was deployed, if it is known.
    pub(crate) version: String,
    /// One in this many successful reads has a log line.
    pub(crate) log_reads: u16,
}

/// Why there is no [`Config`]. For the log; clients see `misconfigured`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misconfigured {
    /// The binding.
    pub name: &'static str,
    /// The fault of the variable; never its value.
    pub reason: String,
}

impl fmt::Display for Misconfigured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.reason)
    }
}

impl Config {
    /// The configuration and warnings, each to be logged once.
    pub(crate) fn load(bindings: &impl Bindings, declaration: &str) -> Result<(Self, Vec<String>), Misconfigured> {
        let optional = |name| optional(bindings, name);
        let required = |name| optional(name).ok_or_else(|| bad(name, "is missing"));
        for name in ["LIMIT_IP", "LIMIT_USER"] {
            if !bindings.has(name) {
                return Err(bad(name, "is not bound"));
            }
        }

        let declaration = Declaration::parse(declaration).map_err(|why| bad("airlock.toml", &why))?;
        let url = project_url(&required("SUPABASE_URL")?)?;
        let key = publishable_key(required("SUPABASE_PUBLISHABLE_KEY")?)?;
        let issuer = issuer(optional("SUPABASE_JWT_ISSUER"), &url)?;
        let secret = optional("SUPABASE_JWT_SECRET").map(|secret| hs256_secret(&secret, &url)).transpose()?;
        let apps = Apps::parse(&required("APP_GUARD")?).map_err(|why| bad("APP_GUARD", &why))?;
        let signer = optional("EDGE_PROOF_SECRET")
            .map(|secret| Signer::new(&secret).map_err(|why| bad("EDGE_PROOF_SECRET", why)))
            .transpose()?;
        let cors = optional("CORS_ORIGINS").map_or(Ok(Vec::new()), |list| origins(&list))?;
        let millis = |name, default| whole(bindings, name, "milliseconds", 1..=u16::MAX, default).map(Millis::from);

        let mut warnings = Vec::new();
        if secret.is_some() {
            warnings.push(
                "SUPABASE_JWT_SECRET is set: its holder can mint a token of any user and \
                 role. Move the project to asymmetric signing keys and remove it."
                    .to_owned(),
            );
        }
        let open = apps.not_enforced();
        if !open.is_empty() {
            warnings.push(format!(
                "APP_GUARD does not enforce signatures everywhere: {}. Anybody can claim an app id, so \
                 this opens the API to everybody.",
                open.join("; ")
            ));
        }

        let open = apps.not_attested();
        if !open.is_empty() {
            warnings.push(format!(
                "APP_GUARD enforces attestation, but not for {}. Whoever extracts a key takes one that \
                 needs no attestation.",
                open.join("; ")
            ));
        }

        let origin = url.as_str().trim_end_matches('/');
        let jwks_timeout = millis("JWKS_TIMEOUT_MS", 3_000)?;
        let app_check_keys = app_check_keys(optional("APP_CHECK_JWKS_URL"), &url)?;
        let project_keys = Source::Project(format!("{origin}/auth/v1/.well-known/jwks.json"));
        let config = Self {
            apps,
            app_check: Tokens::new(Keys::AppCheck(KeyCache::new(app_check_keys, jwks_timeout)), None),
            verifier: Verifier::new(Keys::Project(KeyCache::new(project_keys, jwks_timeout), secret), issuer),
            database: Database::new(&format!("{origin}/rest/v1"), &key, millis("UPSTREAM_TIMEOUT_MS", 10_000)?, signer),
            declaration,
            addresses: Addresses::default(),
            readiness: Readiness::default(),
            cors,
            store_timeout: millis("STORE_TIMEOUT_MS", 2_000)?,
            version: optional("AIRLOCK_COMMIT")
                .map_or_else(|| VERSION.to_owned(), |commit| format!("{VERSION}+{commit}")),
            log_reads: whole(bindings, "LOG_READS_ONE_IN", "reads", 1..=u16::MAX, 1)?,
        };
        Ok((config, warnings))
    }
}

pub(crate) fn bad(name: &'static str, reason: &str) -> Misconfigured {
    Misconfigured { name, reason: reason.to_owned() }
}

/// A log line that is about no request.
pub(crate) fn notice(event: &'static str, message: &str) -> String {
    Object::new().text("event", event).text("message", message).finish()
}

/// A value that is there and not empty.
pub(crate) fn optional(bindings: &impl Bindings, name: &str) -> Option<String> {
    bindings.text(name).filter(|value| !value.is_empty())
}

/// A number of `unit`, or the default.
pub(crate) fn whole(
    bindings: &impl Bindings,
    name: &'static str,
    unit: &str,
    range: RangeInclusive<u16>,
    default: u16,
) -> Result<u16, Misconfigured> {
    let Some(text) = optional(bindings, name) else {
        return Ok(default);
    };
    // Rust would read `+5` and `05` as well.
    let digits = !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
    let number = text.parse().ok();
    let number = number.filter(|number| digits && range.contains(number));
    let (from, to) = range.into_inner();
    number.ok_or_else(|| bad(name, &format!("is not a number of {unit} from {from} to {to}")))
}

/// https, or http to this machine; nothing but scheme, host and port.
pub(crate) fn project_url(text: &str) -> Result<Url, Misconfigured> {
    const NAME: &str = "SUPABASE_URL";
    let url = web_url(text).ok_or_else(|| bad(NAME, "must be a URL that begins with https://"))?;
    let bare = url.username().is_empty()
        && url.password().is_none()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none();
    // The parser corrects white space, capitals and a user without a name.
    let as_written = url.as_str().strip_suffix('/') == Some(text.strip_suffix('/').unwrap_or(text));
    if !bare || !as_written {
        return Err(bad(
            NAME,
            "must be a scheme, a host in lower case and a port at most, which is not the scheme's own",
        ));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        _ => Err(bad(NAME, "must be https; http is for loopback addresses")),
    }
}

/// The parser's code for URLs of other schemes is not in the module: see `tools/setup/compile.ts`.
fn web_url(text: &str) -> Option<Url> {
    let web = text.starts_with("https://") || text.starts_with("http://");
    web.then(|| Url::parse(text).ok()).flatten()
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
        None => false,
    }
}

/// A `sb_publishable_` key, or a legacy key of role `anon`: a key that gives no right by itself.
fn publishable_key(key: String) -> Result<String, Misconfigured> {
    const NAME: &str = "SUPABASE_PUBLISHABLE_KEY";
    let printable = key.bytes().all(|b| b.is_ascii_graphic());
    if key.starts_with("sb_secret_") {
        Err(bad(NAME, "is a secret key, which bypasses Row Level Security"))
    } else if !printable {
        Err(bad(NAME, "holds characters that no key has"))
    } else if is_key(&key, "sb_publishable_") || legacy_role(&key).as_deref() == Some("anon") {
        Ok(key)
    } else if legacy_role(&key).is_some() {
        Err(bad(NAME, "is a legacy key of another role than anon"))
    } else {
        Err(bad(NAME, "is neither an sb_publishable_ key nor the legacy anon key"))
    }
}

/// Whether the key is longer than its prefix.
pub(crate) fn is_key(key: &str, prefix: &str) -> bool {
    key.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty())
}

/// The `role` in a legacy key. Supabase checks its signature.
pub(crate) fn legacy_role(key: &str) -> Option<String> {
    let mut parts = key.split('.');
    let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return None;
    };
    let claims = json::parse_object(&URL_SAFE_NO_PAD.decode(payload).ok()?)?;
    claims.get("role")?.as_str().map(str::to_owned)
}

/// `-` switches the check off where tokens come from this machine.
fn issuer(value: Option<String>, url: &Url) -> Result<Option<String>, Misconfigured> {
    match value.as_deref() {
        None => Ok(Some(format!("{}auth/v1", url.as_str()))),
        Some("-") if is_loopback(url) => Ok(None),
        Some("-") => Err(bad("SUPABASE_JWT_ISSUER", "may be - with a loopback SUPABASE_URL only")),
        Some(_) => Ok(value),
    }
}

/// The place of another key set is for development, and on this machine.
fn app_check_keys(value: Option<String>, project: &Url) -> Result<Source, Misconfigured> {
    match value {
        None => Ok(Source::AppCheck),
        Some(url) if is_loopback(project) && url.starts_with(project.as_str()) => Ok(Source::Development(url)),
        Some(_) => Err(bad("APP_CHECK_JWKS_URL", "may be below a loopback SUPABASE_URL only")),
    }
}

fn hs256_secret(secret: &str, url: &Url) -> Result<DecodingKey, Misconfigured> {
    const NAME: &str = "SUPABASE_JWT_SECRET";
    // The Supabase CLI uses this one for every local project.
    const LOCAL: &str = "super-secret-jwt-token-with-at-least-32-characters-long";
    if secret.len() < 32 {
        Err(bad(NAME, "is shorter than 32 bytes"))
    } else if secret == LOCAL && !is_loopback(url) {
        Err(bad(NAME, "is the public one of local development"))
    } else {
        Ok(DecodingKey::from_secret(secret.as_bytes()))
    }
}

/// Comma-separated origins, compared as they stand. No `*`: an API that takes tokens names its
/// pages.
fn origins(list: &str) -> Result<Vec<String>, Misconfigured> {
    list.split(',')
        .map(str::trim)
        .map(|origin| {
            let parsed = web_url(origin);
            let canonical = parsed.map(|url| url.origin().ascii_serialization());
            if canonical.as_deref() == Some(origin) && !origin.contains('*') {
                Ok(origin.to_owned())
            } else {
                Err(bad("CORS_ORIGINS", "must be a list of origins such as https://app.example.com, comma-separated"))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECLARATION: &str = r#"{"resources":{}}"#;
    const APP_GUARD: &str =
        r#"{"apps":{"a":{"keys":[{"id":"k","secret":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}]}}}"#;

    struct Changed<'a>(&'a [(&'a str, Option<&'a str>)]);

    impl Bindings for Changed<'_> {
        fn text(&self, name: &str) -> Option<String> {
            let good = [
                ("SUPABASE_URL", "https://abc.supabase.co"),
                ("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_x"),
                ("APP_GUARD", APP_GUARD),
            ];
            let good = good.map(|(name, value)| (name, Some(value)));
            let mut all = self.0.iter().chain(&good);
            let (_, value) = all.find(|(n, _)| *n == name)?;
            value.map(str::to_owned)
        }

        fn has(&self, name: &str) -> bool {
            !self.0.contains(&(name, None))
        }
    }

    /// Loads a good configuration with some bindings changed.
    fn load(changes: &[(&'static str, Option<&str>)]) -> Result<(Config, Vec<String>), Misconfigured> {
        Config::load(&Changed(changes), DECLARATION)
    }

    #[test]
    fn debug_of_the_verifier_shows_no_secret() {
        let secret = "a secret of at least 32 characters";
        let (config, _) = load(&[("SUPABASE_JWT_SECRET", Some(secret))]).unwrap();
        let shown = format!("{:?}", config.verifier);
        assert!(shown.contains("[redacted]"), "{shown}");
        for hidden in [secret, &format!("{:?}", secret.as_bytes())] {
            assert!(!shown.contains(hidden.trim_matches(['[', ']'])), "{shown}");
        }
    }

    fn refused(name: &'static str, value: Option<&str>) -> String {
        let error = load(&[(name, value)]).err().unwrap_or_else(|| panic!("accepted: {name}={value:?}"));
        assert_eq!(error.name, name);
        if let Some(value) = value.filter(|v| v.len() > 2) {
            assert!(!error.to_string().contains(value), "quotes the value: {error}");
        }
        error.reason
    }

    fn legacy(role: &str) -> String {
        let payload = URL_SAFE_NO_PAD.encode(format!(r#"{{"role":"{role}"}}"#));
        format!("e30.{payload}.c2ln")
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let (config, warnings) = load(&[]).unwrap();
        assert_eq!(config.verifier.tokens.issuer.as_deref(), Some("https://abc.supabase.co/auth/v1"));
        assert!(config.verifier.tokens.keys.secret().is_none());
        assert!(config.cors.is_empty());
        assert_eq!((config.store_timeout, config.log_reads), (2_000, 1));
        assert!(warnings.is_empty());
    }

    #[test]
    fn missing_binding_is_named() {
        for name in ["SUPABASE_URL", "SUPABASE_PUBLISHABLE_KEY", "APP_GUARD"] {
            assert_eq!(refused(name, None), "is missing");
            assert_eq!(refused(name, Some("")), "is missing");
        }
        for name in ["LIMIT_IP", "LIMIT_USER"] {
            assert_eq!(refused(name, None), "is not bound");
        }
    }

    #[test]
    fn project_url_is_https_or_loopback() {
        for good in [
            "https://abc.supabase.co/",
            "http://127.0.0.1:54321",
            "http://localhost:1",
            "http://[::1]:1",
            "http://127.9.9.9",
        ] {
            assert!(load(&[("SUPABASE_URL", Some(good))]).is_ok(), "{good}");
        }
        for bad in [
            "http://abc.supabase.co",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "ftp://127.0.0.1",
            "https://u:p@abc.supabase.co",
            "https://abc.supabase.co/rest/v1",
            "https://abc.supabase.co?x",
            "https://abc.supabase.co#x",
            "abc.supabase.co",
            "http://0.0.0.0",
            "http://192.168.0.1",
            " https://abc.supabase.co",
            "https://abc.supa\nbase.co",
            "https://@abc.supabase.co",
            "https://abc.supabase.co//",
            "https://abc.supabase.co:443",
            "https://ABC.supabase.co",
            "http://127.1",
        ] {
            refused("SUPABASE_URL", Some(bad));
        }
    }

    #[test]
    fn only_a_key_without_rights_is_a_publishable_key() {
        let name = "SUPABASE_PUBLISHABLE_KEY";
        assert!(load(&[(name, Some(&legacy("anon")))]).is_ok());
        for bad in [
            "sb_secret_x".to_owned(),
            legacy("service_role"),
            legacy("authenticated"),
            "e30.e30.c2ln".to_owned(),
            "anything".to_owned(),
            format!("{}.more", legacy("anon")),
            "sb_publishable_\n".to_owned(),
            "sb_publishable_é".to_owned(),
        ] {
            refused(name, Some(&bad));
        }
    }

    #[test]
    fn prefix_without_a_key_is_refused() {
        assert!(load(&[("SUPABASE_PUBLISHABLE_KEY", Some("sb_publishable_"))]).is_err());
    }

    #[test]
    fn issuer_check_can_be_off_for_loopback_only() {
        refused("SUPABASE_JWT_ISSUER", Some("-"));
        let loopback = load(&[("SUPABASE_URL", Some("http://127.0.0.1:54321")), ("SUPABASE_JWT_ISSUER", Some("-"))]);
        assert_eq!(loopback.unwrap().0.verifier.tokens.issuer, None);
        let custom = load(&[("SUPABASE_JWT_ISSUER", Some("https://auth.example.com"))]);
        assert_eq!(custom.unwrap().0.verifier.tokens.issuer.as_deref(), Some("https://auth.example.com"));
    }

    #[test]
    fn hs256_secret_has_32_bytes_and_causes_a_warning() {
        refused("SUPABASE_JWT_SECRET", Some(&"x".repeat(31)));
        let (config, warnings) = load(&[("SUPABASE_JWT_SECRET", Some(&"x".repeat(32)))]).unwrap();
        assert!(config.verifier.tokens.keys.secret().is_some());
        assert_eq!(warnings.len(), 1);

        let public = "super-secret-jwt-token-with-at-least-32-characters-long";
        refused("SUPABASE_JWT_SECRET", Some(public));
        let local = ("SUPABASE_URL", Some("http://127.0.0.1:54321"));
        assert!(load(&[local, ("SUPABASE_JWT_SECRET", Some(public))]).is_ok());
    }

    #[test]
    fn edge_proof_secret_is_optional_long_and_printable() {
        let name = "EDGE_PROOF_SECRET";
        for bad in ["x".repeat(31), format!("{}\n", "x".repeat(32))] {
            refused(name, Some(&bad));
        }
        assert!(load(&[(name, Some(""))]).is_ok());
        let (_, warnings) = load(&[(name, Some(&"x".repeat(32)))]).unwrap();
        assert!(warnings.is_empty());
    }

    #[test]
    fn app_that_is_not_enforced_causes_a_warning() {
        let (_, warnings) = load(&[("APP_GUARD", Some(r#"{"apps":{"web":{"mode":"off"}}}"#))]).unwrap();
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("app web is off"));
    }

    #[test]
    fn numbers_and_origins_are_read_strictly() {
        for name in ["UPSTREAM_TIMEOUT_MS", "JWKS_TIMEOUT_MS", "STORE_TIMEOUT_MS", "LOG_READS_ONE_IN"] {
            for bad in ["0", "-1", "1.5", "10s", "65536", " 1", "+500", "0500"] {
                refused(name, Some(bad));
            }
            assert!(load(&[(name, Some("500"))]).is_ok());
        }
        let (config, _) = load(&[("CORS_ORIGINS", Some("https://a.example, http://localhost:8081"))]).unwrap();
        assert_eq!(config.cors, ["https://a.example", "http://localhost:8081"]);
        for bad in [
            "*",
            "https://a.example/",
            "a.example",
            "https://a.example,",
            "null",
            "https://A.example",
            "https://*.example",
        ] {
            refused("CORS_ORIGINS", Some(bad));
        }
    }
}
