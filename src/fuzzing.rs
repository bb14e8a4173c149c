//! The properties that the fuzz targets (`fuzz/`) check for any bytes. Compiled for fuzzing alone.
//!
//! Each function panics if its property does not hold.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a panic is a finding")]

use std::sync::OnceLock;

use serde_json::Value;

use crate::app_guard::Canonical;
use crate::auth;
use crate::conformance;
use crate::json;
use crate::jwt::{self, TokenDigest};
use crate::platform::{Content, UpstreamResponse};
use crate::postgrest::{self, Outcome};
use crate::request::page::ListQuery;
use crate::resources::{Declaration, Draft, Kind, Resource};
use crate::response::Body;
use crate::types::Object;

/// No token is accepted except those of the seeds, whose signatures are good. Any other would be
/// forged.
pub fn token(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    auth::fuzzing::claims(data);
    let Ok(payload) = conformance::verify_jws(text, key_set_of_seeds()) else {
        return;
    };
    assert!(payload.starts_with(b"seed"), "forged: {text}");
    assert_eq!(text.split('.').count(), 3);
}

/// The keys of `tests/vectors/keys.json`, which signed the seeds.
fn key_set_of_seeds() -> &'static str {
    static SET: OnceLock<String> = OnceLock::new();
    SET.get_or_init(|| {
        let keys: Value = serde_json::from_str(include_str!("../tests/vectors/keys.json")).unwrap();
        let key = |name: &str| {
            let mut jwk = keys[name]["jwk"].clone();
            jwk["kid"] = name.into();
            jwk
        };
        serde_json::json!({ "keys": [key("ec"), key("rsa")] }).to_string()
    })
}

/// The keys of a set are public, of one of two kinds, strong enough, and the same when they are parsed
/// again. A set with a symmetric key has none.
pub fn key_set(data: &[u8]) {
    let keys = jwt::fuzzing::key_set(data);
    let Some(keys) = keys else { return };
    let set = json::parse_object(data).unwrap();
    for jwk in set["keys"].as_array().unwrap() {
        assert_ne!(jwk["kty"], "oct");
    }
    for key in keys {
        let jwk: Value = serde_json::from_str(&key).unwrap();
        let mut names: Vec<&str> = jwk.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        match jwk["kty"].as_str() {
            Some("EC") => assert_eq!(names, ["crv", "kty", "x", "y"]),
            Some("RSA") => {
                assert_eq!(names, ["e", "kty", "n"]);
                assert!(jwk["n"].as_str().unwrap().len() >= 342);
            }
            other => panic!("{other:?}"),
        }
        let again = jwt::fuzzing::key_set(format!(r#"{{"keys":[{key}]}}"#).as_bytes());
        assert_eq!(again, Some(vec![key]));
    }
}

/// Requests that differ have canonical texts that differ. The bytes hold the parts of two requests.
pub fn canonical(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    // A character that no part needs separates them.
    let parts: Vec<&str> = text.split('\u{1}').collect();
    let part = |place: usize| parts.get(place).copied().unwrap_or_default();
    // U+0002 alone stands for a part that is absent.
    let optional = |place| Some(part(place)).filter(|part| *part != "\u{2}");
    let request = |from: usize| {
        let lines = [0, 1, 2, 3, 4].map(|place| part(from.saturating_add(place)));
        let token = optional(from.saturating_add(5));
        let body = part(from.saturating_add(6));
        let headers = [7, 8, 9].map(|place| optional(from.saturating_add(place)));
        (lines, token, body, headers)
    };
    let (one, other) = (request(0), request(10));
    let text = |(lines, token, body, headers): ([&str; 5], Option<&str>, &str, [Option<&str>; 3])| {
        let [app_id, timestamp, nonce, method, target] = lines;
        let [idempotency_key, if_match, if_none_match] = headers;
        Canonical {
            app_id,
            timestamp,
            nonce,
            method,
            target,
            token_digest: token.map(TokenDigest::of),
            body: body.as_bytes(),
            idempotency_key,
            if_match,
            if_none_match,
        }
        .text()
    };
    if let (Some(a), Some(b)) = (text(one), text(other)) {
        assert_eq!(a == b, one == other);
        assert_eq!(a.split('\n').count(), 11);
    }
}

/// A resource with a field of each kind, each nullable or with a default.
fn every_kind() -> &'static Resource {
    static DECLARATION: OnceLock<Declaration> = OnceLock::new();
    let declaration = DECLARATION.get_or_init(|| {
        Declaration::parse(
            r#"{"resources":{"things":{"owner":"user","search":["a"],"publish":["a"],"sorts":["created","c","n nulls last"],"count":true,
            "filters":{"a":["eq","in"],"c":["gte","in"],"d":["lt"],"e":["eq"],"g":["eq"],"h":["gt"],"i":["in"],"l":["is"],
            "m":["gte","in"],"n":["lt"]},"unique":{"things_a_key":"a"},"fields":{
            "a":"text(1..9)?","b":"verbatim(0..9) = ''","c":"integer(-9..9007199254740991) = 0","d":"number(-1e308..1e308)?",
            "e":"boolean = false","f":"uuid?","g":"date?","h":"timestamp?","i":"one_of(red,blue) = 'red'",
            "j":"texts(3,9) = []","k":"json(99) = {}","l":"ref(things)?",
            "m":"decimal(9,4) = '0'","n":"time?","o":"integers(3,-9..9) = []","p":"uuids(3) = []"}}}}"#,
        )
        .unwrap()
    });
    &declaration.resources[0]
}

