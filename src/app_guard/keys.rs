//! The apps and their keys, from the `APP_GUARD` secret.
//!
//! The cost of a check does not tell whether the app exists or how many keys it has: every app, and
//! the dummy for unknown ones, has the same number of keys. Unknown or repeated members, short
//! secrets, keys without an id and an enforced app without a key are refused.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde::Deserialize;
use sha2::Sha256;

use super::is_app_id;
use crate::json;

/// Live keys an app may have: two during a rotation, a few more for old releases of the app.
const KEYS_MAX: usize = 8;

/// How App Guard treats an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// No check.
    Off,
    /// The finding is logged; every request passes.
    Report,
    /// Only signed requests pass.
    #[default]
    Enforce,
}

impl Mode {
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
    apps: BTreeMap<String, App>,
    unknown: Vec<Hmac<Sha256>>,
}

struct App {
    mode: Mode,
    keys: Vec<Key>,
    macs: Vec<Hmac<Sha256>>,
}

/// A key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) id: String,
    /// Requests that it signed are told to upgrade the app.
    pub(super) retired: bool,
    /// What the app may then show to its user.
    pub(super) message: Option<String>,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawApps {
    #[serde(default)]
    default: Mode,
    apps: BTreeMap<String, RawApp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawApp {
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    keys: Vec<RawKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    id: String,
    secret: String,
    #[serde(default)]
    retired: bool,
    #[serde(default)]
    message: Option<String>,
}

impl Apps {
    /// Parses the secret. The error names the place and never quotes a value.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        json::parse(text.as_bytes()).map_err(|_| "is not JSON, or repeats a name".to_owned())?;
        // serde's own message would quote what it found, which may be a misplaced secret.
        let raw: RawApps = serde_json::from_str(text).map_err(|_| {
            "must look like {\"default\":\"enforce\",\"apps\":{\"<app id>\":{\"mode\":\"enforce\",\
             \"keys\":[{\"id\":\"<name>\",\"secret\":\"<base64url>\"}]}}}"
                .to_owned()
        })?;
        let mut apps = BTreeMap::new();
        for (id, app) in raw.apps {
            if !is_app_id(&id) {
                return Err("has an app id that is not 1 to 64 of A-Z a-z 0-9 . _ -".to_owned());
            }
            let app = App::parse(app).map_err(|error| format!("app {id} {error}"))?;
            apps.insert(id, app);
        }
        let rounds = apps.values().map(|app| app.macs.len()).max().unwrap_or(1).max(1);
        let padding = mac(&[0; 32])?;
        for app in apps.values_mut() {
            app.macs.resize(rounds, padding.clone());
        }
        Ok(Self { default: raw.default, apps, unknown: vec![padding; rounds] })
    }

    /// The mode for this app id; the default for absent and unknown ones.
    pub(crate) fn mode(&self, app_id: Option<&str>) -> Mode {
        app_id.and_then(|id| self.apps.get(id)).map_or(self.default, |app| app.mode)
    }

    pub(super) fn keys(&self, app_id: &str) -> AppKeys<'_> {
        match self.apps.get(app_id) {
            Some(app) => AppKeys { known: true, macs: &app.macs, keys: &app.keys },
            None => AppKeys { known: false, macs: &self.unknown, keys: &[] },
        }
    }

    /// The apps that are not enforced, in words for the log. An app id is not a secret, so `off` or
    /// `report` for one app lets everybody pass who claims to be that app.
    pub(crate) fn not_enforced(&self) -> Vec<String> {
        let mut open: Vec<String> = self
            .apps
            .iter()
            .filter(|(_, app)| app.mode != Mode::Enforce)
            .map(|(id, app)| format!("app {id} is {}", app.mode.as_str()))
            .collect();
        if self.default != Mode::Enforce {
            open.push(format!("the default is {}", self.default.as_str()));
        }
        open
    }
}

impl App {
    fn parse(raw: RawApp) -> Result<Self, &'static str> {
        if raw.keys.len() > KEYS_MAX {
            return Err("has more than 8 keys");
        }
        if raw.keys.is_empty() && raw.mode == Mode::Enforce {
            return Err("is enforced but has no key");
        }
        let mut keys: Vec<Key> = Vec::new();
        let mut macs = Vec::new();
        // The last key that matches counts: a request signed with a retired and a live key is good.
        let mut raw_keys = raw.keys;
        raw_keys.sort_by_key(|key| !key.retired);
        for key in raw_keys {
            if !is_app_id(&key.id) {
                return Err("has a key whose id is not 1 to 64 of A-Z a-z 0-9 . _ -");
            }
            if keys.iter().any(|other| other.id == key.id) {
                return Err("has two keys of one id");
            }
            let secret = URL_SAFE_NO_PAD
                .decode(&key.secret)
                .map_err(|_| "has a key whose secret is not base64url without padding")?;
            if secret.len() < 32 {
                return Err("has a key whose secret is shorter than 32 bytes");
            }
            macs.push(mac(&secret)?);
            keys.push(Key { id: key.id, retired: key.retired, message: key.message });
        }
        Ok(Self { mode: raw.mode, keys, macs })
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
