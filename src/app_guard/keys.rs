//! The apps and their keys, from the `APP_GUARD` secret.
//!
//! The cost of a check does not reveal whether the app exists or how many keys it has. Every app,
//! and the dummy for unknown ones, has the same number of keys. Unknown or repeated members, short
//! secrets, keys without an id and an enforced app without a key are refused.

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit};
use serde_json::Value;
use sha2::Sha256;

use super::attestation::Policy;
use super::is_app_id;
use crate::json::{self, object};

/// Most keys of an app: two during a rotation, and a few for old releases of the app.
const KEYS_MAX: usize = 8;

/// How App Guard treats an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// No check.
    Off,
    /// The finding is logged; every request passes.
    Report,
    /// Only signed requests pass.
    Enforce,
}

impl Mode {
    pub(super) fn parse(text: Option<&Value>, absent: Self) -> Option<Self> {
        match text.map(Value::as_str) {
            None => Some(absent),
            Some(text) => [Self::Off, Self::Report, Self::Enforce].into_iter().find(|mode| Some(mode.as_str()) == text),
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Report => "report",
            Self::Enforce => "enforce",
        }
    }
}

/// All apps.
pub(crate) struct Apps {
    default: Mode,
    apps: Vec<App>,
    unknown: Vec<Hmac<Sha256>>,
}

struct App {
    id: String,
    mode: Mode,
    keys: Vec<Key>,
    macs: Vec<Hmac<Sha256>>,
}

/// A key, without its secret.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) id: String,
    /// Requests that it signed are told to upgrade the app.
    pub(super) retired: bool,
    /// A message that the app may then show to its user.
    pub(super) message: Option<String>,
    /// The attestation that this key asks for: its own setting, or the app's.
    pub(super) attest: Option<Rc<Policy>>,
}

/// The keys to check a signature against.
pub(super) struct AppKeys<'a> {
    /// Whether there is such an app.
    pub(super) known: bool,
    /// Ready to sign.
    pub(super) macs: &'a [Hmac<Sha256>],
    /// The keys that they are of. The macs after these are padding.
    pub(super) keys: &'a [Key],
}

const SHAPE: &str = "must look like {\"default\":\"enforce\",\"apps\":{\"<app id>\":{\"mode\":\"enforce\",\
     \"keys\":[{\"id\":\"<name>\",\"secret\":\"<base64url>\"}]}}}";

impl Apps {
    /// Parses the secret. The error names the place and never quotes a value.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let raw = json::parse(text.as_bytes()).ok_or("is not JSON, or repeats a name")?;
        let raw = object(&raw, &["default", "apps"]).ok_or(SHAPE)?;
        let default = Mode::parse(raw.get("default"), Mode::Enforce).ok_or(SHAPE)?;
        let mut apps: Vec<App> = Vec::new();
        for (id, app) in raw.get("apps").and_then(Value::as_object).ok_or(SHAPE)? {
            if !is_app_id(id) {
                return Err("has an app id that is not 1 to 64 of A-Z a-z 0-9 . _ -".to_owned());
            }
            let app = App::parse(id, app);
            apps.push(
                app.map_err(|error| if error == SHAPE { error.to_owned() } else { format!("app {id} {error}") })?,
            );
        }
        let rounds = apps.iter().map(|app| app.macs.len()).max().unwrap_or(1).max(1);
        let padding = mac(&[0; 32])?;
        for app in &mut apps {
            app.macs.resize(rounds, padding.clone());
        }
        Ok(Self { default, apps, unknown: vec![padding; rounds] })
    }

    /// The mode for this app id; the default for absent and unknown ones.
    pub(crate) fn mode(&self, app_id: Option<&str>) -> Mode {
        app_id.and_then(|id| self.app(id)).map_or(self.default, |app| app.mode)
    }

    fn app(&self, id: &str) -> Option<&App> {
        self.apps.iter().find(|app| app.id == id)
    }

    pub(super) fn keys(&self, app_id: &str) -> AppKeys<'_> {
        match self.app(app_id) {
            Some(app) => AppKeys { known: true, macs: &app.macs, keys: &app.keys },
            None => AppKeys { known: false, macs: &self.unknown, keys: &[] },
        }
    }

    /// Whether some key asks for attestation.
    pub(crate) fn attest(&self) -> bool {
        self.apps.iter().any(|app| app.keys.iter().any(|key| key.attest.is_some()))
    }

    /// Where attestation is enforced for some app: the apps and live keys for which it is not, in words
    /// for the log. An attacker extracts the key with the fewest checks.
    pub(crate) fn not_attested(&self) -> Vec<String> {
        let mut open = Vec::new();
        let mut enforced = false;
        for app in &self.apps {
            for key in app.keys.iter().filter(|key| !key.retired) {
                if key.attest.as_ref().is_some_and(|attest| attest.mode == Mode::Enforce) {
                    enforced = true;
                } else {
                    open.push(format!("app {} with key {}", app.id, key.id));
                }
            }
        }
        if enforced { open } else { Vec::new() }
    }

    /// The apps that are not enforced, in words for the log. An app id is not a secret, so `off` or
    /// `report` for one app lets everybody pass who claims to be that app.
    pub(crate) fn not_enforced(&self) -> Vec<String> {
        let mut open: Vec<String> = self
            .apps
            .iter()
            .filter(|app| app.mode != Mode::Enforce)
            .map(|app| format!("app {} is {}", app.id, app.mode.as_str()))
            .collect();
        if self.default != Mode::Enforce {
            open.push(format!("the default is {}", self.default.as_str()));
        }
        open
    }
}