/// An accepted draft means the same to `serde_json`. Written and read again, it is accepted with
/// the same digest.
pub fn draft(data: &[u8]) {
    let fields = &every_kind().fields;
    for whole in [true, false] {
        let parse = |body: &[u8]| if whole { Draft::whole(fields, body) } else { Draft::patch(fields, body) };
        let Ok(draft) = parse(data) else { continue };
        let read: Value = serde_json::from_slice(data).unwrap();
        let written: Value = serde_json::from_str(draft.json()).unwrap();
        for field in fields {
            match (read.get(&field.name), written.get(&field.name)) {
                (Some(read), Some(written)) => assert!(agree(&field.kind, read, written), "{}: {draft:?}", field.name),
                (None, Some(_)) if whole => {}
                (None, None) if !whole => {}
                other => panic!("{}: {other:?}", field.name),
            }
        }
        let again = parse(draft.json().as_bytes()).unwrap();
        assert_eq!((again.json(), again.digest()), (draft.json(), draft.digest()));
    }
    // Strict and lenient readers differ over repeated names alone.
    if let Some(strict) = json::parse(data) {
        assert_eq!(strict, serde_json::from_slice::<Value>(data).unwrap());
    }
}

/// Whether a value is still the same after writing.
fn agree(kind: &Kind, read: &Value, written: &Value) -> bool {
    let close = |a: f64, b: f64| a == b || (a - b).abs() <= 4.0 * f64::EPSILON * a.abs().max(b.abs());
    if read.is_null() {
        return written.is_null();
    }
    match kind {
        Kind::Text { .. } => read.as_str().map(str::trim) == written.as_str(),
        // `serde_json` is off by some units in the last place.
        Kind::Integer { .. } | Kind::Number { .. } => close(read.as_f64().unwrap(), written.as_f64().unwrap()),
        Kind::Decimal { .. } => {
            // As whole numbers: neither is ever rounded.
            let scaled = |value: &Value| {
                let text = value.as_str().unwrap();
                let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
                format!("{whole}{fraction:0<4}").parse::<i64>().unwrap()
            };
            scaled(read) == scaled(written)
        }
        Kind::Time => {
            let time =
                |value: &Value| chrono::NaiveTime::parse_from_str(value.as_str().unwrap(), "%H:%M:%S%.f").unwrap();
            time(read) == time(written)
        }
        Kind::Integers { .. } => {
            let numbers = |value: &Value| {
                let items = value.as_array().unwrap().iter();
                items.map(|item| item.as_f64().unwrap()).collect::<Vec<_>>()
            };
            numbers(read) == numbers(written)
        }
        Kind::Timestamp => {
            let time = |value: &Value| chrono::DateTime::parse_from_rfc3339(value.as_str().unwrap()).unwrap();
            time(read) == time(written)
        }
        _ => read == written,
    }
}

