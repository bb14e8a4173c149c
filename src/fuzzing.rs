//! What the fuzz targets (`fuzz/`) do with any bytes. Compiled for fuzzing alone.
//!
//! Promise: each function panics if what it names does not hold; running without a panic of any other
//! kind is the least of it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is what a fuzzer looks for"
)]

use std::sync::OnceLock;

use serde_json::Value;

use crate::guard::{Canonical, TokenDigest};
use crate::json;
use crate::note::Note;
use crate::note::draft::{NoteDraft, NotePatch};
use crate::note::page::ListQuery;
use crate::token;

/// No token is accepted but those of the seeds, whose signatures are good: everything else would be
/// forged. And a token has one spelling.
pub fn token(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    token::fuzzing::claims(data);
    let Ok(payload) = token::verify_jws(text, key_set_of_seeds()) else {
        return;
    };
    assert!(payload.starts_with(b"seed"), "forged: {text}");
    assert_eq!(text.split('.').count(), 3);
}

/// The keys of `tests/vectors/keys.json`, by which the seeds are signed.
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

/// The keys of a set are public, of one of two kinds, strong enough, and stay the same when they are
/// read once more. A set with a symmetric key has none.
pub fn key_set(data: &[u8]) {
    let keys = token::fuzzing::key_set(data);
    let Some(keys) = keys else { return };
    let set = json::parse_object(data).unwrap();
    for jwk in set["keys"].as_array().unwrap() {
        assert_ne!(jwk["kty"], "oct");
    }
    for key in keys {
        let jwk: Value = serde_json::from_str(&key).unwrap();
        let mut names: Vec<&str> = jwk
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        names.sort_unstable();
        match jwk["kty"].as_str() {
            Some("EC") => assert_eq!(names, ["crv", "kty", "x", "y"]),
            Some("RSA") => {
                assert_eq!(names, ["e", "kty", "n"]);
                assert!(jwk["n"].as_str().unwrap().len() >= 342);
            }
            other => panic!("{other:?}"),
        }
        let again = token::fuzzing::key_set(format!(r#"{{"keys":[{key}]}}"#).as_bytes());
        assert_eq!(again, Some(vec![key]));
    }
}

/// Two requests that differ have texts that differ. The bytes are cut into the parts of both.
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
    let text =
        |(lines, token, body, headers): ([&str; 5], Option<&str>, &str, [Option<&str>; 3])| {
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

/// A note that is taken is what `serde_json` reads in the same bytes, and is taken again as it is
/// written.
pub fn note(data: &[u8]) {
    let read = |name: &str| {
        let value: Value = serde_json::from_slice(data).unwrap();
        value.get(name).and_then(Value::as_str).map(str::to_owned)
    };
    if let Ok(draft) = NoteDraft::parse(data) {
        let written = serde_json::to_value(&draft).unwrap();
        assert_eq!(
            written["title"].as_str(),
            read("title").as_deref().map(str::trim)
        );
        assert_eq!(written["body"], read("body").unwrap_or_default());
        assert_eq!(NoteDraft::parse(written.to_string().as_bytes()), Ok(draft));
    }
    if let Ok(patch) = NotePatch::parse(data) {
        let written = serde_json::to_value(&patch).unwrap();
        let given = written.as_object().unwrap();
        assert_eq!(given.contains_key("title"), read("title").is_some());
        assert_eq!(given.contains_key("body"), read("body").is_some());
        assert_eq!(NotePatch::parse(written.to_string().as_bytes()), Ok(patch));
    }
    // Strict and lenient readers differ over repeated names alone.
    if let Ok(strict) = json::parse(data) {
        assert_eq!(strict, serde_json::from_slice::<Value>(data).unwrap());
    }
}

/// A cursor that is taken is the one that its place would be given.
pub fn cursor(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let _ = ListQuery::parse(text);
    let Ok(query) = ListQuery::parse(&format!("limit=1&cursor={text}")) else {
        return;
    };
    let Some(place) = query.after.clone() else {
        return;
    };
    let time = place.created_at.as_str();
    let row = format!(
        r#"{{"id":"{}","title":"t","body":"","version":1,"created_at":"{time}","updated_at":"{time}","deleted_at":null}}"#,
        place.id
    );
    let page = query.page(format!("[{row},{row}]").as_bytes()).unwrap();
    let page: Value = serde_json::from_slice(&page).unwrap();
    let again = ListQuery::parse(&format!("cursor={}", page["next_cursor"].as_str().unwrap()));
    assert_eq!(again.unwrap().after, Some(place));
}

/// Rows in their usual form take a quick way through `note::row`, and any white space before them makes
/// them take the other: both must agree on whether these are rows, and on what becomes of them.
pub fn rows(data: &[u8]) {
    let mut spaced = b" ".to_vec();
    spaced.extend_from_slice(data);
    for limit in ["limit=1", "limit=2"] {
        let query = ListQuery::parse(limit).unwrap();
        let (quick, general) = (query.page(data), query.page(&spaced));
        let value = |page: Option<Vec<u8>>| {
            page.map(|page| serde_json::from_slice::<Value>(&page).unwrap())
        };
        assert_eq!(value(quick), value(general));
    }
    let json = |rows: &[u8]| {
        Note::of_rows(rows).map(|note| note.map(|note| serde_json::to_value(&note).unwrap()))
    };
    assert_eq!(json(data), json(&spaced));
}