impl App {
    fn parse(id: &str, raw: &Value) -> Result<Self, &'static str> {
        let raw = object(raw, &["mode", "attest", "keys"]).ok_or(SHAPE)?;
        let mode = Mode::parse(raw.get("mode"), Mode::Enforce).ok_or(SHAPE)?;
        let raw_keys = match raw.get("keys") {
            None => &[][..],
            Some(keys) => keys.as_array().ok_or(SHAPE)?,
        };
        if raw_keys.len() > KEYS_MAX {
            return Err("has more than 8 keys");
        }
        if raw_keys.is_empty() && mode == Mode::Enforce {
            return Err("is enforced but has no key");
        }
        let policy = |attest: Option<&Value>| attest.map(|attest| Policy::parse(attest, mode)).transpose();
        let attest = policy(raw.get("attest"))?;
        let mut keys: Vec<Key> = Vec::new();
        let mut macs = Vec::new();
        for key in raw_keys {
            let key = object(key, &["id", "secret", "retired", "message", "attest"]).ok_or(SHAPE)?;
            let text = |name: &str| key.get(name).and_then(Value::as_str);
            let (Some(id), Some(secret)) = (text("id"), text("secret")) else { return Err(SHAPE) };
            let retired = key.get("retired").map_or(Some(false), Value::as_bool).ok_or(SHAPE)?;
            let message = text("message");
            if message.is_none() && key.get("message").is_some_and(|message| !message.is_null()) {
                return Err(SHAPE);
            }
            if !is_app_id(id) {
                return Err("has a key whose id is not 1 to 64 of A-Z a-z 0-9 . _ -");
            }
            if keys.iter().any(|other| other.id == id) {
                return Err("has two keys of one id");
            }
            let secret = URL_SAFE_NO_PAD
                .decode(secret)
                .map_err(|_| "has a key whose secret is not base64url without padding")?;
            if secret.len() < 32 {
                return Err("has a key whose secret is shorter than 32 bytes");
            }
            // The last key that matches counts: a request signed with a retired and a live key is good.
            let place = if retired { 0 } else { keys.len() };
            macs.insert(place, mac(&secret)?);
            let attest = policy(key.get("attest"))?.or_else(|| attest.clone());
            keys.insert(place, Key { id: id.to_owned(), retired, message: message.map(str::to_owned), attest });
        }
        Ok(Self { id: id.to_owned(), mode, keys, macs })
    }
}