/// A query that is accepted serialises as the arguments of a page function, all of them bounded.
pub fn list_query(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    for query in [text.to_owned(), format!("limit=1&cursor={text}")] {
        let Ok(query) = ListQuery::parse(&query, every_kind()) else { continue };
        let arguments = serde_json::from_str::<Value>(&query.add_to(Object::new()).finish()).unwrap();
        assert!((1..=100).contains(&arguments["page_size"].as_u64().unwrap()));
        assert!(["active", "deleted", "published"].contains(&arguments["state"].as_str().unwrap()));
        assert!(arguments["words"].as_str().is_none_or(|words| (1..=200).contains(&words.chars().count())));
        let base64url = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let cursor = arguments["after"].as_str().unwrap_or("A");
        assert!((1..=2048).contains(&cursor.len()) && cursor.bytes().all(base64url), "{cursor}");
        for filter in arguments["filters"].as_array().into_iter().flatten() {
            let values = filter[2].as_array().map_or_else(|| std::slice::from_ref(&filter[2]), Vec::as_slice);
            let has_nul = |value: &Value| value.as_str().is_some_and(|text| text.contains('\0'));
            assert!((1..=100).contains(&values.len()) && !values.iter().any(has_nul), "{filter}");
        }
    }
}

/// A declaration is refused with one sentence, or has a checked form that the tools can read.
pub fn declaration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Declaration::parse(text) {
        Err(sentence) => assert!(sentence.ends_with('.'), "{sentence}"),
        Ok(declaration) => {
            let checked: Value = serde_json::to_value(&declaration).unwrap();
            let resources = checked["resources"].as_array().unwrap();
            assert_eq!(resources.len(), declaration.resources.len());
            for (resource, checked) in declaration.resources.iter().zip(resources) {
                assert_eq!(checked["name"], resource.name);
                assert_eq!(checked["fields"].as_array().unwrap().len(), resource.fields.len());
                // Each name is an identifier that needs no quotes in SQL.
                for name in resource.fields.iter().map(|field| &field.name).chain([&resource.name]) {
                    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
                    assert!((1..=40).contains(&name.len()) && name.bytes().all(plain), "{name}");
                }
            }
        }
    }
}

/// A problem is well formed and names only fields of the resource; a row is part of the answer. The first two
/// bytes are the status.
pub fn answer(data: &[u8]) {
    let Some((status, body)) = data.split_first_chunk() else {
        return;
    };
    let status = u16::from_be_bytes(*status);
    let content = Content::Whole(body.to_vec());
    let response = UpstreamResponse { status, content_type: String::new(), content };
    match postgrest::answer(response, Some(every_kind())) {
        Ok(body) => {
            if let Some(Ok(row)) = json::read::<Outcome>(&body).map(Outcome::row) {
                let text = std::str::from_utf8(&body).unwrap();
                assert!(text.contains(row.json()) && row.version().is_none_or(|version| version.number() >= 0));
            }
        }
        Err(problem) => {
            let response = problem.into_response("-");
            assert!((400..=599).contains(&response.status));
            let Body::Bytes(bytes) = response.body else { panic!("a problem that streams") };
            let problem: Value = serde_json::from_slice(&bytes).unwrap();
            let errors = problem["errors"].as_array();
            for error in errors.into_iter().flatten() {
                let field = error["pointer"].as_str().unwrap().trim_start_matches('/');
                assert!(field.is_empty() || every_kind().field(field).is_some() || error["code"] == "reference");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    #[test]
    fn each_seed_passes() {
        let run = |name: &str, target: fn(&[u8])| {
            let seeds = fs::read_dir(format!("fuzz/seeds/{name}")).unwrap();
            let count = seeds.map(|seed| target(&fs::read(seed.unwrap().path()).unwrap())).count();
            assert!(count >= 4, "{name}");
        };
        run("token", super::token);
        run("key_set", super::key_set);
        run("canonical", super::canonical);
        run("draft", super::draft);
        run("list_query", super::list_query);
        run("declaration", super::declaration);
        run("answer", super::answer);
    }
}