fn mac(secret: &[u8]) -> Result<Hmac<Sha256>, &'static str> {
    Hmac::new_from_slice(secret).map_err(|_| "has a key that HMAC cannot take")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    fn error(text: &str) -> String {
        Apps::parse(text).err().unwrap_or_else(|| panic!("accepted: {text}"))
    }

    #[test]
    fn absent_mode_is_enforce() {
        let apps =
            Apps::parse(&format!(r#"{{"apps":{{"a":{{"keys":[{{"id":"k","secret":"{SECRET}"}}]}}}}}}"#)).unwrap();
        assert_eq!(apps.mode(Some("a")), Mode::Enforce);
        assert_eq!(apps.mode(Some("b")), Mode::Enforce);
        assert_eq!(apps.mode(None), Mode::Enforce);
        assert!(apps.not_enforced().is_empty());
    }

    #[test]
    fn apps_that_are_not_enforced_are_named() {
        let apps =
            Apps::parse(r#"{"default":"report","apps":{"b":{"mode":"off","keys":[]},"a":{"mode":"report"}}}"#).unwrap();
        assert_eq!(apps.not_enforced(), ["app a is report", "app b is off", "the default is report"]);
        assert_eq!(apps.mode(Some("b")), Mode::Off);
        assert_eq!(apps.mode(Some("c")), Mode::Report);
    }

    #[test]
    fn every_app_and_an_unknown_one_have_the_same_number_of_macs() {
        let key = |id: &str| format!(r#"{{"id":"{id}","secret":"{SECRET}"}}"#);
        let apps = Apps::parse(&format!(
            r#"{{"apps":{{"a":{{"keys":[{}]}},"b":{{"keys":[{},{},{}]}}}}}}"#,
            key("1"),
            key("1"),
            key("2"),
            key("3")
        ))
        .unwrap();
        for id in ["a", "b", "c"] {
            assert_eq!(apps.keys(id).macs.len(), 3, "{id}");
        }
        assert_eq!(apps.keys("a").keys.len(), 1);
        assert!(!apps.keys("c").known);
    }

    #[test]
    fn app_has_at_most_eight_keys() {
        let app = |count: usize| {
            let keys: Vec<String> = (0..count).map(|id| format!(r#"{{"id":"{id}","secret":"{SECRET}"}}"#)).collect();
            format!(r#"{{"apps":{{"a":{{"keys":[{}]}}}}}}"#, keys.join(","))
        };
        assert!(Apps::parse(&app(8)).is_ok());
        assert!(error(&app(9)).contains("more than 8"));
        assert!(error(&app(10)).contains("more than 8"));
    }

    #[test]
    fn ambiguous_configuration_is_refused_without_quoting_a_secret() {
        let key = |id: &str, secret: &str| format!(r#"{{"id":"{id}","secret":"{secret}"}}"#);
        let app = |keys: &str| format!(r#"{{"apps":{{"a":{{"mode":"enforce","keys":[{keys}]}}}}}}"#);
        let good = key("k", SECRET);
        for (text, says) in [
            (String::new(), "not JSON"),
            ("{}".to_owned(), "must look like"),
            (r#"{"apps":{},"apps":{}}"#.to_owned(), "repeats"),
            (r#"{"default":"Enforce","apps":{}}"#.to_owned(), "must look like"),
            (format!(r#"{{"apps":{{}},"secret":"{SECRET}"}}"#), "must look like"),
            (format!(r#"{{"apps":{{"a b":{{"keys":[{good}]}}}}}}"#), "app id"),
            (app(""), "app a is enforced but has no key"),
            (app(&format!("{good},{good}")), "two keys"),
            (app(&key("", SECRET)), "key whose id"),
            (app(&key("k", &"A".repeat(42))), "shorter than 32"),
            (app(&key("k", &format!("{SECRET}="))), "not base64url"),
            (app(&key("k", &SECRET.replace('A', "+"))), "not base64url"),
        ] {
            let error = error(&text);
            assert!(error.contains(says), "{text}: {error}");
            assert!(!error.contains("BQYHCAkKCwwNDg8"), "{error}");
        }
    }
}
